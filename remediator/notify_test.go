package remediator

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/host"
)

// board keeps the notices, after failing for a while.
type board struct {
	mu    sync.Mutex
	fails int
	block chan struct{}
	got   []Notice
}

// Notify implements Notifier.
func (b *board) Notify(ctx context.Context, n Notice) error {
	if b.block != nil {
		select {
		case <-b.block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails > 0 {
		b.fails--
		return errors.New("alertmanager is down")
	}
	b.got = append(b.got, n)
	return nil
}

func (b *board) kinds() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, n := range b.got {
		out = append(out, string(n.Kind)+" "+n.Severity)
	}
	return out
}

// texts are those of the notices of one kind.
func (b *board) texts(kind NoticeKind) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, n := range b.got {
		if n.Kind == kind {
			out = append(out, n.Text)
		}
	}
	return out
}

func telling(to *board) func(*Options) {
	return func(o *Options) {
		o.Notifier = to
		o.Services[0].Notices = map[NoticeKind]string{NoticeStarted: "warning", NoticeRecovered: "info", NoticeFailed: "critical", NoticeManual: "critical"}
	}
}

func TestPeopleAreToldEachMomentOnce(t *testing.T) {
	to := &board{fails: 2}
	run(t, telling(to), func(b *bench) {
		b.w.set(func(w *world) { w.down("inactive", "success") })
		b.fire("redis")
		b.after(30 * time.Second)
		want(t, "told", to.kinds(), []string{"auto_recovery_attempted warning", "service_restarted info"})
		if n := to.got[0]; n.Incident == "" || n.Service != "redis" || n.Level != "standard" || !strings.Contains(n.Text, "stopped") {
			t.Errorf("%+v", n)
		}
	})
	to = &board{}
	run(t, telling(to), func(b *bench) {
		fail := func(w *world) error { w.down("failed", "exit-code"); return commandFailed(health.ClassCommand)(w) }
		b.w.set(func(w *world) {
			w.down("failed", "exit-code")
			w.on[host.VerbStart], w.on[host.VerbRestart] = fail, fail
		})
		b.fire("redis")
		b.after(5 * time.Minute)
		want(t, "told", to.kinds(), []string{"auto_recovery_attempted warning", "recovery_failed critical",
			"auto_recovery_attempted warning", "recovery_failed critical", "manual_intervention_required critical"})
	})
}

func TestRecoveryNeverWaitsForNotices(t *testing.T) {
	to := &board{}
	run(t, telling(to), func(b *bench) {
		to.block = make(chan struct{}) // the bubble's: nobody ever closes it
		u, _ := b.r.unit("redis")
		for range noticeQueue + 10 {
			b.r.tell(u, NoticeStarted, "soft", "x", "y")
		}
		if n := testutil.ToFloat64(b.r.metrics.notices.WithLabelValues("dropped")); n < 5 {
			t.Errorf("%v dropped", n)
		}
		b.w.set(func(w *world) { w.down("inactive", "success") })
		b.fire("redis")
		b.after(2 * time.Second)
		want(t, "commands", b.w.did(), []string{"start"})
	})
}

func TestANoticeIsAShortAlert(t *testing.T) {
	var body []map[string]any
	code := 200
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(data, &body)
		w.WriteHeader(code)
	}))
	defer srv.Close()
	am, err := NewAlertmanager(srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := Notice{Kind: NoticeManual, Service: "redis", Severity: "critical", Incident: "inc-1", Summary: "s", Text: "d", At: time.Now()}
	if err := am.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	labels, _ := body[0]["labels"].(map[string]any)
	if labels["alertname"] != "RedisMedicManualIntervention" || labels["remediation"] != "none" || labels["severity"] != "critical" || labels["incident"] != "inc-1" || labels["level"] != nil {
		t.Errorf("labels %v", labels)
	}
	if body[0]["endsAt"] == nil || body[0]["startsAt"] == nil {
		t.Error("an alert that never ends")
	}
	code = 400
	if err := am.Notify(t.Context(), n); err == nil {
		t.Error("a refusal was taken for success")
	}
	srv.Close()
	if err := am.Notify(t.Context(), n); err == nil {
		t.Error("nobody was there")
	}
}

