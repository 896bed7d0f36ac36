// Package host owns the way to a Redis host: one kept SSH connection per host, typed verbs with a fixed argv, deadlines on
// dial, handshake and every command, and errors classified where they happen. No string of a request can reach a command line.
// It refuses to decide: it reads, it runs a verb, it says what came back.
package host

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/redis-medic/redis-medic/exporter/health"
)

// Verb is something that can be done on a host.
type Verb string

// The closed list of verbs. Over the gate (deploy/host) the command sent is "v1 <verb> <unit> [argument]"; without it the
// fixed argv of Argv.
const (
	VerbShow        Verb = "show"         // systemctl show of the properties we read
	VerbIsActive    Verb = "is-active"    // systemctl is-active
	VerbStart       Verb = "start"        // sudo systemctl start
	VerbStop        Verb = "stop"         // sudo systemctl stop
	VerbRestart     Verb = "restart"      // sudo systemctl restart
	VerbReload      Verb = "reload"       // sudo systemctl reload
	VerbResetFailed Verb = "reset-failed" // sudo systemctl reset-failed
	VerbContinue    Verb = "continue"     // sudo systemctl kill --kill-who=main --signal=SIGCONT
	VerbKill        Verb = "kill"         // sudo systemctl kill --kill-who=main --signal=SIGKILL
	VerbJournal     Verb = "journal"      // the unit's journal, newest N entries, JSON lines
	VerbRedisLog    Verb = "redis-log"    // the last N lines of Redis's own log file
	VerbProcState   Verb = "proc"         // /proc/<main pid>/stat
	VerbListeners   Verb = "listeners"    // listening TCP sockets with their owners
	VerbDisk        Verb = "disk"         // free space and inodes of Redis's folders
	VerbLoad        Verb = "load"         // load, memory and uptime of the machine
	VerbPackages    Verb = "packages"     // the newest lines of dpkg's log
	VerbBoots       Verb = "boots"        // when the machine was started
	VerbBus         Verb = "bus"          // systemd-stdio-bridge: the system D-Bus over the session
	VerbClock       Verb = "clock"        // the host's time, in seconds since 1970 with fractions
	VerbRights      Verb = "rights"       // sudo -l: what the account may do as root, one line each
	// The last known good configuration, which the host keeps by itself. Both print a unified diff without secrets; a refusal is
	// of class command and says why.
	VerbConfigDiff    Verb = "config-diff"    // how the present configuration differs from it, and whether it could be put back
	VerbConfigRestore Verb = "config-restore" // put it back; only while the unit is down
	VerbConfigShow    Verb = "config-show"    // the present configuration without secrets, and the files around it with their times
)

// keeper is the program of the host package that keeps and puts back configurations.
const keeper = "/usr/local/sbin/redis-medic-config"

// Verbs lists every Verb.
func Verbs() []Verb {
	return []Verb{
		VerbShow, VerbIsActive, VerbStart, VerbStop, VerbRestart, VerbReload, VerbResetFailed, VerbContinue, VerbKill,
		VerbJournal, VerbRedisLog, VerbProcState, VerbListeners, VerbDisk, VerbBus, VerbConfigDiff, VerbConfigRestore,
		VerbConfigShow, VerbLoad, VerbPackages, VerbBoots, VerbClock, VerbRights,
	}
}

// Changes reports whether a verb changes the host. Such a verb needs a durable intent first.
func (v Verb) Changes() bool {
	switch v {
	case VerbStart, VerbStop, VerbRestart, VerbReload, VerbResetFailed, VerbContinue, VerbKill, VerbConfigRestore:
		return true
	default:
		return false
	}
}

// MaxLines bounds the argument of VerbJournal and VerbRedisLog.
const MaxLines = 1000

// Command is one verb on one unit.
type Command struct {
	Verb  Verb
	Unit  Unit
	Lines int // VerbJournal, VerbRedisLog: 1..MaxLines
	PID   int // VerbProcState: the unit's main PID; > 0
}

