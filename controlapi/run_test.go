package controlapi

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/redis-medic/redis-medic/controlapi/authn"
	"github.com/redis-medic/redis-medic/controlapi/rbac"
	"github.com/redis-medic/redis-medic/remediator"
)

func TestOptionsThatCannotWork(t *testing.T) {
	_, err := New(Options{Services: []ServiceInfo{{ID: "a b"}, {ID: "x"}, {ID: "x"}}, Websocket: WebsocketSettings{Endpoint: "/api"}})
	for _, want := range []string{"listen", "prober", "remediator", "audit", "sessions", `"a b" is not a plain name`, `"x" is used twice`, "websocket.endpoint"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if _, err := New(Options{}); err == nil || !strings.Contains(err.Error(), "services: at least one") {
		t.Errorf("%v", err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for want, change := range map[string]func(*Options){
		"in use":             func(o *Options) { o.Listen = taken.Addr().String() },
		"unknown permission": func(o *Options) { o.Permissions = map[rbac.Permission][]rbac.Role{"fly": {"admin"}} },
		"HMAC secret":        func(o *Options) { o.JWT.HMACSecret = []byte("canary") },
		"allowed_origins":    func(o *Options) { o.AllowedOrigins = []string{"autobot.example"} },
		"read panel":         func(o *Options) { o.Panel = os.DirFS(filepath.Join(t.TempDir(), "missing")) },
		"larger than":        func(o *Options) { o.Panel = fstest.MapFS{"big.bin": {Data: make([]byte, maxPanelBytes+1)}} },
	} {
		r := &rig{t: t, prober: &fakeProber{}, remediator: &fakeRemediator{}, audit: &fakeAudit{}, sessions: newMemSessions(), logs: &fakeLogs{}, log: &syncBuffer{}}
		o := testOptions(r)
		change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

// get asks a running API over the network.
func get(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

func TestRunServesUntilTheContextEnds(t *testing.T) {
	r := newRig(t, nil)
	entered, release := make(chan struct{}), make(chan struct{})
	r.remediator.operate = func(_ context.Context, req remediator.Request) (remediator.Result, error) {
		close(entered)
		<-release
		return success(req.Operation), nil
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	base := "http://" + r.Addr().String()
	stream, _, err := r.listen(streamPath, authHeader(viewToken))
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := get(t, http.DefaultClient, base+"/api/services/redis/status"); code != 200 {
		t.Errorf("%d", code)
	}
	answered := make(chan int, 1)
	go func() {
		req, _ := http.NewRequest("POST", base+"/api/services/redis/restart", nil)
		req.Header.Set("Authorization", "Bearer "+adminToken)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			answered <- 0
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	<-entered
	stop()
	if got := closedWith(t, stream); got != 1001 {
		t.Errorf("the stream was closed with %v", got)
	}
	select {
	case err := <-done:
		t.Fatalf("Run ended while an operation was in hand: %v", err)
	default:
	}
	close(release)
	if got := <-answered; got != 200 {
		t.Errorf("the operation in hand was answered with %d", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := net.DialTimeout("tcp", r.Addr().String(), time.Second); err == nil {
		t.Error("it still listens")
	}
}

func TestTheGraceTimeIsBounded(t *testing.T) {
	r := newRig(t, func(o *Options) { o.ShutdownGrace = 50 * time.Millisecond })
	entered, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	r.remediator.operate = func(_ context.Context, req remediator.Request) (remediator.Result, error) {
		close(entered)
		<-release
		return success(req.Operation), nil
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	go func() {
		req, _ := http.NewRequest("POST", "http://"+r.Addr().String()+"/api/services/redis/restart", nil)
		req.Header.Set("Authorization", "Bearer "+adminToken)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
		}
	}()
	<-entered
	stop()
	select {
	case err := <-done:
		if err != nil || !strings.Contains(r.log.String(), "still running at shutdown") {
			t.Errorf("%v\n%s", err, r.log)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Run does not end")
	}
}

func TestAListenerThatBreaksEndsRun(t *testing.T) {
	r := newRig(t, nil)
	_ = r.Close()
	if err := r.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "serve control api") {
		t.Errorf("%v", err)
	}
}

func TestPruning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.prune(ctx) }()
		if _, _, err := r.auth.StartSession(ctx, authn.Principal{ID: "user-123"}, "127.0.0.1"); err != nil {
			t.Fatal(err)
		}
		pass(authn.DefaultSessionIdle + 2*pruneEvery)
		synctest.Wait()
		if len(r.sessions.all) != 0 {
			t.Error("an idle session is kept")
		}
		r.sessions.setBroken(true)
		pass(2 * pruneEvery)
		synctest.Wait()
		if !strings.Contains(r.log.String(), "sessions could not be pruned") {
			t.Error("nothing was said of a store that does not answer")
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestSlowAndOversizedClients: what a stranger can send without credentials costs a bounded amount and ends.
func TestSlowAndOversizedClients(t *testing.T) {
	r := serveRig(t, nil)
	send := func(text io.Reader) string {
		conn, err := net.Dial("tcp", r.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.Copy(conn, text) // the server may close first
		line := make([]byte, 64)
		n, _ := conn.Read(line)
		return string(line[:n])
	}
	if got := send(strings.NewReader("GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 2*maxHeaderBytes) + "\r\n\r\n")); !strings.Contains(got, " 431 ") {
		t.Errorf("a large header: %q", got)
	}
	if got := send(strings.NewReader("GARBAGE\r\n\r\n")); !strings.Contains(got, " 400 ") {
		t.Errorf("garbage: %q", got)
	}
	if got := send(iotest.OneByteReader(strings.NewReader("GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n"))); !strings.Contains(got, " 200 ") {
		t.Errorf("slow but honest: %q", got)
	}
	if s := r.server; s.ReadHeaderTimeout == 0 || s.ReadTimeout == 0 || s.WriteTimeout == 0 || s.IdleTimeout == 0 {
		t.Error("a timeout is missing")
	}
}

// certificate writes a new self-signed certificate for 127.0.0.1 with its key and a web configuration into a folder, and returns the
// certificate in PEM.
func certificate(t *testing.T, dir string, serial int64) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	rawKey, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	out := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, raw := range map[string][]byte{
		"cert.pem": out, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: rawKey}),
		"web.yml": []byte("tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestANewCertificateIsTakenWithoutARestart: also the event stream over TLS that was open before goes on.
func TestANewCertificateIsTakenWithoutARestart(t *testing.T) {
	dir := t.TempDir()
	certificate(t, dir, 1)
	r := serveRig(t, func(o *Options) { o.WebConfigFile, o.WatchEvery = filepath.Join(dir, "web.yml"), time.Hour })
	serial := func() int64 {
		conn, err := tls.Dial("tcp", r.Addr().String(), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the certificate is looked at below
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Fatalf("serial %d", got)
	}
	plainOld, err := tls.Dial("tcp", r.Addr().String(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}) //nolint:gosec // must be refused
	if err == nil {
		_ = plainOld.Close()
		t.Error("TLS 1.1 is accepted")
	}
	stream, _, err := websocket.Dial(t.Context(), "wss://"+r.Addr().String()+streamPath, &websocket.DialOptions{
		HTTPHeader: authHeader(viewToken),
		HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}, //nolint:gosec // as above
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.CloseNow() }()
	certificate(t, dir, 2)
	if got := serial(); got != 2 {
		t.Errorf("serial %d after the change of the files", got)
	}
	r.isFollowed(t, stream)
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	root := certificate(t, dir, 1)
	r := serveRig(t, func(o *Options) { o.WebConfigFile = filepath.Join(dir, "web.yml") })
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()
	base := "https://" + r.Addr().String()
	if code, body := get(t, client, base+"/api/services/redis/status"); code != 200 || !strings.Contains(body, "running") {
		t.Errorf("%d %s", code, body)
	}
	resp, err := client.Post(base+"/api/auth/login", "application/json", strings.NewReader(loginBody("admin@autobot.local", password)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if c := resp.Cookies(); len(c) != 1 || c[0].Name != secureCookieName || !c[0].Secure {
		t.Errorf("%v", c)
	}

	broken := newRig(t, func(o *Options) { o.WebConfigFile = filepath.Join(dir, "missing.yml") })
	if err := broken.Run(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
