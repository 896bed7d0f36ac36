package host

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
)

// maxStatusText bounds the unit's own status text, in bytes.
const maxStatusText = 300

// errNotShow is returned for output that is not of systemctl show.
var errNotShow = errors.New("no unit state in the output of systemctl show")

// ParseShow reads the output of "systemctl show". Missing and unknown properties are tolerated, but a unit without LoadState or
// ActiveState is an error: an empty answer must never pass for a state. Timestamps must be in UTC; others stay zero.
func ParseShow(out string) (health.Unit, error) {
	props := make(map[string]string, 32)
	for line := range strings.Lines(out) {
		key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		if _, seen := props[key]; ok && !seen {
			props[key] = value
		}
	}
	if props["LoadState"] == "" || props["ActiveState"] == "" {
		return health.Unit{}, errNotShow
	}
	u := health.Unit{
		Name:               props["Id"],
		Type:               props["Type"],
		LoadState:          props["LoadState"],
		UnitFileState:      props["UnitFileState"],
		ActiveState:        props["ActiveState"],
		SubState:           props["SubState"],
		Result:             props["Result"],
		StatusText:         Printable(props["StatusText"], maxStatusText),
		MainPID:            showInt(props["MainPID"]),
		ExecMainCode:       showExitCode(props["ExecMainCode"]),
		ExecMainStatus:     showInt(props["ExecMainStatus"]),
		NRestarts:          showUint32(props["NRestarts"]),
		JobID:              showUint32(props["Job"]),
		CanReload:          props["CanReload"] == "yes",
		InvocationID:       props["InvocationID"],
		Restart:            props["Restart"],
		RestartDelay:       ParseSpan(props["RestartUSec"]),
		TimeoutStart:       ParseSpan(props["TimeoutStartUSec"]),
		TimeoutStop:        ParseSpan(props["TimeoutStopUSec"]),
		StartLimitBurst:    showInt(props["StartLimitBurst"]),
		StartLimitInterval: ParseSpan(props["StartLimitIntervalUSec"]),
		ActiveEnter:        ParseTimestamp(props["ActiveEnterTimestamp"]),
		InactiveEnter:      ParseTimestamp(props["InactiveEnterTimestamp"]),
		StateChange:        ParseTimestamp(props["StateChangeTimestamp"]),
		ActiveExit:         ParseTimestamp(props["ActiveExitTimestamp"]),
		InactiveExit:       ParseTimestamp(props["InactiveExitTimestamp"]),
		Watchdog:           watchdog(ParseSpan(props["WatchdogUSec"])),
		WatchdogPing:       ParseTimestamp(props["WatchdogTimestamp"]),
		MemoryBytes:        showCounter(props["MemoryCurrent"]),
		Tasks:              showCounter(props["TasksCurrent"]),
		TasksMax:           showCounter(props["TasksMax"]),
		IP: ipTraffic(showCounter(props["IPIngressBytes"]), showCounter(props["IPIngressPackets"]),
			showCounter(props["IPEgressBytes"]), showCounter(props["IPEgressPackets"])),
	}
	if ns := showCounter(props["CPUUsageNSec"]); ns != nil && *ns <= math.MaxInt64 {
		u.CPUTime = time.Duration(*ns)
	}
	return u, nil
}

func showInt(s string) int {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 {
		return 0
	}
	return int(n)
}

// showUint32 reads a number; of a job ("1234", or "1234 /org/...") the first word counts.
func showUint32(s string) uint32 {
	word, _, _ := strings.Cut(strings.TrimSpace(s), " ")
	n, err := strconv.ParseUint(word, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// showCounter reads a 64-bit number; "[not set]", "infinity" and the largest value mean that there is none.
func showCounter(s string) *uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == math.MaxUint64 {
		return nil
	}
	return &n
}

// showExitCode reads a SIGCHLD code, which systemctl prints as a number.
func showExitCode(s string) int {
	switch s {
	case "exited":
		return 1
	case "killed":
		return 2
	case "dumped":
		return 3
	}
	return showInt(s)
}

// spanUnits are systemd's units of time. Months and years are systemd's own averages.
var spanUnits = map[string]time.Duration{
	"y": 31557600 * time.Second, "month": 2629800 * time.Second, "w": 7 * 24 * time.Hour, "d": 24 * time.Hour,
	"h": time.Hour, "min": time.Minute, "s": time.Second, "ms": time.Millisecond, "us": time.Microsecond, "μs": time.Microsecond,
}

// ParseSpan reads a span as systemctl prints it: "1min 30s", "100ms", "1.5s", "infinity". A bare number is microseconds. What
// cannot be read, and a span that systemd did not say, is 0; longer than a Duration can hold is health.Infinite.
func ParseSpan(s string) time.Duration {
	s = strings.TrimSpace(s)
	switch s {
	case "infinity":
		return health.Infinite
	case "", "[not set]":
		return 0
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return microseconds(n)
	}
	total := 0.0
	for word := range strings.FieldsSeq(s) {
		split := strings.IndexFunc(word, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if split <= 0 {
			return 0
		}
		n, err := strconv.ParseFloat(word[:split], 64)
		unit, known := spanUnits[word[split:]]
		if err != nil || !known {
			return 0
		}
		total += n * float64(unit)
	}
	if total >= float64(math.MaxInt64) {
		return health.Infinite
	}
	return time.Duration(math.Round(total))
}

// microseconds converts systemd's usec_t.
func microseconds(n uint64) time.Duration {
	if n > math.MaxInt64/1000 {
		return health.Infinite
	}
	return time.Duration(n) * time.Microsecond
}

// timestampLayouts are the forms in which systemctl prints a UTC time. The command asks for UTC, because the abbreviation of
// another zone does not name an offset.
var timestampLayouts = []string{"Mon 2006-01-02 15:04:05 UTC", "Mon 2006-01-02 15:04:05.999999 UTC", "Mon 2006-01-02 15:04:05 -07"}

// ParseTimestamp reads a timestamp of systemctl: "Mon 2026-11-23 18:00:00 UTC", "@1795456800", microseconds since the epoch, or
// "n/a" and 0 for never. What cannot be read is the zero time.
func ParseTimestamp(s string) time.Time {
	s = strings.TrimSpace(s)
	if sec, ok := strings.CutPrefix(s, "@"); ok {
		n, err := strconv.ParseInt(sec, 10, 64)
		if err != nil || n <= 0 || n > math.MaxInt64/1_000_000 {
			return time.Time{}
		}
		return time.Unix(n, 0).UTC()
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return usecTime(n)
	}
	for _, layout := range timestampLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// usecTime converts a systemd realtime timestamp; 0 and the largest value mean never.
func usecTime(n uint64) time.Time {
	if n == 0 || n > math.MaxInt64 {
		return time.Time{}
	}
	return time.UnixMicro(int64(n)).UTC()
}