func TestEvidenceIsTakenBeforeTheFirstAct(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.w.set(func(w *world) {
			w.down("inactive", "success")
			w.journal = `{"__REALTIME_TIMESTAMP":"1","MESSAGE":"Stopped redis-server.service"}`
			w.redisLog = "1:M 23 Nov 2026 18:00:00.123 * User requested shutdown...\n"
			w.listeners = `LISTEN 0 511 127.0.0.1:6379 0.0.0.0:* users:(("python3",pid=4711,fd=6))`
		})
		b.fire("redis")
		b.after(2 * time.Second)
		if !b.w.secured {
			t.Error("the evidence came after an act")
		}
		raw, err := b.r.Evidence(bg, b.newest().ID)
		if err != nil {
			t.Fatal(err)
		}
		var got Bundle
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatal(err)
		}
		if got.Unit.ActiveState != "inactive" || len(got.Journal) != 1 || len(got.RedisLog) != 1 || len(got.Listeners) != 1 || len(got.Disks) != 1 || len(got.Missing) != 0 {
			t.Errorf("%+v", got)
		}
		if _, err := b.r.Evidence(bg, "inc-x"); !errors.Is(err, ErrUnknownIncident) {
			t.Errorf("unknown incident: %v", err)
		}
	})
}

func TestExplainDecidesAndDoesNothing(t *testing.T) {
	run(t, nil, func(b *bench) {
		if _, err := b.r.Explain(bg, "x"); !errors.Is(err, ErrUnknownService) {
			t.Error(err)
		}
		if e, err := b.r.Explain(bg, "redis"); err != nil || e.Kind != "healthy" {
			t.Errorf("%+v %v", e, err)
		}
		b.w.set(func(w *world) { w.down("failed", "exit-code") })
		e, err := b.r.Explain(bg, "redis")
		if err != nil || e.Kind != "act" || e.Level != "standard" || !slices.Equal(e.Acts, []string{"reset-failed", "start"}) || len(e.Skipped) != 1 || e.Seen["unit"] != "failed/dead" {
			t.Errorf("%+v %v", e, err)
		}
		want(t, "commands", b.w.did(), nil)
		want(t, "audit", b.records(), nil)
	})
}

// mute is a Silencer that keeps what it was asked.
type mute struct {
	asked []string
	err   error
}

// Silence implements Silencer.
func (m *mute) Silence(_ context.Context, service string, _ time.Time, by, comment string) (string, error) {
	m.asked = append(m.asked, "silence "+service+" "+by+" "+comment)
	return "s" + string(rune('0'+len(m.asked))), m.err
}

// Expire implements Silencer.
func (m *mute) Expire(_ context.Context, id string) error {
	m.asked = append(m.asked, "expire "+id)
	return m.err
}

func TestMaintenanceSilencesTheAlerts(t *testing.T) {
	m := &mute{}
	run(t, func(o *Options) { o.Silencer = m }, func(b *bench) {
		for range 2 {
			if _, err := b.r.AddMaintenance(bg, "redis", ann, time.Now().Add(time.Hour), "upgrade"); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.r.EndMaintenance(bg, "redis", ann); err != nil {
			t.Fatal(err)
		}
		want(t, "asked", m.asked, []string{"silence redis ann@example.org maintenance: upgrade", "expire s1",
			"silence redis ann@example.org maintenance: upgrade", "expire s3"})
		m.err = errors.New("alertmanager is down")
		h, err := b.r.AddMaintenance(bg, "redis", ann, time.Now().Add(time.Hour), "")
		if err != nil || !strings.Contains(h.Text, "no silence") || len(b.state().Holds) != 1 {
			t.Errorf("%+v %v", h, err)
		}
	})
}

func TestSilencesOverTheAPI(t *testing.T) {
	var seen []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		seen = append(seen, r.Method+" "+r.URL.Path)
		if r.Method == http.MethodPost && !strings.Contains(string(data), `"value":"redis"`) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, `{"silenceID":"abc"}`)
	}))
	defer srv.Close()
	am, err := NewAlertmanager(srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := am.Silence(t.Context(), "redis", time.Now().Add(time.Hour), "ann", "upgrade"); err != nil || id != "abc" {
		t.Errorf("%q %v", id, err)
	}
	if _, err := am.Silence(t.Context(), "other", time.Now(), "ann", "x"); err == nil {
		t.Error("a refusal was taken for a silence")
	}
	if err := am.Expire(t.Context(), "a/b"); err != nil {
		t.Error(err)
	}
	if !slices.Contains(seen, "DELETE /api/v2/silence/a/b") {
		t.Errorf("%v", seen)
	}
}
