package host

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Listener is a listening TCP socket.
type Listener struct {
	Address string `json:"address"` // without the port and the interface: "127.0.0.1", "::1", "*"
	Port    int    `json:"port"`
	Process string `json:"process"` // of the first owner; empty when it is not visible to us
	PID     int    `json:"pid"`
}

var socketOwner = regexp.MustCompile(`\(\("([^"]{1,64})",pid=(\d+)`)

// ParseListeners reads the output of "ss -Hltnp". Lines of another form are left out.
func ParseListeners(out string) []Listener {
	var list []Listener
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 5 || fields[0] != "LISTEN" {
			continue
		}
		colon := strings.LastIndexByte(fields[3], ':')
		if colon < 0 {
			continue
		}
		port, err := strconv.ParseUint(fields[3][colon+1:], 10, 16)
		if err != nil {
			continue
		}
		address, _, _ := strings.Cut(strings.Trim(fields[3][:colon], "[]"), "%")
		l := Listener{Address: Printable(address, 64), Port: int(port)}
		if m := socketOwner.FindStringSubmatch(line); m != nil {
			l.Process, l.PID = Printable(m[1], 64), showInt(m[2])
		}
		list = append(list, l)
	}
	return list
}

// Disk is the room in one file system.
type Disk struct {
	Path       string `json:"path"` // where it is mounted
	Size       uint64 `json:"size_bytes"`
	Free       uint64 `json:"free_bytes"` // what an ordinary user may still use
	Inodes     uint64 `json:"inodes"`     // 0: the file system has no fixed number of them
	InodesFree uint64 `json:"inodes_free"`
}

// ParseDisk reads the output of "df --output=target,size,avail,itotal,iavail --block-size=1". Lines of another form, such as the
// heading, are left out, and so is a file system that came already.
func ParseDisk(out string) []Disk {
	var list []Disk
	seen := map[string]bool{}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		n := len(fields)
		if n < 5 {
			continue
		}
		// The target comes first and may hold spaces: the numbers are counted from the end.
		size, err1 := strconv.ParseUint(fields[n-4], 10, 64)
		free, err2 := strconv.ParseUint(fields[n-3], 10, 64)
		path := Printable(strings.Join(fields[:n-4], " "), 255)
		if err1 != nil || err2 != nil || seen[path] {
			continue
		}
		seen[path] = true
		d := Disk{Path: path, Size: size, Free: free}
		// "-" where there are no inodes.
		d.Inodes, _ = strconv.ParseUint(fields[n-2], 10, 64)
		d.InodesFree, _ = strconv.ParseUint(fields[n-1], 10, 64)
		list = append(list, d)
	}
	return list
}

// Load is how busy a machine is. A nil field was not said.
type Load struct {
	One         *float64 `json:"load_1m"`
	Five        *float64 `json:"load_5m"`
	Fifteen     *float64 `json:"load_15m"`
	MemTotal    *uint64  `json:"memory_total_bytes"`
	MemFree     *uint64  `json:"memory_available_bytes"`
	SwapTotal   *uint64  `json:"swap_total_bytes"`
	SwapFree    *uint64  `json:"swap_free_bytes"`
	UptimeHours *float64 `json:"uptime_hours"`
}

// ParseLoad reads /proc/loadavg, /proc/meminfo and /proc/uptime, one after the other. What cannot be read stays nil.
func ParseLoad(out string) Load {
	var l Load
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		switch {
		case len(f) == 5 && l.One == nil:
			l.One, l.Five, l.Fifteen = number(f[0]), number(f[1]), number(f[2])
		case len(f) == 3 && f[2] == "kB":
			at := map[string]**uint64{"MemTotal:": &l.MemTotal, "MemAvailable:": &l.MemFree, "SwapTotal:": &l.SwapTotal, "SwapFree:": &l.SwapFree}[f[0]]
			if n, err := strconv.ParseUint(f[1], 10, 50); err == nil && at != nil {
				*at = new(n << 10)
			}
		case len(f) == 2 && l.UptimeHours == nil:
			if n := number(f[0]); n != nil {
				l.UptimeHours = new(*n / 3600)
			}
		}
	}
	return l
}

func number(s string) *float64 {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) || n < 0 {
		return nil
	}
	return &n
}

// ParseLines makes a text safe to store and to show: its lines without what a terminal could act on, at most most of them, the last
// ones. Empty lines are left out.
func ParseLines(out string, most int) []string {
	var lines []string
	for line := range strings.Lines(out) {
		if line = Printable(strings.TrimRight(line, "\r\n"), maxLine); line != "" {
			lines = append(lines, line)
		}
	}
	return lines[max(0, len(lines)-most):]
}

