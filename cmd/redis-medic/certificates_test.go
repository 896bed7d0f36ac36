package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/controlapi"
)

// TestTheEndOfTheCertificateIsAMetric: that of the file as it is now.
func TestTheEndOfTheCertificateIsAMetric(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, raw []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	certificate := func(end time.Time) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: end}
		der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	write("web.yml", []byte("tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"))
	var log strings.Builder
	c := newCertificates(func() *plan { return &plan{API: controlapi.Options{WebConfigFile: filepath.Join(dir, "web.yml")}} }, zerolog.New(&log))
	page := func(want string) {
		t.Helper()
		if want != "" {
			want = "# HELP redis_medic_certificate_end_timestamp_seconds When the certificate of the listener ends, in seconds since the epoch.\n" +
				"# TYPE redis_medic_certificate_end_timestamp_seconds gauge\n" + want + "\n"
		}
		if err := testutil.CollectAndCompare(c, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
	}
	certificate(time.Unix(2e9, 0))
	page(`redis_medic_certificate_end_timestamp_seconds{component="controlapi"} 2e+09`)
	certificate(time.Unix(1e9, 0)) // replaced, and expired: still told
	page(`redis_medic_certificate_end_timestamp_seconds{component="controlapi"} 1e+09`)
	for _, f := range []struct{ name, raw string }{{"cert.pem", "garbage"}, {"web.yml", "tls_server_config: {cert_file: missing.pem}"}} {
		write(f.name, []byte(f.raw))
		page("")
		page("") // said once
	}
	write("web.yml", []byte("\t:"))
	page("")
	if !strings.Contains(log.String(), "not in PEM form") || !strings.Contains(log.String(), "missing.pem") || strings.Count(log.String(), "\n") != 3 {
		t.Errorf("said: %s", log.String())
	}
	write("web.yml", []byte("basic_auth_users: {a: b}"))
	page("")
}
