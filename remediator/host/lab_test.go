package host_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/redis-medic/redis-medic/deploy/lab"
	"github.com/redis-medic/redis-medic/deploy/lab/labtest"
	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/host"
)

// labFleet returns a fleet of the host's stock Redis, with short deadlines so that the faults do not take long.
func labFleet(t *testing.T, h *lab.Host, change ...func(*host.ClientOptions)) *host.Fleet {
	t.Helper()
	o := host.ClientOptions{
		Name: h.Name, Address: h.SSHAddress, User: h.User, IdentityFile: h.IdentityFile, KnownHostsFile: h.KnownHostsFile,
		Gate: h.Access == lab.AccessGate, DialTimeout: 2 * time.Second, CommandTimeout: 2 * time.Second,
		KeepAlive: time.Second, KeepAliveTimeout: time.Second, BackoffMax: time.Second, PollInterval: 500 * time.Millisecond,
	}
	for _, fn := range change {
		fn(&o)
	}
	c, err := host.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	fleet := host.NewFleet(map[string]host.Member{
		"redis": {Client: c, Unit: host.Unit{Name: h.Unit, LogFile: h.LogFile, DataDir: h.DataDir}},
	})
	t.Cleanup(func() {
		if err := fleet.Close(); err != nil {
			t.Error(err)
		}
	})
	return fleet
}

// do runs a step of a fault and fails the test when that fails.
func do(t *testing.T, what string, step func(context.Context) error) {
	t.Helper()
	if err := step(t.Context()); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// labWatch watches the stock Redis until the test ends.
func labWatch(t *testing.T, fleet *host.Fleet) *recorder {
	t.Helper()
	r := &recorder{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- fleet.WatchUnit(ctx, "redis", r.add) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("watch ended with %v", err)
		}
	})
	eventually(t, 10*time.Second, "the first read", func() bool { return r.last().OK() })
	return r
}

// eventually waits for a condition and returns how long that took.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Since(start) > limit {
			t.Fatalf("%s did not come within %v", what, limit)
		}
		<-tick.C
	}
	return time.Since(start)
}

func TestLabGate(t *testing.T)     { labSuite(t, lab.Options{Gate: true}) }
func TestLabPlain(t *testing.T)    { labSuite(t, lab.Options{}) }
func TestLabDocument(t *testing.T) { labSuite(t, lab.Options{DocumentSudoers: true}) }

// labSuite runs everything that must work, and every fault that must be classified, on one kind of host.
func labSuite(t *testing.T, opts lab.Options) {
	h := labtest.Up(t, opts)
	for _, step := range []struct {
		name string
		run  func(*testing.T, *lab.Host)
	}{
		{"reads agree", labReads},
		{"acts", labActs},
		{"watch sees a crash", labCrash},
		{"logs and facts", labFacts},
		{"configuration", labConfig},
		{"sudo taken away", labNoSudo},
		{"sshd stopped", labSSHDown},
		{"sshd frozen", labSSHFrozen},
		{"partition", labPartition},
		{"bus down", labBusDown},
		{"systemd frozen", labSystemdFrozen},
		{"key revoked", labKeyRevoked},
		{"host key changed", labHostKey},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(t, h) }) {
			t.Logf("resetting %s after a failure", h.Name)
			do(t, "reset", h.Reset)
		}
	}
}

func labReads(t *testing.T, h *lab.Host) {
	fleet := labFleet(t, h)
	shown := fleet.ReadUnit(t.Context(), "redis")
	r := labWatch(t, fleet)
	bus := fleet.ReadUnit(t.Context(), "redis")
	pid, err := h.MainPID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, read := range []health.UnitRead{shown, bus, r.last()} {
		u := read.Unit
		if !read.OK() || !u.Running() || u.MainPID != pid || u.LoadState != "loaded" || u.Restart != "always" || u.Type != "notify" {
			t.Errorf("read %+v, main PID is %d", read, pid)
		}
		if age := time.Since(u.ActiveEnter); age < -time.Minute || age > time.Hour {
			t.Errorf("active since %v", u.ActiveEnter)
		}
	}
	if diff := cmp.Diff(shown.Unit, bus.Unit, cmpopts.IgnoreFields(health.Unit{}, "At", "MemoryBytes", "CPUTime", "Tasks"),
		cmpopts.EquateApproxTime(time.Second)); diff != "" {
		t.Errorf("systemctl show and the bus disagree:\n%s", diff)
	}
	t.Logf("systemctl show took %v, the bus %v", shown.Took, bus.Took)
	eventually(t, 10*time.Second, "systemd tells of itself", func() bool {
		m := fleet.ReadUnit(t.Context(), "redis").Manager
		return m != nil && strings.HasPrefix(m.Version, "2") && slices.ContainsFunc(m.Boot, func(b health.BootStage) bool {
			return b.Name == "Userspace" && time.Since(b.At) < time.Hour && b.Monotonic > 0
		})
	})
	res, err := fleet.Run(t.Context(), "redis", host.VerbIsActive, 0)
	if err != nil || res.Stdout != "active\n" {
		t.Errorf("is-active: %+v, %v", res, err)
	}
}

