package exporter

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/exporter/health"
)

// look returns what one look at a target finds, without a running prober.
func look(t *testing.T, tg Target) (health.Observation, health.View) {
	t.Helper()
	p, err := NewProber(ProberOptions{Targets: []Target{tg}, Units: &fakeUnits{read: running()}})
	if err != nil {
		t.Fatal(err)
	}
	o, err := p.Look(t.Context(), tg.ID)
	if err != nil {
		t.Fatal(err)
	}
	v, _ := p.View(tg.ID)
	return o, v
}

func wantReply(t *testing.T, tg Target, want health.Reply, code health.Code) {
	t.Helper()
	o, v := look(t, tg)
	if o.Ping.Reply != want {
		t.Errorf("reply %s (%s), want %s", o.Ping.Reply, o.Ping.Detail, want)
	}
	if code != "" && !v.Verdict.Has(code) {
		t.Errorf("no reason %s in %+v", code, v.Verdict)
	}
	if want != health.ReplyPong && o.Ping.Detail == "" {
		t.Error("no words")
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	r.kill()
	wantReply(t, target(r), health.ReplyRefused, "")
}

func TestMissingUnixSocketIsRefused(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	tg := target(r)
	tg.Addr = "unix:" + filepath.Join(t.TempDir(), "redis.sock")
	wantReply(t, tg, health.ReplyRefused, "")
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	sock := filepath.Join(t.TempDir(), "redis.sock")
	r := startRedis(t, "--unixsocket", sock)
	tg := target(r)
	tg.Addr = "unix:" + sock
	until(t, "it listens there too", func() bool {
		c, err := net.Dial("unix", sock)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	wantReply(t, tg, health.ReplyPong, "")
}

func TestMaxClients(t *testing.T) {
	t.Parallel()
	r := full(t)
	// With a password to send, the refusal comes before AUTH is read.
	for range 20 { // the refusal and our own write race on the wire
		wantReply(t, target(r), health.ReplyMaxClients, health.CodeMaxClients)
		tg := target(r)
		tg.Credentials = func() (string, string) { return "", "secret" }
		wantReply(t, tg, health.ReplyMaxClients, health.CodeMaxClients)
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--requirepass", "right",
		"--user", "nobody", "on", ">pw", "~*", "-@all", "+ping", "--user", "mute", "on", ">pw", "~*", "-@all")
	with := func(user, password string) Target {
		tg := target(r)
		tg.Credentials = func() (string, string) { return user, password }
		return tg
	}
	wantReply(t, target(r), health.ReplyNoAuth, health.CodeNoAuth)
	wantReply(t, with("", "wrong"), health.ReplyNoAuth, health.CodeNoAuth)
	wantReply(t, with("default", "right"), health.ReplyPong, "")
	wantReply(t, with("", "right"), health.ReplyPong, "")
	wantReply(t, with("mute", "pw"), health.ReplyNoPerm, health.CodeNoPerm)
	o, v := look(t, with("nobody", "pw"))
	if o.Ping.Reply != health.ReplyPong || o.Info != nil || !strings.Contains(v.Samples.InfoErr, "NOPERM") {
		t.Errorf("a user who may only PING: %+v %+v", o, v.Samples)
	}
	for _, c := range v.Verdict.Checks {
		if c.Name == health.CheckPerformance && c.Message != "Cannot collect metrics - INFO was refused or failed" {
			t.Errorf("%+v", c)
		}
	}
}

func TestPasswordWhereNoneIsNeeded(t *testing.T) {
	t.Parallel()
	tg := target(startRedis(t))
	tg.Credentials = func() (string, string) { return "", "needless" }
	wantReply(t, tg, health.ReplyPong, "")
}

func TestBusy(t *testing.T) {
	t.Parallel()
	r := busy(t)
	wantReply(t, target(r), health.ReplyBusy, health.CodeBusy)
	r.do("SCRIPT", "KILL")
}

func TestMisconf(t *testing.T) {
	t.Parallel()
	r := misconf(t)
	o, v := look(t, target(r))
	if o.Ping.Reply != health.ReplyMisconf || o.Info == nil || o.Info.BgsaveOK || v.Verdict.Status != health.Degraded {
		t.Errorf("%+v %+v", o, v.Verdict)
	}
	if p, known := o.Info.Persistent(); !p || !known {
		t.Error("a server with save points is persistent")
	}
}

func TestLoading(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--enable-debug-command", "yes")
	r.do("DEBUG", "POPULATE", "5000")
	r.do("SAVE")
	r.kill()
	r.args = append(r.args, "--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
	r.start()
	tg := target(r)
	tg.Timings.PingTimeout = 5 * time.Second // it answers between two pieces of its file only
	wantReply(t, tg, health.ReplyLoading, health.CodeLoading)
	o, _ := look(t, tg)
	if o.Info == nil || !o.Info.Loading {
		t.Errorf("INFO of a loading server: %+v", o.Info)
	}
}

func TestMasterDown(t *testing.T) {
	t.Parallel()
	_, port, _ := net.SplitHostPort(freeAddr(t))
	r := startRedis(t, "--replicaof", "127.0.0.1 "+port, "--replica-serve-stale-data", "no")
	wantReply(t, target(r), health.ReplyMasterDown, health.CodeMasterDown)
}

func TestFrozenBeforeTheFirstLook(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	r.signal(syscall.SIGSTOP)
	o, _ := look(t, target(r))
	if o.Ping.Reply != health.ReplyTimeout || !o.Ping.Connected {
		t.Errorf("%+v", o.Ping)
	}
}

// serve answers each connection to a listener of its own with f.
func serve(t testing.TB, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				f(c)
				_ = c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func TestNotRedis(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	for name, c := range map[string]struct {
		serve func(net.Conn)
		want  health.Reply
	}{
		"an HTTP server": {func(c net.Conn) {
			_, _ = bufio.NewReader(c).ReadString('\n')
			_, _ = fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
		}, health.ReplyProtocol},
		"a server that answers a number":   {func(c net.Conn) { _, _ = fmt.Fprint(c, ":1\r\n") }, health.ReplyProtocol},
		"a server that closes at once":     {func(net.Conn) {}, health.ReplyUnreachable},
		"Redis in protected mode":          {func(c net.Conn) { _, _ = fmt.Fprint(c, "-DENIED Redis is running in protected mode\r\n") }, health.ReplyNoPerm},
		"a server that stops in the reply": {func(c net.Conn) { _, _ = fmt.Fprint(c, "$10\r\nabc") }, health.ReplyUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tg := target(r)
			tg.Addr = serve(t, c.serve)
			wantReply(t, tg, c.want, "")
		})
	}
}

func TestNoSuchName(t *testing.T) {
	t.Parallel()
	tg := target(startRedis(t))
	tg.Addr = "no-such-host.invalid:6379"
	wantReply(t, tg, health.ReplyDNS, health.CodeNotReachable)
}

func TestUnroutableAddress(t *testing.T) {
	t.Parallel()
	tg := target(startRedis(t))
	tg.Addr = "255.255.255.255:6379" // the kernel refuses it before anything is sent
	wantReply(t, tg, health.ReplyUnreachable, health.CodeNotReachable)
}

// certificate makes a self-signed certificate for 127.0.0.1 and returns its files and a pool that trusts it.
func certificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "EC PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(cert)
	return certFile, keyFile, pool
}

func TestTLS(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t)
	_, port, _ := net.SplitHostPort(freeAddr(t))
	r := startRedis(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert, "--tls-auth-clients", "no")
	with := func(addr string, cfg *tls.Config) Target {
		tg := target(r)
		tg.Addr, tg.TLS = addr, cfg
		return tg
	}
	tlsAddr := "127.0.0.1:" + port
	wantReply(t, with(tlsAddr, &tls.Config{RootCAs: pool}), health.ReplyPong, "")
	wantReply(t, with(tlsAddr, &tls.Config{}), health.ReplyTLS, health.CodeNotReachable)
	wantReply(t, with(tlsAddr, &tls.Config{RootCAs: pool, ServerName: "elsewhere"}), health.ReplyTLS, health.CodeNotReachable)
	// A plain client at the TLS port must never look like a Redis that is down.
	if o, v := look(t, with(tlsAddr, nil)); o.Ping.Reply.NoConnectivity() || v.Verdict.Status == health.Critical {
		t.Errorf("%+v", o.Ping)
	}
	wantReply(t, with(r.addr, &tls.Config{RootCAs: pool}), health.ReplyTLS, health.CodeNotReachable)

	// A Redis that has spoken TLS and then freezes is silent, not misconfigured.
	p, err := NewProber(ProberOptions{Targets: []Target{with(tlsAddr, &tls.Config{RootCAs: pool})}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []health.Reply{health.ReplyPong, health.ReplyTimeout} {
		if o, err := p.Look(t.Context(), "redis"); err != nil || o.Ping.Reply != want || !o.Ping.Connected {
			t.Errorf("%+v %v, want %s", o.Ping, err, want)
		}
		r.signal(syscall.SIGSTOP)
	}
}

// TestNoSecretIsShown looks for a password everywhere that the exporter writes.
func TestNoSecretIsShown(t *testing.T) {
	t.Parallel()
	const canary = "canary-7c1e"
	r := startRedis(t, "--requirepass", canary)
	var log lockedBuffer
	for _, password := range []string{canary, canary + "-wrong"} {
		tg := target(r)
		tg.Credentials = func() (string, string) { return "default", password }
		tg.Collect = Collect{AllConfig: true, Clients: true}
		opt := Options{Targets: []Target{tg}, Units: &fakeUnits{read: running(), err: fmt.Errorf("no bus")}, Logger: zerolog.New(&log).Level(zerolog.TraceLevel)}
		_, base := runExporter(t, opt)
		for _, path := range []string{"/metrics", "/probe?target=redis", "/probe?target=redis&debug=true", "/sd", "/"} {
			if _, body := get(t, base+path); strings.Contains(body, canary) {
				t.Errorf("%s shows the password", path)
			}
		}
	}
	if strings.Contains(log.String(), canary) {
		t.Error("the log shows the password")
	}
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
