package controlapi

import (
	"encoding/json"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator"
)

// The document's status words.
const (
	statusRunning = "running"
	statusStopped = "stopped"
	statusFailed  = "failed"
	statusUnknown = "unknown"
)

// service is one configured service with the answers that are kept for it.
type service struct {
	ServiceInfo
	generation atomic.Uint64 // grows with every change; an answer of an older generation is not served
	status     keptAnswer
	health     keptAnswer
}

// invalidate makes the next request build its answer anew.
func (s *service) invalidate() { s.generation.Add(1) }

// keptAnswer is an encoded body with the moment until which it may be served.
type keptAnswer struct{ current atomic.Pointer[encodedAnswer] }

type encodedAnswer struct {
	body       []byte
	length     string
	generation uint64
	until      time.Time
}

// get returns the kept body or builds one. The generation is read before building: a change in between makes the new answer old
// at once instead of fresh for ten seconds.
func (k *keptAnswer) get(s *service, settings CacheSettings, build func() any) (*encodedAnswer, error) {
	now := time.Now()
	generation := s.generation.Load()
	if e := k.current.Load(); settings.Enabled && e != nil && e.generation == generation && now.Before(e.until) {
		return e, nil
	}
	raw, err := json.Marshal(build())
	if err != nil {
		return nil, err
	}
	e := &encodedAnswer{body: raw, length: strconv.Itoa(len(raw)), generation: generation, until: now.Add(settings.TTL)}
	k.current.Store(e)
	return e, nil
}

type vmInfo struct {
	Host          string `json:"host"`
	Name          string `json:"name"`
	SSHAccessible bool   `json:"ssh_accessible"`
}

// statusBody is the document's status answer (section 4.1). The document shows commands_processed only of a running service.
type statusBody struct {
	Status            string   `json:"status"`
	PID               *int     `json:"pid"`
	UptimeSeconds     *int64   `json:"uptime_seconds"`
	MemoryMB          *float64 `json:"memory_mb"`
	Connections       *int     `json:"connections"`
	CommandsProcessed any      `json:"commands_processed,omitempty"`
	LastCheck         *string  `json:"last_check"`
	VMInfo            vmInfo   `json:"vm_info"`
}

// newStatusBody says what is known of a service at a moment. It is pure.
func newStatusBody(info ServiceInfo, v health.View, now time.Time) statusBody {
	s := v.Samples
	b := statusBody{
		Status: statusOf(s), LastCheck: stampOrNil(lastCheck(v)),
		VMInfo: vmInfo{Host: info.IP, Name: info.VMName, SSHAccessible: sshAccessible(s.Unit)},
	}
	if b.Status != statusRunning {
		return b
	}
	b.CommandsProcessed = json.RawMessage("null")
	unit := s.Unit.Unit
	if s.Unit.OK() && unit.MainPID > 0 {
		b.PID = &unit.MainPID
	}
	if s.Unit.OK() && !unit.ActiveEnter.IsZero() {
		b.UptimeSeconds = new(int64(max(0, now.Sub(unit.ActiveEnter)) / time.Second))
	}
	if s.Unit.OK() && unit.MemoryBytes != nil {
		b.MemoryMB = new(megabytes(int64(*unit.MemoryBytes)))
	}
	if i := s.Info; i != nil {
		if b.PID == nil && i.ProcessID > 0 {
			b.PID = new(i.ProcessID)
		}
		b.UptimeSeconds = new(int64((i.Uptime + max(0, now.Sub(i.At))) / time.Second))
		b.MemoryMB = new(megabytes(i.UsedMemory))
		b.Connections = new(i.Clients)
		b.CommandsProcessed = i.Commands
	}
	return b
}

// statusOf maps what was seen to the document's four words. systemd's word counts; where it cannot be had, or while systemd is
// still at work, an answer of Redis itself is proof that it runs. Anything else is unknown, not down.
func statusOf(s health.Samples) string {
	alive := s.Ping.Reply.Alive()
	if !s.Unit.OK() {
		if alive {
			return statusRunning
		}
		return statusUnknown
	}
	u := s.Unit.Unit
	switch {
	case u.Running(), u.ActiveState == "reloading":
		return statusRunning
	case u.SubState == "auto-restart", u.ActiveState == "failed":
		return statusFailed
	case u.ActiveState == "inactive":
		return statusStopped
	case alive:
		return statusRunning
	default:
		return statusUnknown
	}
}

