package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/remediator/store"
)

const (
	forwardRetry    = time.Second // after a failure, doubled up to retryMax
	forwardFlush    = 2 * time.Second
	keptCheckpoints = 100 // that wait to be forwarded; the newest say all
)

// forwarder copies records out of the store to a log daemon, in their order, each at least once. It is no sink: Append never waits
// for it, and what it could not deliver it delivers later. Its methods are safe for concurrent use, pass is not.
type forwarder struct {
	to       *sender
	db       store.Audit
	log      zerolog.Logger
	metrics  *metrics
	position string        // file that remembers sent; empty: none
	wake     chan struct{} // holds one: there may be something new
	sent     atomic.Int64
	saved    int64     // owned by pass, as is savedAt
	savedAt  time.Time // when the position was written

	mu      sync.Mutex // guards the fields below
	waiting [][]byte   // checkpoints
	state   SinkHealth
}

// newForwarder goes on behind the record that was delivered last, or begins behind newest where that is not known.
func newForwarder(opts Options, m *metrics) (*forwarder, error) {
	to, err := newSender(opts.Forward)
	if err != nil {
		return nil, err
	}
	f := &forwarder{
		to: to, db: opts.Store, log: opts.Logger, metrics: m, wake: make(chan struct{}, 1), state: SinkHealth{Name: sinkForward, OK: true},
	}
	if opts.File.Path != "" {
		f.position = opts.File.Path + ".forwarded"
	}
	return f, nil
}

// begin reads where the last run of the program ended.
func (f *forwarder) begin(newest int64) {
	at := newest
	text, err := os.ReadFile(f.position)
	if err == nil {
		var seq int64
		if seq, err = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && seq >= 0 {
			at = min(seq, newest)
		}
	}
	if err != nil && f.position != "" && !errors.Is(err, fs.ErrNotExist) {
		f.log.Warn().Err(err).Msg("where the forwarding of audit records stood is not known, going on with the next one")
	}
	f.sent.Store(at)
	f.saved = at
}

// notify says that there may be a new record.
func (f *forwarder) notify() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// checkpoint takes a checkpoint along: kept by another machine, it shows what was changed here.
func (f *forwarder) checkpoint(line []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiting = append(f.waiting, line); len(f.waiting) > keptCheckpoints {
		f.waiting = f.waiting[1:]
	}
}

// run forwards until ctx ends.
func (f *forwarder) run(ctx context.Context) {
	pause := forwardRetry
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		}
		err := f.pass(ctx)
		f.report(err)
		if err == nil {
			pause = forwardRetry
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
			pause = min(2*pause, retryMax)
			f.notify()
		}
	}
}

// close delivers what is left, for a moment, and hangs up.
func (f *forwarder) close() {
	ctx, cancel := context.WithTimeout(context.Background(), forwardFlush)
	defer cancel()
	f.report(f.pass(ctx))
	f.savePosition(true)
	f.to.close()
}

// pass delivers everything that was not delivered yet.
func (f *forwarder) pass(ctx context.Context) error {
	err := f.db.WalkAudit(ctx, f.sent.Load()+1, func(r store.AuditRow) error {
		if err := f.to.send(ctx, recordMessage(r)); err != nil {
			return err
		}
		f.sent.Store(r.Seq)
		return ctx.Err()
	})
	f.savePosition(false)
	for err == nil {
		line := f.nextCheckpoint()
		if line == nil {
			return nil
		}
		if err = f.to.send(ctx, message{severity: severityNotice, at: time.Now(), line: line}); err == nil {
			f.dropCheckpoint()
		}
	}
	return fmt.Errorf("forward audit records to %s: %w", f.to.target, err)
}

func (f *forwarder) nextCheckpoint() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waiting) == 0 {
		return nil
	}
	return f.waiting[0]
}

func (f *forwarder) dropCheckpoint() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = f.waiting[1:]
}

// savePosition remembers what was delivered, not more often than once a second: after a crash some records come twice.
func (f *forwarder) savePosition(now bool) {
	sent := f.sent.Load()
	if f.position == "" || sent == f.saved || !now && time.Since(f.savedAt) < time.Second {
		return
	}
	f.savedAt = time.Now()
	if err := replaceFile(f.position, []byte(strconv.FormatInt(sent, 10)+"\n"), 0o600); err != nil {
		f.log.Warn().Err(err).Msg("where the forwarding of audit records stands could not be written down")
		return
	}
	f.saved = sent
}

// report notes a change between working and failing.
func (f *forwarder) report(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch was := f.state; {
	case err == nil && !was.OK:
		f.log.Info().Int64("seq", f.sent.Load()).Msg("audit records are forwarded again")
		f.state = SinkHealth{Name: sinkForward, OK: true}
	case err != nil:
		f.metrics.forwardFailures.Inc()
		if was.OK {
			f.log.Error().Err(err).Msg("audit records cannot be forwarded, they will be later")
			was.Since = time.Now()
		}
		f.state = SinkHealth{Name: sinkForward, Error: err.Error(), Since: was.Since}
	}
}

func (f *forwarder) health() SinkHealth {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// recordMessage is a record on its way to a log daemon.
func recordMessage(r store.AuditRow) message {
	m := message{severity: severityInfo, at: r.Time, seq: r.Seq, line: r.JSON}
	switch Phase(r.Phase) {
	case PhaseDenied:
		m.severity = severityWarning
	case PhaseOutcome:
		if !r.Success {
			m.severity = severityError
		}
	}
	// Where a datagram has no room for a long record, this says which one it was.
	m.short, _ = json.Marshal(map[string]any{"seq": r.Seq, "hash": r.Hash, "chain": r.Chain, "truncated": true}) // cannot fail
	return m
}