// Unit is a systemd unit that we may act on, with the paths that belong to it. It comes from the configuration only.
type Unit struct {
	Name    string // "redis-server.service"
	LogFile string // Redis's own log file; empty: none
	DataDir string // Redis's data folder; empty: none
}

var (
	unitPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9@_.:-]{0,200}\.service$`)
	pathPattern = regexp.MustCompile(`^/[A-Za-z0-9@_./:-]{1,255}$`)
)

// ErrInvalidCommand is wrapped by every refusal of Argv and GateLine.
var ErrInvalidCommand = errors.New("invalid command")

// ValidateUnit says what is wrong with a unit, or nil.
func ValidateUnit(u Unit) error {
	if !unitPattern.MatchString(u.Name) {
		return fmt.Errorf("%w: unit name %q is not a plain systemd service name", ErrInvalidCommand, u.Name)
	}
	for _, p := range []string{u.LogFile, u.DataDir} {
		if p != "" && (!pathPattern.MatchString(p) || strings.Contains(p, "/../") || strings.HasSuffix(p, "/..")) {
			return fmt.Errorf("%w: path %q is not a plain absolute path", ErrInvalidCommand, p)
		}
	}
	return nil
}

// showProperties are the properties that VerbShow reads; the gate has the same list.
const showProperties = "Id,Type,LoadState,UnitFileState,ActiveState,SubState,Result,StatusText,MainPID,ExecMainCode,ExecMainStatus," +
	"NRestarts,Job,CanReload,InvocationID,Restart,RestartUSec,TimeoutStartUSec,TimeoutStopUSec,StartLimitBurst,StartLimitIntervalUSec," +
	"ActiveEnterTimestamp,InactiveEnterTimestamp,StateChangeTimestamp,MemoryCurrent,CPUUsageNSec,TasksCurrent,TasksMax," +
	"ActiveExitTimestamp,InactiveExitTimestamp,WatchdogUSec,WatchdogTimestamp,IPIngressBytes,IPIngressPackets,IPEgressBytes,IPEgressPackets"

// journalFields are the fields that VerbJournal reads: an entry with all its fields takes five times the space.
const journalFields = "MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_PID"

// validate checks the parts that the verb uses.
func (c Command) validate() error {
	if err := ValidateUnit(c.Unit); err != nil {
		return err
	}
	switch c.Verb {
	case VerbJournal, VerbRedisLog:
		if c.Lines < 1 || c.Lines > MaxLines {
			return fmt.Errorf("%w: %s takes 1 to %d lines, not %d", ErrInvalidCommand, c.Verb, MaxLines, c.Lines)
		}
		if c.Verb == VerbRedisLog && c.Unit.LogFile == "" {
			return fmt.Errorf("%w: unit %s has no log file", ErrInvalidCommand, c.Unit.Name)
		}
	case VerbProcState:
		if c.PID <= 0 {
			return fmt.Errorf("%w: %s takes a positive PID, not %d", ErrInvalidCommand, c.Verb, c.PID)
		}
	}
	return nil
}

// Argv returns the fixed argument vector of a command for a host without the gate. Privileged verbs name the unit without its
// ".service", as the architecture document's sudoers lines do: sudo compares arguments letter by letter.
func (c Command) Argv() ([]string, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	short := strings.TrimSuffix(c.Unit.Name, ".service")
	sudo := func(args ...string) []string { return append([]string{"sudo", "-n", "systemctl"}, args...) }
	switch c.Verb {
	case VerbShow:
		// TZ: timestamps come in the host's zone, whose abbreviation names no offset. LC_ALL: words are parsed, not shown.
		return []string{"env", "LC_ALL=C", "TZ=UTC", "systemctl", "show", "--no-pager", "--property=" + showProperties, c.Unit.Name}, nil
	case VerbIsActive:
		return []string{"systemctl", "is-active", c.Unit.Name}, nil
	case VerbStart, VerbStop, VerbRestart, VerbReload, VerbResetFailed:
		return sudo(string(c.Verb), short), nil
	case VerbContinue:
		return sudo("kill", "--kill-who=main", "--signal=SIGCONT", short), nil
	case VerbKill:
		return sudo("kill", "--kill-who=main", "--signal=SIGKILL", short), nil
	case VerbJournal:
		return []string{
			"journalctl", "--no-pager", "--output=json", "--output-fields=" + journalFields,
			"--unit=" + c.Unit.Name, "--lines=" + strconv.Itoa(c.Lines),
		}, nil
	case VerbRedisLog:
		return []string{"tail", "--lines=" + strconv.Itoa(c.Lines), c.Unit.LogFile}, nil
	case VerbProcState:
		return []string{"cat", "/proc/" + strconv.Itoa(c.PID) + "/stat"}, nil
	case VerbListeners:
		return []string{"sudo", "-n", "ss", "-Hltnp"}, nil
	case VerbDisk:
		return diskArgv(c.Unit), nil
	case VerbBus:
		return []string{"systemd-stdio-bridge"}, nil
	case VerbClock:
		return []string{"date", "+%s.%N"}, nil
	case VerbRights:
		return []string{"sudo", "-n", "-l"}, nil
	case VerbLoad:
		return []string{"cat", "/proc/loadavg", "/proc/meminfo", "/proc/uptime"}, nil
	case VerbPackages:
		return []string{"tail", "--lines=50", "/var/log/dpkg.log"}, nil
	case VerbBoots:
		return []string{"journalctl", "--no-pager", "--list-boots"}, nil
	case VerbConfigDiff, VerbConfigRestore, VerbConfigShow:
		return []string{"sudo", "-n", keeper, strings.TrimPrefix(string(c.Verb), "config-"), short}, nil
	}
	return nil, fmt.Errorf("%w: unknown verb %q", ErrInvalidCommand, c.Verb)
}

// tokenPattern is the set of characters that no shell gives a meaning to. Every token of a command must match it, so that
// joining them with spaces needs no quoting.
var tokenPattern = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// ShellLine returns the command line for a host without the gate: the tokens of Argv, joined.
func (c Command) ShellLine() (string, error) {
	argv, err := c.Argv()
	if err != nil {
		return "", err
	}
	for _, token := range argv {
		if !tokenPattern.MatchString(token) {
			return "", fmt.Errorf("%w: token %q", ErrInvalidCommand, token)
		}
	}
	return strings.Join(argv, " "), nil
}

func diskArgv(u Unit) []string {
	argv := []string{"df", "--output=target,size,avail,itotal,iavail", "--block-size=1"}
	if u.DataDir != "" {
		argv = append(argv, u.DataDir)
	}
	return append(argv, "/")
}

// GateLine returns the command line for a host with the gate: "v1 <verb> <unit> [argument]".
func (c Command) GateLine() (string, error) {
	if err := c.validate(); err != nil {
		return "", err
	}
	line := "v1 " + string(c.Verb) + " " + c.Unit.Name
	switch c.Verb {
	case VerbJournal, VerbRedisLog:
		line += " " + strconv.Itoa(c.Lines)
	case VerbProcState:
		line += " " + strconv.Itoa(c.PID)
	}
	return line, nil
}

// Error is a classified failure of the way to the host or of a command on it.
type Error struct {
	Class  health.ErrorClass
	Host   string
	Verb   Verb
	Public string // safe to show: no remote output, no path
	Sent   bool   // the command had been handed to the host: if it did not report back, its outcome is unknown
	Cause  error  // for log and audit
}

// Error implements error.
func (e *Error) Error() string {
	what := string(e.Verb)
	if what == "" {
		what = "connect"
	}
	if e.Cause == nil {
		return fmt.Sprintf("%s on %s: %s", what, e.Host, e.Public)
	}
	return fmt.Sprintf("%s on %s: %s: %v", what, e.Host, e.Public, e.Cause)
}

// Unwrap returns the private cause.
func (e *Error) Unwrap() error { return e.Cause }

// ClassOf returns the class of a host error, or health.ClassNone for other errors and nil.
func ClassOf(err error) health.ErrorClass {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return health.ClassNone
}
