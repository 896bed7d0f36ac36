package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/store"
)

func newSigner(tb testing.TB) (ed25519.PrivateKey, ed25519.PublicKey) {
	tb.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return private, public
}

// verifyAgainst verifies a store and its file with given keys and checkpoints.
func (b *bench) verifyAgainst(keys audit.Keys, checkpoints string) (stored, filed audit.Report) {
	b.tb.Helper()
	s, err := store.OpenReadOnly(b.tb.Context(), store.Options{Dir: filepath.Join(b.dir, "data")})
	if err != nil {
		b.tb.Fatal(err)
	}
	defer s.Close()
	if stored, err = audit.VerifyStore(b.tb.Context(), s, keys, checkpoints); err != nil {
		b.tb.Fatal(err)
	}
	names, err := audit.Files(b.opts.File.Path)
	if err != nil {
		b.tb.Fatal(err)
	}
	if filed, err = audit.VerifyFiles(keys, checkpoints, names...); err != nil {
		b.tb.Fatal(err)
	}
	return stored, filed
}

// Somebody who has the sealing key can write a chain that is sound in itself. The public key shows it for what it is, whatever
// they do with the checkpoints that they cannot sign.
func TestPublicKeyFindsForgeriesByAHolderOfTheSealingKey(t *testing.T) {
	signer, public := newSigner(t)
	keys := audit.Keys{Seal: testKey, Public: []ed25519.PublicKey{public}}
	const n = 3000 // more than a running program leaves unsigned
	write := func(key ed25519.PrivateKey, records int, reason string) *bench {
		b := newBench(t, func(o *audit.Options) { o.Signer = key })
		r := sample()
		r.Reason = reason
		b.appendMany(records, r)
		b.close()
		return b
	}
	honest := write(signer, n, "as it was")
	checkpoints := honest.opts.File.Path + ".checkpoints"
	if stored, filed := honest.verifyAgainst(keys, checkpoints); !stored.OK || !filed.OK || stored.Checkpoints == 0 || stored.Unsigned != 0 {
		t.Fatalf("honest: store %+v, file %+v", stored, filed)
	}
	forger, _ := newSigner(t)
	rewritten, cut := write(forger, n, "as it suits me"), write(forger, n-200, "as it suits me")
	own := rewritten.opts.File.Path + ".checkpoints"
	empty := filepath.Join(t.TempDir(), "none")
	for _, b := range []*bench{honest, rewritten} {
		b.tamper(`DELETE FROM documents WHERE kind = 'audit_checkpoint'`)
	}
	for _, test := range []struct {
		name        string
		b           *bench
		checkpoints string
		says        string
	}{
		{"rewritten under the true checkpoints", rewritten, checkpoints, "written anew"},
		{"cut under the true checkpoints", cut, checkpoints, "written anew"},
		{"rewritten with checkpoints of their own", rewritten, own, "signed with another key"},
		{"rewritten without checkpoints", rewritten, empty, "signed by no checkpoint"},
		{"the true chain without its checkpoints", honest, empty, "signed by no checkpoint"},
	} {
		t.Run(test.name, func(t *testing.T) {
			stored, filed := test.b.verifyAgainst(keys, test.checkpoints)
			for what, r := range map[string]audit.Report{"store": stored, "file": filed} {
				if r.OK || !strings.Contains(r.Problem, test.says) {
					t.Errorf("%s: %+v, want %q", what, r, test.says)
				}
			}
		})
	}
}

// After a change of the signing key the checkpoints of before stay believed, if their key is still published.
func TestSigningKeyMayChange(t *testing.T) {
	dir := t.TempDir()
	published := filepath.Join(dir, "audit-signing.pub")
	old, err := audit.LoadOrCreateSigner(filepath.Join(dir, "a", "old.key"))
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(o *audit.Options) { o.Signer = old })
	b.append(sample())
	next, err := audit.LoadOrCreateSigner(filepath.Join(dir, "next.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []ed25519.PrivateKey{old, next, old} {
		if err := audit.PublishKey(published, k); err != nil {
			t.Fatal(err)
		}
	}
	public, err := audit.LoadPublicKeys(published)
	if err != nil || len(public) != 2 || audit.KeyID(public[0]) == audit.KeyID(public[1]) {
		t.Fatalf("%d public keys, %v", len(public), err)
	}
	b.close()
	b.opts.Signer, b.opts.Believed = next, public
	b.open()
	b.append(sample())
	if h := b.log.Health(); !h.OK {
		t.Errorf("health %+v", h)
	}
	if r := b.mustVerify(); r.Checkpoints == 0 || r.Last != 2 {
		t.Errorf("%+v", r)
	}
}

func TestKeyFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	at := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, err := audit.LoadOrCreateSigner(filepath.Join(dir, "good.key"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := audit.LoadOrCreateSigner(filepath.Join(dir, "good.key"))
	if err != nil || !again.Equal(good) {
		t.Errorf("the second load: %v", err)
	}
	pem, err := os.ReadFile(filepath.Join(dir, "good.key"))
	if err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"open to others": at("open.key", string(pem), 0o644), "no PEM": at("text.key", "secret", 0o600),
		"another block": at("block.key", strings.ReplaceAll(string(pem), "PRIVATE", "PUBLIC"), 0o600),
		"damaged":       at("damaged.key", strings.Replace(string(pem), "MC4CA", "MC4CB", 1), 0o600),
	} {
		if _, err := audit.LoadOrCreateSigner(path); err == nil {
			t.Errorf("a private key that is %s was taken", name)
		}
		if _, err := audit.LoadPublicKeys(path); err == nil {
			t.Errorf("a public key that is %s was taken", name)
		}
	}
	if _, err := audit.LoadSigner(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
	if err := audit.PublishKey(at("other.pub", "something else", 0o644), good); err == nil {
		t.Error("another file was overwritten")
	}
}

// What is older than the retention goes, is recorded as gone, and the rest verifies; the same removal without the signed start
// does not.
func TestRetentionKeepsTheChainVerifiable(t *testing.T) {
	now := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	b := newBench(t, func(o *audit.Options) {
		o.Now = func() time.Time { return now }
		o.Retention = 30 * 24 * time.Hour
	})
	for range 40 {
		b.append(sample())
		now = now.Add(24 * time.Hour)
	}
	stop := runLog(t, b.log)
	waitUntil(t, "old records are gone", func() bool { return b.first() > 1 })
	stop()
	if first := b.first(); first != 11 {
		t.Errorf("the kept chain starts at %d, want 11", first)
	}
	b.reopen() // signs what is not signed yet
	if h := b.log.Health(); !h.OK {
		t.Errorf("health after a start: %+v", h)
	}
	r := b.mustVerify()
	if r.First != 11 || r.Last != 41 || r.Records != r.Last-r.First+1 {
		t.Errorf("%+v", r)
	}
	last, _, err := b.log.Query(t.Context(), audit.Filter{Operation: "audit.prune"})
	if err != nil || len(last) != 1 || last[0].Details["through_seq"] != "10" || last[0].Details["records"] != "10" {
		t.Errorf("record of the removal: %+v, %v", last, err)
	}
	if filed := b.verifyFiles(); !filed.OK || filed.First != 1 {
		t.Errorf("files %+v", filed)
	}
	b.close()
	b.tamper("DELETE FROM audit WHERE seq <= 15")
	if r := b.verifyStoreOnly(); r.OK || r.FirstBad != 1 {
		t.Errorf("removed without a signed start: %+v", r)
	}
	b.open()
}

// A store that is made anew gets back what the files have, and what was removed on purpose is not missed.
func TestRetentionIsNoLossForANewStore(t *testing.T) {
	now := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	b := newBench(t, func(o *audit.Options) {
		o.Now = func() time.Time { return now }
		o.Retention = 24 * time.Hour
	})
	b.append(sample())
	now = now.Add(48 * time.Hour)
	b.append(sample())
	stop := runLog(t, b.log)
	waitUntil(t, "the old record is gone", func() bool { return b.first() > 1 })
	stop()
	b.close()
	if err := os.RemoveAll(filepath.Join(b.dir, "data")); err != nil {
		t.Fatal(err)
	}
	b.open()
	if h := b.log.Health(); !h.OK {
		t.Errorf("health %+v", h)
	}
	b.mustVerify()
}

// first is the number of the oldest record in the store.
func (b *bench) first() (seq int64) {
	b.tb.Helper()
	stop := errors.New("enough")
	err := b.store.WalkAudit(b.tb.Context(), 1, func(r store.AuditRow) error {
		seq = r.Seq
		return stop
	})
	if err != nil && !errors.Is(err, stop) {
		b.tb.Fatal(err)
	}
	return seq
}

func TestSyslogLinesAreCheckpointsToo(t *testing.T) {
	b := newBench(t)
	b.append(sample())
	b.close()
	text, err := os.ReadFile(b.opts.File.Path + ".checkpoints")
	if err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(t.TempDir(), "messages")
	lines := bytes.Join([][]byte{[]byte("Nov 23 10:00:00 host redis-medic-audit[7]: "), text, []byte("Nov 23 10:00:01 host cron: something else\n")}, nil)
	if err := os.WriteFile(kept, lines, 0o600); err != nil {
		t.Fatal(err)
	}
	if stored, _ := b.verifyAgainst(testKeys, kept); !stored.OK || stored.Checkpoints != 1 {
		t.Errorf("%+v", stored)
	}
}

// Several machines share a store and write one after the other, each with its own file of checkpoints.
func TestReplicasContinueAChainThatTheOtherSigned(t *testing.T) {
	key, _ := newSigner(t)
	one := newBench(t, func(o *audit.Options) { o.Signer = key })
	one.appendMany(10, sample())
	one.close()
	two := newBench(t, func(o *audit.Options) { o.Signer = key })
	two.close()
	two.dir = one.dir // the store, but neither the file nor the checkpoints
	two.open()
	two.appendMany(2000, sample())
	if h := two.log.Health(); !h.OK {
		t.Errorf("the second one: %+v", h)
	}
	two.mustVerify()
	two.close()
	one.open()
	if h := one.log.Health(); !h.OK || h.LastSeq != 2010 {
		t.Errorf("the first one again: %+v", h)
	}
	one.mustVerify()
	if r := one.verifyFilesWith(audit.Keys{Seal: testKey, Public: []ed25519.PublicKey{key.Public().(ed25519.PublicKey)}}); !r.OK || r.Last != 2010 {
		t.Errorf("the first one's file: %+v", r)
	}
}

func (b *bench) verifyFilesWith(keys audit.Keys) audit.Report {
	b.tb.Helper()
	paths, err := audit.Files(b.opts.File.Path)
	if err != nil {
		b.tb.Fatal(err)
	}
	r, err := audit.VerifyFiles(keys, b.opts.File.Path+".checkpoints", paths...)
	if err != nil {
		b.tb.Fatal(err)
	}
	return r
}
