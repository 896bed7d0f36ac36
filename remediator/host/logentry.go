package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // Redis logs in the host's zone, which this machine may not know
)

// LogLevel is the severity of a log entry.
type LogLevel string

// The closed list of log levels, in the words of the architecture document.
const (
	LogDebug   LogLevel = "debug"
	LogInfo    LogLevel = "info"
	LogWarning LogLevel = "warning"
	LogError   LogLevel = "error"
)

// The sources of log entries.
const (
	SourceJournal = "journal"
	SourceRedis   = "redis"
)

// LogEntry is one line of a service's logs. Its message is safe to show: no control characters, bounded.
type LogEntry struct {
	Time    time.Time `json:"timestamp,omitzero"` // zero: the line carries none
	Level   LogLevel  `json:"level"`
	Source  string    `json:"source"` // SourceJournal or SourceRedis
	Message string    `json:"message"`
}

// maxMessage bounds the message of a log entry, in bytes.
const maxMessage = 4096

// ParseJournal reads the output of "journalctl --output=json", one object per line. Lines that are no such object are left out:
// the first one may be cut.
func ParseJournal(out string) []LogEntry {
	var entries []LogEntry
	for line := range strings.Lines(out) {
		var raw struct {
			Time     string          `json:"__REALTIME_TIMESTAMP"`
			Message  json.RawMessage `json:"MESSAGE"`
			Priority json.RawMessage `json:"PRIORITY"`
		}
		if json.Unmarshal([]byte(line), &raw) != nil || raw.Time == "" {
			continue
		}
		usec, err := strconv.ParseUint(raw.Time, 10, 64)
		if err != nil {
			continue
		}
		entries = append(entries, LogEntry{
			Time:    usecTime(usec),
			Level:   journalLevel(journalText(raw.Priority)),
			Source:  SourceJournal,
			Message: Printable(journalText(raw.Message), maxMessage),
		})
	}
	return entries
}

// journalText reads a field of the journal: a string; an array of byte values when it is not plain text; an array of those when
// the entry has the field more than once; null when it was too long for the output.
func journalText(raw json.RawMessage) string {
	if text, ok := journalValue(raw); ok {
		return text
	}
	var many []json.RawMessage
	if json.Unmarshal(raw, &many) == nil && len(many) > 0 {
		text, _ := journalValue(many[0])
		return text
	}
	return ""
}

func journalValue(raw json.RawMessage) (string, bool) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text, true
	}
	var numbers []uint16
	if json.Unmarshal(raw, &numbers) != nil {
		return "", false
	}
	b := make([]byte, 0, len(numbers))
	for _, n := range numbers {
		b = append(b, byte(n))
	}
	return string(b), true
}

func journalLevel(priority string) LogLevel {
	switch priority {
	case "0", "1", "2", "3":
		return LogError
	case "4":
		return LogWarning
	case "7":
		return LogDebug
	default:
		return LogInfo
	}
}

// redisLine is a line of Redis's own log: pid, role, time without a zone, level, message.
var redisLine = regexp.MustCompile(`^(\d+):([A-Z]) (\d{1,2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2}\.\d{3}) ([.*#-]) (.*)$`)

// ParseRedisLog reads lines of Redis's log file. Redis writes the host's local time without naming it: zone says which it is; nil
// is UTC. A line of another form, of a crash report or a refused configuration, takes the time of the line before it.
func ParseRedisLog(out string, zone *time.Location) []LogEntry {
	if zone == nil {
		zone = time.UTC
	}
	var entries []LogEntry
	var last time.Time
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" {
			continue
		}
		e := LogEntry{Time: last, Level: LogInfo, Source: SourceRedis, Message: line}
		if m := redisLine.FindStringSubmatch(line); m != nil {
			if t, err := time.ParseInLocation("2 Jan 2006 15:04:05.000", m[3], zone); err == nil {
				e.Time, last = t.UTC(), t.UTC()
			}
			e.Level, e.Message = redisLevel(m[4], m[5]), m[5]
		} else if strings.Contains(line, "FATAL") || strings.Contains(line, "BUG REPORT") {
			e.Level = LogError
		}
		e.Message = Printable(e.Message, maxMessage)
		entries = append(entries, e)
	}
	return entries
}

// ordinary are the beginnings of what Redis 6 and 7 write with the mark of a warning at every start and stop (server.c): shown as
// warnings they would hide the real ones.
var ordinary = []string{
	"oO0OoO0OoO0Oo ", "Redis version=", "Configuration loaded", "Server initialized", "User requested shutdown",
	"Redis is now ready to exit", "Received SIGTERM",
}

func redisLevel(mark, message string) LogLevel {
	switch mark {
	case ".":
		return LogDebug
	case "#":
		if slices.ContainsFunc(ordinary, func(begin string) bool { return strings.HasPrefix(message, begin) }) {
			return LogInfo
		}
		return LogWarning
	default: // "-" verbose and "*" notice
		return LogInfo
	}
}

// MergeLogs merges entries by time, oldest first, and keeps the newest limit of them. Entries of one source keep their order.
func MergeLogs(limit int, sources ...[]LogEntry) []LogEntry {
	merged := slices.Concat(sources...)
	slices.SortStableFunc(merged, func(a, b LogEntry) int { return a.Time.Compare(b.Time) })
	if over := len(merged) - limit; over > 0 {
		merged = merged[over:]
	}
	return merged
}

// Logs is what could be read of a service's logs.
type Logs struct {
	Entries []LogEntry // oldest first
	// Missing holds the failure of each source that could not be read: no access is not the same as no logs.
	Missing map[string]*Error
}

// Logs reads the newest lines (1 to MaxLines) of the unit's journal and of Redis's own log file and merges them. It fails only
// when no source could be read, with the journal's error.
func (f *Fleet) Logs(ctx context.Context, service string, lines int) (Logs, error) {
	m, ok := f.Member(service)
	if !ok {
		return Logs{}, fmt.Errorf("logs of %q: %w", service, ErrUnknownService)
	}
	return m.Client.Logs(ctx, m.Unit, lines)
}

// Logs is Fleet.Logs for a unit of this host.
func (c *Client) Logs(ctx context.Context, unit Unit, lines int) (Logs, error) {
	type part struct {
		res Result
		err error
	}
	redis := make(chan part, 1)
	go func() {
		if unit.LogFile == "" {
			redis <- part{}
			return
		}
		res, err := c.Run(ctx, Command{Verb: VerbRedisLog, Unit: unit, Lines: lines})
		redis <- part{res, err}
	}()
	logs := Logs{Missing: map[string]*Error{}}
	res, journalErr := c.Run(ctx, Command{Verb: VerbJournal, Unit: unit, Lines: lines})
	journal := ParseJournal(res.Stdout)
	missing(logs.Missing, SourceJournal, journalErr)
	own := <-redis
	missing(logs.Missing, SourceRedis, own.err)
	if journalErr != nil && (own.err != nil || unit.LogFile == "") {
		return Logs{Missing: logs.Missing}, journalErr
	}
	logs.Entries = MergeLogs(lines, journal, ParseRedisLog(own.res.Stdout, c.zone(ctx)))
	return logs, nil
}

func missing(to map[string]*Error, source string, err error) {
	if e, ok := errors.AsType[*Error](err); ok {
		to[source] = e
	}
}