// sshAccessible: a refused command or one that failed came over a working connection.
func sshAccessible(r health.UnitRead) bool {
	return r.OK() || r.Class == health.ClassDenied || r.Class == health.ClassCommand
}

// lastCheck is the newest look of any layer.
func lastCheck(v health.View) time.Time {
	last := v.Samples.Ping.At
	if v.Samples.Unit.At.After(last) {
		last = v.Samples.Unit.At
	}
	if i := v.Samples.Info; i != nil && i.At.After(last) {
		last = i.At
	}
	return last
}

func megabytes(bytes int64) float64 { return round(float64(bytes)/(1<<20), 2) }

func getStatus(a *API, w http.ResponseWriter, c *call) error {
	s := c.service
	e, err := s.status.get(s, a.conf().Cache, func() any {
		v, _ := a.conf().Prober.View(s.ID)
		return newStatusBody(s.ServiceInfo, v, time.Now())
	})
	if err != nil {
		return err
	}
	writeEncoded(w, e)
	return nil
}

// writeEncoded sends a kept body. Browsers must not keep it: ours is the cache that knows when it is wrong.
func writeEncoded(w http.ResponseWriter, e *encodedAnswer) {
	h := w.Header()
	h["Content-Type"] = jsonType
	h["Cache-Control"] = noStore
	h["Content-Length"] = []string{e.length}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(e.body)
}

var (
	jsonType = []string{"application/json"}
	noStore  = []string{"no-store"}
)

// statusEvent is the document's service_status message.
func statusEvent(id string, b statusBody) remediator.Event {
	return remediator.Event{
		Type: remediator.EventServiceStatus, Service: id, Status: b.Status, Timestamp: time.Now(),
		Details: &remediator.StatusDetails{PID: b.PID, Connections: b.Connections, MemoryMB: b.MemoryMB},
	}
}

type serviceSummary struct {
	ID                  string   `json:"id"`
	Name                string   `json:"name"`
	Unit                string   `json:"unit"`
	Host                string   `json:"host"`
	Port                int      `json:"port"`
	Status              string   `json:"status"`
	OverallStatus       string   `json:"overall_status"`
	AutoRecoveryEnabled bool     `json:"auto_recovery_enabled"`
	ManualIntervention  bool     `json:"requires_manual_intervention"`
	Degraded            bool     `json:"degraded"`
	LastCheck           *string  `json:"last_check"`
	AffectedServices    []string `json:"affected_services"`
	CheckInterval       *float64 `json:"check_interval_seconds"`
	Environment         *string  `json:"environment"`
	RunbookURL          *string  `json:"runbook_url"`
	DashboardURL        *string  `json:"dashboard_url"`
}

func getServices(a *API, w http.ResponseWriter, c *call) error {
	out := make([]serviceSummary, 0, len(a.conf().order))
	for _, s := range a.conf().order {
		v, _ := a.conf().Prober.View(s.ID)
		state, _ := a.conf().Remediator.State(s.ID)
		one := serviceSummary{
			ID: s.ID, Name: s.Name, Unit: s.Unit, Host: s.IP, Port: s.Port, Status: statusOf(v.Samples),
			OverallStatus: string(overall(v)), AutoRecoveryEnabled: state.AutoRecoveryEnabled,
			ManualIntervention: state.ManualIntervention, Degraded: a.degraded(state),
			LastCheck: stampOrNil(lastCheck(v)), AffectedServices: a.conf().Dependents,
			Environment: textOrNil(s.Environment), RunbookURL: textOrNil(s.RunbookURL), DashboardURL: textOrNil(s.DashboardURL),
		}
		if s.CheckInterval > 0 {
			one.CheckInterval = new(s.CheckInterval.Seconds())
		}
		out = append(out, one)
	}
	return writeJSON(w, http.StatusOK, page{Records: out})
}
