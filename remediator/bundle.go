package remediator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/ladder"
	"github.com/redis-medic/redis-medic/remediator/store"
)

const (
	kindEvidence  = "evidence"
	bundleTimeout = 1500 * time.Millisecond // recovery waits no longer; what has not come by then is missing and said so
	bundleLines   = 100
)

// Bundle is what was seen on the host before the first act of an incident. It holds no secret: configuration files are not in
// it, and log lines are what the host shows to the account we use.
type Bundle struct {
	Incident  string            `json:"incident"`
	Service   string            `json:"service"`
	TakenAt   time.Time         `json:"taken_at"`
	Took      float64           `json:"duration_seconds"`
	Ping      health.Ping       `json:"ping"`
	Unit      health.Unit       `json:"unit"`
	LastInfo  *health.Info      `json:"last_info"` // the newest INFO before or in the outage
	Journal   []host.LogEntry   `json:"journal"`
	RedisLog  []host.LogEntry   `json:"redis_log"`
	Listeners []host.Listener   `json:"listeners"`
	Disks     []host.Disk       `json:"disks"`
	Missing   map[string]string `json:"missing"` // what could not be read, and why
}

// secure takes the evidence of an incident before its first act and makes it durable. What cannot be read is named in the
// bundle; it never keeps an act from happening for longer than bundleTimeout.
func (r *Remediator) secure(ctx context.Context, u *unit, in ladder.Input) {
	ctx, cancel := context.WithTimeout(ctx, bundleTimeout)
	defer cancel()
	began := time.Now()
	b := Bundle{Service: u.id, TakenAt: began.UTC(), Ping: in.Second.Ping, Unit: in.Second.Unit.Unit, LastInfo: in.LastInfo, Missing: map[string]string{}}
	var mu sync.Mutex // guards b
	var wg sync.WaitGroup
	read := func(name string, verb host.Verb, lines int, take func(out string)) {
		wg.Go(func() {
			res, err := r.o.Host.Run(ctx, u.id, verb, lines)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				b.Missing[name] = publicWords(err)
				return
			}
			take(res.Stdout)
		})
	}
	read("journal", host.VerbJournal, bundleLines, func(out string) { b.Journal = host.ParseJournal(out) })
	if u.svc().Unit.LogFile != "" {
		read("redis_log", host.VerbRedisLog, bundleLines, func(out string) { b.RedisLog = host.ParseRedisLog(out, nil) })
	}
	read("listeners", host.VerbListeners, 0, func(out string) { b.Listeners = host.ParseListeners(out) })
	read("disks", host.VerbDisk, 0, func(out string) { b.Disks = host.ParseDisk(out) })
	wg.Wait()
	b.Took = time.Since(began).Seconds()
	if err := r.keepBundle(u, b); err != nil {
		r.o.Logger.Error().Err(err).Str("service", u.id).Msg("store the evidence")
	}
}

func publicWords(err error) string {
	if he, ok := errors.AsType[*host.Error](err); ok {
		return he.Public
	}
	return "it could not be read"
}

func (r *Remediator) keepBundle(u *unit, b Bundle) error {
	i := u.openIncident()
	if i == nil {
		return nil
	}
	b.Incident = i.ID
	body, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("encode evidence: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.actions), writeTimeout)
	defer cancel()
	return r.o.Store.PutDocuments(ctx, store.Document{Kind: kindEvidence, ID: i.ID, Service: u.id, At: b.TakenAt, JSON: body})
}

// Evidence returns the bundle of an incident as JSON (a Bundle), or ErrUnknownIncident when there is none: no act was taken.
func (r *Remediator) Evidence(ctx context.Context, incident string) (json.RawMessage, error) {
	d, err := r.o.Store.Document(ctx, kindEvidence, incident)
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrUnknownIncident
	}
	if err != nil {
		return nil, fmt.Errorf("read the evidence of %s: %w", incident, err)
	}
	return d.JSON, nil
}

// Explanation is what the gate would decide now, and why. Nothing is done.
type Explanation struct {
	At      time.Time         `json:"at"`
	Kind    string            `json:"decision"`
	Level   string            `json:"recovery_level,omitempty"`
	Acts    []string          `json:"acts"`
	Code    string            `json:"code"`
	Text    string            `json:"text"`
	Advice  string            `json:"advice"`
	Skipped []ExplainedSkip   `json:"skipped"`
	Holds   []Hold            `json:"holds"`
	Seen    map[string]string `json:"seen"`
}

// ExplainedSkip is a rung that would be passed over.
type ExplainedSkip struct {
	Level string `json:"recovery_level"`
	Code  string `json:"code"`
	Text  string `json:"text"`
}

// Explain makes the double probe and runs the gate, and acts on nothing. It takes as long as two looks.
func (r *Remediator) Explain(ctx context.Context, service string) (Explanation, error) {
	u, ok := r.unit(service)
	if !ok {
		return Explanation{}, ErrUnknownService
	}
	in, err := r.evidence(ctx, u)
	if err != nil {
		return Explanation{}, err
	}
	d := ladder.Next(in, u.svc().Ladder)
	e := Explanation{At: in.Now.UTC(), Kind: string(d.Kind), Level: string(d.Rung), Acts: []string{}, Code: d.Code, Text: d.Text, Advice: d.Advice,
		Skipped: []ExplainedSkip{}, Holds: r.holds(u, in.Now), Seen: seen(in)}
	for _, a := range d.Acts {
		e.Acts = append(e.Acts, string(a))
	}
	for _, s := range d.Skipped {
		e.Skipped = append(e.Skipped, ExplainedSkip{Level: string(s.Rung), Code: s.Code, Text: s.Text})
	}
	return e, nil
}
