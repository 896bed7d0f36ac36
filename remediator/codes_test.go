package remediator

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/ladder"
)

// codesOf finds the codes that the ladder's source gives to a kind of decision.
func codesOf(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob("ladder/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
			if !slices.Contains(out, m[1]) {
				out = append(out, m[1])
			}
		}
	}
	if len(out) < 4 {
		t.Fatalf("%s finds only %v", pattern, out)
	}
	return out
}

// Every refusal has a code, words and evidence, and is audited and counted once; a wait is counted and in the timeline; a rung that
// is passed over is counted, and recorded with the decision that passed it over.
func TestEveryRefusalIsToldRecordedAndCounted(t *testing.T) {
	type refusal struct {
		kind    ladder.Kind
		code    string
		audited bool
	}
	var all []refusal
	for _, c := range codesOf(t, `blocked\("(\w+)"`) {
		all = append(all, refusal{ladder.Blocked, c, true})
	}
	for _, c := range codesOf(t, `critical\("(\w+)"`) {
		all = append(all, refusal{ladder.Critical, c, true})
	}
	for _, c := range codesOf(t, `wait\([^"]*"(\w+)"`) {
		all = append(all, refusal{ladder.Wait, c, false})
	}
	for _, h := range HoldCodes() {
		all = append(all, refusal{ladder.Held, string(h), true})
	}
	skip := ladder.Skip{Rung: ladder.Soft, Code: "not_running", Text: "there is no process to mend"}
	run(t, nil, func(b *bench) {
		b.w.set(func(w *world) { w.reply = health.ReplyMisconf })
		b.fire("redis")
		b.after(time.Second)
		u, _ := b.r.unit("redis")
		in, err := b.r.evidence(bg, u)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			u.mu.Lock()
			u.incident.Climbed.LastCode, u.incident.Steps, u.mem.Latch = "", nil, nil
			u.mu.Unlock()
			count := func(m *prometheus.CounterVec, labels ...string) float64 {
				return testutil.ToFloat64(m.WithLabelValues(labels...))
			}
			held := count(b.r.metrics.held, "redis", c.code)
			skips := count(b.r.metrics.skipped, "redis", string(skip.Rung), skip.Code)
			before, _, err := b.audit.Query(bg, audit.Filter{Service: "redis", Limit: 1})
			if err != nil {
				t.Fatal(err)
			}
			d := ladder.Decision{Kind: c.kind, Code: c.code, Text: "words of " + c.code, Again: time.Second}
			if c.kind == ladder.Critical {
				d.Skipped = []ladder.Skip{skip}
			}
			for range 3 {
				b.r.carryOut(bg, u, in, d)
			}
			name := string(c.kind) + " " + c.code
			if n := count(b.r.metrics.held, "redis", c.code) - held; n != 1 {
				t.Errorf("%s: counted %v times", name, n)
			}
			steps := b.state().Incident.Steps
			at := slices.IndexFunc(steps, func(s Step) bool { return s.Code == c.code && strings.Contains(s.Text, "words of "+c.code) })
			if at < 0 || steps[at].Evidence["unit"] == "" || steps[at].Evidence["ping"] == "" {
				t.Errorf("%s: timeline: %+v", name, steps)
			}
			recs, _, err := b.audit.Query(bg, audit.Filter{Service: "redis", Limit: 1})
			if err != nil {
				t.Fatal(err)
			}
			var from int64
			if len(before) > 0 {
				from = before[0].Seq
			}
			if !c.audited {
				if len(recs) > 0 && recs[0].Seq != from {
					t.Errorf("%s: a wait has an audit record", name)
				}
				continue
			}
			if r := recs[0]; r.Seq != from+1 || r.Details["code"] != c.code || r.Reason == "" || r.Details["ping"] == "" || r.Details["unit"] == "" || r.Incident == "" {
				t.Errorf("%s: %+v", name, r)
			}
			if c.kind == ladder.Critical {
				if n := count(b.r.metrics.skipped, "redis", string(skip.Rung), skip.Code) - skips; n != 1 || recs[0].Details["skipped"] != "soft: not_running" {
					t.Errorf("%s: the skip: counted %v, recorded %q", name, n, recs[0].Details["skipped"])
				}
			}
		}
	})
}

// A rung that is passed over by an act is in the act's own record.
func TestSkipsOfAnActAreRecorded(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.see(func(*world) {})
		b.w.set(func(w *world) { w.down("inactive", "success") })
		b.fire("redis")
		b.after(2 * time.Second)
		recs, _, err := b.audit.Query(bg, audit.Filter{Phase: audit.PhaseIntent, Limit: 1})
		if err != nil || len(recs) != 1 || recs[0].Details["skipped"] != "soft: not_running" || recs[0].Details["unsaved_changes"] != "0" || recs[0].Details["role"] != "master" {
			t.Errorf("%+v %v", recs, err)
		}
		if n := testutil.ToFloat64(b.r.metrics.skipped.WithLabelValues("redis", "soft", "not_running")); n != 1 {
			t.Errorf("counted %v", n)
		}
	})
}

// An alert that a person's hold keeps from opening an incident leaves a trace: one record for the alert, however often it is looked at.
func TestAnIgnoredAlertIsRecordedOnce(t *testing.T) {
	run(t, nil, func(b *bench) {
		if _, err := b.r.AddMaintenance(bg, "redis", ann, time.Now().Add(time.Hour), "upgrade"); err != nil {
			t.Fatal(err)
		}
		b.w.set(func(w *world) { w.down("inactive", "success") })
		b.fire("redis")
		b.after(10 * time.Minute)
		want(t, "audit", b.records(), []string{"system maintenance_start", "system hold"})
		if n := testutil.ToFloat64(b.r.metrics.held.WithLabelValues("redis", string(HoldMaintenance))); n != 1 {
			t.Errorf("counted %v", n)
		}
	})
}
