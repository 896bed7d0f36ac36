package remediator

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/remediator/store"
)

const never = "0001-01-01T00:00:00Z"

func at(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func (b *bench) posted(status string, starts time.Time, ends string) int {
	b.t.Helper()
	return post(b.r, secret, message(status, "redis", at(starts), ends))
}

// What Alertmanager really sends: each story ends with the acts that it may lead to.
func TestDeliveriesAsTheyReallyCome(t *testing.T) {
	down := func(w *world) { w.down("inactive", "success") }
	for _, c := range []struct {
		name  string
		story func(b *bench)
		acts  []string
		ends  []IncidentStatus // newest first
	}{
		{"the same message a hundred times", func(b *bench) {
			b.w.set(down)
			began := time.Now()
			for range 100 {
				b.posted("firing", began, never)
				b.after(10 * time.Millisecond)
			}
			b.after(30 * time.Second)
		}, []string{"start"}, []IncidentStatus{IncidentRecovered}},
		{"replayed after it was handled", func(b *bench) {
			b.w.set(down)
			began := time.Now()
			b.posted("firing", began, never)
			b.after(30 * time.Second)
			for range 20 {
				b.posted("firing", began, never)
				b.after(time.Second)
			}
			b.after(time.Minute)
		}, []string{"start"}, []IncidentStatus{IncidentRecovered}},
		{"resolved before it fired", func(b *bench) {
			began := time.Now()
			b.posted("resolved", began, at(began.Add(time.Second)))
			b.after(time.Second)
			b.w.set(down)
			b.posted("firing", began, never)
			b.after(30 * time.Second)
		}, []string{"start"}, []IncidentStatus{IncidentRecovered}},
		{"out of order: the end of the last episode comes after the next one began", func(b *bench) {
			first := time.Now()
			b.posted("firing", first, never)
			b.after(2 * time.Second)
			b.w.set(down)
			b.posted("firing", time.Now(), never)
			b.posted("resolved", first, at(first.Add(time.Second)))
			b.after(30 * time.Second)
		}, []string{"start"}, []IncidentStatus{IncidentRecovered, IncidentNotConfirmed}},
		{"an old message, days late", func(b *bench) {
			b.posted("firing", time.Now().Add(-72*time.Hour), never)
			b.after(time.Minute)
		}, nil, []IncidentStatus{IncidentNotConfirmed}},
		{"flapping inside the group interval: the second outage is not delivered", func(b *bench) {
			b.w.set(down)
			b.fire("redis")
			b.after(20 * time.Second)
			b.clear()
			b.after(10 * time.Second)
			b.w.set(down)
			b.w.set(func(*world) {
				b.alerts = []Alert{{Fingerprint: "fp-redis", Name: "RedisDown", Service: "redis", Firing: true, StartsAt: time.Now(), Labels: map[string]string{"remediation": "ladder"}}}
			})
			b.after(30 * time.Second)
		}, []string{"start", "start"}, []IncidentStatus{IncidentRecovered, IncidentRecovered}},
		{"a silence swallows the end", func(b *bench) {
			b.w.set(down)
			b.fire("redis")
			b.after(20 * time.Second)
			b.clear() // resolved while silenced: nobody says so, it is only gone
			b.after(10 * time.Second)
			u, _ := b.r.unit("redis")
			u.mu.Lock()
			left := len(u.alerts)
			u.mu.Unlock()
			if left != 0 {
				b.t.Errorf("%d alerts are still believed", left)
			}
		}, []string{"start"}, []IncidentStatus{IncidentRecovered}},
		{"the top level says resolved, one alert fires", func(b *bench) {
			b.w.set(down)
			body := strings.Replace(message("firing", "redis", at(time.Now()), never), `"alerts":[`,
				fmt.Sprintf(`"truncatedAlerts":2,"alerts":[{"status":"resolved","labels":{"alertname":"X","service":"redis","remediation":"ladder"},"startsAt":%q,"endsAt":%q,"fingerprint":"f0"},`, at(time.Now()), at(time.Now())), 1)
			if code := post(b.r, secret, body); code != http.StatusAccepted {
				b.t.Errorf("code %d", code)
			}
			if n := testutil.ToFloat64(b.r.metrics.truncated); n != 1 {
				b.t.Errorf("%v truncated messages counted", n)
			}
			b.after(30 * time.Second)
		}, []string{"start"}, []IncidentStatus{IncidentRecovered}},
		{"what was cut off is read from the API", func(b *bench) {
			b.w.set(down)
			b.w.set(func(*world) {
				b.alerts = []Alert{{Fingerprint: "cut", Name: "RedisDown", Service: "redis", Firing: true, StartsAt: time.Now(), Labels: map[string]string{"remediation": "ladder"}}}
			})
			body := strings.Replace(message("firing", "nope", at(time.Now()), never), `"alerts":[`, `"truncatedAlerts":1,"alerts":[`, 1)
			post(b.r, secret, body)
			b.after(30 * time.Second)
		}, []string{"start"}, []IncidentStatus{IncidentRecovered}},
		{"from both members of a pair", func(b *bench) {
			b.w.set(down)
			began := time.Now()
			b.posted("firing", began, never)
			b.after(15 * time.Second) // the peer timeout of Alertmanager
			b.posted("firing", began, never)
			b.after(30 * time.Second)
		}, []string{"start"}, []IncidentStatus{IncidentRecovered}},
		{"the pair disagrees about the beginning", func(b *bench) {
			b.w.set(down)
			began := time.Now()
			b.posted("firing", began, never)
			b.posted("firing", began.Add(-3*time.Second), never)
			b.after(30 * time.Second)
		}, []string{"start"}, []IncidentStatus{IncidentRecovered}},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, hook, func(b *bench) {
				c.story(b)
				want(t, "acts", b.w.did(), c.acts)
				var ends []IncidentStatus
				for _, i := range b.incidents() {
					ends = append(ends, i.Status)
				}
				if !slices.Equal(ends, c.ends) {
					t.Errorf("incidents: %v, want %v", ends, c.ends)
				}
			})
		})
	}
}

