package systemd_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/controlapi/authn"
	"github.com/redis-medic/redis-medic/deploy"
	"github.com/redis-medic/redis-medic/deploy/lab"
	"github.com/redis-medic/redis-medic/deploy/lab/labtest"
	"github.com/redis-medic/redis-medic/deploy/systemd"
)

// sh runs a script on the host.
func sh(t *testing.T, h *lab.Host, script string) string {
	t.Helper()
	out, err := h.Exec(t.Context(), script)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// install puts redis-medic on the host as the README tells a user to, next to the Redis that it looks after.
func install(t *testing.T, h *lab.Host) {
	t.Helper()
	root := filepath.Join(h.Dir, "root")
	binary := filepath.Join(t.TempDir(), "redis-medic")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "github.com/redis-medic/redis-medic/cmd/redis-medic")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	config, err := deploy.Render(deploy.Settings{SSHAddress: h.SSHAddress, SSHUser: h.User, RedisIP: h.Address})
	if err != nil {
		t.Fatal(err)
	}
	hash, err := authn.HashPassword("a password of a test")
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.Repeat("0123456789abcdef", 4)
	files := map[string]string{
		"/etc/systemd/system/redis-medic.service": systemd.Unit, "/etc/redis-medic/redis-medic.yml": string(config),
		"/etc/redis-medic/webhook_token": secret, "/etc/redis-medic/jwt_secret": secret, "/etc/redis-medic/backend_token": secret,
		"/etc/redis-medic/admin_password": hash, "/etc/redis-medic/operator_password": hash, "/etc/redis-medic/viewer_password": hash,
	}
	for to, from := range map[string]string{
		"/usr/bin/redis-medic": binary, "/etc/redis-medic/autobot_key": h.IdentityFile,
		"/etc/redis-medic/known_hosts": h.KnownHostsFile, "/etc/redis-medic/redis_password": h.PasswordFile,
	} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		files[to] = string(data)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sh(t, h, `
useradd --system --user-group --home-dir /var/lib/redis-medic --shell /usr/sbin/nologin redis-medic
chown redis-medic:redis-medic /etc/redis-medic/*_* /etc/redis-medic/known_hosts /etc/redis-medic/redis-medic.yml
chmod 0755 /usr/bin/redis-medic
chmod 0644 /etc/systemd/system/redis-medic.service
systemctl daemon-reload`)
}

// until waits for a word in what a script prints.
func until(t *testing.T, h *lab.Host, what, script, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		out, err := h.Exec(ctx, script)
		if err == nil && strings.Contains(out, want) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %q %v\n%s", what, out, err, sh(t, h, "journalctl --no-pager -n 40 -u redis-medic || :"))
		case <-tick.C:
		}
	}
}

// The shipped unit runs redis-medic behind all its walls: it finds its files, reaches the host, recovers Redis, reloads and ends in order.
func TestTheShippedUnit(t *testing.T) {
	h := labtest.Up(t, lab.Options{Gate: true, SnapshotTimer: true})
	install(t, h)

	t.Run("it is a sound unit", func(t *testing.T) {
		if out := sh(t, h, "systemd-analyze verify /etc/systemd/system/redis-medic.service /etc/systemd/system/redis-medic-config.timer 2>&1 || :"); out != "" {
			t.Error(out)
		}
	})
	t.Run("little is left open", func(t *testing.T) {
		for unit, most := range map[string]string{"redis-medic.service": "15", "redis-medic-config.service": "25"} {
			if out, err := h.Exec(t.Context(), "systemd-analyze security --no-pager --threshold="+most+" "+unit+" 2>&1"); err != nil {
				t.Errorf("%s is more open than %s of 100: %v\n%s", unit, most, err, out)
			}
		}
	})
	t.Run("it becomes ready and sees Redis", func(t *testing.T) {
		sh(t, h, "systemctl start redis-medic || { journalctl --no-pager -n 40 -u redis-medic; exit 1; }")
		until(t, h, "redis-medic serves", "curl -sf http://127.0.0.1:8001/api/services/redis/status 2>/dev/null || "+get("/api/services/redis/status"), `"status":"running"`)
	})
	t.Run("it recovers Redis", func(t *testing.T) {
		sh(t, h, "systemctl stop redis-server")
		until(t, h, "Redis is back", "systemctl is-active redis-server || :", "active")
		until(t, h, "it answers", "redis-cli PING || :", "PONG")
	})
	t.Run("it reloads, and ends in order", func(t *testing.T) {
		pid := sh(t, h, "systemctl show --value -p MainPID redis-medic")
		sh(t, h, "systemctl reload redis-medic")
		if now := sh(t, h, "systemctl show --value -p MainPID redis-medic"); now != pid {
			t.Errorf("process %s became %s", pid, now)
		}
		sh(t, h, "systemctl stop redis-medic")
		if got := sh(t, h, "systemctl show -p Result,ExecMainStatus,NRestarts redis-medic | sort | xargs"); got != "ExecMainStatus=0 NRestarts=0 Result=success" {
			t.Error(got)
		}
	})
	t.Run("a bad configuration is refused before it starts", func(t *testing.T) {
		sh(t, h, "echo 'nonsense: 1' >>/etc/redis-medic/redis-medic.yml; systemctl start redis-medic && exit 1 || :")
		until(t, h, "the mistake is in the journal", "journalctl --no-pager -u redis-medic", "nonsense")
	})
}

// get asks without curl, which a minimal host does not have.
func get(path string) string {
	return `{ printf 'GET ` + path + ` HTTP/1.0\r\n\r\n' | nc -w 2 127.0.0.1 8001; } || :`
}
