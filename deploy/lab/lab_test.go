package lab_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/deploy/lab"
	"github.com/redis-medic/redis-medic/deploy/lab/labtest"
)

// childVariable makes TestChildProcess boot a host, print its name and folder, and end or stay: another process to end in bad ways.
const childVariable = "REDIS_MEDIC_LAB_TEST_CHILD"

// TestChildProcess is the other process of the tests below; by itself it does nothing.
func TestChildProcess(t *testing.T) {
	mode := os.Getenv(childVariable)
	if mode == "" {
		return
	}
	h, err := lab.Up(context.Background(), lab.Options{Keep: mode == "keep"})
	if err != nil {
		fmt.Fprintln(os.Stdout, "error:", err)
		t.FailNow()
	}
	fmt.Fprintln(os.Stdout, h.Name, h.Dir)
	if mode == "stay" {
		select {}
	}
}

// up boots a host that ends with the test, and checks that it leaves nothing.
func up(t *testing.T, opts lab.Options) *lab.Host {
	t.Helper()
	var h *lab.Host
	t.Cleanup(func() { // after the host's own end
		if h == nil {
			return
		}
		if left := leftovers(t, h.Name, h.Dir); left != "" {
			t.Errorf("Down left %s", left)
		}
	})
	h = labtest.Up(t, opts)
	return h
}

// leftovers lists what a host left on the machine.
func leftovers(t *testing.T, name, dir string) string {
	t.Helper()
	var left []string
	for _, path := range []string{
		dir, "/run/netns/" + name, "/sys/class/net/" + name, "/run/systemd/nspawn/propagate/" + name,
		"/run/redis-medic-lab/" + strings.TrimPrefix(name, "rml-") + ".json",
		"/sys/fs/cgroup/systemd/" + filepath.Base(dir), "/sys/fs/cgroup/unified/" + filepath.Base(dir), "/sys/fs/cgroup/" + filepath.Base(dir),
	} {
		if _, err := os.Lstat(path); err == nil && !usedAgain(name, dir, path) {
			left = append(left, path)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), dir) {
		left = append(left, "a mount below "+dir)
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range lines {
		data, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(data), dir) {
			left = append(left, path+": "+strings.ReplaceAll(string(data[max(0, len(data)-200):]), "\x00", " "))
		}
	}
	return strings.Join(left, ", ")
}

// usedAgain reports whether a path that carries only the host's number may belong to a later host of another process.
func usedAgain(name, dir, path string) bool {
	data, err := os.ReadFile("/run/redis-medic-lab/" + strings.TrimPrefix(name, "rml-") + ".json")
	return err == nil && path != dir && !strings.Contains(string(data), dir)
}

func TestHostIsAsDocumented(t *testing.T) {
	h := up(t, lab.Options{Gate: true, Instances: []lab.Instance{{Name: "sessions", Port: 6380}}})
	for _, file := range []string{h.IdentityFile, h.KnownHostsFile, h.PasswordFile} {
		st, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o, want 600", file, st.Mode().Perm())
		}
	}
	for _, c := range []struct{ script, want string }{
		{"cat /proc/1/comm", "systemd"},
		{"systemctl is-system-running || :", "running"},
		{"systemctl is-active ssh dbus systemd-journald redis-server redis-server@sessions | sort -u", "active"},
		{"systemctl show --value --property=Type,Restart,TimeoutStopUSec redis-server | sort | xargs", "always infinity notify"},
		{"redis-cli CONFIG GET bind | tail -n 1", "127.0.0.1 " + h.Address},
		{"redis-cli CONFIG GET protected-mode | tail -n 1", "yes"},
		{"env -u REDISCLI_AUTH redis-cli PING 2>&1 | xargs", "NOAUTH Authentication required."},
		{"stat -c '%U:%G %a' /etc/redis/redis.conf /etc/redis/redis-sessions.conf | sort -u", "redis:redis 640"},
		{"ip -o route show default", ""},
	} {
		got, err := h.Exec(t.Context(), c.script)
		if err != nil || got != c.want {
			t.Errorf("%s: %q (%v), want %q", c.script, got, err, c.want)
		}
	}
	if reply, err := h.Server("redis-server@sessions.service").RedisCLI(t.Context(), "PING"); err != nil || reply != "PONG" {
		t.Errorf("the instance answers %q (%v)", reply, err)
	}
	if st, err := os.Stat("/proc/" + strconv.Itoa(h.PID) + "/exe"); err != nil || st.IsDir() {
		t.Errorf("PID %d is not a process of this machine: %v", h.PID, err)
	}
	if err := h.Down(); err != nil {
		t.Error(err)
	}
	if err := h.Down(); err != nil {
		t.Error("a second Down:", err)
	}
}

