package remediator

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/host"
)

const rejected = "/var/lib/redis-medic-host/redis-server.service/rejected-20261123T180000Z.conf"

const goodDiff = "--- /var/lib/redis-medic-host/redis-server.service/good.conf\n+++ " + rejected + "\n@@ -1 +1,2 @@\n port 6379\n+maxmemroy 1gb\x1b[2J\n"

// brokenConfig makes every start fail with a config error until the configuration is put back.
func brokenConfig(w *world) {
	w.goodDiff = goodDiff
	w.down("failed", "exit-code")
	w.on[host.VerbStart] = func(w *world) error {
		if w.restored {
			w.up()
			return nil
		}
		w.down("failed", "exit-code")
		w.journal = strings.ReplaceAll(badConfig, "%T", usec(time.Now()))
		return commandFailed(health.ClassCommand)(w)
	}
	w.on[host.VerbRestart] = w.on[host.VerbStart]
}

func TestABadConfigIsReplacedByTheLastGoodOne(t *testing.T) {
	told := &board{}
	run(t, func(o *Options) {
		o.Notifier, o.Services[0].Notices = told, map[NoticeKind]string{NoticeRecovered: "info", NoticeManual: "critical"}
	}, func(b *bench) {
		b.w.set(brokenConfig)
		b.fire("redis")
		b.after(4 * time.Second)
		want(t, "commands", b.w.did(), []string{"reset-failed", "start", "config-restore", "reset-failed", "start"})
		s := b.state()
		if s.Incident == nil || s.Incident.Status != IncidentWatching || s.Incident.Level != "hard" || s.Incident.Cause != "config_error" {
			t.Fatalf("%+v", s)
		}
		want(t, "timeline", kinds(*s.Incident), []string{"opened", "skipped", "intent", "outcome", "diagnosed", "intent", "outcome", "verified"})
		for _, i := range []int{4, 6} {
			step := s.Incident.Steps[i]
			if diff := step.Evidence["config_diff"]; !strings.Contains(diff, "\n+maxmemroy 1gb") || strings.ContainsRune(diff, 0x1b) {
				t.Errorf("%s: %q", step.Kind, diff)
			}
		}
		if got := s.Incident.Steps[6].Evidence["rejected_config"]; got != rejected {
			t.Errorf("rejected: %q", got)
		}
		if got := told.texts(NoticeRecovered); len(got) != 1 || !strings.Contains(got[0], "was put back") || !strings.Contains(got[0], rejected) {
			t.Errorf("people were told %q", got)
		}
		recs, _, err := b.audit.Query(bg, audit.Filter{Limit: 100})
		if err != nil || !slices.ContainsFunc(recs, func(r audit.Record) bool {
			return r.Phase == audit.PhaseOutcome && r.Result.Success && strings.Contains(r.Details["config_diff"], "+maxmemroy 1gb") && r.Details["rejected_config"] == rejected
		}) {
			t.Errorf("the audit log does not tell what was changed: %v %+v", err, recs)
		}
		b.clear()
		b.after(2 * time.Minute)
		if i := b.newest(); i.Status != IncidentRecovered {
			t.Errorf("in the end: %s", i.Status)
		}
	})
}

func TestAGoodConfigThatCannotBePutBackLeavesTheOldEnding(t *testing.T) {
	start := []string{"reset-failed", "start"}
	for _, c := range []struct {
		name   string
		off    bool
		change func(*world)
		did    []string
		words  string // in what people are told
	}{
		{"switched off", true, func(*world) {}, start, ""},
		{"no snapshot", false, func(w *world) { w.goodDiff = "" }, start, ""},
		{"refused by sudo", false, func(w *world) { w.on[host.VerbConfigRestore] = commandFailed(health.ClassDenied) }, append(slices.Clone(start), "config-restore"), ""},
		{"failed on the host", false, func(w *world) { w.on[host.VerbConfigRestore] = commandFailed(health.ClassCommand) }, append(slices.Clone(start), "config-restore"), ""},
		{"the good one does not start either", false, func(w *world) {
			w.on[host.VerbStart] = func(w *world) error {
				w.down("failed", "exit-code")
				w.journal = strings.ReplaceAll(badConfig, "%T", usec(time.Now()))
				return commandFailed(health.ClassCommand)(w)
			}
		}, append(slices.Clone(start), "config-restore", "reset-failed", "start"), "was put back"},
	} {
		t.Run(c.name, func(t *testing.T) {
			told := &board{}
			run(t, func(o *Options) {
				o.Notifier, o.Services[0].Notices = told, map[NoticeKind]string{NoticeManual: "critical"}
				o.Services[0].Ladder.RestoreConfig = !c.off
			}, func(b *bench) {
				b.w.set(func(w *world) { brokenConfig(w); c.change(w) })
				b.fire("redis")
				b.after(10 * time.Minute)
				want(t, "commands", b.w.did(), c.did)
				s := b.state()
				if !s.ManualIntervention || s.Incident.Cause != "config_error" || !strings.Contains(s.ManualReason, "maxmemroy") || !strings.Contains(s.ManualReason, "line 2278") {
					t.Fatalf("%q, %+v", s.ManualReason, s.Incident)
				}
				if got := told.texts(NoticeManual); len(got) != 1 || !strings.Contains(got[0], c.words) || c.words == "" && strings.Contains(got[0], "put back") {
					t.Errorf("people were told %q", got)
				}
			})
		})
	}
}

func TestDiffsAreBoundedAndHarmless(t *testing.T) {
	long := cleanDiff(strings.Repeat("+maxmemory 1gb\n", 1000))
	if len(long) > maxConfigDiff || !strings.HasSuffix(long, "\n"+diffCut) {
		t.Errorf("%d bytes, ends with %q", len(long), long[len(long)-20:])
	}
	if got := cleanDiff("+a\x1b[31m\x00\r\n-b\xff\n"); got != "+a\ufffd\n-b\ufffd" {
		t.Errorf("%q", got)
	}
	for in, want := range map[string]string{goodDiff: rejected, "# /etc/redis/redis.conf is missing\n": "", "+++ nothing\n+++ /x\n": "", "": ""} {
		if got := rejectedFile(in); got != want {
			t.Errorf("rejected file of %q: %q", in, got)
		}
	}
}