func labActs(t *testing.T, h *lab.Host) {
	fleet := labFleet(t, h)
	r := labWatch(t, fleet)
	act := func(verb host.Verb) {
		t.Helper()
		if res, err := fleet.Run(t.Context(), "redis", verb, 0); err != nil {
			t.Errorf("%s: %v (%s)", verb, err, res.Stderr)
		}
	}
	act(host.VerbStop)
	eventually(t, time.Second, "inactive", func() bool { return r.last().Unit.Down() })
	if read := fleet.ReadUnit(t.Context(), "redis"); !read.OK() || read.Unit.ActiveState != "inactive" || read.Unit.MainPID != 0 {
		t.Errorf("after stop: %+v", read)
	}
	act(host.VerbStart)
	eventually(t, 5*time.Second, "running", func() bool { return r.last().Unit.Running() })
	before := r.last().Unit
	act(host.VerbRestart)
	eventually(t, 5*time.Second, "another process", func() bool { return r.last().Unit.Running() && r.last().Unit.MainPID != before.MainPID })
	if _, err := fleet.Run(t.Context(), "redis", host.VerbReload, 0); host.ClassOf(err) != health.ClassCommand && host.ClassOf(err) != health.ClassDenied {
		t.Errorf("reload of stock Redis: %v", err)
	}
	if h.Access == lab.AccessDocument {
		return // its sudoers know neither reset-failed nor kill
	}
	act(host.VerbResetFailed)
	act(host.VerbContinue)
}

func labCrash(t *testing.T, h *lab.Host) {
	fleet := labFleet(t, h)
	r := labWatch(t, fleet)
	before, reads := r.last().Unit, r.count()
	start := time.Now()
	do(t, "kill -9", func(ctx context.Context) error {
		_, err := h.Exec(ctx, "kill -9 $(systemctl show --value -p MainPID "+h.Unit+")")
		return err
	})
	eventually(t, 10*time.Second, "systemd's restart", func() bool { return r.last().Unit.Running() && r.last().Unit.MainPID != before.MainPID })
	r.mu.Lock()
	defer r.mu.Unlock()
	var states []string
	first := time.Duration(0)
	for _, read := range r.reads[reads:] {
		states = append(states, read.Unit.ActiveState+"/"+read.Unit.SubState)
		if first == 0 && !read.Unit.Running() {
			first = read.At.Sub(start)
		}
	}
	states = slices.Compact(states)
	t.Logf("first seen %v after the order to kill (with nsenter); states %v", first.Round(time.Millisecond), states)
	if first == 0 || first > time.Second || r.reads[len(r.reads)-1].Unit.NRestarts != before.NRestarts+1 {
		t.Errorf("states %v, first after %v, restarts %d", states, first, r.reads[len(r.reads)-1].Unit.NRestarts)
	}
}

