// Package diagnose owns the question why a unit did not start: it reads what systemd, the journal and Redis's own log said and
// names one cause, with the line that proves it. It is pure. It refuses to name a cause without a proof: then it is unknown.
package diagnose

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/redis-medic/redis-medic/exporter/health"
)

// Cause is why a start failed.
type Cause string

// The closed list of causes (DESIGN section 7).
const (
	ConfigError  Cause = "config_error"
	PortInUse    Cause = "port_in_use"
	DiskFull     Cause = "disk_full"
	OOMKilled    Cause = "oom_killed"
	Permission   Cause = "permission"
	CorruptData  Cause = "corrupt_data"
	Masked       Cause = "unit_masked"
	Missing      Cause = "unit_missing"
	StartTimeout Cause = "start_timeout"
	BadBind      Cause = "bind_address"
	StartLimit   Cause = "start_limit"
	Unknown      Cause = "unknown"
)

// Causes lists every Cause, for the docs and state-set metrics.
func Causes() []Cause {
	return []Cause{ConfigError, PortInUse, DiskFull, OOMKilled, Permission, CorruptData, Masked, Missing, StartTimeout, BadBind, StartLimit, Unknown}
}

// Finding is a diagnosis. A permanent one will not go away by trying again.
type Finding struct {
	Cause     Cause
	Text      string // one sentence, with the name of what is wrong
	Advice    string
	Proof     string // the line that proves it; empty for Unknown
	Permanent bool
}

// Evidence is what a diagnosis rests on, newest lines last. Lines must be of the failed start only: older ones may speak of a
// fault that is long mended.
type Evidence struct {
	Unit     health.Unit
	Journal  []string
	RedisLog []string
	Holder   string // who listens on the service's port: "python3 (pid 4711)"; empty: nobody, or not known
	NoInodes string // where the file system of the data is mounted, if it has no inode left; empty: it has, or not known
}

// pattern is one way in which Redis or systemd says what is wrong.
type pattern struct {
	cause     Cause
	expr      *regexp.Regexp
	text      string
	advice    string
	permanent bool
}

// patterns stand in the order of trust: a config error ends Redis before anything else can go wrong. The words are those of
// Redis 6 and 7 (config.c, server.c, rdb.c, aof.c) and systemd 252.
var patterns = []pattern{
	{PortInUse, regexp.MustCompile(`(?i)bind: address already in use`), "another process holds the port",
		"stop the process that holds the port, or change the port; it is never killed automatically", true},
	{BadBind, regexp.MustCompile(`(?i)bind: cannot assign requested address|could not create server tcp listening socket|failed listening on port`),
		"Redis cannot listen on the address and port that its configuration names", "correct bind and port in redis.conf", true},
	{CorruptData, regexp.MustCompile(`(?i)bad file format reading the append only file|short read or oom loading db|wrong signature trying to load|internal error in rdb reading|unexpected end of file reading the append only file|rdb crc error|unrecoverable error reading`),
		"a data file cannot be read", "copy the data folder first; then use redis-check-rdb or redis-check-aof", true},
	{DiskFull, regexp.MustCompile(`(?i)no space left on device|disk quota exceeded`), "the disk is full", "free disk space", true},
	{Permission, regexp.MustCompile(`(?i)permission denied|can't chdir to|read-only file system|operation not permitted`),
		"Redis may not open a file that it needs", "correct the owner and mode of the file", true},
	{OOMKilled, regexp.MustCompile(`(?i)out of memory: killed process|oom-kill|cannot allocate memory|out of memory allocating`),
		"the kernel ended Redis for want of memory", "give the host more memory, or set maxmemory", false},
}

var (
	fatalConfig = regexp.MustCompile(`FATAL CONFIG FILE ERROR`)
	configAt    = regexp.MustCompile(`(?i)reading the configuration file, at line (\d+)`)
	configLine  = regexp.MustCompile(`>>> '(.*)'`)
	cantOpen    = regexp.MustCompile(`(?i)fatal error, can't open config file '([^']*)'`)
)

// Classify names the cause of a failed start.
func Classify(e Evidence) Finding {
	switch e.Unit.LoadState {
	case "masked":
		return Finding{Masked, "the unit is masked", "unmask the unit when it should run again", "LoadState=masked", true}
	case "not-found", "bad-setting", "error":
		return Finding{Missing, "systemd cannot load the unit", "check the unit's name and file", "LoadState=" + e.Unit.LoadState, true}
	}
	lines := append(append([]string{}, e.Journal...), e.RedisLog...)
	if f, ok := configError(e.Journal); ok {
		return f
	}
	for _, p := range patterns {
		if proof := lastMatch(p.expr, lines); proof != "" {
			return withFacts(Finding{p.cause, p.text, p.advice, proof, p.permanent}, e)
		}
	}
	switch {
	case e.Unit.Result == "oom-kill":
		return Finding{OOMKilled, "the kernel ended Redis for want of memory", "give the host more memory, or set maxmemory", "Result=oom-kill", false}
	case e.Unit.Result == "timeout":
		return Finding{StartTimeout, "Redis was not ready before systemd's start timeout",
			"raise TimeoutStartSec above the time that the data set takes to load", "Result=timeout", true}
	case e.Unit.StartLimited():
		return Finding{StartLimit, "it failed so often that systemd gave up" + ended(e.Unit), "look at the evidence for why it failed", "Result=" + e.Unit.Result, false}
	}
	return Finding{Cause: Unknown, Text: "the reason is not in the unit's state, the journal or the Redis log" + ended(e.Unit), Advice: "look at the evidence"}
}

