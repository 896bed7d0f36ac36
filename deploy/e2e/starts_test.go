package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// started breaks something that a start meets, and stops the unit so that a start is needed.
func started(breakIt func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := host.Stop(ctx); err != nil {
			return err
		}
		return breakIt(ctx)
	}
}

// onHost runs a script on the host.
func onHost(script string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := host.Exec(ctx, script)
		return err
	}
}

func appended(line string) func(context.Context) error {
	return func(ctx context.Context) error { return host.AppendConfig(ctx, line) }
}

func dropIn(text string) func(context.Context) error {
	return func(ctx context.Context) error { return host.DropIn(ctx, text) }
}

// TestWhyAStartFailed breaks a start in every way that we know: one start is tried, its cause is named from the unit, the journal and
// the Redis log, and nothing is repeated that cannot help.
func TestWhyAStartFailed(t *testing.T) {
	direct(t)
	fill := "dd if=/dev/zero of=/var/lib/redis/lab.fill bs=1M 2>/dev/null || :"
	inodes := "mount -o remount,nr_inodes=64 /var/lib/redis; i=0; while touch /var/lib/redis/lab.fill.$i 2>/dev/null; do i=$((i + 1)); done"
	for _, c := range []struct {
		name  string
		fault func(context.Context) error
		cause string
		text  string
	}{
		{"a directive that Redis does not know", started(appended("maxmemroy 1gb")), "config_error", "'maxmemroy 1gb'"},
		{"a value that Redis does not take", started(appended("maxmemory plenty")), "config_error", "'maxmemory plenty'"},
		{"the configuration cannot be read", host.HideConfig, "config_error", "/etc/redis/redis.conf"},
		{"the port is taken", host.TakePort, "port_in_use", "nc (pid "},
		{"the address is another host's", started(appended("bind 10.99.99.99")), "bind_address", "listen"},
		{"a spoilt snapshot", host.CorruptData, "corrupt_data", "data file"},
		{"a spoilt append-only file", host.CorruptAOF, "corrupt_data", "data file"},
		{"no space for the append-only file", started(onHost("echo 'appendonly yes' >>/etc/redis/redis.conf; " + fill)), "disk_full", "disk"},
		{"no inode for the append-only file", started(onHost("echo 'appendonly yes' >>/etc/redis/redis.conf; " + inodes)), "disk_full", "inode"},
		{"the data folder is somebody else's", started(onHost("chown root:root /var/lib/redis; chmod 0700 /var/lib/redis")), "permission", "/var/lib/redis"},
		{"the load takes longer than systemd waits", slowStart, "start_timeout", "start timeout"},
		{"nobody says why", started(dropIn("[Service]\nExecStart=\nExecStart=/usr/bin/redis-server --version\nType=simple")), "start_limit", "gave up"},
		{"nobody says why, and nobody tries again", started(dropIn("[Service]\nExecPaths=/bin /usr/bin\nExecStart=\nExecStart=/bin/sh -c 'exit 3'\nRestart=no")), "unknown", "exit code 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := fresh(t)
			since := time.Now()
			if err := c.fault(ctx); err != nil {
				t.Fatal(err)
			}
			fire(ctx, t, "redis", "RedisDown")
			var i map[string]any
			until(ctx, t, "the cause "+c.cause, func() (bool, string) {
				i = newest(ctx, t, since)
				return i != nil && len(steps(i, "diagnosed")) > 0, fmt.Sprint(i)
			})
			if found := steps(i, "diagnosed")[0]; found["code"] != c.cause || !strings.Contains(fmt.Sprint(found["text"]), c.text) {
				t.Errorf("found %v, want %s with %q", found, c.cause, c.text)
			}
			if got := acts(i); len(got) == 0 || !strings.HasSuffix(got[0], "start") {
				t.Errorf("acts %q, want a start first", got)
			}
			until(ctx, t, "a person is called", func() (bool, string) {
				i = newest(ctx, t, since)
				return i["status"] == "manual", fmt.Sprint(i)
			})
		})
	}
}

// slowStart lets the data load for longer than systemd's start timeout, without another try by systemd.
func slowStart(ctx context.Context) error {
	if err := host.SlowLoad(ctx, 20*time.Second); err != nil {
		return err
	}
	if err := host.DropIn(ctx, "[Service]\nTimeoutStartSec=1\nRestart=no"); err != nil {
		return err
	}
	return onHost("systemctl kill --signal=SIGKILL redis-server; systemctl stop redis-server")(ctx)
}
