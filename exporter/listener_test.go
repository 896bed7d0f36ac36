package exporter

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// TestListenerSpeaksTLSAndAsksForAPassword serves under Prometheus's web configuration file, and changes the password in it.
func TestListenerSpeaksTLSAndAsksForAPassword(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t)
	file := filepath.Join(t.TempDir(), "web.yml")
	write := func(password string) {
		t.Helper()
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("tls_server_config: {cert_file: %s, key_file: %s}\nbasic_auth_users: {prometheus: %q}\n", cert, key, hash)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	r := startRedis(t)
	e, err := New(Options{Listen: "127.0.0.1:0", WebConfigFile: file, Targets: []Target{target(r)}})
	if err != nil {
		t.Fatal(err)
	}
	run(t, e)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	t.Cleanup(client.CloseIdleConnections)
	ask := func(scheme, path, password string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme+"://"+e.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if password != "" {
			req.SetBasicAuth("prometheus", password)
		}
		res, err := client.Do(req)
		if err != nil {
			return 0
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	until(t, "it serves", func() bool { return ask("https", "/-/ready", "first") == http.StatusOK })
	for _, c := range []struct {
		scheme, path, password string
		code                   int
	}{
		{"https", "/metrics", "first", http.StatusOK}, {"https", "/probe?target=redis", "first", http.StatusOK}, {"https", "/", "first", http.StatusOK},
		{"https", "/metrics", "", http.StatusUnauthorized}, {"https", "/metrics", "wrong", http.StatusUnauthorized},
		{"https", "/sd", "", http.StatusUnauthorized}, {"https", "/-/healthy", "", http.StatusUnauthorized}, {"http", "/metrics", "first", http.StatusBadRequest},
	} {
		if code := ask(c.scheme, c.path, c.password); code != c.code {
			t.Errorf("%s %s with %q: %d, want %d", c.scheme, c.path, c.password, code, c.code)
		}
	}
	write("second")
	if old, now := ask("https", "/metrics", "first"), ask("https", "/metrics", "second"); old != http.StatusUnauthorized || now != http.StatusOK {
		t.Errorf("after a change of the file: %d with the old password, %d with the new one", old, now)
	}
}
