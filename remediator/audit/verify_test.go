package audit_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/store"
)

// tamper changes the closed store by SQL, as somebody with access to the file would.
func (b *bench) tamper(statements ...string) {
	b.tb.Helper()
	db, err := sql.Open("sqlite", filepath.Join(b.dir, "data", "redis-medic.db"))
	if err != nil {
		b.tb.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			b.tb.Fatal(err)
		}
	}
}

// verifyStoreOnly opens the store and verifies it without a log, which would repair what it can.
func (b *bench) verifyStoreOnly() audit.Report {
	b.tb.Helper()
	s, err := store.Open(context.Background(), store.Options{Dir: filepath.Join(b.dir, "data"), Logger: zerolog.Nop()})
	if err != nil {
		b.tb.Fatal(err)
	}
	defer s.Close()
	r, err := audit.VerifyStore(context.Background(), s, testKeys, b.opts.File.Path+".checkpoints")
	if err != nil {
		b.tb.Fatal(err)
	}
	return r
}

func TestVerifyFindsEveryChangeOfTheStore(t *testing.T) {
	b := newBench(t)
	b.appendMany(20, sample())
	b.close()
	path := filepath.Join(b.dir, "data", "redis-medic.db")
	if r := b.verifyStoreOnly(); !r.OK || r.Records != 20 || r.Checkpoints != 1 {
		t.Fatalf("untouched: %+v", r)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const columns = "chain, time, service, user_id, user_email, operation, phase, success, hash, json, back"
	copyRow := func(to, from int) string {
		return fmt.Sprintf("INSERT INTO audit (seq, %s) SELECT %d, %s FROM audit WHERE seq = %d", columns, to, columns, from)
	}
	for name, test := range map[string]struct {
		sql   []string
		first int64
		says  string
	}{
		"a byte of the JSON":  {[]string{`UPDATE audit SET json = CAST(replace(CAST(json AS TEXT), '"success":true', '"success":trUe') AS BLOB) WHERE seq = 7`}, 7, "changed"},
		"a value of the JSON": {[]string{`UPDATE audit SET json = CAST(replace(CAST(json AS TEXT), 'admin@example.com', 'other@example.com') AS BLOB) WHERE seq = 8`}, 8, "changed"},
		"a member added":      {[]string{`UPDATE audit SET json = CAST(replace(CAST(json AS TEXT), '"phase"', '"x":1,"phase"') AS BLOB) WHERE seq = 8`}, 8, "changed"},
		"no JSON":             {[]string{`UPDATE audit SET json = X'' WHERE seq = 3`}, 3, "does not end in its hash"},
		"a column":            {[]string{`UPDATE audit SET user_id = 'somebody' WHERE seq = 9`}, 9, "columns"},
		"the time column":     {[]string{`UPDATE audit SET time = time + 1000 WHERE seq = 9`}, 9, "columns"},
		"the hash column":     {[]string{`UPDATE audit SET hash = 'x' WHERE seq = 9`}, 9, "columns"},
		"a row deleted":       {[]string{`DELETE FROM audit WHERE seq = 5`}, 5, "missing"},
		"rows deleted":        {[]string{`DELETE FROM audit WHERE seq BETWEEN 5 AND 8`}, 5, "5 to 8 are missing"},
		"the first deleted":   {[]string{`DELETE FROM audit WHERE seq <= 2`}, 1, "1 to 2 are missing"},
		"the tail cut":        {[]string{`DELETE FROM audit WHERE seq > 15`}, 16, "tail was cut"},
		"everything deleted":  {[]string{`DELETE FROM audit`}, 1, "tail was cut"},
		"two rows swapped": {[]string{`UPDATE audit SET seq = 100 WHERE seq = 4`, `UPDATE audit SET seq = 4 WHERE seq = 5`,
			`UPDATE audit SET seq = 5 WHERE seq = 100`}, 4, "missing"},
		"a row replaced by another": {[]string{`DELETE FROM audit WHERE seq = 6`, copyRow(6, 3)}, 3, "reordered"},
		"a row repeated at the end": {[]string{copyRow(21, 20)}, 20, "reordered"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, side := range []string{"-wal", "-shm"} {
				if err := os.Remove(path + side); err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			b.tamper(test.sql...)
			if r := b.verifyStoreOnly(); r.OK || r.FirstBad != test.first || !strings.Contains(r.Problem, test.says) {
				t.Errorf("report %+v, want the first fault at %d: %q", r, test.first, test.says)
			}
		})
	}
}

func TestVerifyFindsEveryChangeOfTheFiles(t *testing.T) {
	b := newBench(t)
	b.appendMany(20, sample())
	b.close()
	path := b.opts.File.Path
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))[:20]
	b.foreignFile(20) // with the same key
	foreign, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	join := func(parts ...[][]byte) []byte { return bytes.Join(slices.Concat(parts...), nil) }
	for name, test := range map[string]struct {
		content []byte
		first   int64
		says    string
	}{
		"untouched":          {whole, 0, ""},
		"older rotated away": {join(lines[5:]), 0, ""},
		"a byte":             {bytes.Replace(whole, []byte(`"seq":7,`), []byte(`"seq":6,`), 1), 7, "changed"},
		"a line feed":        {bytes.Replace(whole, []byte("\"}\n"), []byte("\"}\r\n"), 1), 1, "does not end in its hash"},
		"a line deleted":     {join(lines[:4], lines[5:]), 5, "missing"},
		"two lines swapped":  {join(lines[:4], lines[5:6], lines[4:5], lines[6:]), 5, "missing"},
		"a line repeated":    {join(lines[:5], lines[4:]), 5, "reordered or repeated"},
		"the tail cut":       {join(lines[:15]), 16, "tail was cut"},
		"half a line":        {whole[:len(whole)-9], 20, "incomplete"},
		"nothing left":       {nil, 1, "tail was cut"},
		"lines of another":   {join(lines[:10], bytes.SplitAfter(foreign, []byte("\n"))[10:20]), 11, "does not follow"},
		"garbage":            {[]byte("hello\n"), 1, "does not end"},
	} {
		for _, packed := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " gzip ", packed), func(t *testing.T) {
				file, content := filepath.Join(t.TempDir(), "x.log"), test.content
				if packed {
					file += ".gz"
					var buf bytes.Buffer
					zw := gzip.NewWriter(&buf)
					if _, err := zw.Write(content); err != nil {
						t.Fatal(err)
					}
					zw.Close()
					content = buf.Bytes()
				}
				if err := os.WriteFile(file, content, 0o600); err != nil {
					t.Fatal(err)
				}
				r, err := audit.VerifyFiles(testKeys, path+".checkpoints", file)
				if err != nil {
					t.Fatal(err)
				}
				if r.OK != (test.says == "") || r.FirstBad != test.first || !strings.Contains(r.Problem, test.says) {
					t.Errorf("report %+v, want the first fault at %d: %q", r, test.first, test.says)
				}
			})
		}
	}
	t.Run("another key", func(t *testing.T) {
		r, err := audit.VerifyFiles(audit.Keys{Seal: bytes.Repeat([]byte("x"), 32)}, "", path)
		if err != nil || r.OK || !strings.Contains(r.Problem, "another key") {
			t.Errorf("report %+v, %v", r, err)
		}
	})
	t.Run("a damaged archive", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "x.gz")
		if err := os.WriteFile(file, []byte("no gzip"), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := audit.VerifyFiles(testKeys, "", file); err != nil || r.OK {
			t.Errorf("report %+v, %v", r, err)
		}
	})
	t.Run("a missing file", func(t *testing.T) {
		if _, err := audit.VerifyFiles(testKeys, "", filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("error %v", err)
		}
	})
}

