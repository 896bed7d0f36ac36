package audit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/store"
	"github.com/redis-medic/redis-medic/remediator/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m, appendForever) }

// appendForever is the child: it appends from several writers and prints each record when it is acknowledged.
func appendForever(dir string) error {
	ctx := context.Background()
	s, err := store.Open(ctx, store.Options{Dir: filepath.Join(dir, "data"), Logger: zerolog.Nop()})
	if err != nil {
		return err
	}
	l, err := audit.New(ctx, audit.Options{
		Store: s, Key: testKey, File: audit.FileOptions{Path: filepath.Join(dir, "audit", "audit.log"), MaxSizeMB: 1, Rotate: true, Backups: 50},
		Logger: zerolog.Nop(), CheckpointEvery: 20,
	})
	if err != nil {
		return err
	}
	acked := make(chan audit.Record)
	failed := make(chan error)
	for range 8 {
		go func() {
			for {
				r, err := l.Append(ctx, big())
				if err != nil {
					failed <- err
					return
				}
				acked <- r
			}
		}()
	}
	for {
		select {
		case r := <-acked:
			line, err := json.Marshal([]any{r.Seq, r.Hash})
			if err != nil {
				return err
			}
			fmt.Fprintln(os.Stdout, string(line))
		case err := <-failed:
			return err
		}
	}
}

// A process that is killed in the middle of appends has lost nothing that it acknowledged, in the store nor in the file, and
// the chain goes on.
func TestKilledProcessKeepsItsChain(t *testing.T) {
	b := &bench{tb: t, dir: t.TempDir()}
	b.opts = audit.Options{
		Key: testKey, Logger: zerolog.Nop(),
		File: audit.FileOptions{Path: filepath.Join(b.dir, "audit", "audit.log"), MaxSizeMB: 1, Rotate: true, Backups: 50},
	}
	acked := map[int64]string{}
	for round := range 4 {
		child := storetest.Start(t, b.dir)
		child.Lines(t, 100+100*round, func(line string) {
			var got [2]any
			if err := json.Unmarshal([]byte(line), &got); err != nil {
				t.Fatal(err)
			}
			acked[int64(got[0].(float64))] = got[1].(string)
		})
		child.Kill()
		b.open()
		if h := b.log.Health(); !h.OK {
			t.Errorf("round %d: health %+v", round, h)
		}
		last := b.append(sample())
		acked[last.Seq] = last.Hash
		stored := map[int64]string{}
		if err := b.store.WalkAudit(t.Context(), 1, func(r store.AuditRow) error {
			stored[r.Seq] = r.Hash
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for seq, hash := range acked {
			if stored[seq] != hash {
				t.Errorf("round %d: record %d was acknowledged and is gone or another", round, seq)
			}
		}
		if r := b.mustVerify(); r.Last != last.Seq {
			t.Errorf("round %d: store %+v", round, r)
		}
		if r := b.verifyFiles(); !r.OK || r.Records != last.Seq {
			t.Errorf("round %d: files %+v", round, r)
		}
		b.close()
	}
}
