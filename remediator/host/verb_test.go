package host_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/redis-medic/redis-medic/remediator/host"
)

// The first words of everything that may ever run on a host without the gate.
var allowedPrograms = []string{
	"env LC_ALL=C TZ=UTC systemctl show --no-pager ", "systemctl is-active ", "sudo -n systemctl start ", "sudo -n systemctl stop ",
	"sudo -n systemctl restart ", "sudo -n systemctl reload ", "sudo -n systemctl reset-failed ",
	"sudo -n systemctl kill --kill-who=main --signal=SIGCONT ", "sudo -n systemctl kill --kill-who=main --signal=SIGKILL ",
	"journalctl --no-pager --output=json ", "tail --lines=", "cat /proc/", "sudo -n ss -Hltnp",
	"df --output=target,size,avail,itotal,iavail --block-size=1 ", "systemd-stdio-bridge",
	"cat /proc/loadavg /proc/meminfo /proc/uptime", "tail --lines=50 /var/log/dpkg.log", "journalctl --no-pager --list-boots",
	"sudo -n /usr/local/sbin/redis-medic-config show ", "sudo -n /usr/local/sbin/redis-medic-config diff ", "sudo -n /usr/local/sbin/redis-medic-config restore ", "date +%s.%N", "sudo -n -l",
}

var harmlessLine = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./ -]+$`)

func FuzzCommandLines(f *testing.F) {
	for _, v := range host.Verbs() {
		f.Add(string(v), "redis-server.service", "/var/log/redis/redis-server.log", "/var/lib/redis", 50, 1234)
	}
	f.Add("start", "redis;reboot.service", "/x y", "/../etc", -1, 0)
	f.Add("journal", "$(id).service", "", "", 1<<30, 1)
	f.Add("redis-log", "a\nb.service", "/a/../b", "`id`", 1, 1)
	f.Add("stop", "--help.service", "", "", 1, 1)
	f.Fuzz(func(t *testing.T, verb, name, logFile, dataDir string, lines, pid int) {
		cmd := host.Command{Verb: host.Verb(verb), Unit: host.Unit{Name: name, LogFile: logFile, DataDir: dataDir}, Lines: lines, PID: pid}
		line, err := cmd.ShellLine()
		gate, gateErr := cmd.GateLine()
		if err != nil {
			if !errors.Is(err, host.ErrInvalidCommand) {
				t.Errorf("%v", err)
			}
			return
		}
		if !harmlessLine.MatchString(line) || strings.Contains(line, "  ") {
			t.Errorf("%q has characters that a shell gives a meaning", line)
		}
		if !slices.ContainsFunc(allowedPrograms, func(p string) bool { return strings.HasPrefix(line, p) }) {
			t.Errorf("%q is not in the table", line)
		}
		for word := range strings.FieldsSeq(line) {
			if strings.HasPrefix(word, "/proc/../") || strings.Contains(word, "/../") {
				t.Errorf("%q climbs", line)
			}
		}
		if gateErr != nil || !harmlessLine.MatchString(gate) || !strings.HasPrefix(gate, "v1 "+verb+" "+name) {
			t.Errorf("gate line %q, %v", gate, gateErr)
		}
	})
}

func TestCommandLimits(t *testing.T) {
	good := host.Command{Verb: host.VerbJournal, Unit: redisUnit, Lines: 1, PID: 1}
	for _, tt := range []struct {
		name   string
		change func(*host.Command)
		ok     bool
	}{
		{"as it is", func(*host.Command) {}, true},
		{"most lines", func(c *host.Command) { c.Lines = host.MaxLines }, true},
		{"no lines", func(c *host.Command) { c.Lines = 0 }, false},
		{"too many lines", func(c *host.Command) { c.Lines = host.MaxLines + 1 }, false},
		{"no PID", func(c *host.Command) { c.Verb, c.PID = host.VerbProcState, 0 }, false},
		{"negative PID", func(c *host.Command) { c.Verb, c.PID = host.VerbProcState, -1 }, false},
		{"no log file", func(c *host.Command) { c.Verb, c.Unit.LogFile = host.VerbRedisLog, "" }, false},
		{"no data folder is fine", func(c *host.Command) { c.Verb, c.Unit.DataDir = host.VerbDisk, "" }, true},
		{"relative path", func(c *host.Command) { c.Unit.LogFile = "var/log/x" }, false},
		{"climbing path", func(c *host.Command) { c.Unit.DataDir = "/var/../etc" }, false},
		{"climbing at the end", func(c *host.Command) { c.Unit.DataDir = "/var/.." }, false},
		{"a template instance", func(c *host.Command) { c.Unit.Name = "redis-server@sessions.service" }, true},
		{"a socket", func(c *host.Command) { c.Unit.Name = "redis.socket" }, false},
		{"an option", func(c *host.Command) { c.Unit.Name = "-H.service" }, false},
		{"unknown verb", func(c *host.Command) { c.Verb = "reboot" }, false},
	} {
		cmd := good
		tt.change(&cmd)
		_, err := cmd.ShellLine()
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, host.ErrInvalidCommand) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestPrivilegedVerbsAreExactlyThoseWithSudo(t *testing.T) {
	for _, v := range host.Verbs() {
		argv, err := command(v).Argv()
		if err != nil {
			t.Fatal(err)
		}
		if sudo := argv[0] == "sudo"; sudo != (v.Changes() || v == host.VerbListeners || v == host.VerbRights || v == host.VerbConfigDiff || v == host.VerbConfigShow) {
			t.Errorf("%s: %q", v, argv)
		}
		if argv[0] == "sudo" && argv[1] != "-n" {
			t.Errorf("%s would wait for a password: %q", v, argv)
		}
	}
}
