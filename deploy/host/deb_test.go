package hostpkg_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis-medic/redis-medic/deploy/lab"
	"github.com/redis-medic/redis-medic/deploy/lab/labtest"
)

// buildDeb builds the package as `make deb` does and returns where it is.
func buildDeb(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "make", "-s", "-C", "../..", "deb", "DEB_DIR="+dir, "DEB_VERSION="+version)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make deb: %v\n%s", err, out)
	}
	return filepath.Join(dir, "redis-medic-host_"+version+"_all.deb")
}

// everything is what the package may touch on a host, by name.
const everything = `getent passwd autobot || :
find /home /etc/sudoers.d /etc/redis-medic /usr/lib/redis-medic-host /usr/sbin/redis-medic-host /usr/local/sbin /etc/systemd/system /usr/share/doc/redis-medic-host \
    /var/lib/redis-medic-host /var/lib/dpkg/info -path '*redis-medic*' -o -path /home/autobot -prune -print 2>/dev/null || :
dpkg-query -W -f '${Status}\n' redis-medic-host 2>/dev/null || :
systemctl list-unit-files --no-legend 'redis-medic*' || :`

func TestDebianPackage(t *testing.T) {
	first, second := buildDeb(t, "0.9.0"), buildDeb(t, "0.9.1")
	h := labtest.Up(t, lab.Options{Gate: true})
	put := func(from, to string) {
		t.Helper()
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		// Through the host's own root folder, as the lab puts its files there.
		if err := os.WriteFile(filepath.Join(h.Dir, "root", to), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put(first, "/srv/first.deb")
	put(second, "/srv/second.deb")
	// The lab has prepared the host with the plain installer.
	mustExec(t, h, "sh /opt/redis-medic-host/uninstall.sh")
	before := mustExec(t, h, everything)

	t.Run("without a key nobody is let in", func(t *testing.T) {
		if out := mustExec(t, h, "dpkg -i /srv/first.deb 2>&1"); !strings.Contains(out, "redis-medic-host authorize KEY.pub") {
			t.Error(out)
		}
		if out := mustExec(t, h, "getent passwd autobot || :; ls /etc/sudoers.d; redis-medic-host status || echo none"); strings.Contains(out, "redis-medic\n") || !strings.HasSuffix(out, "none") {
			t.Error(out)
		}
		if out := mustExec(t, h, "redis-medic-host apply 2>&1 || :"); !strings.Contains(out, "no key was authorized yet") {
			t.Error(out)
		}
	})
	t.Run("a key is let in through the gate", func(t *testing.T) {
		mustExec(t, h, "redis-medic-host authorize - --allow-kill </opt/redis-medic-host/key.pub; visudo -cq")
		if stdout, stderr, code := remote(t, dial(t, h), "v1 is-active redis-server.service"); stdout != "active\n" {
			t.Errorf("exit %d, %q, %q", code, stdout, stderr)
		}
		if stdout, stderr, code := remote(t, dial(t, h), "id"); code != 126 {
			t.Errorf("id: exit %d, %q, %q", code, stdout, stderr)
		}
		if out := mustExec(t, h, "redis-medic-host status"); !strings.Contains(out, "account: autobot") || !strings.Contains(out, "gate:    yes") ||
			!strings.Contains(out, "redis-server.service") || !strings.Contains(out, "timer:   active") || !strings.Contains(out, "SHA256:") {
			t.Error(out)
		}
	})
	t.Run("bad input changes nothing", func(t *testing.T) {
		state := mustExec(t, h, everything)
		for _, args := range []string{"authorize /nowhere.pub", "authorize /etc/hostname", "authorize /opt/redis-medic-host/key.pub --unit nope.service",
			"authorize /opt/redis-medic-host/key.pub --key /etc/passwd", "authorize", "frobnicate", ""} {
			if out := mustExec(t, h, "redis-medic-host "+args+" 2>&1 && echo WORKED || :"); strings.Contains(out, "WORKED") {
				t.Errorf("%s: %s", args, out)
			}
		}
		if now := mustExec(t, h, everything); now != state {
			t.Errorf("before:\n%s\nnow:\n%s", state, now)
		}
	})
	t.Run("an upgrade keeps what was asked for and brings the new files", func(t *testing.T) {
		mustExec(t, h, "echo '# old' >>/usr/local/sbin/redis-medic-gate; dpkg -i /srv/second.deb 2>&1")
		if out := mustExec(t, h, "tail -n 1 /usr/local/sbin/redis-medic-gate; grep -c SIGKILL /etc/sudoers.d/redis-medic"); strings.Contains(out, "# old") || !strings.HasSuffix(out, "\n1") {
			t.Error(out)
		}
		if stdout, stderr, code := remote(t, dial(t, h), "v1 restart redis-server.service"); code != 0 {
			t.Errorf("restart: exit %d, %q, %q", code, stdout, stderr)
		}
	})
	t.Run("removed and installed again it is as before", func(t *testing.T) {
		mustExec(t, h, "dpkg -r redis-medic-host")
		if out := mustExec(t, h, "getent passwd autobot || :; ls /etc/sudoers.d /usr/local/sbin; systemctl list-unit-files --no-legend 'redis-medic*' || :"); strings.Contains(out, "redis-medic") || strings.Contains(out, "autobot") {
			t.Errorf("rights are left behind: %s", out)
		}
		mustExec(t, h, "dpkg -i /srv/second.deb 2>&1")
		if stdout, stderr, code := remote(t, dial(t, h), "v1 is-active redis-server.service"); stdout != "active\n" {
			t.Errorf("exit %d, %q, %q", code, stdout, stderr)
		}
	})
	t.Run("purged it leaves nothing", func(t *testing.T) {
		mustExec(t, h, "redis-medic-config snapshot-now redis-server; touch /var/lib/redis-medic-host/redis-server.service/rejected-1.conf; dpkg -P redis-medic-host 2>&1")
		if after := mustExec(t, h, everything); after != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
		if err := h.Running(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
