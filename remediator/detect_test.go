package remediator

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/redis-medic/redis-medic/exporter/health"
)

func detecting(o *Options) {
	o.Detection = Detection{Enabled: true, Unread: 10 * time.Second, NoAlert: 20 * time.Second}
}

func TestAnOutageWithoutAnAlertIsSeenByOurselves(t *testing.T) {
	for _, c := range []struct {
		name   string
		deaf   error
		after  time.Duration // nothing must have happened by then
		within time.Duration
		why    string
	}{
		{"Alertmanager is dead", errors.New("connection refused"), 8 * time.Second, 14 * time.Second, "alertmanager_unread"},
		{"Alertmanager knows of nothing", nil, 18 * time.Second, 25 * time.Second, "no_alert"},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, detecting, func(b *bench) {
				b.w.set(func(*world) { b.deaf = c.deaf })
				b.after(30 * time.Second) // it may be dead for long before Redis is
				b.see(func(w *world) { w.down("inactive", "success") })
				b.after(c.after)
				want(t, "commands too early", b.w.did(), nil)
				b.after(c.within - c.after)
				want(t, "commands", b.w.did(), []string{"start"})
				b.after(15 * time.Second)
				i := b.newest()
				if i.Source != SourceProbe || i.Status != IncidentRecovered || !strings.Contains(i.Steps[0].Text, "no alert came") {
					t.Errorf("%+v", i)
				}
				if n := testutil.ToFloat64(b.r.metrics.detections.WithLabelValues("redis", c.why)); n != 1 {
					t.Errorf("counted %v", n)
				}
				b.after(5 * time.Minute)
				if n := len(b.incidents()); n != 1 {
					t.Errorf("one outage made %d incidents", n)
				}
			})
		})
	}
}

func TestOwnDetectionRespectsWhatHoldsItBack(t *testing.T) {
	covering := func(until time.Duration) func(*bench) {
		return func(b *bench) {
			u, _ := b.r.unit("redis")
			u.setSilences([]Silence{{ID: "s", By: "ann", Comment: "upgrade", Until: time.Now().Add(until), Matchers: []Matcher{{Name: "service", Value: "redis", IsEqual: true}}}})
		}
	}
	for _, c := range []struct {
		name  string
		begin func(b *bench)
		acts  []string
	}{
		{"switched off by configuration", func(b *bench) {
			b.end()
			b.opts.Detection.Enabled = false
			b.begin()
		}, nil},
		{"a maintenance", func(b *bench) { _, _ = b.r.AddMaintenance(bg, "redis", ann, time.Now().Add(time.Hour), "") }, nil},
		{"a person's stop", func(b *bench) {
			_, _ = b.r.Operate(bg, Request{Service: "redis", Operation: OpStop, Actor: ann})
			b.w.set(func(w *world) { w.commands = nil })
		}, nil},
		{"switched off by a person", func(b *bench) { _ = b.r.SetAutoRecovery(bg, "redis", ann, false, "") }, nil},
		{"a silence that was known", covering(time.Hour), nil},
		{"a silence that has ended", covering(time.Minute), []string{"start"}},
		{"an alert that is silenced", func(b *bench) {
			b.fire("redis")
			b.w.set(func(*world) { b.alerts[0].Suppressed = "silenced" })
			u, _ := b.r.unit("redis")
			u.setAlerts(map[string]Alert{"fp-redis": b.alerts[0]}, time.Now().Add(time.Minute))
		}, nil},
		{"only our view of it is bad", func(b *bench) {
			b.see(func(w *world) { w.reply, w.connected, w.class = health.ReplyTimeout, false, health.ClassUnreachable })
		}, nil},
		{"masked", func(b *bench) {
			b.w.set(func(w *world) { w.unit.LoadState = "masked" })
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, detecting, func(b *bench) {
				c.begin(b)
				b.w.set(func(*world) { b.deaf = errors.New("dead") })
				if c.name != "only our view of it is bad" {
					b.see(func(w *world) { w.down("inactive", "success") })
				}
				b.after(30 * time.Second)
				want(t, "commands", b.w.did(), nil)
				if c.name != "an alert that is silenced" {
					b.end() // and so does the next process, which never heard of it from Alertmanager
					b.begin()
				}
				b.after(5 * time.Minute)
				want(t, "commands", b.w.did(), c.acts)
			})
		})
	}
}

