package exporter

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/exporter/resp"
)

// testRedis is a real redis-server of its own on loopback.
type testRedis struct {
	t    testing.TB
	addr string
	dir  string
	conf string // a configuration file that comes before all arguments; empty: none
	args []string
	cmd  *exec.Cmd
	done chan struct{}
}

// startRedis starts a redis-server that ends with the test. args are added to its command line.
func startRedis(t testing.TB, args ...string) *testRedis {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed")
	}
	r := &testRedis{t: t, addr: freeAddr(t), dir: t.TempDir(), args: args}
	r.start()
	t.Cleanup(r.kill)
	return r
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func (r *testRedis) start() {
	r.t.Helper()
	host, port, _ := net.SplitHostPort(r.addr)
	log, err := os.Create(filepath.Join(r.dir, "log"))
	if err != nil {
		r.t.Fatal(err)
	}
	args := append([]string{"--bind", host, "--port", port, "--dir", r.dir, "--daemonize", "no"}, r.args...)
	if r.conf != "" {
		args = append([]string{r.conf}, args...)
	} else {
		args = append(args, "--save", "")
	}
	r.cmd = exec.Command("redis-server", args...)
	r.cmd.Stdout, r.cmd.Stderr = log, log
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait()
		_ = log.Close()
		close(done)
	}(r.cmd, r.done)
	until(r.t, "redis-server listens", func() bool {
		c, err := net.DialTimeout("tcp", r.addr, 100*time.Millisecond)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func (r *testRedis) signal(s syscall.Signal) { _ = r.cmd.Process.Signal(s) }

func (r *testRedis) kill() {
	r.signal(syscall.SIGCONT)
	r.signal(syscall.SIGKILL)
	<-r.done
}

// do sends one command over a connection of its own and fails the test when nothing comes back.
func (r *testRedis) do(args ...string) resp.Reply {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := resp.Dial(ctx, resp.Options{Addr: r.addr})
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	replies, err := c.Do(ctx, args)
	if err != nil {
		r.t.Fatalf("%v: %v", args, err)
	}
	return replies[0]
}

// until waits for a condition, for ten seconds at most.
func until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		<-tick.C
	}
}

// fakeUnits is a UnitReader whose answers the test sets.
type fakeUnits struct {
	mu      sync.Mutex
	read    health.UnitRead
	watches []func(health.UnitRead)
	reads   int
	err     error // what WatchUnit returns at once, if anything

	watching atomic.Int32 // calls of WatchUnit that have not returned
}

func running() health.UnitRead {
	return health.UnitRead{Unit: health.Unit{
		Name: "redis-server.service", Type: "notify", LoadState: "loaded", ActiveState: "active", SubState: "running", Result: "success", MainPID: 7,
	}}
}

func unitIn(active, sub string) health.UnitRead {
	r := running()
	r.Unit.ActiveState, r.Unit.SubState, r.Unit.MainPID = active, sub, 0
	return r
}

func (f *fakeUnits) ReadUnit(_ context.Context, _ string) health.UnitRead {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	r := f.read
	r.At = time.Now()
	r.Unit.At = r.At
	return r
}

func (f *fakeUnits) WatchUnit(ctx context.Context, _ string, changed func(health.UnitRead)) error {
	f.watching.Add(1)
	defer f.watching.Add(-1)
	f.mu.Lock()
	err, now := f.err, f.read
	f.watches = append(f.watches, changed)
	f.mu.Unlock()
	if err != nil {
		return err
	}
	now.At = time.Now()
	now.Unit.At = now.At
	changed(now)
	<-ctx.Done()
	return fmt.Errorf("watch: %w", ctx.Err())
}

// set changes the unit; event says whether watchers hear of it.
func (f *fakeUnits) set(r health.UnitRead, event bool) {
	f.mu.Lock()
	f.read = r
	watches := append([]func(health.UnitRead){}, f.watches...)
	f.mu.Unlock()
	r.At = time.Now()
	for _, w := range watches {
		if event {
			w(r)
		}
	}
}

func target(r *testRedis) Target {
	_, port, _ := net.SplitHostPort(r.addr)
	if _, err := strconv.Atoi(port); err != nil {
		r.t.Fatal(err)
	}
	return Target{
		ID: "redis", Addr: r.addr, Unit: "redis-server.service",
		Timings: Timings{
			PingInterval: 50 * time.Millisecond, PingTimeout: 300 * time.Millisecond, Recheck: 50 * time.Millisecond,
			UnitInterval: time.Minute, UnitTimeout: time.Second, InfoInterval: 200 * time.Millisecond, InfoTimeout: time.Second,
			PoolInterval: 100 * time.Millisecond, PoolTimeout: time.Second,
		},
		Thresholds: health.Thresholds{PingFailures: 3, UnitFailures: 2, StaleAfter: 20 * time.Second},
	}
}