func labFacts(t *testing.T, h *lab.Host) {
	fleet := labFleet(t, h)
	labWatch(t, fleet)
	if ahead, precision, err := fleet.Clock(t.Context(), "redis"); err != nil || ahead.Abs() > precision+100*time.Millisecond {
		t.Errorf("clock %v ahead, give or take %v: %v", ahead, precision, err)
	}
	if rights, err := fleet.Rights(t.Context(), "redis"); err != nil || !slices.ContainsFunc(rights, func(r string) bool { return strings.HasSuffix(r, "/systemctl restart redis-server") }) {
		t.Errorf("rights %q, %v", rights, err)
	}
	logs, err := fleet.Logs(t.Context(), "redis", 200)
	if h.Access == lab.AccessDocument {
		// The account is in no group that may read logs. That is no access, not no logs.
		if host.ClassOf(err) != health.ClassDenied || len(logs.Missing) != 2 {
			t.Errorf("logs without the host package: %d entries, missing %v, %v", len(logs.Entries), logs.Missing, err)
		}
		return
	}
	if err != nil || len(logs.Missing) != 0 {
		t.Fatalf("logs: %v, missing %v", err, logs.Missing)
	}
	for _, want := range []struct{ source, words string }{
		{host.SourceJournal, "Started redis-server.service"}, {host.SourceRedis, "Ready to accept connections"},
	} {
		i := slices.IndexFunc(logs.Entries, func(e host.LogEntry) bool { return e.Source == want.source && strings.Contains(e.Message, want.words) })
		if i < 0 {
			t.Errorf("no %q of %s in %d entries", want.words, want.source, len(logs.Entries))
		} else if age := time.Since(logs.Entries[i].Time); age < -time.Minute || age > time.Hour {
			t.Errorf("%q is of %v", want.words, logs.Entries[i].Time)
		}
	}
	listeners, err := fleet.Listeners(t.Context(), "redis")
	if err != nil || !slices.ContainsFunc(listeners, func(l host.Listener) bool { return l.Port == 6379 && l.Process == "redis-server" && l.PID > 0 }) {
		t.Errorf("listeners %+v, %v", listeners, err)
	}
	if disks, err := fleet.Disks(t.Context(), "redis"); err != nil || len(disks) == 0 || disks[0].Size == 0 {
		t.Errorf("disks %+v, %v", disks, err)
	}
	do(t, "freeze", h.Freeze)
	if p, err := fleet.ProcState(t.Context(), "redis"); err != nil || !p.Stopped() || p.Name != "redis-server" {
		t.Errorf("frozen process %+v, %v", p, err)
	}
	if _, err := fleet.Run(t.Context(), "redis", host.VerbContinue, 0); err != nil {
		t.Error(err)
	}
	if p, err := fleet.ProcState(t.Context(), "redis"); err != nil || p.Stopped() {
		t.Errorf("continued process %+v, %v", p, err)
	}
}

// labConfig asks for the last known good configuration: of a host that has none, of one that has, and of one without the program.
func labConfig(t *testing.T, h *lab.Host) {
	fleet := labFleet(t, h)
	ask := func(verb host.Verb, class health.ErrorClass, words string) {
		t.Helper()
		res, err := fleet.Run(t.Context(), "redis", verb, 0)
		var e *host.Error
		if !errors.As(err, &e) || e.Class != class || !strings.Contains(e.Public, words) {
			t.Errorf("%s: %+v, %v; want %s with %q", verb, res, err, class, words)
		}
	}
	if h.Access == lab.AccessDocument {
		ask(host.VerbConfigDiff, health.ClassDenied, "refused")
		ask(host.VerbConfigRestore, health.ClassDenied, "refused")
		return
	}
	ask(host.VerbConfigDiff, health.ClassCommand, "no last known good")
	ask(host.VerbConfigRestore, health.ClassCommand, "not down")
	do(t, "snapshot", h.Snapshot)
	ask(host.VerbConfigDiff, health.ClassCommand, "already")
	do(t, "append", func(ctx context.Context) error { return h.AppendConfig(ctx, "maxmemroy 1gb") })
	if res, err := fleet.Run(t.Context(), "redis", host.VerbConfigDiff, 0); err != nil || !strings.Contains(res.Stdout, "\n+maxmemroy 1gb\n") {
		t.Errorf("diff: %q, %v", res.Stdout, err)
	}
	do(t, "stop", h.Stop)
	if res, err := fleet.Run(t.Context(), "redis", host.VerbConfigRestore, 0); err != nil || !strings.Contains(res.Stdout, "\n+maxmemroy 1gb\n") {
		t.Errorf("restore: %q, %v", res.Stdout, err)
	}
	do(t, "start", h.Start)
	do(t, "take the program away", func(ctx context.Context) error {
		_, err := h.Exec(ctx, "mv /usr/local/sbin/redis-medic-config /srv/")
		return err
	})
	ask(host.VerbConfigRestore, health.ClassCommand, "missing")
	do(t, "put it back", func(ctx context.Context) error {
		_, err := h.Exec(ctx, "mv /srv/redis-medic-config /usr/local/sbin/")
		return err
	})
}
