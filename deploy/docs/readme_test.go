package docs_test

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// commands returns the lines of the README's shell blocks.
func commands(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, block := range regexp.MustCompile("(?ms)^ *```sh\n(.*?)^ *```").FindAllStringSubmatch(string(text), -1) {
		for line := range strings.SplitSeq(block[1], "\n") {
			if line = strings.TrimSpace(line); line != "" {
				out = append(out, line)
			}
		}
	}
	return out
}

// ran says where each command of the README is run. Those without a place are run here.
var ran = map[string]string{
	"make demo": "make test runs its check",
	"make test": "the run that this test is part of",
	"make demo-exec CMD='systemctl stop redis-server'":                                                 "deploy/demo and deploy/e2e",
	"make demo-exec CMD='pkill -STOP redis-server'":                                                    "deploy/demo and deploy/e2e",
	"make demo-exec CMD='echo maxmemroy 1gb >> /etc/redis/redis.conf; systemctl restart redis-server'": "deploy/e2e",
	"make lint":  "make test",
	"make cover": "too long to run twice; its target is checked below",
	"make bench": "too long to run twice; its target is checked below",
	"make gen":   "the drift tests of each generated file",
}

func TestEveryCommandOfTheReadmeWorks(t *testing.T) {
	list := commands(t)
	if len(list) < 8 {
		t.Fatalf("only %d commands found: %v", len(list), list)
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		words := strings.Fields(c)
		if words[0] == "make" {
			if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(words[1]) + `:`).Match(makefile) {
				t.Errorf("%s: the Makefile has no such target", c)
			}
			if ran[c] == "" {
				t.Errorf("%s: no test says that it runs it", c)
			}
			continue
		}
		args := words
		if words[0] == "bin/redis-medic" {
			args = append([]string{"go", "run", "./cmd/redis-medic"}, words[1:]...)
		}
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Dir = "../.."
		out, err := cmd.CombinedOutput()
		switch {
		case slices.Contains(words, "check-config"):
			// The shipped file names files that only a real installation has: it must be told exactly that.
			if err == nil || !strings.Contains(string(out), "redis-medic.yml:") {
				t.Errorf("%s: %v\n%s", c, err, out)
			}
		case err != nil:
			t.Errorf("%s: %v\n%s", c, err, out)
		}
	}
}
