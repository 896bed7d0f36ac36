package audit_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/store"
)

func TestAFailedStoreIsReportedAndFilledFromTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f := newFaulty(t)
		stop := runLog(t, b.log)
		b.appendMany(3, sample())
		f.set(func(f *faulty) { f.append = errors.New("broken disk") })
		b.appendMany(1200, sample())
		since := sink(b.log.Health(), "store").Since
		pass(10 * time.Second)
		h := b.log.Health()
		if got := sink(h, "store").Since; !got.Equal(since) {
			t.Errorf("a store that has failed since %v is said to have failed since %v", since, got)
		}
		if h.OK || !h.Recording || sink(h, "store").OK || !strings.Contains(sink(h, "store").Error, "broken disk") || !sink(h, "file").OK {
			t.Errorf("health while the store fails: %+v", h)
		}
		if failures(t, b.log, "store") == 0 || failures(t, b.log, "file") != 0 {
			t.Error("failures of the store were not counted")
		}
		if r, err := b.log.Verify(t.Context()); err != nil || r.OK || !strings.Contains(r.Problem, "store failed") {
			t.Errorf("verify while the store is behind: %+v, %v", r, err)
		}
		f.set(func(f *faulty) { f.append = nil })
		waitUntil(t, "store works again", func() bool { return b.log.Health().OK })
		if r := b.mustVerify(); r.Last != 1203 {
			t.Errorf("report %+v", r)
		}
		b.append(sample())
		if r := b.verifyFiles(); !r.OK || r.Last != 1204 {
			t.Errorf("files %+v", r)
		}
		stop()
		b.close()
	})
}

func TestAFailedFileIsReportedAndFilledFromTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newFaulty(t)
		stop := runLog(t, b.log)
		b.appendMany(3, sample())
		away := b.opts.File.Path + ".away"
		// The file goes and a directory takes its name: it can be neither written nor opened.
		if err := errors.Join(os.Rename(b.opts.File.Path, away), os.Mkdir(b.opts.File.Path, 0o700)); err != nil {
			t.Fatal(err)
		}
		b.appendMany(2500, sample()) // more than the file gets back at a time
		h := b.log.Health()
		if h.OK || !h.Recording || sink(h, "file").OK || sink(h, "file").Error == "" || sink(h, "file").Since.IsZero() || !sink(h, "store").OK {
			t.Errorf("health while the file fails: %+v", h)
		}
		if failures(t, b.log, "file") == 0 {
			t.Error("failures of the file were not counted")
		}
		if err := errors.Join(os.Remove(b.opts.File.Path), os.Rename(away, b.opts.File.Path)); err != nil {
			t.Fatal(err)
		}
		waitUntil(t, "file works again", func() bool { return b.log.Health().OK })
		b.append(sample())
		b.mustVerify()
		if r := b.verifyFiles(); !r.OK || r.Records != 2504 {
			t.Errorf("files %+v", r)
		}
		stop()
		b.close()
	})
}

func TestNoSinkMeansUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f := newFaulty(t)
		b.appendMany(2, sample())
		away := b.opts.File.Path + ".away"
		if err := errors.Join(os.Rename(b.opts.File.Path, away), os.Mkdir(b.opts.File.Path, 0o700)); err != nil {
			t.Fatal(err)
		}
		f.set(func(f *faulty) { f.append = store.ErrFull })
		for range 3 {
			if _, err := b.log.Append(t.Context(), sample()); !errors.Is(err, audit.ErrUnavailable) || !errors.Is(err, store.ErrFull) {
				t.Errorf("append without a sink: %v, want ErrUnavailable", err)
			}
		}
		if h := b.log.Health(); h.OK || h.Recording || h.LastSeq != 2 {
			t.Errorf("health %+v", h)
		}
		// No waiting: as long as nothing works every append tries everything.
		f.set(func(f *faulty) { f.append = nil })
		if r := b.append(sample()); r.Seq != 3 {
			t.Errorf("went on at %d", r.Seq)
		}
		if err := errors.Join(os.Remove(b.opts.File.Path), os.Rename(away, b.opts.File.Path)); err != nil {
			t.Fatal(err)
		}
		f.set(func(f *faulty) { f.append = errors.New("down again") })
		if r := b.append(sample()); r.Seq != 4 {
			t.Errorf("went on at %d", r.Seq)
		}
		f.set(func(f *faulty) { f.append = nil })
		pass(2 * time.Second)
		b.append(sample())
		b.mustVerify()
		if r := b.verifyFiles(); !r.OK || r.Records != 5 {
			t.Errorf("files %+v", r)
		}
		b.close()
	})
}

// A write that failed to the eye and was stored all the same keeps its number; the chain goes on behind it.
func TestAWriteOfUnknownOutcomeStaysInTheChain(t *testing.T) {
	b, f := newFaulty(t, func(o *audit.Options) { o.File.Path = "" })
	b.appendMany(1, sample())
	f.set(func(f *faulty) { f.late = errors.New("connection lost") })
	if _, err := b.log.Append(t.Context(), sample()); !errors.Is(err, audit.ErrUnavailable) {
		t.Fatalf("append: %v", err)
	}
	f.set(func(f *faulty) { f.late = nil })
	if r := b.append(sample()); r.Seq != 3 {
		t.Errorf("the next record is %d, want 3", r.Seq)
	}
	b.mustVerify()
}

