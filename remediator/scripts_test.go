package remediator

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// startRedis starts a real Redis on a free loopback port with a short busy threshold and a password.
func startRedis(t *testing.T) string {
	t.Helper()
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatalf("redis-server is needed: apt-get install redis-server (%v)", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(addr)
	dir := t.TempDir()
	conf := filepath.Join(dir, "redis.conf")
	if err := os.WriteFile(conf, []byte("bind 127.0.0.1\nport "+port+"\nsave \"\"\nrequirepass pw\nbusy-reply-threshold 50\ndir "+dir+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, conf)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	c := redis.NewClient(&redis.Options{Addr: addr, Password: "pw", MaxRetries: 50, MinRetryBackoff: 20 * time.Millisecond})
	defer func() { _ = c.Close() }()
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	return addr
}

func TestScriptsOfARealRedisAreEnded(t *testing.T) {
	addr := startRedis(t)
	s := RedisScripts{Target: func(id string) (ScriptTarget, bool) {
		return ScriptTarget{Addr: addr, Timeout: 2 * time.Second, Credentials: func() (string, string) { return "", "pw" }}, id == "redis"
	}}
	if err := s.KillScript(t.Context(), "nope"); !errors.Is(err, ErrUnknownService) {
		t.Errorf("unknown: %v", err)
	}
	if err := s.KillScript(t.Context(), "redis"); !errors.Is(err, ErrNoScript) {
		t.Errorf("no script: %v", err)
	}
	for _, c := range []struct {
		name, script string
		want         error
	}{
		{"reads only", "while true do end", nil},
		{"has written", "redis.call('set','a','b') while true do end", ErrUnkillable},
	} {
		client := redis.NewClient(&redis.Options{Addr: addr, Password: "pw", ReadTimeout: time.Minute, MaxRetries: -1})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- client.Eval(ctx, c.script, nil).Err() }()
		waitBusy(t, addr)
		if err := s.KillScript(t.Context(), "redis"); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		cancel()
		_ = client.Close()
		<-ended
	}
}

func waitBusy(t *testing.T, addr string) {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: addr, Password: "pw", MaxRetries: -1, ReadTimeout: time.Second})
	defer func() { _ = c.Close() }()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		if err := c.Ping(t.Context()).Err(); err != nil && strings.HasPrefix(err.Error(), "BUSY") {
			return
		}
	}
	t.Fatal("Redis did not become busy")
}