func TestHostsDoNotTouchEachOther(t *testing.T) {
	a, b := up(t, lab.Options{}), up(t, lab.Options{})
	if a.Address == b.Address || a.Password == b.Password {
		t.Fatalf("both hosts have %s or the same password", a.Address)
	}
	before, err := b.MainPID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := a.CrashUntilStartLimit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.Partition(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.Down(); err != nil {
		t.Fatal(err)
	}
	after, err := b.MainPID(t.Context())
	if err != nil || after != before {
		t.Errorf("main process of the other host is %d (%v), it was %d", after, err, before)
	}
	if err := b.Running(t.Context()); err != nil {
		t.Error(err)
	}
}

// cancelAt cancels a context as soon as a progress line contains its text.
type cancelAt struct {
	text   string
	cancel context.CancelFunc
	seen   strings.Builder
}

func (c *cancelAt) Write(p []byte) (int, error) {
	c.seen.Write(p)
	if strings.Contains(c.seen.String(), c.text) {
		c.cancel()
	}
	return len(p), nil
}

func TestUpThatIsCutOffLeavesNothing(t *testing.T) {
	labtest.Need(t)
	for _, delay := range []time.Duration{0, 30 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond, time.Second} {
		t.Run(delay.String(), func(t *testing.T) {
			tmp := t.TempDir()
			t.Setenv("TMPDIR", tmp)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			later := func() { time.AfterFunc(delay, cancel) }
			h, err := lab.Up(ctx, lab.Options{Gate: true, Log: &cancelAt{text: "booting", cancel: later}})
			if err == nil {
				err = h.Down() // a fast machine was done before the cut
			} else if !errors.Is(err, context.Canceled) {
				t.Errorf("Up: %v, want the cut", err)
			}
			if h != nil && err != nil {
				t.Error(err)
			}
			checkEmpty(t, tmp)
		})
	}
}

// checkEmpty checks that no folder, mount or process of a host that lived below tmp is left.
func checkEmpty(t *testing.T, tmp string) {
	t.Helper()
	items, err := os.ReadDir(tmp)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range items {
		t.Errorf("%s is left", i.Name())
	}
	entries, err := filepath.Glob("/run/redis-medic-lab/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if data, err := os.ReadFile(e); err == nil && strings.Contains(string(data), tmp) {
			t.Errorf("%s is left", e)
		}
	}
	if left := leftovers(t, "rml-none", tmp); left != tmp {
		t.Errorf("left: %s", left)
	}
}

// child starts this test binary as another process that boots a host.
func child(t *testing.T, mode string) (cmd *exec.Cmd, name, dir string) {
	t.Helper()
	cmd = exec.Command(os.Args[0], "-test.run=^TestChildProcess$")
	cmd.Env = append(os.Environ(), childVariable+"="+mode)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.HasPrefix(line, "error") {
		t.Fatal(line, err)
	}
	if _, err := fmt.Sscan(line, &name, &dir); err != nil {
		t.Fatal(line, err)
	}
	return cmd, name, dir
}

func TestAKilledProcessLeavesNothing(t *testing.T) {
	labtest.Need(t)
	cmd, name, dir := child(t, "stay")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the killed process ended well")
	}
	deadline := time.Now().Add(30 * time.Second)
	left := leftovers(t, name, dir)
	for tick := time.NewTicker(50 * time.Millisecond); left != "" && time.Now().Before(deadline); left = leftovers(t, name, dir) {
		<-tick.C
	}
	if left != "" {
		t.Errorf("left after 30 s: %s", left)
	}
}

func TestSweepRemovesWhatDeadProcessesLeft(t *testing.T) {
	labtest.Need(t)
	cmd, name, dir := child(t, "stay")
	if err := lab.Sweep(); err != nil {
		t.Fatal(err)
	}
	if left := leftovers(t, name, dir); left == "" {
		t.Fatal("Sweep removed the host of a living process")
	}
	watchdogs, err := exec.Command("pgrep", "-P", strconv.Itoa(cmd.Process.Pid), "-f", "lab-watchdog").Output()
	if err != nil {
		t.Fatal(err)
	}
	watchdog, err := strconv.Atoi(strings.TrimSpace(string(watchdogs)))
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{watchdog, cmd.Process.Pid} {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the killed process ended well")
	}
	if err := lab.Sweep(); err != nil {
		t.Fatal(err)
	}
	if left := leftovers(t, name, dir); left != "" {
		t.Errorf("Sweep left %s", left)
	}
}

func TestAKeptHostOutlivesItsProcess(t *testing.T) {
	labtest.Need(t)
	cmd, name, dir := child(t, "keep")
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := lab.Sweep(); err != nil {
		t.Fatal(err)
	}
	hosts, err := lab.Hosts()
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range hosts {
		if h.Dir != dir {
			continue
		}
		if err := h.Running(t.Context()); err != nil {
			t.Error(err)
		}
		if !h.Kept() {
			t.Error("the host does not say that it is kept")
		}
		if err := h.Down(); err != nil {
			t.Error(err)
		}
		if left := leftovers(t, name, dir); left != "" {
			t.Errorf("Down left %s", left)
		}
		return
	}
	t.Errorf("%s is not among %d hosts", name, len(hosts))
}

func TestOptionsAreChecked(t *testing.T) {
	for _, opts := range []lab.Options{
		{Gate: true, DocumentSudoers: true},
		{Instances: []lab.Instance{{Name: "a b", Port: 7000}}},
		{Instances: []lab.Instance{{Name: "../x", Port: 7000}}},
		{Instances: []lab.Instance{{Name: "a", Port: 6379}}},
		{Instances: []lab.Instance{{Name: "a", Port: 7000}, {Name: "b", Port: 7000}}},
		{Instances: []lab.Instance{{Name: "a", Port: 80}}},
	} {
		if h, err := lab.Up(t.Context(), opts); err == nil {
			t.Errorf("%+v: a host was booted", opts)
			if err := h.Down(); err != nil {
				t.Error(err)
			}
		}
	}
}

// dialable says how a connection to an address of a host goes: "", "refused", "timeout".
func dialable(address string) string {
	conn, err := net.DialTimeout("tcp", address, 300*time.Millisecond)
	var timeout net.Error
	switch {
	case err == nil:
		conn.Close()
		return ""
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	default:
		return "refused"
	}
}
