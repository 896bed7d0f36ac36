package hostpkg_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/redis-medic/redis-medic/remediator/host"
)

// meant is the whole language of the gate: a verb, a unit of its configuration, a number.
var meant = func() *regexp.Regexp {
	var verbs []string
	for _, v := range host.Verbs() {
		verbs = append(verbs, regexp.QuoteMeta(string(v)))
	}
	return regexp.MustCompile(`^v1 (` + strings.Join(verbs, "|") + `) (redis-server|redis-server@sessions|bare|odd)\.service( [1-9][0-9]{0,6})?$`)
}()

// FuzzGateLine asks the gate for what nobody should ask for. What is not in its language must be refused, and start nothing.
func FuzzGateLine(f *testing.F) {
	for _, line := range malicious {
		f.Add(line)
	}
	for _, v := range host.Verbs() {
		f.Add("v1 " + string(v) + " redis-server.service")
		f.Add("v1 " + string(v) + " redis-server.service 12")
	}
	g := newGate(f, gateConf)
	f.Fuzz(func(t *testing.T, line string) {
		if strings.Contains(line, "\x00") || len(line) > 100000 {
			return // cannot be in an environment
		}
		(gate{t: t, script: g.script, traps: g.traps}).ask(t, line)
	})
}

// ask calls the gate with a line and checks that it was refused, and started nothing, unless it is in the gate's language.
func (g gate) ask(t *testing.T, line string) (refused bool) {
	t.Helper()
	stdout, stderr, code := g.call("/bin/sh", &line)
	if _, err := os.Stat(filepath.Join(filepath.Dir(g.script), "trapped")); err == nil {
		t.Fatalf("%q started a program through PATH", line)
	}
	switch {
	case code == 126 && stdout == "" && strings.Count(stderr, "\n") == 1:
		return true
	case code == 0 && meant.MatchString(line) && strings.HasPrefix(stdout, "["):
	default:
		t.Errorf("%q: exit %d, started %q, said %q", line, code, stdout, stderr)
	}
	return false
}

// A thousand lines, made of the gate's own words and of what means something to a shell, to sudo, to systemctl or to journalctl.
func TestAThousandHostileLines(t *testing.T) {
	g := newGate(t, gateConf)
	words := []string{"v1", "v2", "V1", "redis-server.service", "redis-server@sessions.service", "bare.service", "ssh.service", "redis-server", "*", "redis-*.service",
		"1", "0", "1001", "-1", "+1", "1e3", "--help", "--lines=5", "-u", "ssh", "--file=/etc/shadow", "--root=/", "--vacuum-time=1s", "-H", "root@localhost", "../../etc/passwd",
		"/etc/shadow", "$(id)", "`id`", "${IFS}id", ";id", "|id", "&&id", "||id", ">x", "<x", "'", "\"", "\\", "#", "~", "!", "{a,b}", "[a]", "\t", "\n", "\r", "\x1b[0m", "é", "\u202e", "",
		" ", "  ", "SIGKILL", "sudo", "sh", "-c", "env", "PATH=/tmp", "LD_PRELOAD=x", "v1 stop redis-server.service", "\nv1 stop redis-server.service"}
	for _, v := range host.Verbs() {
		words = append(words, string(v), string(v)+" ", strings.ToUpper(string(v)), string(v)+";id")
	}
	joints := []string{" ", " ", " ", " ", "  ", "\t", "\n", ";", "&", "|", ""}
	random := rand.New(rand.NewPCG(1, 2)) // the same lines at every run
	refused := 0
	const lines = 1000
	for range lines {
		var b strings.Builder
		if random.IntN(2) == 0 {
			b.WriteString("v1 ")
		}
		for n := range 1 + random.IntN(5) {
			if n > 0 {
				b.WriteString(joints[random.IntN(len(joints))])
			}
			b.WriteString(words[random.IntN(len(words))])
		}
		if g.ask(t, b.String()) {
			refused++
		}
	}
	if refused < lines*9/10 {
		t.Errorf("only %d of %d lines were refused: they are not hostile enough", refused, lines)
	}
}
