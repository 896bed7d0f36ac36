package config

import (
	"net"
	"strconv"
	"strings"

	"github.com/redis-medic/redis-medic/remediator/host"
)

// Command is a command line as Appendix A writes it. It is never run: Load holds it against the one typed verb that stands for
// its key, so that the file says what happens.
type Command struct{ text string }

// String is the command as written.
func (c Command) String() string { return c.text }

const (
	expectedPing   = "PONG"
	expectedActive = "active"
)

// commandVerbs says which verb the command of a key stands for, by the key's path inside the tree.
var commandVerbs = map[string]host.Verb{
	"health_check.checks.systemd.command":       host.VerbIsActive,
	"auto_recovery.strategies.soft.command":     host.VerbReload,
	"auto_recovery.strategies.standard.command": host.VerbStart,
	"auto_recovery.strategies.hard.command":     host.VerbRestart,
	"auto_recovery.strategies.force.command":    host.VerbKill,
	"service_control.commands.start":            host.VerbStart,
	"service_control.commands.stop":             host.VerbStop,
	"service_control.commands.restart":          host.VerbRestart,
	"service_control.commands.status":           host.VerbShow,
	"service_control.commands.reload":           host.VerbReload,
	"service_control.commands.logs":             host.VerbJournal,
}

const pingCommandKey = "health_check.checks.connectivity.command"

// checkCommands holds the commands of the layer that was just decoded against the service that the layer describes.
func (d *decoder) checkCommands(s Service, prefix string) {
	for _, c := range d.commands {
		key := strings.TrimPrefix(c.path, prefix+".")
		var good []string
		if key == pingCommandKey {
			good = pingForms(s.Service)
		} else {
			good = verbForms(commandVerbs[key], s.Service.SystemdUnit)
		}
		if !matches(c.text, good) {
			d.fault(c.line, c.path, "%s is not what the program does here; write %q or remove the key", quoteShort(c.text), good[0])
		}
	}
	d.commands = nil
}

// matches reports whether a command is one of the forms, sudo and spacing aside.
func matches(text string, forms []string) bool {
	words := strings.Fields(text)
	if len(words) > 0 && words[0] == "sudo" {
		words = words[1:]
		if len(words) > 0 && words[0] == "-n" {
			words = words[1:]
		}
	}
	plain := strings.Join(words, " ")
	for _, f := range forms {
		if plain == strings.TrimPrefix(f, "sudo ") {
			return true
		}
	}
	return false
}

func pingForms(t Target) []string {
	with := "redis-cli -h " + t.IP + " -p " + strconv.Itoa(t.Port)
	forms := []string{with + " PING", with + " ping"}
	if t.Port == 6379 {
		forms = append([]string{"redis-cli -h " + t.IP + " PING"}, forms...)
	}
	if ip := net.ParseIP(t.IP); ip != nil && ip.IsLoopback() {
		forms = append(forms, "redis-cli -p "+strconv.Itoa(t.Port)+" PING", "redis-cli PING")
	}
	return forms
}

// verbForms lists how a verb on a unit may be written, the document's way first.
func verbForms(v host.Verb, unit string) []string {
	var forms []string
	for _, name := range []string{strings.TrimSuffix(unit, ".service"), unit} {
		switch v {
		case host.VerbShow:
			forms = append(forms, "systemctl status "+name, "systemctl show "+name)
		case host.VerbIsActive:
			forms = append(forms, "systemctl is-active "+name)
		case host.VerbJournal:
			forms = append(forms, "journalctl -u "+name+" -n {lines} --no-pager", "journalctl -u "+name+" -n {lines}")
		case host.VerbKill:
			forms = append(forms, "sudo systemctl kill --kill-who=main --signal=SIGKILL "+name)
		default:
			forms = append(forms, "sudo systemctl "+string(v)+" "+name)
		}
	}
	return forms
}
