package stack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis-medic/redis-medic/deploy/lab"
)

// Recovery is the timeline of one outage. The times are those of the parts themselves: LastPong and Pong of a client that PINGs
// all the time, Alert of Prometheus, the others of the incident that redis-medic kept. A zero time was not seen.
type Recovery struct {
	Fault    time.Time // the fault was begun
	LastPong time.Time // Redis answered for the last time before the outage
	Inactive time.Time // systemd says that the unit became inactive or failed for good; zero: it did not
	Alert    time.Time // Prometheus found the alert's expression true
	Webhook  time.Time // Alertmanager's message opened the incident
	Intent   time.Time // the act was decided and recorded
	Act      time.Time // its outcome was verified and recorded
	Pong     time.Time // Redis answered again

	Incident string
	Alerts   []string // names of the alerts that fired
	Cause    string
	Level    string // of the act
	ActName  string
	Attempts int
}

// Outage is how long clients had no answer.
func (r Recovery) Outage() time.Duration { return r.Pong.Sub(r.LastPong) }

// SinceInactive is how long clients had no answer after systemd had given the unit up: before that, systemd itself was at work.
func (r Recovery) SinceInactive() time.Duration { return r.Pong.Sub(r.Inactive) }

// String shows the timeline, in seconds after the last PONG.
func (r Recovery) String() string {
	lines := []struct {
		at   time.Time
		text string
	}{
		{r.Fault, "fault begun"},
		{r.LastPong, "last PONG"},
		{r.Inactive, "systemd: the unit is down"},
		{r.Alert, "Prometheus: alert active (" + strings.Join(r.Alerts, ", ") + ")"},
		{r.Webhook, "redis-medic: webhook received, incident opened"},
		{r.Intent, "redis-medic: intent recorded (" + r.Level + ": " + r.ActName + "; cause " + r.Cause + ")"},
		{r.Pong, "PONG"},
		{r.Act, "redis-medic: outcome recorded"},
	}
	slices.SortStableFunc(lines, func(a, b struct {
		at   time.Time
		text string
	}) int {
		return a.at.Compare(b.at)
	})
	var b strings.Builder
	for _, l := range lines {
		if !l.at.IsZero() {
			fmt.Fprintf(&b, "  %+8.3f s  %s\n", l.at.Sub(r.LastPong).Seconds(), l.text)
		}
	}
	return b.String()
}

// measureTimeout bounds one outage, its stability window not included.
const measureTimeout = 90 * time.Second

// Measure breaks the host's stock Redis and follows its recovery until Redis answers again. It returns before the incident's
// stability window has passed; see WaitQuiet.
func Measure(ctx context.Context, s *Stack, fault func(context.Context) error) (Recovery, error) {
	ctx, cancel := context.WithTimeout(ctx, measureTimeout)
	defer cancel()
	before, err := s.Incidents(ctx, "redis")
	if err != nil {
		return Recovery{}, err
	}
	pinger, err := startPinger(s.opts.Host)
	if err != nil {
		return Recovery{}, err
	}
	defer pinger.stop()
	if err := poll(ctx, 5*time.Millisecond, func() (bool, error) { return pinger.answers(), nil }); err != nil {
		return Recovery{}, fmt.Errorf("redis does not answer before the fault: %w", err)
	}
	r := Recovery{Fault: time.Now()}
	alerts := s.watchAlerts(ctx, r.Fault)
	if err := fault(ctx); err != nil {
		alerts()
		return r, fmt.Errorf("fault: %w", err)
	}
	var found Incident
	err = poll(ctx, 20*time.Millisecond, func() (bool, error) {
		found, err = s.newIncident(ctx, before)
		if err != nil || found.ID == "" || found.step("outcome").At.IsZero() {
			return false, err
		}
		r.LastPong, r.Pong = pinger.outageBefore(found.step("intent").At)
		return !r.Pong.IsZero(), nil
	})
	r.fill(found)
	r.Alert, r.Alerts = alerts()
	if err != nil {
		return r, fmt.Errorf("no recovery was seen: %w; incident %+v", err, found)
	}
	if at, err := inactiveSince(ctx, s.opts.Host); err != nil {
		return r, err
	} else if at.After(r.Fault) {
		r.Inactive = at
	}
	return r, nil
}

// inactiveSince is when the unit of a host's stock Redis last became inactive or failed, after any restarts of systemd's own.
func inactiveSince(ctx context.Context, h *lab.Host) (time.Time, error) {
	out, err := h.Exec(ctx, "systemctl show --value --timestamp=us+utc --property=InactiveEnterTimestamp "+h.Unit)
	if err != nil {
		return time.Time{}, err
	}
	if out = strings.TrimSpace(out); out == "" {
		return time.Time{}, nil // never
	}
	at, err := time.Parse("Mon 2006-01-02 15:04:05.000000 MST", out)
	if err != nil {
		return time.Time{}, fmt.Errorf("systemd's time of %s: %w", h.Unit, err)
	}
	return at, nil
}

func (r *Recovery) fill(i Incident) {
	r.Incident, r.Cause, r.Level, r.Attempts = i.ID, i.Cause, i.Level, i.Attempts
	r.Webhook = i.OpenedAt
	intent, outcome := i.step("intent"), i.step("outcome")
	r.Intent, r.ActName, r.Act = intent.At, intent.Act, outcome.At
}

// Incident is what Measure reads of the API's incidents.
type Incident struct {
	ID       string    `json:"id"`
	Status   string    `json:"status"`
	Cause    string    `json:"cause"`
	Level    string    `json:"level"`
	Attempts int       `json:"attempts"`
	OpenedAt time.Time `json:"opened_at"`
	ClosedAt time.Time `json:"closed_at"`
	Steps    []Step    `json:"steps"`
}