// ended says how the main process ended (waitid(2): 1 exited, 2 killed, 3 dumped), where that says more than nothing.
func ended(u health.Unit) string {
	switch {
	case u.ExecMainCode == 1 && u.ExecMainStatus != 0:
		if why := setupFailures[u.ExecMainStatus]; why != "" {
			return fmt.Sprintf(" (exit code %d: systemd could not %s)", u.ExecMainStatus, why)
		}
		return fmt.Sprintf(" (the process ended with exit code %d)", u.ExecMainStatus)
	case u.ExecMainCode == 2 && u.ExecMainStatus == 9:
		return " (the process was ended by signal 9, as the kernel does for want of memory, or a person)"
	case u.ExecMainCode == 2 || u.ExecMainCode == 3:
		return fmt.Sprintf(" (the process was ended by signal %d)", u.ExecMainStatus)
	}
	return ""
}

// configError finds Redis's config error block: the banner, the line's number, the line itself and the complaint.
func configError(journal []string) (Finding, bool) {
	at := -1
	for i, l := range journal {
		if fatalConfig.MatchString(l) {
			at = i
		}
		if m := cantOpen.FindStringSubmatch(l); m != nil {
			return Finding{ConfigError, "Redis cannot open its configuration file " + m[1], "restore the file", l, true}, true
		}
	}
	if at < 0 {
		return Finding{}, false
	}
	var line, directive, complaint string
	for _, l := range journal[at+1 : min(at+6, len(journal))] {
		switch {
		case configAt.MatchString(l):
			line = configAt.FindStringSubmatch(l)[1]
		case configLine.MatchString(l):
			directive = withoutSecret(configLine.FindStringSubmatch(l)[1])
		case directive != "" && complaint == "":
			complaint = strings.TrimSpace(l)
		}
	}
	text := "the configuration file has an error"
	if line != "" {
		text += " at line " + line
	}
	if directive != "" {
		text += ": '" + directive + "'"
	}
	if complaint != "" {
		text += " (" + complaint + ")"
	}
	if fields := strings.Fields(directive); len(fields) > 1 && strings.Contains(complaint, "Permission denied") {
		// The line is right, the file behind it is not: another configuration would not help.
		return Finding{Permission, "Redis may not use " + strings.Join(fields[1:], " ") + " (" + fields[0] + " in redis.conf)",
			"correct the owner and mode of the file or folder", ">>> '" + directive + "': " + complaint, true}, true
	}
	return Finding{ConfigError, text, "correct that line of redis.conf, then start the service", journal[at], true}, true
}

// secretLine matches a configuration line whose values may be passwords, also where the directive is misspelt.
var secretLine = regexp.MustCompile(`(?i)^\s*(user\s+\S+|sentinel\s+\S*(?:pas|auth)\S*|\S*(?:pas|auth|secret|token|pwd)\S*)\s+\S.*$`)

// withoutSecret keeps what names the directive and hides its values.
func withoutSecret(line string) string { return secretLine.ReplaceAllString(line, "$1 [redacted]") }

// withFacts adds what the host says of itself to what the log says.
func withFacts(f Finding, e Evidence) Finding {
	switch {
	case f.Cause == PortInUse && e.Holder != "":
		f.Text = "the port is held by " + e.Holder
	case f.Cause == DiskFull && e.NoInodes != "":
		f.Text, f.Advice = "no inode is left on "+e.NoInodes, "remove files there, however small; df -i counts them"
	}
	return f
}

func lastMatch(expr *regexp.Regexp, lines []string) string {
	for _, l := range slices.Backward(lines) {
		if expr.MatchString(l) {
			return l
		}
	}
	return ""
}

// setupFailures are the exit codes with which systemd itself ends a process before the program runs (systemd.exec(5), "Process Exit
// Codes"): those that a unit of Redis is likely to meet.
var setupFailures = map[int]string{
	200: "change to the working directory", 202: "pass its file descriptors on", 203: "execute the program: is it installed, and may it be executed?",
	204: "get memory", 205: "set the limits of the unit", 206: "set the OOM score", 209: "open the standard output", 214: "set the scheduling",
	216: "change to the group: does it exist?", 217: "change to the user: does it exist?", 218: "set the capabilities", 219: "set up the control group",
	226: "set up the unit's sandbox: a folder or the program that it names is missing", 227: "set NoNewPrivileges", 228: "set the system call filter",
	233: "make the run-time folder", 238: "make the state folder", 240: "make the log folder",
}
