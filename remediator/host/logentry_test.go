package host_test

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/host/hosttest"
)

func at(clock string) time.Time {
	t, err := time.Parse("15:04:05.000", clock)
	if err != nil {
		panic(err)
	}
	return time.Date(2026, 11, 23, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

func journalLine(when time.Time, priority, message string) string {
	return `{"__REALTIME_TIMESTAMP":"` + strconv.FormatInt(when.UnixMicro(), 10) + `","PRIORITY":` + priority + `,"MESSAGE":` + message + `,"_PID":"1"}`
}

func TestParseJournal(t *testing.T) {
	when := at("18:00:00.500")
	for _, tt := range []struct {
		name     string
		line     string
		level    host.LogLevel
		message  string
		leftOut  bool
		zeroTime bool
	}{
		{name: "text", line: journalLine(when, `"6"`, `"Started redis-server.service."`), level: host.LogInfo, message: "Started redis-server.service."},
		{name: "error", line: journalLine(when, `"3"`, `"Failed with result 'exit-code'."`), level: host.LogError, message: "Failed with result 'exit-code'."},
		{name: "warning", line: journalLine(when, `"4"`, `"w"`), level: host.LogWarning, message: "w"},
		{name: "debug", line: journalLine(when, `"7"`, `"d"`), level: host.LogDebug, message: "d"},
		{name: "bytes", line: journalLine(when, `"6"`, `[104,105,27,91,51,49,109,33,255]`), level: host.LogInfo, message: "hi!\uFFFD"},
		{name: "several values", line: journalLine(when, `"6"`, `["one","two"]`), level: host.LogInfo, message: "one"},
		{name: "too long for the journal", line: journalLine(when, `"6"`, `null`), level: host.LogInfo},
		{name: "deeply nested", line: journalLine(when, `"6"`, strings.Repeat("[", 500)+strings.Repeat("]", 500)), level: host.LogInfo},
		{name: "markup stays text", line: journalLine(when, `null`, `"<b>x</b>"`), level: host.LogInfo, message: "<b>x</b>"},
		{name: "cut line", line: `{"__REALTIME_TIMESTAMP":"17`, leftOut: true},
		{name: "no time", line: `{"MESSAGE":"x"}`, leftOut: true},
		{name: "bad time", line: `{"__REALTIME_TIMESTAMP":"x","MESSAGE":"x"}`, leftOut: true},
		{name: "no entries", line: `-- No entries --`, leftOut: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := host.ParseJournal(tt.line + "\n")
			if tt.leftOut {
				if len(got) != 0 {
					t.Errorf("got %+v", got)
				}
				return
			}
			want := []host.LogEntry{{Time: when, Level: tt.level, Source: host.SourceJournal, Message: tt.message}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseRedisLog(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	out := "12345:M 23 Nov 2026 19:00:00.123 * Ready to accept connections\r\n" +
		"12345:C 23 Nov 2026 19:00:01.000 # oO0OoO0OoO0Oo Redis is starting\n\n" +
		"12345:S 3 Nov 2026 19:00:02.000 . debug words\n" +
		"12345:X 23 Nov 2026 19:00:03.000 - verbose words\n" +
		"*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\n" +
		">>> 'bogus yes'\n" +
		"12345:M 99 Nov 2026 19:00:03.000 * no such day\n" +
		"12345:M 23 Nov 2026 19:00:04.000 # Can't save in background: fork: Cannot allocate memory\n"
	want := []host.LogEntry{
		{Time: at("18:00:00.123"), Level: host.LogInfo, Message: "Ready to accept connections"},
		{Time: at("18:00:01.000"), Level: host.LogInfo, Message: "oO0OoO0OoO0Oo Redis is starting"},
		{Time: at("18:00:02.000").AddDate(0, 0, -20), Level: host.LogDebug, Message: "debug words"},
		{Time: at("18:00:03.000"), Level: host.LogInfo, Message: "verbose words"},
		{Time: at("18:00:03.000"), Level: host.LogError, Message: "*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***"},
		{Time: at("18:00:03.000"), Level: host.LogInfo, Message: ">>> 'bogus yes'"},
		{Time: at("18:00:03.000"), Level: host.LogInfo, Message: "no such day"},
		{Time: at("18:00:04.000"), Level: host.LogWarning, Message: "Can't save in background: fork: Cannot allocate memory"},
	}
	for i := range want {
		want[i].Source = host.SourceRedis
	}
	if diff := cmp.Diff(want, host.ParseRedisLog(out, berlin)); diff != "" {
		t.Error(diff)
	}
	if got := host.ParseRedisLog("1:M 23 Nov 2026 18:00:00.000 * x", nil); len(got) != 1 || !got[0].Time.Equal(at("18:00:00.000")) {
		t.Errorf("without a zone: %+v", got)
	}
}

func TestMergeLogs(t *testing.T) {
	entry := func(clock, message string) host.LogEntry { return host.LogEntry{Time: at(clock), Message: message} }
	a := []host.LogEntry{entry("18:00:01.000", "a1"), entry("18:00:03.000", "a2")}
	b := []host.LogEntry{entry("18:00:00.000", "b1"), entry("18:00:03.000", "b2"), entry("18:00:03.000", "b3")}
	words := func(list []host.LogEntry) string {
		var out []string
		for _, e := range list {
			out = append(out, e.Message)
		}
		return strings.Join(out, " ")
	}
	if got := words(host.MergeLogs(10, a, b)); got != "b1 a1 a2 b2 b3" {
		t.Errorf("merged %q", got)
	}
	if got := words(host.MergeLogs(2, a, b)); got != "b2 b3" {
		t.Errorf("the newest two are %q", got)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                         "plain",
		"\x1b[1;31mred\x1b[0m":          "red",
		"\x1b]0;title\x07x":             "x",
		"\x1b]8;;http://x\x1b\\link":    "link",
		"\x1b]never ends":               "",
		"\x1b[12":                       "",
		"\x1b[1\ny":                     " y",
		"\x1bcx":                        "x",
		"end\x1b":                       "end\uFFFD",
		"a\tb\nc\rd":                    "a b c d",
		"nul\x00bel\x07":                "nul\uFFFDbel\uFFFD",
		"\xff\xfe":                      "\uFFFD\uFFFD",
		"evil\u202egnp.exe\u2066\u200b": "evilgnp.exe",
		"c1 \u009b31m":                  "c1 \uFFFD31m",
		"größe":                         "größe",
	} {
		if got := host.Printable(in, 100); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	if got := host.Printable("ääää", 5); got != "ää" {
		t.Errorf("cut to %q", got)
	}
}

func FuzzLogs(f *testing.F) {
	f.Add(journalLine(at("18:00:00.000"), `"6"`, `"x"`))
	f.Add("1:M 23 Nov 2026 18:00:00.000 * x\nmore\x1b[2J")
	f.Add(`LISTEN 0 511 [::1]:6379 [::]:* users:(("redis-server",pid=5,fd=6))`)
	f.Fuzz(func(t *testing.T, out string) {
		for _, e := range host.MergeLogs(100, host.ParseJournal(out), host.ParseRedisLog(out, nil)) {
			if len(e.Message) > 4096 || !utf8.ValidString(e.Message) || strings.ContainsAny(e.Message, "\x1b\n\r\x00\u202e") {
				t.Errorf("message %q", e.Message)
			}
		}
		for _, l := range host.ParseListeners(out) {
			if l.Port < 0 || l.Port > 65535 || l.PID < 0 {
				t.Errorf("%+v", l)
			}
		}
		for _, d := range host.ParseDisk(out) {
			if d.Path == "" && d.Size == 0 && d.Free == 0 && !strings.Contains(out, "0") {
				t.Errorf("%+v", d)
			}
		}
		if p, err := host.ParseProcStat(out); err == nil && (p.PID <= 0 || p.State < 'A' || p.State > 'z') {
			t.Errorf("%+v", p)
		}
	})
}

func TestLogsAreMergedInTheHostsZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		s.Unit(redisUnit.Name).Log(
			[]string{journalLine(at("18:00:00.000"), `"6"`, `"Starting"`), journalLine(at("18:00:02.000"), `"6"`, `"Started"`)},
			[]string{"1:M 23 Nov 2026 19:00:01.000 * Ready"},
		)
		c := s.Client()
		watch(t, c)
		for range 2 {
			logs, err := c.Logs(t.Context(), redisUnit, 50)
			if err != nil || len(logs.Missing) != 0 || len(logs.Entries) != 3 || logs.Entries[1].Message != "Ready" {
				t.Errorf("%+v, %v", logs, err)
			}
		}
	})
}

func TestLogsSayWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		denied := func(hosttest.Call) *hosttest.Reply { return &hosttest.Reply{Stderr: "Permission denied", ExitCode: 1} }
		s := hosttest.New(t)
		s.Unit(redisUnit.Name).Log([]string{journalLine(at("18:00:00.000"), `"6"`, `"Starting"`)}, []string{"1:M 23 Nov 2026 18:00:01.000 * Ready"})
		fleet := s.Fleet("redis", redisUnit)
		defer fleet.Close()
		s.On(host.VerbRedisLog, denied)
		logs, err := fleet.Logs(t.Context(), "redis", 50)
		if err != nil || len(logs.Entries) != 1 || logs.Missing[host.SourceRedis].Class != health.ClassDenied {
			t.Errorf("%+v, %v", logs, err)
		}
		s.On(host.VerbJournal, denied)
		if logs, err = fleet.Logs(t.Context(), "redis", 50); host.ClassOf(err) != health.ClassDenied || len(logs.Missing) != 2 {
			t.Errorf("%+v, %v", logs, err)
		}
		s.On(host.VerbRedisLog, nil)
		if logs, err = fleet.Logs(t.Context(), "redis", 50); err != nil || len(logs.Entries) != 1 || logs.Missing[host.SourceJournal] == nil {
			t.Errorf("%+v, %v", logs, err)
		}
		if _, err := fleet.Logs(t.Context(), "other", 50); err == nil {
			t.Error("logs of an unknown service")
		}
	})
}