// maxLine bounds one line of ParseLines, in bytes.
const maxLine = 1000

// ProcStat is the beginning of /proc/PID/stat.
type ProcStat struct {
	PID   int
	Name  string
	State byte // R, S, D (waits for a device), T (stopped by a signal), t (traced), Z (dead, not yet collected)
}

// Stopped reports whether the process was stopped by a signal or a debugger: it does nothing until it is continued.
func (p ProcStat) Stopped() bool { return p.State == 'T' || p.State == 't' }

var errNotStat = errors.New("not the stat line of a process")

// ParseProcStat reads a line of /proc/PID/stat. The name stands in parentheses and may hold any character, those too.
func ParseProcStat(out string) (ProcStat, error) {
	pid, rest, ok := strings.Cut(out, " (")
	end := strings.LastIndex(rest, ") ")
	if !ok || end < 0 || len(rest) < end+3 {
		return ProcStat{}, errNotStat
	}
	p := ProcStat{PID: showInt(pid), Name: Printable(rest[:end], 64), State: rest[end+2]}
	if p.PID <= 0 || (p.State|0x20) < 'a' || (p.State|0x20) > 'z' {
		return ProcStat{}, errNotStat
	}
	return p, nil
}

// Listeners lists the listening TCP sockets of the service's host with their owners.
func (f *Fleet) Listeners(ctx context.Context, service string) ([]Listener, error) {
	res, err := f.Run(ctx, service, VerbListeners, 0)
	if err != nil {
		return nil, err
	}
	return ParseListeners(res.Stdout), nil
}

// Disks returns the room in the file systems of the service's data folder and of the host's root.
func (f *Fleet) Disks(ctx context.Context, service string) ([]Disk, error) {
	res, err := f.Run(ctx, service, VerbDisk, 0)
	if err != nil {
		return nil, err
	}
	return ParseDisk(res.Stdout), nil
}

// Clock returns by how much the host's clock is ahead of ours, give or take half of the time that the question took.
func (f *Fleet) Clock(ctx context.Context, service string) (ahead, precision time.Duration, err error) {
	asked := time.Now()
	res, err := f.Run(ctx, service, VerbClock, 0)
	if err != nil {
		return 0, 0, err
	}
	took := time.Since(asked)
	theirs, err := ParseClock(res.Stdout)
	if err != nil {
		return 0, 0, fmt.Errorf("clock of the host of %q: %w", service, err)
	}
	return theirs.Sub(asked.Add(took / 2)), took / 2, nil
}

var errNotClock = errors.New("not a time in seconds since 1970")

// ParseClock reads what "date +%s.%N" prints.
func ParseClock(out string) (time.Time, error) {
	whole, fraction, ok := strings.Cut(strings.TrimSpace(out), ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	ns, err2 := strconv.ParseUint(fraction, 10, 64)
	if !ok || err != nil || err2 != nil || len(fraction) != 9 || sec < 0 || sec > 1<<40 {
		return time.Time{}, errNotClock
	}
	return time.Unix(sec, int64(ns)), nil //nolint:gosec // nine digits fit
}

// Rights lists the commands that the account may run as root without a password, as sudo -l shows them.
func (f *Fleet) Rights(ctx context.Context, service string) ([]string, error) {
	res, err := f.Run(ctx, service, VerbRights, 0)
	if err != nil {
		return nil, err
	}
	return ParseRights(res.Stdout), nil
}

// ParseRights reads the commands out of what "sudo -l" prints: lines like "(root) NOSETENV: NOPASSWD: /usr/bin/systemctl start x".
// Commands that need a password are left out.
func ParseRights(out string) []string {
	var list []string
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		_, commands, ok := strings.Cut(line, "NOPASSWD: ")
		if !ok || !strings.HasPrefix(line, "(") {
			continue
		}
		for command := range strings.SplitSeq(commands, ", ") {
			command = strings.ReplaceAll(command, `\`, "") // sudo escapes "=", ":" and "," in what it shows
			list = append(list, strings.Join(strings.Fields(command), " "))
		}
	}
	return list
}

// ProcState returns the state of the unit's main process.
func (f *Fleet) ProcState(ctx context.Context, service string) (ProcStat, error) {
	res, err := f.Run(ctx, service, VerbProcState, 0)
	if err != nil {
		return ProcStat{}, err
	}
	p, err := ParseProcStat(res.Stdout)
	if err != nil {
		return ProcStat{}, fmt.Errorf("state of the main process of %q: %w", service, err)
	}
	return p, nil
}
