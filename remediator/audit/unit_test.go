package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"pgregory.net/rapid"
)

func TestCleanEscapesWhatHides(t *testing.T) {
	for in, want := range map[string]string{
		"plain é 漢字 🙂":          "plain é 漢字 🙂",
		"a\nb\tc\r\x00\x1b[31m": `a\u000ab\u0009c\u000d\u0000\u001b[31m`,
		"\u202eevil\u2066":      `\u202eevil\u2066`,
		"zero\u200bwidth\ufeff": `zero\u200bwidth\ufeff`,
		"c1\u0085 line\u2028":   `c1\u0085 line\u2028`,
		"bad\xff\xc3":           `bad\xff\xc3`,
		"tag\U000e0041":         `tag\U000e0041`,
		"\ufffd":                `\ufffd`,
	} {
		if got := cleanText(in, 1000); got != want {
			t.Errorf("cleanText(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCleanCaps(t *testing.T) {
	if got := cleanText(strings.Repeat("é", 200), 255); got != strings.Repeat("é", 127)+"…" {
		t.Errorf("cut inside a character: %q", got)
	}
	details := map[string]string{"password": "x", "note": strings.Repeat("y", 5000)}
	for i := range 100 {
		details[fmt.Sprint("k", i)] = "v"
	}
	got := clean(Record{Details: details, Result: Result{Duration: math.NaN()}, Reason: strings.Repeat("r", 1<<20)})
	if len(got.Details) != maxDetails || got.Details["truncated"] != "71 more" {
		t.Errorf("%d details, truncated: %q", len(got.Details), got.Details["truncated"])
	}
	if len(got.Reason) > maxText+3 || got.Result.Duration != 0 {
		t.Errorf("reason of %d bytes, duration %v", len(got.Reason), got.Result.Duration)
	}
	got = clean(Record{Details: map[string]string{"password": "x", "api_token": "y", "author": "z"}, Result: Result{Duration: 1.23456}})
	want := map[string]string{"password": redacted, "api_token": redacted, "author": "z"}
	if diff := cmp.Diff(want, got.Details); diff != "" || got.Result.Duration != 1.235 {
		t.Errorf("duration %v, details (-want +got):\n%s", got.Result.Duration, diff)
	}
}

func TestCleanAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := string(rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(t, "bytes")) + rapid.String().Draw(t, "text")
		got := cleanText(in, 100)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, hidden) || len(got) > 100*10+3 {
			t.Fatalf("%q became %q", in, got)
		}
	})
}

