package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/redis-medic/redis-medic/controlapi/authn"
)

// call runs the program with arguments and input and returns what a user sees.
func call(t *testing.T, input string, args ...string) (code int, out, err string) {
	t.Helper()
	var o, e bytes.Buffer
	code = dispatch(t.Context(), console{in: strings.NewReader(input), out: &o, err: &e}, args)
	return code, o.String(), e.String()
}

func TestHelpListsEveryCommandAndWrongArgumentsEndWithTwo(t *testing.T) {
	code, out, _ := call(t, "", "help")
	if code != 0 {
		t.Errorf("help ends with %d", code)
	}
	for _, s := range subcommands() {
		if !s.hidden && !strings.Contains(out, "  "+s.name+" ") {
			t.Errorf("help does not mention %s", s.name)
		}
	}
	for _, args := range [][]string{nil, {"bogus"}, {"version", "extra"}, {"check-config", "--bogus"}} {
		if code, _, err := call(t, "", args...); code != 2 || err == "" {
			t.Errorf("%q ends with %d and says %q, want 2 and a word", args, code, err)
		}
	}
	if code, _, _ := call(t, "", "check-config", "-h"); code != 0 {
		t.Errorf("check-config -h ends with %d", code)
	}
}

func TestVersion(t *testing.T) {
	if code, out, _ := call(t, "", "version"); code != 0 || !strings.HasPrefix(out, "redis-medic dev (unknown, go1.") {
		t.Errorf("%d %q", code, out)
	}
}

func TestHashPassword(t *testing.T) {
	code, out, _ := call(t, "correct horse\n", "hash-password")
	if hash := strings.TrimSpace(out); code != 0 || !authn.VerifyPassword(hash, "correct horse") || authn.VerifyPassword(hash, "wrong") {
		t.Errorf("%d %q", code, out)
	}
	if code, _, err := call(t, "short\n", "hash-password"); code != 1 || !strings.Contains(err, "8 characters") {
		t.Errorf("%d %q", code, err)
	}
}

// writeConfig writes a configuration with the files it names and returns its name.
func writeConfig(t testing.TB, change func(string) string) string {
	t.Helper()
	dir := t.TempDir()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"key": pem.EncodeToMemory(block), "known_hosts": []byte(knownhosts.Line([]string{"127.0.0.1"}, signer.PublicKey())),
		"token": bytes.Repeat([]byte("x"), 40), "jwt": bytes.Repeat([]byte("y"), 40),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := `redis_service_management:
  service: {ip: 127.0.0.1}
ssh:
  hosts:
    redis: {address: "127.0.0.1:1", identity_file: key, known_hosts_file: known_hosts}
exporter: {listen: "127.0.0.1:0"}
remediator:
  listen: "127.0.0.1:0"
  webhook: {credentials_file: token}
controlapi:
  listen: "127.0.0.1:0"
  jwt: {hmac_secret_file: jwt}
storage: {path: ` + dir + `/data}
`
	if change != nil {
		text = change(text)
	}
	name := filepath.Join(dir, "redis-medic.yml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestCheckConfig(t *testing.T) {
	good := writeConfig(t, nil)
	if code, out, err := call(t, "", "check-config", good); code != 0 || !strings.Contains(out, good+": good, 1 service(s)") {
		t.Errorf("%d %q %q", code, out, err)
	}
	if code, out, _ := call(t, "", "check-config", "--config", good); code != 0 || !strings.Contains(out, "warning: remediator.alertmanager.url is not set") {
		t.Errorf("%d %q", code, out)
	}
	bad := writeConfig(t, func(s string) string { return strings.Replace(s, "127.0.0.1:1", "nowhere", 1) + "grafana: 1\n" })
	code, _, err := call(t, "", "check-config", bad)
	for _, want := range []string{bad + ":5: ssh.hosts.redis.address: ", bad + ":14: grafana: unknown key", bad + ": bad, 2 fault(s)"} {
		if code != 1 || !strings.Contains(err, want) {
			t.Errorf("%d, no %q in\n%s", code, want, err)
		}
	}
	key := writeConfig(t, nil)
	if err := os.WriteFile(filepath.Join(filepath.Dir(key), "key"), []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, err := call(t, "", "check-config", key); code != 1 || !strings.Contains(err, key+": ssh.hosts.redis: ") {
		t.Errorf("%d %q", code, err)
	}
	short := writeConfig(t, nil)
	if err := os.WriteFile(filepath.Join(filepath.Dir(short), "jwt"), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, err := call(t, "", "check-config", short); code != 1 || !strings.Contains(err, "jwt has 5 bytes, but needs 32 or more") {
		t.Errorf("%d %q", code, err)
	}
}