func TestSilencesThatCover(t *testing.T) {
	is := func(name, value string) Matcher { return Matcher{Name: name, Value: value, IsEqual: true} }
	re := func(name, value string) Matcher {
		return Matcher{Name: name, Value: value, IsRegex: true, IsEqual: true}
	}
	for _, c := range []struct {
		name     string
		matchers []Matcher
		covers   bool
	}{
		{"the service", []Matcher{is("service", "redis")}, true},
		{"another service", []Matcher{is("service", "sessions")}, false},
		{"all but this service", []Matcher{{Name: "service", Value: "redis"}}, false},
		{"by pattern", []Matcher{re("service", "red.*"), re("alertname", "Redis.+")}, true},
		{"a pattern is anchored", []Matcher{re("service", "red")}, false},
		{"another severity", []Matcher{is("service", "redis"), is("severity", "warning")}, false},
		{"a label that we cannot know", []Matcher{is("service", "redis"), is("instance", "x")}, true},
		{"a pattern that is none", []Matcher{re("service", "(")}, true},
		{"nothing", nil, false},
	} {
		if got := (Silence{Matchers: c.matchers}).covers("redis"); got != c.covers {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

// member is one Alertmanager of a cluster.
func member(t *testing.T, alerts, silences string, status int) (url string, posts *[]string) {
	t.Helper()
	posts = &[]string{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*posts = append(*posts, r.Method+" "+r.URL.Path)
		w.WriteHeader(status)
		switch {
		case r.Method == http.MethodGet && r.URL.Path == "/api/v2/alerts":
			_, _ = io.WriteString(w, alerts)
		case r.Method == http.MethodGet && r.URL.Path == "/api/v2/silences":
			_, _ = io.WriteString(w, silences)
		default:
			_, _ = io.WriteString(w, `{"silenceID":"sid"}`)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, posts
}

func TestAPairOfAlertmanagers(t *testing.T) {
	const (
		early = `[{"fingerprint":"a","labels":{"alertname":"RedisDown","service":"redis"},"startsAt":"2026-11-23T03:00:00Z","status":{"state":"active"}}]`
		late  = `[{"fingerprint":"a","labels":{"alertname":"RedisDown","service":"redis"},"startsAt":"2026-11-23T03:00:05Z","status":{"state":"suppressed","silencedBy":["s"]}},
			{"fingerprint":"b","labels":{"alertname":"RedisHung","service":"redis"},"startsAt":"2026-11-23T03:00:00Z","status":{"state":"active"}}]`
		silences = `[{"id":"s","createdBy":"ann","comment":"c","endsAt":"2026-11-24T03:00:00Z","status":{"state":"active"},"matchers":[{"name":"service","value":"redis","isRegex":false,"isEqual":true}]},
			{"id":"old","status":{"state":"expired"}}]`
	)
	one, toldOne := member(t, early, silences, 200)
	two, toldTwo := member(t, late, silences, 200)
	sick, _ := member(t, "", "", 500)
	dead := "http://127.0.0.1:1"
	ctx := context.Background()
	cluster := func(urls ...string) Alertmanagers {
		c, err := NewAlertmanagers(urls, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	both, err := cluster(one, two).Alerts(ctx)
	if err != nil || len(both) != 2 {
		t.Fatalf("%+v %v", both, err)
	}
	for _, a := range both {
		if a.Fingerprint == "a" && (a.Suppressed != "silenced" || a.StartsAt.Second() != 0) {
			t.Errorf("the two were not brought together: %+v", a)
		}
	}
	got, err := cluster(one, two).Silences(ctx)
	if err != nil || len(got) != 1 || got[0].ID != "s" || !got[0].covers("redis") {
		t.Errorf("silences: %+v %v", got, err)
	}
	for _, half := range []Alertmanagers{cluster(dead, one), cluster(one, dead), cluster(sick, one)} {
		if got, err := half.Alerts(ctx); err != nil || len(got) != 1 {
			t.Errorf("one member down: %+v %v", got, err)
		}
		if id, err := half.Silence(ctx, "redis", time.Now().Add(time.Hour), "ann", "c"); err != nil || id != "sid" {
			t.Errorf("one member down: silence %q %v", id, err)
		}
		if err := half.Expire(ctx, "sid"); err != nil {
			t.Errorf("one member down: expire: %v", err)
		}
	}
	*toldOne, *toldTwo = nil, nil
	if err := cluster(one, two).Notify(ctx, Notice{Kind: NoticeManual}); err != nil || len(*toldOne) != 1 || len(*toldTwo) != 1 {
		t.Errorf("told %v and %v: %v", *toldOne, *toldTwo, err)
	}
	none := cluster(dead, sick)
	if _, err := none.Alerts(ctx); err == nil {
		t.Error("nobody answered, and that was no error")
	}
	if _, err := none.Silences(ctx); err == nil {
		t.Error("nobody answered, and that was no error")
	}
	if _, err := none.Silence(ctx, "redis", time.Now(), "", ""); err == nil {
		t.Error("nobody took the silence, and that was no error")
	}
	if none.Expire(ctx, "x") == nil || none.Notify(ctx, Notice{}) == nil {
		t.Error("nobody was told, and that was no error")
	}
	if _, err := NewAlertmanagers([]string{one, "x"}, nil); err == nil {
		t.Error("a bad url was taken")
	}
}

// A member that hangs must not hold up what the other one knows.
func TestASlowMemberCostsLittle(t *testing.T) {
	release := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer slow.Close()
	defer close(release)
	good, _ := member(t, `[]`, `[]`, 200)
	c, err := NewAlertmanagers([]string{slow.URL, good}, nil)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := c.Alerts(context.Background()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took >= callTimeout {
		t.Errorf("it took %s", took)
	}
}
