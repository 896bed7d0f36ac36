package host_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/host/hosttest"
)

func writeKey(t *testing.T, key crypto.PrivateKey, passphrase string, mode os.FileMode) string {
	t.Helper()
	var block *pem.Block
	var err error
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, pem.EncodeToMemory(block), mode)
}

func writeFile(t *testing.T, content []byte, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrivateKeyRules(t *testing.T) {
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	weak, _ := rsa.GenerateKey(rand.Reader, 2048)
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	strong, err := rsa.GenerateKey(rand.Reader, 4096)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		path string
		want string // in the error; empty: accepted
	}{
		{"ed25519", writeKey(t, ed, "", 0o600), ""},
		{"ed25519, read only", writeKey(t, ed, "", 0o400), ""},
		{"RSA of 4096 bits", writeKey(t, strong, "", 0o600), ""},
		{"group may read", writeKey(t, ed, "", 0o640), "chmod 600"},
		{"others may read", writeKey(t, ed, "", 0o604), "chmod 600"},
		{"RSA of 2048 bits", writeKey(t, weak, "", 0o600), "at least 4096 bits"},
		{"ECDSA", writeKey(t, ec, "", 0o600), "use ed25519"},
		{"encrypted", writeKey(t, ed, "secret", 0o600), "without a passphrase"},
		{"garbage", writeFile(t, []byte("no key"), 0o600), "private key"},
		{"not a file", t.TempDir(), "not a key file"},
		{"too large", writeFile(t, make([]byte, 100<<10), 0o600), "not a key file"},
		{"missing", filepath.Join(t.TempDir(), "nothing"), "no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := hosttest.New(t).ClientOptions()
			o.IdentityFile = tt.path
			c, err := host.NewClient(o)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || host.ClassOf(err) != health.ClassAuth {
				t.Errorf("error %v, want class auth with words %q", err, tt.want)
			}
		})
	}
}

func TestOptionsSayAllThatIsWrong(t *testing.T) {
	_, err := host.NewClient(host.ClientOptions{User: "root;id", DialTimeout: -1, MaxSessions: 1})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, word := range []string{"address", "user", "identity_file", "known_hosts_file", "dial_timeout", "max_sessions"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q is missing in %v", word, err)
		}
	}
	o := hosttest.New(t).ClientOptions()
	o.KnownHostsFile = filepath.Join(t.TempDir(), "nothing")
	if _, err := host.NewClient(o); host.ClassOf(err) != health.ClassHostKey {
		t.Errorf("a missing known_hosts file gives %v", err)
	}
	o = hosttest.New(t).ClientOptions()
	o.Address, o.Name = "redis-host", ""
	c, err := host.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Name() != "redis-host:22" {
		t.Errorf("name %q: without a port it is 22", c.Name())
	}
}

func TestKeyThatBecomesReadableToOthersIsRefusedAtTheNextDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		c := s.Client()
		if err := os.Chmod(s.ClientOptions().IdentityFile, 0o644); err != nil {
			t.Fatal(err)
		}
		_, e, _ := run(t.Context(), t, c, host.VerbIsActive)
		wantClass(t, e, health.ClassAuth, "private key")
		if !strings.Contains(e.Error(), "chmod 600") || strings.Contains(e.Public, "/") {
			t.Errorf("private %v, public %q", e, e.Public)
		}
		if err := os.Chmod(s.ClientOptions().IdentityFile, 0o600); err != nil {
			t.Fatal(err)
		}
		advance(time.Minute)
		if _, e, _ := run(t.Context(), t, c, host.VerbIsActive); e != nil {
			t.Error(e)
		}
	})
}
