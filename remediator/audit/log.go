package audit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/remediator/store"
)

// Errors of Append. They are wrapped; use errors.Is.
var (
	// ErrUnavailable says that no sink could record: a person's act must be refused, an automatic one must not happen.
	ErrUnavailable = errors.New("audit log is unavailable")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("audit log is closed")
	// ErrOutcomeUnknown accompanies a context error when the caller stopped waiting for a record that was already being written.
	ErrOutcomeUnknown = errors.New("outcome of the audit write is unknown")
)

const (
	maxBatch               = 256  // records that share an fsync
	queueSize              = 4096 // records that wait; further callers wait for a place
	writeTimeout           = 5 * time.Second
	retryAfter             = time.Second // a sink that failed is left alone for so long while the other one works
	retryMax               = 30 * time.Second
	maintainEvery          = time.Second
	defaultCheckpointEvery = 1000
	defaultCheckpointAfter = 10 * time.Second
	defaultChain           = "redis-medic"
)

// Options are the settings of a Log. Store and Key are required.
type Options struct {
	Store  store.Audit
	File   FileOptions
	Key    []byte // HMAC key of at least 32 bytes: LoadOrCreateKey
	Chain  string // name of the chain, part of every record; empty: redis-medic
	Logger zerolog.Logger
	Now    func() time.Time // nil: time.Now
	// Signer signs checkpoints: LoadOrCreateSigner. Without one a key is derived from Key, and then whoever has Key can sign too.
	Signer ed25519.PrivateKey
	// Believed are further public keys whose checkpoints are believed: those of before a change of the key.
	Believed []ed25519.PublicKey

	// Checkpoints is the file of signed checkpoints; empty: File.Path with .checkpoints added. Keep it on another disk, or
	// ship the log lines that say the same, if a cut tail has to be found even when an intruder can write to all files here.
	Checkpoints string
	// Forward is a log daemon that gets a copy of every record and checkpoint: journald, syslog, udp://host:port, tcp://host:port;
	// empty: none. It is no sink: a copy that cannot be delivered refuses nothing and is delivered later.
	Forward         string
	Retention       time.Duration // how long the store keeps a record; 0: for ever. The files follow their own rotation
	CheckpointEvery int64         // records; 0 means 1000
	CheckpointAfter time.Duration // after the first record that no checkpoint covers; 0 means 10 s
}

// Log is the audit log. All methods are safe for concurrent use. Append works from New to Close; Run adds what has to happen
// while nothing is appended: checkpoints in time and the repair of a sink that failed.
type Log struct {
	opts    Options
	log     zerolog.Logger
	records sealer
	metrics *metrics
	cps     *checkpoints
	forward *forwarder    // nil: none
	slots   chan struct{} // one per record that waits or is being written

	mu      sync.Mutex // guards the fields below, up to the blank line
	pending []*entry
	working bool // a goroutine is writing batches
	closed  bool
	view    Health // what Health and Verify see

	workers sync.WaitGroup
	turn    sync.Mutex // held by whoever writes to the sinks; guards the fields below
	head    head
	store   storeSink
	file    *fileSink // nil: no file
	problem string    // a fault of the chain found at start, for Health
}

// head is the newest record.
type head struct {
	seq  int64
	hash string
}

// entry is a record on its way.
type entry struct {
	rec  Record
	done chan error // holds one result
}

