package remediator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/store"
)

const secret = "webhook-secret"

func message(status, service, starts, ends string) string {
	return fmt.Sprintf(`{"version":"4","groupKey":"{}","status":"resolved","receiver":"redis\\.remediator","notification_reason":"new","alerts":[
	{"status":%q,"labels":{"alertname":"RedisDown","service":%q,"remediation":"ladder"},"annotations":{},"startsAt":%q,"endsAt":%q,"fingerprint":"f1"}]}`, status, service, starts, ends)
}

func post(r *Remediator, token, body string) int {
	req := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(body))
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	rec := httptest.NewRecorder()
	r.Handler().ServeHTTP(rec, req)
	return rec.Code
}

func hook(o *Options) { o.WebhookToken = func() string { return secret } }

func TestWebhookAnswers(t *testing.T) {
	const t1, t2, never = "2026-11-23T03:00:00Z", "2026-11-23T03:05:00Z", "0001-01-01T00:00:00Z"
	run(t, hook, func(b *bench) {
		for _, c := range []struct {
			name, token, body string
			code              int
		}{
			{"no token", "", message("firing", "redis", t1, never), 401},
			{"wrong token", "x", message("firing", "redis", t1, never), 401},
			{"not JSON", secret, "{", 400},
			{"no alerts", secret, `{"alerts":[]}`, 400},
			{"too large", secret, `{"alerts":"` + strings.Repeat("x", maxWebhookBody) + `"}`, 413},
			{"another service", secret, message("firing", "nope", t1, never), 200},
			{"not for the ladder", secret, strings.ReplaceAll(message("firing", "redis", t1, never), `"ladder"`, `"none"`), 200},
			{"resolved first", secret, message("resolved", "redis", t1, t2), 202},
			{"new", secret, message("firing", "redis", t1, never), 202},
			{"again", secret, message("firing", "redis", t1, never), 200},
			{"resolved again", secret, message("resolved", "redis", t1, t2), 200},
			{"the next episode", secret, message("firing", "redis", t2, never), 202},
			{"an old resolved one", secret, message("resolved", "redis", t1, "2026-11-23T03:04:00Z"), 202},
		} {
			if got := post(b.r, c.token, c.body); got != c.code {
				t.Errorf("%s: %d, want %d", c.name, got, c.code)
			}
		}
		u, _ := b.r.unit("redis")
		u.mu.Lock()
		_, firing := u.alerts["f1"]
		u.mu.Unlock()
		if !firing {
			t.Error("an old resolved message ended a newer episode")
		}
		if n := testutil.ToFloat64(b.r.metrics.alerts.WithLabelValues("duplicate")); n != 2 {
			t.Errorf("%v duplicates counted", n)
		}
	})
}

func TestAWebhookLeadsToAnAct(t *testing.T) {
	run(t, hook, func(b *bench) {
		b.w.set(func(w *world) { w.down("inactive", "success") })
		for range 100 {
			post(b.r, secret, message("firing", "redis", "2026-11-23T03:00:00Z", "0001-01-01T00:00:00Z"))
		}
		b.after(2 * time.Second)
		want(t, "commands", b.w.did(), []string{"start"})
	})
}

// brokenStore cannot write.
type brokenStore struct{ store.Documents }

// InsertNew implements store.Documents.
func (brokenStore) InsertNew(context.Context, store.Document) (bool, error) {
	return false, errors.New("database or disk is full")
}

func TestWhatCannotBePersistedIsAskedForAgain(t *testing.T) {
	run(t, hook, func(b *bench) {
		b.end()
		b.opts.Store = brokenStore{b.store}
		b.begin()
		if got := post(b.r, secret, message("firing", "redis", "2026-11-23T03:00:00Z", "0001-01-01T00:00:00Z")); got != 503 {
			t.Errorf("code %d", got)
		}
	})
}

