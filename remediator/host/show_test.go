package host_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/host/hosttest"
)

// stoppedUnit is what systemd 252 prints for a stopped redis-server; properties without a value are as it leaves them.
const stoppedUnit = `Type=notify
Restart=always
RestartUSec=100ms
TimeoutStartUSec=1min 30s
TimeoutStopUSec=infinity
MainPID=0
NRestarts=0
ExecMainCode=1
ExecMainStatus=0
MemoryCurrent=[not set]
CPUUsageNSec=18446744073709551615
TasksCurrent=[not set]
TasksMax=4915
Id=redis-server.service
LoadState=loaded
ActiveState=inactive
SubState=dead
UnitFileState=enabled
StateChangeTimestamp=Mon 2026-11-23 18:00:00 UTC
ActiveEnterTimestamp=Mon 2026-11-23 17:00:00 UTC
InactiveEnterTimestamp=n/a
CanReload=no
Job=
StartLimitIntervalUSec=10s
StartLimitBurst=5
InvocationID=
`

func TestParseShow(t *testing.T) {
	tasks := uint64(4915)
	want := health.Unit{
		Name: "redis-server.service", Type: "notify", LoadState: "loaded", UnitFileState: "enabled", ActiveState: "inactive",
		SubState: "dead", ExecMainCode: 1, Restart: "always", RestartDelay: 100 * time.Millisecond, TimeoutStart: 90 * time.Second,
		TimeoutStop: health.Infinite, StartLimitBurst: 5, StartLimitInterval: 10 * time.Second, TasksMax: &tasks,
		ActiveEnter: time.Date(2026, 11, 23, 17, 0, 0, 0, time.UTC), StateChange: time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC),
	}
	got, err := host.ParseShow(stoppedUnit)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseShowIsTolerantButNotCredulous(t *testing.T) {
	for _, out := range []string{"", "\n", "Failed to connect to bus", "ActiveState=active\n", "LoadState=loaded\nActiveState=\n"} {
		if u, err := host.ParseShow(out); err == nil {
			t.Errorf("%q was taken for a state: %+v", out, u)
		}
	}
	u, err := host.ParseShow("LoadState=not-found\r\nActiveState=inactive\r\nActiveState=active\nMainPID=-4\nNRestarts=x\nJob=77 /org/x\nExecMainCode=killed\n" +
		"StatusText=a\x1b[31mred\x1b[0m=b\nUnknown=1\nno equals sign\nTasksMax=infinity\n")
	want := health.Unit{LoadState: "not-found", ActiveState: "inactive", JobID: 77, ExecMainCode: 2, StatusText: "ared=b"}
	if diff := cmp.Diff(want, u); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

func TestParseSpan(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"": 0, "[not set]": 0, "0": 0, "infinity": health.Infinite, "18446744073709551615": health.Infinite,
		"100ms": 100 * time.Millisecond, "1min 30s": 90 * time.Second, "1.5s": 1500 * time.Millisecond, "5s 20ms": 5020 * time.Millisecond,
		"2w 1d 3h": 15*24*time.Hour + 3*time.Hour, "1y": 31557600 * time.Second, "1month": 2629800 * time.Second, "7us": 7 * time.Microsecond,
		"90000000": 90 * time.Second, "99999999y": health.Infinite, "min": 0, "5parsecs": 0, "1.2.3s": 0, "-5s": 0, "1s x": 0,
	} {
		if got := host.ParseSpan(in); got != want {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
}

func TestParseTimestamp(t *testing.T) {
	at := time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC)
	for in, want := range map[string]time.Time{
		"": {}, "n/a": {}, "0": {}, "18446744073709551615": {}, "Mon 2026-11-23 18:00:00 UTC": at, "@1795456800": at,
		"1795456800000000": at, "Mon 2026-11-23 21:00:00 +03": at, "Mon 2026-11-23 18:00:00.5 UTC": at.Add(time.Second / 2),
		"@-5": {}, "@x": {}, "@9223372036854775807": {},
		"Mon 2026-11-23 19:00:00 CET": {}, // an abbreviation names no offset: better no time than a wrong one
	} {
		if got := host.ParseTimestamp(in); !got.Equal(want) || got.IsZero() != want.IsZero() {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
}

func FuzzParseShow(f *testing.F) {
	f.Add(stoppedUnit)
	f.Add(hosttest.Show(fullUnit()))
	f.Add("LoadState=loaded\nActiveState=active\nRestartUSec=1e309y\nMemoryCurrent=99999999999999999999\nStatusText=\xff\x1b]0;x\x07")
	f.Fuzz(func(t *testing.T, out string) {
		u, err := host.ParseShow(out)
		if err != nil {
			return
		}
		if u.LoadState == "" || u.ActiveState == "" || u.MainPID < 0 || u.CPUTime < 0 || u.TimeoutStart < 0 || u.TimeoutStop < 0 || u.RestartDelay < 0 {
			t.Errorf("impossible unit %+v", u)
		}
		if len(u.StatusText) > 300 || strings.ContainsAny(u.StatusText, "\x1b\n\r\x00") {
			t.Errorf("status text %q", u.StatusText)
		}
		// What was understood survives being printed and read again.
		again, err := host.ParseShow(hosttest.Show(u))
		if err != nil || again.ActiveState != u.ActiveState || again.MainPID != u.MainPID || again.NRestarts != u.NRestarts {
			t.Errorf("%v: %+v became %+v", err, u, again)
		}
	})
}

func FuzzParseSpanAndTimestamp(f *testing.F) {
	for _, s := range []string{"1min 30s", "infinity", "@5", "Mon 2026-11-23 18:00:00 UTC", "9e99y", "1795456800000000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d := host.ParseSpan(s); d < 0 {
			t.Errorf("%q is %v", s, d)
		}
		if at := host.ParseTimestamp(s); !at.IsZero() && at.Location() != time.UTC {
			t.Errorf("%q is %v", s, at)
		}
	})
}