// Step is one line of an incident.
type Step struct {
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"`
	Level  string    `json:"level"`
	Act    string    `json:"act"`
	Result string    `json:"result"`
	Code   string    `json:"code"`
	Text   string    `json:"text"`
}

// step is the last step of a kind, or the zero Step.
func (i Incident) step(kind string) Step {
	for _, s := range slices.Backward(i.Steps) {
		if s.Kind == kind {
			return s
		}
	}
	return Step{}
}

// Incidents lists the newest incidents of a service, with their steps.
func (s *Stack) Incidents(ctx context.Context, service string) ([]Incident, error) {
	token, err := s.Token("admin")
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.ControlAPI+"/api/services/"+service+"/incidents", nil)
	if err != nil {
		return nil, fmt.Errorf("incidents: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	var answer struct{ Records []Incident }
	if err := doJSON(req, &answer); err != nil {
		return nil, fmt.Errorf("incidents: %w", err)
	}
	return answer.Records, nil
}

// newIncident is the newest incident that is not in a list.
func (s *Stack) newIncident(ctx context.Context, old []Incident) (Incident, error) {
	now, err := s.Incidents(ctx, "redis")
	if err != nil {
		return Incident{}, err
	}
	for _, i := range now {
		if !slices.ContainsFunc(old, func(o Incident) bool { return o.ID == i.ID }) {
			return i, nil
		}
	}
	return Incident{}, nil
}

// WaitQuiet waits until no incident of a service is open and no alert that calls for a recovery is firing.
func (s *Stack) WaitQuiet(ctx context.Context, service string) error {
	last := ""
	err := poll(ctx, 100*time.Millisecond, func() (bool, error) {
		all, err := s.Incidents(ctx, service)
		if err != nil {
			last = err.Error()
			return false, nil
		}
		for _, i := range all {
			if i.ClosedAt.IsZero() {
				last = "incident " + i.ID + " is " + i.Status
				return false, nil
			}
		}
		alerts, err := s.Alerts(ctx)
		if err != nil {
			last = err.Error()
			return false, nil
		}
		for _, a := range alerts {
			if a.Labels["service"] == service && a.Labels["remediation"] == "ladder" {
				last = "alert " + a.Labels["alertname"] + " is " + a.State
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("not quiet (%s): %w", last, err)
	}
	return nil
}

// watchAlerts follows the alerts that call for a recovery. The function it returns ends that and says since when the first one was
// active, and their names.
func (s *Stack) watchAlerts(ctx context.Context, since time.Time) func() (time.Time, []string) {
	ctx, cancel := context.WithCancel(ctx)
	var first time.Time
	var names []string
	done := make(chan struct{})
	look := func(ctx context.Context) {
		alerts, err := s.Alerts(ctx)
		if err != nil {
			return
		}
		for _, a := range alerts {
			if a.Labels["remediation"] != "ladder" || a.ActiveAt.Before(since) {
				continue
			}
			if first.IsZero() || a.ActiveAt.Before(first) {
				first = a.ActiveAt
			}
			if !slices.Contains(names, a.Labels["alertname"]) {
				names = append(names, a.Labels["alertname"])
			}
		}
	}
	go func() {
		defer close(done)
		_ = poll(ctx, 50*time.Millisecond, func() (bool, error) { look(ctx); return false, nil })
	}()
	return func() (time.Time, []string) {
		cancel()
		<-done
		return first, names
	}
}

// pinger asks a Redis all the time, each time over a new connection, as a new client would.
type pinger struct {
	addr, password string
	cancel         context.CancelFunc
	done           chan struct{}

	mu    sync.Mutex // guards the fields below
	marks []mark     // changes only
	last  time.Time  // the newest PONG
}

// mark says when the answers changed.
type mark struct {
	at   time.Time
	pong bool
	last time.Time // the newest PONG before
}

const (
	pingEvery = 10 * time.Millisecond
	pingLimit = 200 * time.Millisecond
)

func startPinger(h *lab.Host) (*pinger, error) {
	password, err := os.ReadFile(h.PasswordFile)
	if err != nil {
		return nil, fmt.Errorf("measure: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &pinger{addr: h.RedisAddr, password: strings.TrimSpace(string(password)), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = poll(ctx, pingEvery, func() (bool, error) { p.look(ctx); return false, nil })
	}()
	return p, nil
}

func (p *pinger) stop() {
	p.cancel()
	<-p.done
}

func (p *pinger) look(ctx context.Context) {
	began := time.Now()
	err := p.ping(ctx)
	if ctx.Err() != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := mark{at: time.Now(), pong: err == nil, last: p.last}
	if !now.pong {
		now.at = began
	} else {
		p.last = now.at
	}
	if n := len(p.marks); n == 0 || p.marks[n-1].pong != now.pong {
		p.marks = append(p.marks, now)
	}
}

func (p *pinger) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", p.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c, "AUTH %s\r\nPING\r\n", p.password); err != nil {
		return err
	}
	in := bufio.NewReader(c)
	for _, want := range []string{"+OK", "+PONG"} {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		if strings.TrimSpace(line) != want {
			return errors.New(line)
		}
	}
	return nil
}

func (p *pinger) answers() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.marks) > 0 && p.marks[len(p.marks)-1].pong
}

// outageBefore returns the last PONG before a moment and the first one after it; the second is zero while there is none.
func (p *pinger) outageBefore(at time.Time) (last, again time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.marks {
		if !m.pong && m.at.Before(at) {
			last = m.last
		}
		if m.pong && m.at.After(at) {
			return last, m.at
		}
	}
	return last, time.Time{}
}
