package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/remediator/store"
)

// maxCheckpointBytes is when the checkpoint file is thinned out: about four thousand checkpoints.
const maxCheckpointBytes = 1 << 20

// Checkpoint is a signed statement that the chain had Seq records, the last with Hash. A chain by itself cannot show that its
// newest records were cut off; a checkpoint beyond the end does. Nor can it show that it was written anew by somebody who has the
// sealing key; the signature (ed25519) shows that.
type Checkpoint struct {
	Chain     string    `json:"chain"`
	Seq       int64     `json:"seq"`
	Hash      string    `json:"hash"`
	Time      time.Time `json:"timestamp"`
	Start     bool      `json:"start,omitempty"` // the records up to Seq were removed when their time was over: the kept chain follows it
	Key       string    `json:"key"`             // KeyID of the signing key
	Signature []byte    `json:"signature"`
}

func (c Checkpoint) body() []byte {
	return fmt.Appendf(nil, "redis-medic audit checkpoint\n%q %d %s %s %t", c.Chain, c.Seq, c.Hash, c.Time.UTC().Format(time.RFC3339Nano), c.Start)
}

func (c Checkpoint) signedBy(keys []ed25519.PublicKey) bool {
	return slices.ContainsFunc(keys, func(k ed25519.PublicKey) bool { return ed25519.Verify(k, c.body(), c.Signature) })
}

func cutTail(last int64, cp Checkpoint) string {
	return fmt.Sprintf("the newest record is %d, but a checkpoint of %s signs record %d: the tail was cut",
		last, cp.Time.UTC().Format(time.RFC3339), cp.Seq)
}

// checkpoints is the file of signed checkpoints; the zero path keeps none but still logs them.
type checkpoints struct {
	path   string
	signer ed25519.PrivateKey
	keys   []ed25519.PublicKey // believed
	log    zerolog.Logger
	last   Checkpoint
	start  Checkpoint // the newest with Start
	due    time.Time  // when records that no checkpoint covers must be covered; zero: there are none
}

func (c *checkpoints) load(ctx context.Context, db store.Audit) error {
	all, err := readCheckpoints(c.path, c.keys)
	for _, cp := range all {
		c.took(cp)
	}
	shared, serr := readShared(ctx, db, c.keys)
	for _, cp := range shared {
		if cp.Seq <= c.last.Seq && !cp.Start || cp.Seq <= c.start.Seq && cp.Start {
			continue
		}
		// Another machine signed this one: our file lacks it.
		c.took(cp)
		line, jerr := json.Marshal(cp)
		if jerr == nil {
			jerr = c.write(line)
		}
		serr = errors.Join(serr, jerr)
	}
	return errors.Join(err, serr)
}

func (c *checkpoints) took(cp Checkpoint) {
	switch {
	case cp.Start && cp.Seq >= c.start.Seq:
		c.start = cp
	case !cp.Start && cp.Seq >= c.last.Seq:
		c.last = cp
	}
}

// sign makes a checkpoint for a record.
func (c *checkpoints) sign(chain string, at head, now time.Time, start bool) Checkpoint {
	cp := Checkpoint{Chain: chain, Seq: at.seq, Hash: at.hash, Time: now.UTC().Truncate(timePrecision), Start: start, Key: KeyID(publicOf(c.signer))}
	cp.Signature = ed25519.Sign(c.signer, cp.body())
	return cp
}

// readCheckpoints returns the checkpoints of a file whose signature is good, in its order. Half a line at the end is ignored, and
// so is what is no checkpoint at all: the log of a syslog daemon will do.
func readCheckpoints(path string, keys []ed25519.PublicKey) ([]Checkpoint, error) {
	if path == "" {
		return nil, nil
	}
	var all []Checkpoint
	bad := 0
	err := eachLine(path, func(line []byte) error {
		var cp Checkpoint
		brace := max(0, bytes.IndexByte(line, '{')) // a syslog daemon writes time and host before it
		switch {
		case !bytes.Contains(line, []byte(`"signature":`)):
		case json.Unmarshal(line[brace:], &cp) != nil || !cp.signedBy(keys):
			bad++
		default:
			all = append(all, cp)
		}
		return nil
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil && !errors.Is(err, errTorn):
		return all, fmt.Errorf("read checkpoints: %w", err)
	case bad > 0:
		return all, fmt.Errorf("read checkpoints: %d in %s were changed, or were signed with another key", bad, path)
	}
	return all, nil
}

// checkpoint signs head when enough records or time have passed since the last one, or when any record has and now is true.
func (l *Log) checkpoint(now bool) {
	c := l.cps
	fresh := l.head.seq - c.last.Seq
	if fresh <= 0 {
		return
	}
	if c.due.IsZero() {
		c.due = time.Now().Add(l.opts.CheckpointAfter)
	}
	if !now && fresh < int64(l.opts.CheckpointEvery) && time.Now().Before(c.due) {
		return
	}
	if err := l.writeCheckpoint(c.sign(l.opts.Chain, l.head, l.opts.Now(), false)); err != nil {
		c.due = time.Now().Add(l.opts.CheckpointAfter)
		return
	}
	c.due = time.Time{}
}

// writeCheckpoint makes a checkpoint durable and tells it to the logs, which another machine may keep.
func (l *Log) writeCheckpoint(cp Checkpoint) error {
	line, err := json.Marshal(cp)
	if err != nil {
		return fmt.Errorf("encode checkpoint: %w", err)
	}
	if err := l.cps.write(line); err != nil {
		l.metrics.failures.WithLabelValues(sinkCheckpoint).Inc()
		l.log.Error().Err(err).Msg("audit checkpoint could not be written")
		return err
	}
	l.cps.took(cp)
	if err := putShared(context.Background(), l.opts.Store, cp, line); err != nil {
		l.log.Warn().Err(err).Msg("audit checkpoint is in its file, but not in the store")
	}
	if l.forward != nil {
		l.forward.checkpoint(line)
	}
	l.log.Info().RawJSON("checkpoint", line).Msg("audit checkpoint")
	return nil
}

func (c *checkpoints) write(line []byte) error {
	if c.path == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(c.path), 0o750); err != nil {
		return fmt.Errorf("create directory of checkpoints: %w", err)
	}
	f, err := os.OpenFile(c.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open checkpoints: %w", err)
	}
	size, err := c.append(f, append(line, '\n'))
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	if size > maxCheckpointBytes {
		return c.thin()
	}
	return nil
}

// append writes a line behind the last whole one and returns the new size.
func (c *checkpoints) append(f *os.File, line []byte) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	_, end, err := lastLine(f, info.Size())
	if err != nil {
		return 0, err
	}
	if err := f.Truncate(end); err != nil {
		return 0, err
	}
	if _, err := f.Write(line); err != nil {
		return 0, errors.Join(err, f.Truncate(end))
	}
	return end + int64(len(line)), f.Sync()
}

// thin keeps the newer half of the checkpoints and every tenth of the older half, so that the file stays small and old records
// stay covered. The newest that says where the kept chain starts stays too.
func (c *checkpoints) thin() error {
	text, err := os.ReadFile(c.path)
	if err != nil {
		return fmt.Errorf("thin out checkpoints: %w", err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	start := -1
	for i, line := range lines {
		if bytes.Contains(line, []byte(`"start":true`)) {
			start = i
		}
	}
	var keep []byte
	for i, line := range lines {
		if i >= len(lines)/2 || i%10 == 0 || i == start {
			keep = append(keep, line...)
		}
	}
	if err := replaceFile(c.path, keep, 0o600); err != nil {
		return fmt.Errorf("thin out checkpoints: %w", err)
	}
	return nil
}
