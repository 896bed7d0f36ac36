package audit

import (
	"bytes"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"
)

// maxCheckpointBytes is when the checkpoint file is thinned out: about four thousand checkpoints.
const maxCheckpointBytes = 1 << 20

// Checkpoint is a signed statement that the chain had Seq records, the last with Hash. A chain by itself cannot show that its
// newest records were cut off; a checkpoint beyond the end does.
type Checkpoint struct {
	Chain string    `json:"chain"`
	Seq   int64     `json:"seq"`
	Hash  string    `json:"hash"`
	Time  time.Time `json:"timestamp"`
	MAC   string    `json:"mac"`
}

func (c Checkpoint) body() []byte {
	return fmt.Appendf(nil, "%q %d %s %s", c.Chain, c.Seq, c.Hash, c.Time.UTC().Format(time.RFC3339Nano))
}

func cutTail(last int64, cp Checkpoint) string {
	return fmt.Sprintf("the newest record is %d, but a checkpoint of %s signs record %d: the tail was cut",
		last, cp.Time.UTC().Format(time.RFC3339), cp.Seq)
}

// checkpoints is the file of signed checkpoints; the zero path keeps none but still logs them.
type checkpoints struct {
	path string
	sign sealer
	log  zerolog.Logger
	last Checkpoint
	due  time.Time // when records that no checkpoint covers must be covered; zero: there are none
}

func newCheckpoints(path string, key []byte, log zerolog.Logger) *checkpoints {
	return &checkpoints{path: path, sign: newSealer(key, "checkpoint"), log: log}
}

func (c *checkpoints) load() error {
	all, err := readCheckpoints(c.path, c.sign)
	if len(all) > 0 {
		c.last = all[len(all)-1]
	}
	return err
}

// readCheckpoints returns the checkpoints of a file whose signature is good, in its order. Half a line at the end is ignored.
func readCheckpoints(path string, sign sealer) ([]Checkpoint, error) {
	if path == "" {
		return nil, nil
	}
	var all []Checkpoint
	bad := 0
	err := eachLine(path, func(line []byte) error {
		var cp Checkpoint
		if json.Unmarshal(line, &cp) != nil || !hmac.Equal([]byte(cp.MAC), []byte(sign.mac(cp.body()))) {
			bad++
			return nil
		}
		all = append(all, cp)
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
	cp := Checkpoint{Chain: l.opts.Chain, Seq: l.head.seq, Hash: l.head.hash, Time: l.opts.Now().UTC().Truncate(timePrecision)}
	cp.MAC = c.sign.mac(cp.body())
	if err := c.write(cp); err != nil {
		l.metrics.failures.WithLabelValues(sinkCheckpoint).Inc()
		l.log.Error().Err(err).Msg("audit checkpoint could not be written")
		c.due = time.Now().Add(l.opts.CheckpointAfter)
		return
	}
	c.last, c.due = cp, time.Time{}
	l.log.Info().Str("chain", cp.Chain).Int64("seq", cp.Seq).Str("hash", cp.Hash).Time("timestamp", cp.Time).Str("mac", cp.MAC).Msg("audit checkpoint")
}

func (c *checkpoints) write(cp Checkpoint) error {
	if c.path == "" {
		return nil
	}
	line, err := json.Marshal(cp)
	if err != nil {
		return fmt.Errorf("encode checkpoint: %w", err)
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
// stay covered.
func (c *checkpoints) thin() error {
	text, err := os.ReadFile(c.path)
	if err != nil {
		return fmt.Errorf("thin out checkpoints: %w", err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	var keep []byte
	for i, line := range lines {
		if i >= len(lines)/2 || i%10 == 0 {
			keep = append(keep, line...)
		}
	}
	tmp := c.path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("thin out checkpoints: %w", err)
	}
	_, err = f.Write(keep)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(tmp, c.path)
	}
	if err != nil {
		return fmt.Errorf("thin out checkpoints: %w", errors.Join(err, remove(tmp)))
	}
	return syncDir(filepath.Dir(c.path))
}
