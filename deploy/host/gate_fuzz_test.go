package hostpkg_test

import (
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
		g := gate{t: t, script: g.script, traps: g.traps}
		stdout, stderr, code := g.call("/bin/sh", &line)
		if _, err := os.Stat(filepath.Join(filepath.Dir(g.script), "trapped")); err == nil {
			t.Fatalf("%q started a program through PATH", line)
		}
		switch {
		case code == 126 && stdout == "" && strings.Count(stderr, "\n") == 1:
		case code == 0 && meant.MatchString(line) && strings.HasPrefix(stdout, "["):
		default:
			t.Errorf("%q: exit %d, started %q, said %q", line, code, stdout, stderr)
		}
	})
}
