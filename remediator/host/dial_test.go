package host

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/redis-medic/redis-medic/exporter/health"
)

func TestResolverRemembersWhatTheNameWas(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	addrs, fails := []string{"127.0.0.2", "127.0.0.1"}, error(nil)
	r := &resolver{lookup: func(context.Context, string) ([]string, error) { return addrs, fails }}
	dial := func(address string) error {
		conn, err := r.dial(t.Context(), "tcp", address)
		if err == nil {
			err = conn.Close()
		}
		return err
	}
	fails = errors.New("dns is down")
	if err := dial("redis:" + port); !errors.Is(err, fails) {
		t.Errorf("a name that was never known: %v", err)
	}
	fails = nil
	if err := dial("redis:" + port); err != nil {
		t.Errorf("the second address is not tried: %v", err)
	}
	fails = errors.New("dns is down")
	if err := dial("redis:" + port); err != nil {
		t.Errorf("with DNS down the last addresses count: %v", err)
	}
	if err := dial(l.Addr().String()); err != nil {
		t.Errorf("an address needs no DNS: %v", err)
	}
	if err := dial("nonsense"); err == nil {
		t.Error("an address without a port was dialled")
	}
	addrs, fails = []string{"127.0.0.1"}, nil
	must(t, l.Close())
	if err := dial("redis:" + port); err == nil {
		t.Error("dialled a closed port")
	}
}

func TestResolverDoesNotWaitForADeadServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &resolver{lookup: func(ctx context.Context, _ string) ([]string, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		start := time.Now()
		_, err := r.dial(t.Context(), "tcp", "redis:22")
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != resolveTimeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestHandshakeFailures(t *testing.T) {
	c := &Client{o: ClientOptions{Name: "redis"}}
	expired, cancel := context.WithTimeoutCause(t.Context(), 0, errDialDeadline)
	defer cancel()
	<-expired.Done()
	for _, tt := range []struct {
		name        string
		ctx         context.Context
		err         error
		authReached bool
		want        health.ErrorClass
	}{
		{"no host key of a known type", t.Context(), negotiationError(t), false, health.ClassHostKey},
		{"deadline", expired, net.ErrClosed, true, health.ClassTimeout},
		{"no method left", t.Context(), errors.New("ssh: handshake failed: ssh: unable to authenticate, attempted methods [none]"), true, health.ClassAuth},
		{"too many attempts", t.Context(), errors.New("ssh: disconnect, reason 2: Too many authentication failures"), true, health.ClassAuth},
		{"disconnect before authentication", t.Context(), errors.New("ssh: disconnect, reason 2: no"), false, health.ClassUnreachable},
		{"closed", t.Context(), net.ErrClosed, true, health.ClassUnreachable},
	} {
		if got := c.classifyHandshake(tt.ctx, tt.err, tt.authReached); got.Class != tt.want || got.Public == "" {
			t.Errorf("%s: %+v, want %s", tt.name, got, tt.want)
		}
	}
}

// negotiationError has a real client and server disagree about the host key's type.
func negotiationError(t *testing.T) error {
	t.Helper()
	near, far, err := loopback(t)
	must(t, err)
	server := &ssh.ServerConfig{NoClientAuth: true}
	server.AddHostKey(newSigner(t))
	go func() { _, _, _, _ = ssh.NewServerConn(far, server) }()
	_, _, _, err = ssh.NewClientConn(near, "redis:22", &ssh.ClientConfig{
		User: "autobot", HostKeyAlgorithms: []string{ssh.KeyAlgoRSASHA512}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err == nil {
		t.Fatal("they agreed")
	}
	return err
}