func TestRedact(t *testing.T) {
	const canary = "hunter2canary"
	jwt := "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
	for _, in := range []string{
		"Authorization: Bearer " + canary, "basic " + canary, "redis://user:" + canary + "@host:6379/0", "redis://:" + canary + "@h",
		"password=" + canary, `{"password": "` + canary + `"}`, "passwd: " + canary, "API_KEY=" + canary + "&x=1", "token=" + canary,
		"requirepass " + canary, `masterauth "` + canary + `"`, "AUTH " + canary, "AUTH default " + canary,
		"-----BEGIN OPENSSH PRIVATE KEY-----\n" + canary + "\n-----END OPENSSH PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----" + canary,
		"said " + jwt + canary, jwt + canary,
	} {
		if got := Redact(in); strings.Contains(got, canary) || !strings.Contains(got, redacted) {
			t.Errorf("Redact(%q) = %q", in, got)
		}
	}
	if got := Redact("the word is "+canary, "", canary); strings.Contains(got, canary) {
		t.Errorf("a given secret stays: %q", got)
	}
	for _, in := range []string{"wrong password for user 7", "token expired", "auth failed", "NOAUTH Authentication required.", "a b", "x=1", "http://h/p"} {
		if got := Redact(in); got != in {
			t.Errorf("Redact(%q) = %q, but there is no secret in it", in, got)
		}
	}
	// A secret that begins before the cap is not kept in part.
	if got := cleanText(strings.Repeat("x", 250)+" password="+canary, maxName); strings.Contains(got, "hunter") {
		t.Errorf("half a secret stays: %q", got)
	}
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "audit.key")
	var wg sync.WaitGroup
	keys := make([][]byte, 8)
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], err = LoadOrCreateKey(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, k := range keys {
		if len(k) != keyLen || !bytes.Equal(k, keys[0]) {
			t.Fatalf("keys differ: %x and %x", k, keys[0])
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
		t.Errorf("left-overs: %v, %v", names, err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateKey(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others can read: %v", err)
	}
	for _, content := range []string{"", "zz", "00ff"} {
		if err := errors.Join(os.WriteFile(path, []byte(content), 0o600), os.Chmod(path, 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadOrCreateKey(path); err == nil {
			t.Errorf("key file with %q was taken", content)
		}
	}
	if _, err := LoadKey(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing key: %v", err)
	}
	if _, err := LoadOrCreateKey("/dev/null/x"); err == nil {
		t.Error("made a key below a device")
	}
}

// Every bit of a sealed line is under the seal.
func TestAnyChangedByteIsFound(t *testing.T) {
	s := newSealer([]byte(strings.Repeat("k", keyLen)), "record")
	code := 7
	r, line, err := s.seal(Record{Seq: 3, Service: "redis", Chain: "c", PrevHash: "p", Details: map[string]string{"b": "<&>", "a": "1"}, Result: Result{ExitCode: &code}})
	if err != nil {
		t.Fatal(err)
	}
	back, err := s.open(line)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, back); diff != "" {
		t.Errorf("round trip (-want +got):\n%s", diff)
	}
	for i := range line {
		for bit := range 8 {
			bad := bytes.Clone(line)
			bad[i] ^= 1 << bit
			if _, err := s.open(bad); err == nil {
				t.Fatalf("bit %d of byte %d (%q) can be changed unseen", bit, i, line[i])
			}
		}
	}
	for i := range line {
		if _, err := s.open(line[:i]); err == nil {
			t.Fatalf("the line can be cut at %d unseen", i)
		}
	}
	if _, err := s.open(append(bytes.Clone(line), ' ')); err == nil {
		t.Error("the line can be lengthened unseen")
	}
	other := newSealer([]byte(strings.Repeat("k", keyLen)), "checkpoint")
	if _, err := other.open(line); !errors.Is(err, errMAC) {
		t.Errorf("a key for another purpose opens a record: %v", err)
	}
}

func TestExitCodeIsNullWhenNoCommandRan(t *testing.T) {
	_, line, err := newSealer(nil, "record").seal(Record{})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(line, []byte(`"exit_code":null`)) {
		t.Errorf("%s", line)
	}
}

func TestLastLine(t *testing.T) {
	long := strings.Repeat("x", 300<<10)
	for _, test := range []struct {
		in, want string
		end      int
	}{
		{"", "", 0}, {"half", "", 0}, {"a\n", "a", 2}, {"a\nb\n", "b", 4}, {"a\nb\nhalf", "b", 4}, {"\n", "", 1},
		{"a\n" + long + "\n", long, len(long) + 3}, {"a\n" + long, "a", 2}, {long + "\nb\n", "b", len(long) + 3},
	} {
		line, end, err := lastLine(strings.NewReader(test.in), int64(len(test.in)))
		if err != nil || string(line) != test.want || end != int64(test.end) {
			t.Errorf("lastLine(%.20q…) = %.20q, %d, %v; want %.20q, %d", test.in, line, end, err, test.want, test.end)
		}
	}
}

func TestCellsAreNoFormulas(t *testing.T) {
	for in, want := range map[string]string{"=1+1": "'=1+1", "@x": "'@x", "-2.5": "-2.5", "-x": "'-x", "+1": "+1", "": "", "a=b": "a=b"} {
		if got := noFormula(in); got != want {
			t.Errorf("noFormula(%q) = %q, want %q", in, got, want)
		}
	}
}

// A write that failed half-way leaves neither half a line nor a whole one that nobody was told of.
func TestAFailedWriteIsTakenBack(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small file system")
	}
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "mode=0700,size=64k"); err != nil {
		t.Skipf("cannot mount here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	f := newFile(FileOptions{Path: filepath.Join(disk, "a.log")}, zerolog.Nop())
	t.Cleanup(func() { f.shut() })
	lines := bytes.Repeat([]byte("{short}\n"), 1000)
	good := 0
	for ; good < 100; good++ {
		if err := f.append(lines); err != nil {
			break
		}
	}
	info, err := os.Stat(f.opts.Path)
	if err != nil || good == 0 || good == 100 || info.Size() != int64(good*len(lines)) {
		t.Errorf("%d good writes of %d bytes left %d bytes, %v", good, len(lines), info.Size(), err)
	}
	// Only the reserve of a page is left now; a short line fits again.
	if err := f.append([]byte("{x}\n")); err != nil {
		t.Error(err)
	}
}
