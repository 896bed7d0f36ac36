package controlapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis-medic/redis-medic/controlapi/live"
	"github.com/redis-medic/redis-medic/remediator/host"
)

const (
	// followLines is how much of a log is read each time; more than that between two readings is fetched once more, in full.
	followLines = 200
	// followTimeout bounds one reading.
	followTimeout = 20 * time.Second
	// linesPerMessage bounds a message: 4 KiB a line at most.
	linesPerMessage = 100
)

// logMessage is one message of a followed log, oldest line first.
type logMessage struct {
	Type     string    `json:"type"` // always "log"
	Service  string    `json:"service"`
	Lines    []logLine `json:"lines"`
	Snapshot bool      `json:"snapshot,omitempty"` // what was there before
	Gap      bool      `json:"gap,omitempty"`      // lines between these and those before may be missing
	Error    *string   `json:"error"`              // not null: the log cannot be read at the moment; reading goes on
}

// getLogStream follows a service's log. Everything that can be refused is refused before the upgrade, with a status.
func getLogStream(a *API, w http.ResponseWriter, c *call) error {
	if err := a.upgradable(w, c); err != nil {
		return err
	}
	values := c.r.URL.Query()
	q, err := parseLogFilter(values)
	if err != nil {
		return err
	}
	if q.lines, err = intParam(values.Get("lines"), defaultLogLines, 0, host.MaxLines, "lines"); err != nil {
		return err
	}
	if a.conf().Logs == nil {
		return newProblem(http.StatusServiceUnavailable, "logs_unavailable", "Logs cannot be read by this process")
	}
	c.validated = true
	if err := a.granted(c, map[string]string{"lines": strconv.Itoa(q.lines), "follow": "true"}); err != nil {
		return err
	}
	t, err := a.tails.join(c.service.ID)
	if err != nil {
		return err
	}
	left := sync.OnceFunc(func() { a.tails.leave(t) })
	if err := t.readable(c.r.Context()); err != nil {
		left()
		return err
	}
	err = a.hub.Serve(w, c.r, live.Subscription{
		Service: t.stream, User: c.who.ID, Address: c.sourceIP, Check: a.streamCheck(c), Conn: connOf(c.r), Filter: q.level,
		First: func() [][]byte { return t.present(q) }, Left: left,
	})
	if err != nil {
		left()
	}
	return err
}

// tails reads the logs that somebody follows, each once however many do. It is safe for concurrent use.
type tails struct {
	api     *API
	reading sync.WaitGroup

	// mu guards the fields below and each tail's followers.
	mu     sync.Mutex
	closed bool
	made   int
	open   map[string]*tail
}

func newTails(a *API) *tails { return &tails{api: a, open: map[string]*tail{}} }

// tail is the followed log of one service.
type tail struct {
	service   string
	stream    string // its name in the hub; never used again, so that a late reading reaches nobody
	stop      context.CancelFunc
	followers int
	begun     chan struct{} // closed after the first reading

	// mu guards the fields below.
	mu     sync.Mutex
	memory logMemory
	recent []LogEntry // the newest lines, for those who come later
	fault  error      // of the last reading
}

// join adds a follower; it must leave. After the end it refuses with live.ErrClosed.
func (t *tails) join(service string) (*tail, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, live.ErrClosed
	}
	one := t.open[service]
	if one == nil {
		ctx, stop := context.WithCancel(context.Background())
		t.made++
		one = &tail{service: service, stream: fmt.Sprintf("logs/%s/%d", service, t.made), stop: stop, begun: make(chan struct{})}
		t.open[service] = one
		t.reading.Go(func() { t.follow(ctx, one) })
	}
	one.followers++
	return one, nil
}

// leave takes a follower away; with the last one the reading ends.
func (t *tails) leave(one *tail) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if one.followers--; one.followers > 0 {
		return
	}
	one.stop()
	delete(t.open, one.service)
}

// close lets nobody join any more and waits for the readings, which end when the last follower has left.
func (t *tails) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.reading.Wait()
}

// follow reads until the last follower has gone. Polling a bounded window needs no second verb on the host, holds no session open,
// and goes on by itself after the host was away.
func (t *tails) follow(ctx context.Context, one *tail) {
	tick := time.NewTicker(t.api.conf().FollowEvery)
	defer tick.Stop()
	for first := true; ; first = false {
		t.read(ctx, one)
		if first {
			close(one.begun)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// read reads once and posts what is new.
func (t *tails) read(ctx context.Context, one *tail) {
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	logs := t.api.conf().Logs
	first := !one.hasBegun()
	window := followLines
	if first {
		window = host.MaxLines
	}
	entries, err := logs.Logs(ctx, one.service, window)
	fresh, gap := one.memory.next(entries)
	if err == nil && gap && !first {
		// More was written than the window holds, or the file was rotated: look once more, as far back as can be.
		if wider, widerErr := logs.Logs(ctx, one.service, host.MaxLines); widerErr == nil {
			entries = wider
			fresh, gap = one.memory.next(entries)
		}
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return // nobody follows any more
	}
	one.mu.Lock()
	before := one.fault
	one.mu.Unlock()
	message := logMessage{Type: "log", Service: one.service, Lines: []logLine{}, Gap: gap && !first && err == nil}
	if err != nil {
		if before != nil {
			return
		}
		fresh, message.Error = nil, new(problemOf(err).detail)
	}
	commit := func() {
		one.mu.Lock()
		defer one.mu.Unlock()
		one.fault = err
		if err != nil {
			return
		}
		one.memory.take(entries)
		one.recent = append(one.recent, fresh...)
		one.recent = slices.Clone(one.recent[max(0, len(one.recent)-host.MaxLines):])
	}
	changed := (before != nil) != (err != nil)
	t.api.hub.Post(one.stream, commit, func(level string) [][]byte { return message.encode(fresh, logQuery{level: level}, changed) })
}

func (one *tail) hasBegun() bool {
	select {
	case <-one.begun:
		return true
	default:
		return false
	}
}

// readable waits for the first reading and returns the failure of the newest one.
func (one *tail) readable(ctx context.Context) error {
	select {
	case <-one.begun:
	case <-ctx.Done():
		return ctx.Err()
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	return one.fault
}

// present is what a new follower gets first: the newest lines that it asked for.
func (one *tail) present(q logQuery) [][]byte {
	one.mu.Lock()
	defer one.mu.Unlock()
	var lines []LogEntry
	for _, e := range slices.Backward(one.recent) {
		if len(lines) == q.lines {
			break
		}
		if q.shows(e) {
			lines = append(lines, e)
		}
	}
	slices.Reverse(lines)
	return logMessage{Type: "log", Service: one.service, Snapshot: true}.encode(lines, q, true)
}

// encode makes the messages of the lines that pass the filter; none when there is nothing to say, unless it must say something.
func (m logMessage) encode(entries []LogEntry, q logQuery, must bool) [][]byte {
	var lines []logLine
	for _, e := range entries {
		if q.shows(e) {
			lines = append(lines, newLogLine(e))
		}
	}
	if len(lines) == 0 && !must && !m.Gap {
		return nil
	}
	var out [][]byte
	for begun := false; !begun || len(lines) > 0; begun = true {
		n := min(len(lines), linesPerMessage)
		m.Lines = append([]logLine{}, lines[:n]...)
		lines = lines[n:]
		if body, err := json.Marshal(m); err == nil { // strings and booleans only
			out = append(out, body)
		}
		m.Gap = false
	}
	return out
}