// The same while the file takes over: both must end up with one history.
func TestALateWriteAndTheFileAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f := newFaulty(t)
		b.appendMany(1, sample())
		f.set(func(f *faulty) { f.late = errors.New("connection lost") })
		b.appendMany(3, sample())
		f.set(func(f *faulty) { f.late = nil })
		pass(2 * time.Second)
		b.appendMany(1, sample())
		b.mustVerify()
		if r := b.verifyFiles(); !r.OK || r.Records != 5 || !b.log.Health().OK {
			t.Errorf("files %+v, health %+v", r, b.log.Health())
		}
		b.close()
	})
}

// Another writer took the number between our look and our write.
func TestATakenNumberIsFollowed(t *testing.T) {
	b, _ := newFaulty(t)
	b.appendMany(1, sample())
	other := audit.Options{Store: b.store, Key: testKey, Logger: zerolog.Nop()}
	second, err := audit.New(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if _, err := second.Append(t.Context(), sample()); err != nil {
		t.Fatal(err)
	}
	if r := b.append(sample()); r.Seq != 3 {
		t.Errorf("record %d, want 3", r.Seq)
	}
	b.mustVerify()
	if r := b.verifyFiles(); !r.OK || r.Records != 3 {
		t.Errorf("files %+v", r)
	}
}

func TestAHangingStoreHoldsUpOnlyTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f := newFaulty(t)
		b.appendMany(1, sample())
		f.set(func(f *faulty) { f.hang = true })
		began := time.Now()
		b.append(sample())
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("the first append took %v", took)
		}
		began = time.Now()
		for range 100 {
			b.append(sample())
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("the next 100 appends took %v", took)
		}
		slow := 0
		for range 300 { // five minutes, a record every second
			began = time.Now()
			b.append(sample())
			if time.Since(began) > time.Second {
				slow++
			}
			pass(time.Second)
		}
		if slow > 15 {
			t.Errorf("%d appends of five minutes were held up", slow)
		}
		f.set(func(f *faulty) { f.hang = false })
		pass(time.Minute)
		b.append(sample())
		b.mustVerify()
		b.close()
	})
}

func TestAppendHonoursItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f := newFaulty(t)
		block := make(chan struct{})
		f.set(func(f *faulty) { f.block = block })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		taken := make(chan error)
		go func() {
			_, err := b.log.Append(ctx, sample())
			taken <- err
		}()
		synctest.Wait()
		_, err := b.log.Append(ctx, sample())
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, audit.ErrOutcomeUnknown) {
			t.Errorf("an append that waited: %v, want a plain deadline", err)
		}
		if err := <-taken; !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, audit.ErrOutcomeUnknown) {
			t.Errorf("an append in hand: %v, want an unknown outcome", err)
		}
		f.set(func(f *faulty) { f.block = nil })
		close(block)
		if r := b.append(sample()); r.Seq != 2 {
			t.Errorf("record %d: the withdrawn one was written, or the one in hand was not", r.Seq)
		}
		b.close()
	})
}

func TestCloseWaitsAndRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f := newFaulty(t)
		block := make(chan struct{})
		f.set(func(f *faulty) { f.block = block })
		results := make(chan error, 5)
		for range 5 {
			go func() {
				_, err := b.log.Append(t.Context(), sample())
				results <- err
			}()
		}
		synctest.Wait()
		closed := make(chan error)
		go func() { closed <- b.log.Close() }()
		synctest.Wait()
		if _, err := b.log.Append(t.Context(), sample()); !errors.Is(err, audit.ErrClosed) {
			t.Errorf("append after Close: %v, want ErrClosed", err)
		}
		close(block)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		for range 5 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		b.close()
	})
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	b, f := newFaulty(t)
	if _, err := audit.New(t.Context(), audit.Options{Key: testKey}); err == nil || !strings.Contains(err.Error(), "store") {
		t.Errorf("without a store: %v", err)
	}
	if _, err := audit.New(t.Context(), audit.Options{Store: b.store, Key: []byte("short")}); err == nil || !strings.Contains(err.Error(), "key") {
		t.Errorf("without a key: %v", err)
	}
	f.set(func(f *faulty) { f.read = errors.New("unreadable") })
	opts := b.opts
	opts.File.Path = filepath.Join(t.TempDir(), "a.log")
	if _, err := audit.New(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "unreadable") {
		t.Errorf("with a store that cannot be read: %v", err)
	}
	f.set(func(f *faulty) { f.read = nil })
}

// A file that cannot be opened at start must not keep the program from starting.
func TestStartsWithoutTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := ""
		b, _ := newFaulty(t, func(o *audit.Options) {
			path = o.File.Path
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
		})
		if h := b.log.Health(); h.OK || !h.Recording || sink(h, "file").OK {
			t.Errorf("health %+v", h)
		}
		b.appendMany(2, sample())
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Second)
		b.appendMany(2, sample())
		if h := b.log.Health(); !h.OK {
			t.Errorf("health %+v", h)
		}
		b.mustVerify()
		b.close()
	})
}

func TestAWrongPathCostsNobodyAFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "hosts")
	const content = "127.0.0.1 localhost\nno line feed at the end"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	b, _ := newFaulty(t, func(o *audit.Options) { o.File.Path = path })
	b.appendMany(1, sample())
	if h := b.log.Health(); !strings.Contains(sink(h, "file").Error, "not an audit file") {
		t.Errorf("health %+v", h)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != content {
		t.Errorf("the file became %q, %v", got, err)
	}
}
