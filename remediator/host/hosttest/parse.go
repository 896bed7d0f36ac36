package hosttest

import (
	"slices"
	"strconv"
	"strings"

	"github.com/redis-medic/redis-medic/remediator/host"
)

// parse reads a command line back into the verb it came from. It knows only the lines that package host can make.
func (s *Server) parse(line string) (Call, bool) {
	call := Call{Line: line}
	words := strings.Split(line, " ")
	if s.gate {
		if len(words) < 3 || words[0] != "v1" {
			return call, false
		}
		call.Command = host.Command{Verb: host.Verb(words[1]), Unit: host.Unit{Name: words[2]}}
		if len(words) == 4 {
			n, err := strconv.Atoi(words[3])
			if err != nil {
				return call, false
			}
			call.Command.Lines, call.Command.PID = n, n
		}
		return call, known(call.Command.Verb)
	}
	cmd, ok := plain(words)
	call.Command = cmd
	return call, ok
}

func known(v host.Verb) bool {
	return slices.Contains(host.Verbs(), v)
}

// plain reads the words of a line for a host without the gate.
func plain(words []string) (host.Command, bool) {
	last := words[len(words)-1]
	unit := host.Unit{Name: strings.TrimSuffix(last, ".service") + ".service"}
	line := strings.Join(words, " ")
	for _, p := range []struct {
		prefix string
		verb   host.Verb
	}{
		{"env LC_ALL=C TZ=UTC systemctl show ", host.VerbShow},
		{"systemctl is-active ", host.VerbIsActive},
		{"sudo -n systemctl start ", host.VerbStart},
		{"sudo -n systemctl stop ", host.VerbStop},
		{"sudo -n systemctl restart ", host.VerbRestart},
		{"sudo -n systemctl reload ", host.VerbReload},
		{"sudo -n systemctl reset-failed ", host.VerbResetFailed},
		{"sudo -n systemctl kill --kill-who=main --signal=SIGCONT ", host.VerbContinue},
		{"sudo -n systemctl kill --kill-who=main --signal=SIGKILL ", host.VerbKill},
		{"sudo -n ss -Hltnp", host.VerbListeners},
		{"sudo -n /usr/local/sbin/redis-medic-config diff ", host.VerbConfigDiff},
		{"sudo -n /usr/local/sbin/redis-medic-config restore ", host.VerbConfigRestore},
		{"sudo -n /usr/local/sbin/redis-medic-config show ", host.VerbConfigShow},
		{"cat /proc/loadavg ", host.VerbLoad},
		{"tail --lines=50 /var/log/dpkg.log", host.VerbPackages},
		{"journalctl --no-pager --list-boots", host.VerbBoots},
		{"df --output=", host.VerbDisk},
		{"date +%s.%N", host.VerbClock},
		{"sudo -n -l", host.VerbRights},
		{"systemd-stdio-bridge", host.VerbBus},
	} {
		if strings.HasPrefix(line, p.prefix) {
			return host.Command{Verb: p.verb, Unit: unit}, true
		}
	}
	cmd := host.Command{}
	switch words[0] {
	case "journalctl":
		cmd.Verb = host.VerbJournal
		for _, w := range words {
			if name, ok := strings.CutPrefix(w, "--unit="); ok {
				cmd.Unit.Name = name
			}
		}
		cmd.Lines, _ = strconv.Atoi(strings.TrimPrefix(last, "--lines="))
	case "tail":
		cmd.Verb = host.VerbRedisLog
		cmd.Unit.LogFile = last
		cmd.Lines, _ = strconv.Atoi(strings.TrimPrefix(words[1], "--lines="))
	case "cat":
		cmd.Verb = host.VerbProcState
		cmd.PID, _ = strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(last, "/proc/"), "/stat"))
	default:
		return cmd, false
	}
	return cmd, true
}