func TestTheListener(t *testing.T) {
	w, dir := newWorld(), t.TempDir()
	st, err := store.Open(t.Context(), store.Options{Dir: dir, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	r, err := New(t.Context(), Options{Services: []Service{service("redis")}, Prober: w, Host: w, Scripts: w, Events: &sink{}, Store: st, Audit: nothing{},
		Listen: "127.0.0.1:0", WebhookToken: func() string { return secret }, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	for path, code := range map[string]int{"/-/healthy": 200, "/-/ready": 200, "/": 200, "/nope": 404, "/webhook": 405} {
		res, err := http.Get("http://" + r.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if res.StatusCode != code {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := New(t.Context(), Options{Listen: "x"}); err == nil || !strings.Contains(err.Error(), "WebhookToken") || !strings.Contains(err.Error(), "Prober") {
		t.Errorf("missing options: %v", err)
	}
}

// nothing records nothing.
type nothing struct{}

// Append implements Auditor.
func (nothing) Append(_ context.Context, r audit.Record) (audit.Record, error) { return r, nil }

func TestAlertmanagerAPI(t *testing.T) {
	body, code := `[{"fingerprint":"a","labels":{"alertname":"RedisDown","service":"redis","remediation":"ladder"},"startsAt":"2026-11-23T03:00:00Z","status":{"state":"active","silencedBy":[],"inhibitedBy":[]}},
	{"fingerprint":"b","labels":{"service":"redis"},"status":{"state":"suppressed","silencedBy":["s"]}},{"fingerprint":"c","status":{"state":"suppressed","inhibitedBy":["i"]}}]`, 200
	var query, auth string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, auth = r.URL.RawQuery, r.Header.Get("Authorization")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}))
	defer srv.Close()
	am, err := NewAlertmanager(srv.URL+"/", func() string { return "tok" })
	if err != nil {
		t.Fatal(err)
	}
	got, err := am.Alerts(t.Context())
	if err != nil || len(got) != 3 || got[0].Service != "redis" || got[0].Suppressed != "" || got[1].Suppressed != "silenced" || got[2].Suppressed != "inhibited" {
		t.Fatalf("%+v %v", got, err)
	}
	if auth != "Bearer tok" || !strings.Contains(query, "remediation") {
		t.Errorf("asked with %q %q", auth, query)
	}
	body = "{"
	if _, err := am.Alerts(t.Context()); err == nil {
		t.Error("half an answer was taken")
	}
	code = 302
	if _, err := am.Alerts(t.Context()); err == nil {
		t.Error("a redirect was followed")
	}
	srv.Close()
	if _, err := am.Alerts(t.Context()); err == nil {
		t.Error("a dead server answered")
	}
	for _, bad := range []string{"", "127.0.0.1:9093", "ftp://x", "http://"} {
		if _, err := NewAlertmanager(bad, nil); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestReconcileFailuresAreCountedAndChangeNothing(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.w.set(func(w *world) { w.down("inactive", "success"); b.deaf = errors.New("down") })
		b.after(time.Minute)
		want(t, "commands", b.w.did(), nil)
		if n := testutil.ToFloat64(b.r.metrics.reconciles.WithLabelValues("failure")); n < 5 {
			t.Errorf("%v failures counted", n)
		}
	})
}

func TestMetricsAreCleanAndComplete(t *testing.T) {
	run(t, nil, func(b *bench) {
		reg := prometheus.NewPedanticRegistry()
		reg.MustRegister(b.r.Collectors()...)
		b.w.set(func(w *world) { w.down("inactive", "success") })
		b.fire("redis")
		b.after(20 * time.Second)
		problems, err := testutil.GatherAndLint(reg)
		if err != nil || len(problems) > 0 {
			t.Errorf("%v %v", problems, err)
		}
		families, err := reg.Gather()
		if err != nil || len(families) < 12 {
			t.Errorf("%d families, %v", len(families), err)
		}
	})
}
