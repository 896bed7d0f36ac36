package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/redis-medic/redis-medic/remediator/audit"
)

// big is a record of about four kilobytes.
func big() audit.Record {
	r := sample()
	r.Details = map[string]string{}
	for i := range 4 {
		r.Details[fmt.Sprint("k", i)] = strings.Repeat("x", 1000)
	}
	return r
}

// fillMB appends about n megabytes.
func (b *bench) fillMB(n int) {
	b.tb.Helper()
	b.appendMany(n*256, big())
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestRotationKeepsAVerifiableChain(t *testing.T) {
	b := newBench(t, func(o *audit.Options) { o.File.MaxSizeMB, o.File.Backups = 1, 3 })
	b.fillMB(3)
	if r := b.verifyFiles(); !r.OK || r.First != 1 {
		t.Fatalf("files %+v", r)
	}
	b.fillMB(4)
	b.reopen() // waits for the compression
	got := names(t, filepath.Dir(b.opts.File.Path))
	want := []string{"audit.log", "audit.log.1.gz", "audit.log.2.gz", "audit.log.3.gz", "audit.log.checkpoints"}
	if !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
	for _, name := range got {
		info, err := os.Stat(filepath.Join(filepath.Dir(b.opts.File.Path), name))
		if err != nil || info.Mode().Perm() != 0o600 || info.Size() > 1<<20 {
			t.Errorf("%s: mode %04o, %d bytes, %v", name, info.Mode().Perm(), info.Size(), err)
		}
	}
	if info, err := os.Stat(filepath.Dir(b.opts.File.Path)); err != nil || info.Mode().Perm()&0o027 != 0 {
		t.Errorf("mode of the directory: %v, %v", info.Mode(), err)
	}
	r := b.verifyFiles()
	if !r.OK || r.First == 1 || r.Last != b.mustVerify().Last {
		t.Errorf("files %+v", r)
	}
	// A whole file that is missing in the middle is a gap.
	if err := os.Remove(b.opts.File.Path + ".2.gz"); err != nil {
		t.Fatal(err)
	}
	if r := b.verifyFiles(); r.OK || !strings.Contains(r.Problem, "missing") {
		t.Errorf("without a file in the middle: %+v", r)
	}
}

func TestWithoutRotationTheFileGrowsAndLogrotateMayMoveIt(t *testing.T) {
	b := newBench(t, func(o *audit.Options) { o.File.MaxSizeMB, o.File.Rotate = 1, false })
	b.fillMB(2)
	path := b.opts.File.Path
	if info, err := os.Stat(path); err != nil || info.Size() < 2<<20 {
		t.Fatalf("%v, %v", info.Size(), err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	b.append(sample())
	if r := b.verifyFiles(); !r.OK || r.First != 1 || r.Last != b.mustVerify().Last {
		t.Errorf("after a move: %+v", r)
	}
	if err := os.Truncate(path, 0); err != nil { // logrotate's copytruncate
		t.Fatal(err)
	}
	last := b.append(sample())
	if r, err := audit.VerifyFiles(testKeys, "", path); err != nil || !r.OK || r.Last != last.Seq {
		t.Errorf("after a truncation: %+v, %v", r, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	last = b.append(sample())
	if r, err := audit.VerifyFiles(testKeys, "", path); err != nil || !r.OK || r.Last != last.Seq {
		t.Errorf("after a removal: %+v, %v", r, err)
	}
}

// A directory in the way of rotation must not cost a record.
func TestAFailedRotationWritesOn(t *testing.T) {
	b := newBench(t, func(o *audit.Options) { o.File.MaxSizeMB, o.File.Backups = 1, 1 })
	if err := os.MkdirAll(filepath.Join(b.opts.File.Path+".1", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	b.fillMB(2)
	if h := b.log.Health(); !h.OK {
		t.Errorf("health %+v", h)
	}
	if r, err := audit.VerifyFiles(testKeys, "", b.opts.File.Path); err != nil || !r.OK || r.Records != b.log.Health().LastSeq {
		t.Errorf("files %+v, %v", r, err)
	}
}

// What a crash between rename and compression leaves is finished at the next start.
func TestLeftOverRotationIsFinished(t *testing.T) {
	b := newBench(t)
	b.appendMany(5, sample())
	b.close()
	path := b.opts.File.Path
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	b.open()
	b.append(sample())
	b.reopen()
	if _, err := os.Stat(path + ".1.gz"); err != nil {
		t.Error(err)
	}
	if r := b.verifyFiles(); !r.OK || r.Records != 6 || !b.log.Health().OK {
		t.Errorf("files %+v", r)
	}
}

// rewrite changes the lines of the closed log's file.
func (b *bench) rewrite(change func(lines [][]byte) [][]byte) {
	b.tb.Helper()
	text, err := os.ReadFile(b.opts.File.Path)
	if err != nil {
		b.tb.Fatal(err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	lines = change(lines[:len(lines)-1])
	if err := os.WriteFile(b.opts.File.Path, bytes.Join(lines, nil), 0o600); err != nil {
		b.tb.Fatal(err)
	}
}

func TestStartBringsBothSinksTogether(t *testing.T) {
	dropCheckpoints := func(b *bench) { os.Remove(b.opts.File.Path + ".checkpoints") }
	for name, test := range map[string]struct {
		damage  func(*bench)
		problem string // for Health; empty: all is well
		aside   bool   // the file was set aside
		records int64  // in the file afterwards
		lost    bool   // the store cannot verify any more
		broken  bool   // nor can the file
	}{
		"nothing happened":          {func(*bench) {}, "", false, 21, false, false},
		"the store lost its tail":   {func(b *bench) { b.tamper(`DELETE FROM audit WHERE seq > 12`) }, "", false, 21, false, false},
		"the store lost everything": {func(b *bench) { b.tamper(`DELETE FROM audit`) }, "", false, 21, false, false},
		"the file lost its tail":    {func(b *bench) { b.rewrite(func(l [][]byte) [][]byte { return l[:12] }) }, "", false, 21, false, false},
		"half a line at the end": {func(b *bench) {
			b.rewrite(func(l [][]byte) [][]byte { return append(l[:19], l[19][:30]) })
		}, "", false, 21, false, false},
		"only half a line": {func(b *bench) { b.rewrite(func(l [][]byte) [][]byte { return [][]byte{l[0][:30]} }) }, "", false, 1, false, false},
		"the file is gone": {func(b *bench) { os.Remove(b.opts.File.Path) }, "", false, 1, false, false},
		"an empty file after rotation": {func(b *bench) {
			if err := errors.Join(os.Rename(b.opts.File.Path, b.opts.File.Path+".1"), os.WriteFile(b.opts.File.Path, nil, 0o600)); err != nil {
				b.tb.Fatal(err)
			}
		}, "", false, 21, false, false},
		"the store lost what is in a rotated file": {func(b *bench) {
			if err := os.Rename(b.opts.File.Path, b.opts.File.Path+".1"); err != nil {
				b.tb.Fatal(err)
			}
			b.tamper(`DELETE FROM audit WHERE seq > 12`)
		}, "", false, 21, false, false},
		"both lost their tail": {func(b *bench) {
			b.tamper(`DELETE FROM audit WHERE seq > 12`)
			b.rewrite(func(l [][]byte) [][]byte { return l[:12] })
		}, "tail was cut", false, 13, true, false},
		"both lost their tail, and the file of checkpoints is gone": {func(b *bench) {
			b.tamper(`DELETE FROM audit WHERE seq > 12`)
			b.rewrite(func(l [][]byte) [][]byte { return l[:12] })
			dropCheckpoints(b)
		}, "tail was cut", false, 13, true, false},
		"both lost their tail and all checkpoints": {func(b *bench) {
			b.tamper(`DELETE FROM audit WHERE seq > 12`, `DELETE FROM documents WHERE kind = 'audit_checkpoint'`)
			b.rewrite(func(l [][]byte) [][]byte { return l[:12] })
			dropCheckpoints(b)
		}, "", false, 13, false, false},
		"the newest record of the store was changed": {func(b *bench) { b.tamper(`UPDATE audit SET user_id = 'x' WHERE seq = 20`) }, "columns", false, 21, true, false},
		"the newest line of the file was changed": {func(b *bench) {
			b.rewrite(func(l [][]byte) [][]byte {
				l[19] = bytes.Replace(l[19], []byte(`"redis"`), []byte(`"cache"`), 1)
				return l
			})
		}, "newest line", true, 1, false, false},
		"a file of another chain, as long": {func(b *bench) { b.foreignFile(20) }, "does not belong", true, 1, false, false},
		"a file of another chain, shorter": {func(b *bench) { b.foreignFile(10) }, "does not belong", true, 1, false, false},
		"a file of another chain, longer":  {func(b *bench) { b.foreignFile(30) }, "does not belong", true, 1, false, false},
		"the file is ahead with a gap": {func(b *bench) {
			b.tamper(`DELETE FROM audit WHERE seq > 12`)
			b.rewrite(func(l [][]byte) [][]byte { return append(l[:14:14], l[16:]...) })
		}, "neither", false, 19, true, true},
		"the file is ahead and was changed": {func(b *bench) {
			b.tamper(`DELETE FROM audit WHERE seq > 12`)
			b.rewrite(func(l [][]byte) [][]byte {
				l[15] = bytes.Replace(l[15], []byte(`"redis"`), []byte(`"cache"`), 1)
				return l
			})
		}, "changed", false, 20, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.appendMany(20, sample())
			b.close()
			test.damage(b)
			b.open()
			h := b.log.Health()
			if test.problem == "" && (h.Problem != "" || !h.OK) || !strings.Contains(h.Problem, test.problem) || !h.Recording {
				t.Errorf("health %+v, want problem %q", h, test.problem)
			}
			last := b.append(sample())
			aside, err := filepath.Glob(b.opts.File.Path + ".aside-*")
			if err != nil || (len(aside) == 1) != test.aside {
				t.Errorf("set aside: %v, want %v", aside, test.aside)
			}
			if r, err := b.log.Verify(t.Context()); err != nil || r.OK == test.lost {
				t.Errorf("store %+v, %v; want ok %v", r, err, !test.lost)
			}
			paths, err := audit.Files(b.opts.File.Path)
			if err != nil {
				t.Fatal(err)
			}
			r, err := audit.VerifyFiles(testKeys, "", paths...)
			if err != nil || r.Records != test.records || r.Last != last.Seq || r.OK == test.broken {
				t.Errorf("files %+v, %v; want %d records", r, err, test.records)
			}
			if test.lost || test.aside {
				return
			}
			b.reopen() // a second start has nothing to do
			if h := b.log.Health(); !h.OK || h.LastSeq != last.Seq {
				t.Errorf("after a second start %+v", h)
			}
		})
	}
}

// foreignFile replaces the file by one of another chain with the same key.
func (b *bench) foreignFile(n int) {
	b.tb.Helper()
	other := newBench(b.tb)
	other.appendMany(n, sample())
	other.close()
	text, err := os.ReadFile(other.opts.File.Path)
	if err != nil {
		b.tb.Fatal(err)
	}
	if err := os.WriteFile(b.opts.File.Path, text, 0o600); err != nil {
		b.tb.Fatal(err)
	}
}