// Whoever has the key of records but rewrites history is caught by a checkpoint made before.
func TestARewrittenChainContradictsItsCheckpoint(t *testing.T) {
	b := newBench(t)
	b.appendMany(10, sample())
	b.close()
	second := newBench(t)
	second.appendMany(12, sample())
	second.close()
	r, err := audit.VerifyFiles(testKeys, b.opts.File.Path+".checkpoints", second.opts.File.Path)
	if err != nil || r.OK || r.FirstBad != 10 || !strings.Contains(r.Problem, "written anew") {
		t.Errorf("report %+v, %v", r, err)
	}
}

func TestAChangedCheckpointIsReported(t *testing.T) {
	b := newBench(t)
	b.appendMany(10, sample())
	b.close()
	path := b.opts.File.Path + ".checkpoints"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(text, []byte(`"seq":10`), []byte(`"seq":9`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := b.verifyFiles(); r.OK || !strings.Contains(r.Problem, "checkpoints") {
		t.Errorf("report %+v", r)
	}
	if r := b.verifyStoreOnly(); r.OK || !strings.Contains(r.Problem, "checkpoints") {
		t.Errorf("report %+v", r)
	}
}

func TestARunningLogMissesItsCutTail(t *testing.T) {
	b := newBench(t, func(o *audit.Options) { o.Checkpoints = filepath.Join(t.TempDir(), "elsewhere", "cp") })
	b.appendMany(10, sample())
	b.tamper(`DELETE FROM audit WHERE seq > 8`)
	r, err := b.log.Verify(t.Context())
	if err != nil || r.OK || r.FirstBad != 9 || !strings.Contains(r.Problem, "tail was cut") {
		t.Errorf("report %+v, %v", r, err)
	}
}

func TestCheckpointsComeByCountAndByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newFaulty(t, func(o *audit.Options) { o.CheckpointEvery, o.CheckpointAfter = 5, 20*time.Second })
		stop := runLog(t, b.log)
		count := func() int { return b.mustVerify().Checkpoints }
		for range 4 {
			b.append(sample())
		}
		if n := count(); n != 0 {
			t.Errorf("%d checkpoints after 4 records", n)
		}
		b.append(sample())
		if n := count(); n != 1 {
			t.Errorf("%d checkpoints after 5 records", n)
		}
		b.append(sample())
		pass(15 * time.Second)
		if n := count(); n != 1 {
			t.Errorf("%d checkpoints too early", n)
		}
		pass(10 * time.Second)
		if n := count(); n != 2 {
			t.Errorf("%d checkpoints after 25 s", n)
		}
		pass(time.Hour)
		if n := count(); n != 2 {
			t.Errorf("%d checkpoints: they came without records", n)
		}
		if text, err := os.ReadFile(b.opts.File.Path + ".checkpoints"); err != nil || bytes.Count(text, []byte("\n")) != 2 {
			t.Errorf("checkpoints came without records: %s, %v", text, err)
		}
		stop()
		b.append(sample())
		b.close()
		if r := b.verifyStoreOnly(); !r.OK || r.Checkpoints != 3 {
			t.Errorf("after Close: %+v", r)
		}
	})
}