// New opens the log and continues the chain from the newest record that the store or the file holds. It starts no goroutine.
// The caller must Close it; the store stays the caller's.
func New(ctx context.Context, opts Options) (*Log, error) {
	if opts.Store == nil {
		return nil, errors.New("open audit log: no store given")
	}
	if len(opts.Key) < keyLen {
		return nil, fmt.Errorf("open audit log: the key has %d bytes, at least %d are needed", len(opts.Key), keyLen)
	}
	opts = withDefaults(opts)
	l := &Log{
		opts: opts, log: opts.Logger, records: newSealer(opts.Key, "record"), metrics: newMetrics(),
		slots: make(chan struct{}, queueSize), store: storeSink{db: opts.Store},
	}
	if opts.File.Path != "" {
		l.file = &fileSink{file: newFile(opts.File, opts.Logger)}
	}
	l.cps = &checkpoints{path: opts.Checkpoints, signer: opts.Signer, keys: l.keys().public(), log: opts.Logger}
	if opts.Forward != "" {
		var err error
		if l.forward, err = newForwarder(opts, l.metrics); err != nil {
			return nil, fmt.Errorf("open audit log: %w", err)
		}
	}
	if err := l.resume(ctx); err != nil {
		if l.file != nil {
			err = errors.Join(err, l.file.shut())
		}
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	return l, nil
}

// keys are those with which this log can be verified.
func (l *Log) keys() Keys {
	return Keys{Seal: l.opts.Key, Public: append([]ed25519.PublicKey{publicOf(l.opts.Signer)}, l.opts.Believed...)}
}

func withDefaults(o Options) Options {
	if o.Signer == nil {
		o.Signer = derivedSigner(o.Key)
	}
	if o.Chain == "" {
		o.Chain = defaultChain
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Checkpoints == "" && o.File.Path != "" {
		o.Checkpoints = o.File.Path + ".checkpoints"
	}
	if o.CheckpointEvery <= 0 {
		o.CheckpointEvery = defaultCheckpointEvery
	}
	if o.CheckpointAfter <= 0 {
		o.CheckpointAfter = defaultCheckpointAfter
	}
	return o
}

// Append records r and returns it as it was recorded: with time, sequence number and hashes, and with its strings cleaned. It
// returns when the store and the file hold it durably; a sink that fails is counted and reported by Health, and one that
// works is enough. Errors: ErrUnavailable, ErrClosed, and ctx's, with ErrOutcomeUnknown when it may still be recorded.
func (l *Log) Append(ctx context.Context, r Record) (Record, error) {
	began := time.Now()
	e := &entry{rec: clean(r), done: make(chan error, 1)}
	select {
	case l.slots <- struct{}{}:
	case <-ctx.Done():
		return Record{}, fmt.Errorf("append audit record: %w", ctx.Err())
	}
	if err := l.enqueue(e); err != nil {
		return Record{}, fmt.Errorf("append audit record: %w", err)
	}
	select {
	case err := <-e.done:
		l.metrics.duration.Observe(time.Since(began).Seconds())
		if err != nil {
			return Record{}, fmt.Errorf("append audit record: %w", err)
		}
		return e.rec, nil
	case <-ctx.Done():
		if l.withdraw(e) {
			return Record{}, fmt.Errorf("append audit record: %w", ctx.Err())
		}
		return Record{}, fmt.Errorf("append audit record: %w: %w", ErrOutcomeUnknown, ctx.Err())
	}
}

// enqueue hands an entry to the worker and starts one when there is none. The worker ends when nothing waits; Close waits for it.
func (l *Log) enqueue(e *entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		<-l.slots
		return ErrClosed
	}
	l.pending = append(l.pending, e)
	if !l.working {
		l.working = true
		l.workers.Go(l.work)
	}
	return nil
}

// withdraw takes an entry back that no worker has taken yet.
func (l *Log) withdraw(e *entry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.pending, e)
	if i < 0 {
		return false
	}
	l.pending = slices.Delete(l.pending, i, i+1)
	<-l.slots
	return true
}

func (l *Log) work() {
	for {
		batch := l.next()
		if batch == nil {
			return
		}
		err := l.write(batch)
		for _, e := range batch {
			e.done <- err
			<-l.slots
		}
	}
}

func (l *Log) next() []*entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.pending), maxBatch)
	if n == 0 {
		l.working = false
		return nil
	}
	batch := slices.Clone(l.pending[:n])
	l.pending = slices.Delete(l.pending, 0, n)
	return batch
}

// Run writes checkpoints in time, brings a sink that failed up to date again, forwards records and removes those whose time is
// over, until ctx ends.
func (l *Log) Run(ctx context.Context) error {
	var forwarding sync.WaitGroup
	defer forwarding.Wait()
	if l.forward != nil {
		forwarding.Go(func() { l.forward.run(ctx) })
	}
	tick := time.NewTicker(maintainEvery)
	defer tick.Stop()
	pruneAt := time.Now()
	for {
		select {
		case now := <-tick.C:
			l.maintain()
			if now.Before(pruneAt) {
				continue
			}
			switch more, err := l.prune(ctx); {
			case err != nil && ctx.Err() == nil:
				l.log.Error().Err(err).Msg("audit records whose time is over stay for now")
				pruneAt = now.Add(retryMax)
			case !more:
				pruneAt = now.Add(pruneEvery)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// maintain is one round of Run.
func (l *Log) maintain() {
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.isClosed() {
		return
	}
	l.heal(context.Background())
	l.checkpoint(false)
	l.publish()
}

func (l *Log) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// Close refuses further records, waits for those that were accepted and writes a last checkpoint. It is safe to call twice.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.mu.Unlock()
	l.workers.Wait()
	l.turn.Lock()
	defer l.turn.Unlock()
	// A sink that works again, and was to be tried later, gets what it lacks now.
	l.store.retry = time.Time{}
	if l.file != nil {
		l.file.retry = time.Time{}
	}
	l.heal(context.Background())
	l.checkpoint(true)
	if l.forward != nil {
		l.forward.close()
	}
	if l.file == nil {
		return nil
	}
	if err := l.file.shut(); err != nil {
		return fmt.Errorf("close audit file: %w", err)
	}
	return nil
}