// A slow Alertmanager must cost neither the work on an outage nor the reading of the next answer.
func TestASlowAlertmanager(t *testing.T) {
	run(t, hook, func(b *bench) {
		b.end()
		b.opts.Alerts = slowAlerts{}
		b.begin()
		b.w.set(func(w *world) { w.down("inactive", "success") })
		b.posted("firing", time.Now(), never)
		b.after(2 * time.Second)
		want(t, "acts", b.w.did(), []string{"start"})
		b.after(time.Minute)
		if n := testutil.ToFloat64(b.r.metrics.reconciles.WithLabelValues("failure")); n < 5 || n > 15 {
			t.Errorf("%v attempts in a minute", n)
		}
	})
}

func TestAFloodIsBoundedInMind(t *testing.T) {
	run(t, hook, func(b *bench) {
		u, _ := b.r.unit("redis")
		for i := range 3 * maxHeard {
			u.hear(Alert{Fingerprint: fmt.Sprint(i), Service: "redis", Firing: true, StartsAt: time.Now().Add(time.Duration(i) * time.Second)})
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		if len(u.alerts) != maxHeard {
			t.Errorf("%d alerts are kept in mind", len(u.alerts))
		}
		if _, ok := u.alerts[fmt.Sprint(3*maxHeard-1)]; !ok {
			t.Error("the newest was forgotten")
		}
	})
}

// FuzzWebhook sends what nobody should send. The answer is one of the few that there are, and what is accepted is ours.
func FuzzWebhook(f *testing.F) {
	for _, seed := range []string{
		message("firing", "redis", "2026-11-23T03:00:00Z", never), message("resolved", "redis", "2026-11-23T03:00:00Z", "2026-11-23T03:05:00Z"),
		"", "{", "null", "[]", `{"alerts":null}`, `{"alerts":[{}]}`, `{"alerts":[null]}`, `{"alerts":{}}`, `{"alerts":[{"labels":null,"status":"firing"}]}`,
		`{"alerts":[{"status":"firing","labels":{"service":"redis","remediation":"ladder"},"startsAt":"yesterday"}]}`,
		`{"alerts":[{"status":"firing","labels":{"service":"redis","remediation":"ladder"},"startsAt":"9999-12-31T23:59:59Z","fingerprint":"\u0000"}]}`,
		`{"truncatedAlerts":-1,"alerts":[{}]}`, `{"truncatedAlerts":18446744073709551616,"alerts":[{}]}`, strings.Repeat("[", 10000), `{"alerts":` + strings.Repeat("[", 9999),
		`{"alerts":[{"status":"firing","labels":{"service":"redis; reboot","remediation":"ladder"}}]}`, "\xff\xfe{}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		synctest.Test(t, func(t *testing.T) {
			r := &Remediator{o: Options{Store: anyStore{}, Audit: nothing{}, Events: &sink{}, WebhookToken: func() string { return secret }, Logger: zerolog.Nop()},
				known: map[string]*unit{}, units: map[string]*unit{"redis": newUnit(service("redis"))}, order: []string{"redis"}, hurry: make(chan struct{}, 1)}
			r.actions, r.stopActions = bgCause()
			r.metrics = newMetrics(r)
			req := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(string(body)))
			req.Header.Set("Authorization", "Bearer "+secret)
			rec := httptest.NewRecorder()
			r.Handler().ServeHTTP(rec, req)
			r.running.Wait()
			switch rec.Code {
			case http.StatusOK, http.StatusAccepted:
				if !json.Valid(body) {
					t.Errorf("%d for what is no JSON", rec.Code)
				}
			case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
			default:
				t.Errorf("code %d", rec.Code)
			}
			for id := range r.units["redis"].alerts {
				if a := r.units["redis"].alerts[id]; a.Service != "redis" || a.Labels["remediation"] != "ladder" {
					t.Errorf("a strange alert is kept: %+v", a)
				}
			}
		})
	})
}

// anyStore takes everything as new.
type anyStore struct{ store.Documents }

// InsertNew implements store.Documents.
func (anyStore) InsertNew(context.Context, store.Document) (bool, error) { return true, nil }

// slowAlerts is an Alertmanager that never answers in time.
type slowAlerts struct{}

// Alerts implements AlertSource.
func (slowAlerts) Alerts(ctx context.Context) ([]Alert, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func bgCause() (context.Context, context.CancelCauseFunc) { return context.WithCancelCause(bg) }