func TestCheckpointsAreThinnedOut(t *testing.T) {
	b := newBench(t, func(o *audit.Options) { o.CheckpointEvery = 1 })
	b.append(sample())
	path := b.opts.File.Path + ".checkpoints"
	line, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(bytes.Repeat(line, 1<<20/len(line)+1), "half a line"...), 0o600); err != nil {
		t.Fatal(err)
	}
	b.append(sample())
	info, err := os.Stat(path)
	if err != nil || info.Size() > 600<<10 || info.Size() < 500<<10 {
		t.Errorf("size %d, %v", info.Size(), err)
	}
	if r := b.mustVerify(); r.Checkpoints != 2 {
		t.Errorf("report %+v", r)
	}
}

func TestACheckpointFileThatCannotBeWrittenIsCounted(t *testing.T) {
	b, _ := newFaulty(t, func(o *audit.Options) { o.CheckpointEvery = 1; o.Checkpoints = "/dev/null/x" })
	b.append(sample())
	if n := failures(t, b.log, "checkpoint"); n != 2 {
		t.Errorf("%v failures counted, want one of reading and one of writing", n)
	}
}

func TestQueryPages(t *testing.T) {
	b := newBench(t)
	for i := range 25 {
		r := sample()
		r.User.ID = fmt.Sprint("u", i%2)
		b.append(r)
	}
	var got []int64
	f := audit.Filter{User: "u1", Limit: 5}
	for range 10 {
		records, next, err := b.log.Query(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			got = append(got, r.Seq)
		}
		if next == 0 {
			break
		}
		f.Before = next
	}
	if diff := cmp.Diff([]int64{24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	appended := b.append(sample())
	records, next, err := b.log.Query(t.Context(), audit.Filter{Limit: 5000})
	if err != nil || len(records) != 26 || next != 0 {
		t.Fatalf("%d records, next %d, %v", len(records), next, err)
	}
	if diff := cmp.Diff(appended, records[0]); diff != "" {
		t.Errorf("as appended and as queried (-want +got):\n%s", diff)
	}
	b.store.Close()
	if _, _, err := b.log.Query(t.Context(), audit.Filter{}); !errors.Is(err, store.ErrClosed) {
		t.Errorf("query of a closed store: %v", err)
	}
}

func TestExport(t *testing.T) {
	b := newBench(t)
	rec := sample()
	rec.Reason, rec.Details, rec.Result.ExitCode = `=cmd|"x",y`, map[string]string{"a": "b"}, nil
	b.appendMany(1005, rec) // more than one page
	var jsonl bytes.Buffer
	if err := b.log.Export(t.Context(), &jsonl, audit.Filter{}, audit.JSONL); err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(jsonl.Bytes(), []byte("\n"))[:1005]
	slices.Reverse(lines)
	file := filepath.Join(t.TempDir(), "export.jsonl")
	if err := os.WriteFile(file, bytes.Join(lines, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := audit.VerifyFiles(testKeys, "", file); err != nil || !r.OK || r.Records != 1005 {
		t.Errorf("an export, turned round, does not verify: %+v, %v", r, err)
	}
	var out bytes.Buffer
	if err := b.log.Export(t.Context(), &out, audit.Filter{Limit: 1001}, audit.CSV); err != nil {
		t.Fatal(err)
	}
	cells, err := csv.NewReader(&out).ReadAll()
	if err != nil || len(cells) != 1002 {
		t.Fatalf("%d rows of CSV, %v", len(cells), err)
	}
	row := map[string]string{}
	for i, name := range cells[0] {
		row[name] = cells[1][i]
	}
	if row["seq"] != "1005" || row["user_email"] != "admin@example.com" || row["reason"] != `'=cmd|"x",y` || row["details"] != `{"a":"b"}` ||
		row["exit_code"] != "" || row["duration_seconds"] != "15.7" {
		t.Errorf("row %v", row)
	}
	if err := b.log.Export(t.Context(), &out, audit.Filter{}, "xml"); !errors.Is(err, audit.ErrFormat) {
		t.Errorf("unknown format: %v", err)
	}
	for _, format := range []audit.Format{audit.JSONL, audit.CSV} {
		if err := b.log.Export(t.Context(), failingWriter{}, audit.Filter{}, format); !errors.Is(err, errWriter) {
			t.Errorf("%s to a broken writer: %v", format, err)
		}
	}
}

var errWriter = errors.New("broken pipe")

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errWriter }
