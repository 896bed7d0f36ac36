package host

import (
	"errors"
	"fmt"
	"strings"

	"github.com/redis-medic/redis-medic/exporter/health"
)

// gateRefused is the exit code with which the gate refuses a line; the shell uses it for a program that may not be run.
const gateRefused = 126

// deniedWords are what sudo, polkit and the kernel say when they refuse, in the C locale. A line that begins with "sudo:" is
// taken for a refusal in any language.
var deniedWords = []string{
	"a password is required", "not allowed", "not in the sudoers file", "may not run sudo", "a terminal is required",
	"interactive authentication required", "access denied", "permission denied", "insufficient permissions",
}

// keeperWords say what the exit codes of redis-medic-config mean. sudo's own is 1.
var keeperWords = map[int]string{
	2: "the host keeps no configuration of this unit",
	3: "the host has no last known good configuration",
	4: "the configuration is the last known good one already",
	5: "the unit is not down, so its configuration is left alone",
	6: "the host does not know the unit's configuration file",
	7: "the last known good configuration differs in role, data or access, so a person has to decide",
}

// judge says whether a command that ended failed, by the rules of its verb.
func (c *Client) judge(verb Verb, r Result) *Error {
	if r.ExitCode == 0 {
		// Asked for JSON, journalctl ends well and says nothing at all when it may read nothing. A unit that ran has entries.
		if verb == VerbJournal && !strings.Contains(r.Stdout, "{") {
			return c.judged(health.ClassDenied, "the journal shows nothing of the unit; our user on the host may not be allowed to read it", r)
		}
		return nil
	}
	if words := keeperWords[r.ExitCode]; words != "" && strings.HasPrefix(string(verb), "config-") {
		return c.judged(health.ClassCommand, words, r)
	}
	switch {
	case verb == VerbIsActive && isUnitState(strings.TrimSpace(r.Stdout)):
		return nil // is-active answers with its exit code
	case r.ExitCode == gateRefused, saysDenied(r.Stderr):
		return c.judged(health.ClassDenied, "the host refused the command", r)
	case strings.Contains(r.Stdout+r.Stderr, "account is currently not available"):
		return c.judged(health.ClassAuth, "our user on the host may not log in", r)
	case strings.Contains(r.Stderr, "Failed to connect to bus"):
		return c.judged(health.ClassCommand, "systemd on the host cannot be asked: its bus is down", r)
	case r.ExitCode == 127, strings.HasPrefix(r.Stderr, "sudo: ") && strings.Contains(r.Stderr, "command not found"):
		return c.judged(health.ClassCommand, "a program that the command needs is missing on the host", r)
	default:
		return c.judged(health.ClassCommand, "the command failed on the host", r)
	}
}

func (c *Client) judged(class health.ErrorClass, public string, r Result) *Error {
	e := c.fail(class, public, errors.New(exitText(r)))
	e.Sent = true
	return e
}

// exitText puts exit code and the beginning of stderr in one line, for log and audit.
func exitText(r Result) string {
	return fmt.Sprintf("exit code %d: %s", r.ExitCode, Printable(strings.TrimSpace(r.Stderr), 300))
}

func saysDenied(stderr string) bool {
	if strings.HasPrefix(stderr, "sudo: ") && !strings.Contains(stderr, "command not found") {
		return true
	}
	low := strings.ToLower(stderr)
	for _, words := range deniedWords {
		if strings.Contains(low, words) {
			return true
		}
	}
	return false
}

func isUnitState(s string) bool {
	switch s {
	case "active", "reloading", "inactive", "failed", "activating", "deactivating", "maintenance", "refreshing":
		return true
	}
	return false
}
