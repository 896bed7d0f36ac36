package hostpkg_test

import (
	"strings"
	"testing"

	"github.com/redis-medic/redis-medic/deploy/lab"
	"github.com/redis-medic/redis-medic/deploy/lab/labtest"
)

// runInstaller runs install.sh on the host with more arguments and returns what it printed and whether it succeeded.
func runInstaller(t *testing.T, h *lab.Host, args string) (string, bool) {
	t.Helper()
	out, err := h.Exec(t.Context(), "sh /opt/redis-medic-host/install.sh "+args+" 2>&1 || { echo FAILED; exit 0; }")
	if err != nil {
		t.Fatal(err)
	}
	return out, !strings.HasSuffix(out, "FAILED")
}

// state is everything on the host that the installer may touch, as one text.
const state = `getent passwd autobot; id autobot 2>&1; cd /
for f in etc/sudoers.d/redis-medic etc/redis-medic/gate.conf etc/redis-medic/host-package usr/local/sbin/redis-medic-gate usr/local/sbin/redis-medic-config \
    etc/systemd/system/redis-medic-config.service etc/systemd/system/redis-medic-config.timer home/autobot/.ssh/authorized_keys; do
    ls -l --time-style=+ "$f" 2>&1 || continue; cat "$f"
done`

func TestInstaller(t *testing.T) {
	h := labtest.Up(t, lab.Options{Gate: true, ForbidKill: true})
	const key = "--key /opt/redis-medic-host/key.pub"

	t.Run("a second run changes nothing", func(t *testing.T) {
		unit := " --unit redis-server.service,/var/log/redis/redis-server.log,/var/lib/redis --no-timer"
		before := mustExec(t, h, state)
		if out, ok := runInstaller(t, h, key+unit); !ok {
			t.Fatal(out)
		}
		if after := mustExec(t, h, state); after != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
		if strings.Contains(before, "--signal=SIGKILL redis-server") {
			t.Error("SIGKILL is allowed without --allow-kill")
		}
	})
	t.Run("wrong input changes nothing and is named", func(t *testing.T) { checkBadInput(t, h) })
	t.Run("options are applied", func(t *testing.T) {
		config := " --unit redis-server.service,-,-,/etc/redis/other.conf"
		if out, ok := runInstaller(t, h, key+config+" --without-gate --allow-kill --from 10.77.0.0/16"); !ok {
			t.Fatal(out)
		}
		if out, _, code := remote(t, dial(t, h), "sudo -n systemctl restart redis-server && echo done"); code != 0 || out != "done\n" {
			t.Errorf("without the gate: exit %d, %q", code, out)
		}
		got := mustExec(t, h, state)
		for _, part := range []string{`restrict,from="10.77.0.0/16" ssh-ed25519`, "--signal=SIGKILL redis-server",
			"\nconfig redis-server.service /etc/redis/other.conf\n", "NOPASSWD: /usr/local/sbin/redis-medic-config restore redis-server\n",
			"ExecStart=-/usr/local/sbin/redis-medic-config snapshot redis-server\n", "OnUnitActiveSec=1min"} {
			if !strings.Contains(got, part) {
				t.Errorf("%q is not there:\n%s", part, got)
			}
		}
		if strings.Contains(got, "command=") || !strings.Contains(got, "redis-medic-gate': No such file") {
			t.Errorf("the gate is still there:\n%s", got)
		}
	})
	t.Run("uninstall removes everything, twice", func(t *testing.T) {
		mustExec(t, h, "install -d -m 0700 /var/lib/redis-medic-host/x.service; cd /var/lib/redis-medic-host/x.service; touch good.conf lock rejected-20260101T000000Z.conf")
		for range 2 {
			mustExec(t, h, "sh /opt/redis-medic-host/uninstall.sh")
		}
		left := mustExec(t, h, "getent passwd autobot || :; ls -d /home/autobot /etc/redis-medic /etc/sudoers.d/redis-medic* "+
			"/usr/local/sbin/redis-medic-* /etc/systemd/system/redis-medic-* /etc/systemd/system/timers.target.wants/redis-medic-* 2>/dev/null || :; visudo -c >/dev/null")
		if left != "" {
			t.Errorf("left behind: %s", left)
		}
		if left := mustExec(t, h, "find /var/lib/redis-medic-host -type f; rm -r /var/lib/redis-medic-host"); left != "/var/lib/redis-medic-host/x.service/rejected-20260101T000000Z.conf" {
			t.Errorf("of what was kept of configurations only what was rejected stays, not %q", left)
		}
	})
	t.Run("an account of somebody else stays theirs", func(t *testing.T) {
		mustExec(t, h, "useradd --create-home --shell /bin/bash autobot; install -d -m 0700 -o autobot -g autobot /home/autobot/.ssh\n"+
			"echo 'ssh-ed25519 AAAAotherkey theirs' >/home/autobot/.ssh/authorized_keys; chown autobot: /home/autobot/.ssh/authorized_keys")
		out, ok := runInstaller(t, h, key)
		if !ok || !strings.Contains(out, "has other keys") {
			t.Fatal(out)
		}
		if stdout, stderr, code := remote(t, dial(t, h), "v1 is-active redis-server.service"); stdout != "active\n" {
			t.Errorf("through the gate: exit %d, %q, %q", code, stdout, stderr)
		}
		mustExec(t, h, "sh /opt/redis-medic-host/uninstall.sh")
		got := mustExec(t, h, "cat /home/autobot/.ssh/authorized_keys; id -Gn autobot; stat -c %U /home/autobot/.ssh/authorized_keys")
		if got != "ssh-ed25519 AAAAotherkey theirs\nautobot\nautobot" {
			t.Errorf("after uninstall: %q", got)
		}
	})
}

// checkBadInput gives the installer what people get wrong.
func checkBadInput(t *testing.T, h *lab.Host) {
	mustExec(t, h, `cd /srv
ssh-keygen -q -t rsa -b 2048 -N '' -f small; ssh-keygen -q -t ecdsa -N '' -f ecdsa
cat small.pub ecdsa.pub >two.pub; echo 'command="id" '"$(cat ecdsa.pub)" >options.pub; : >empty.pub
useradd --shell /usr/sbin/nologin noshell`)
	const key = "--key /opt/redis-medic-host/key.pub "
	before := mustExec(t, h, state)
	for _, c := range []struct{ args, want string }{
		{"", "no public key"},
		{"--key /srv/none.pub", "cannot read the key file"},
		{"--key /srv/empty.pub", "exactly one public key"},
		{"--key /srv/two.pub", "exactly one public key"},
		{"--key /srv/small.pub", "RSA key of 2048 bits"},
		{"--key /srv/ecdsa.pub", "not an ed25519 or RSA public key"},
		{"--key /srv/small", "exactly one public key"},
		{"--key /srv/options.pub", "not an ed25519 or RSA public key without options"},
		{"--key", "--key needs a value"},
		{key + "--unit nothere.service", "systemd does not know the unit nothere.service"},
		{key + "--unit redis-server", "write the full name"},
		{key + "--unit 'redis-*.service'", "not a plain unit name"},
		{key + "--unit 'a b.service'", "not a plain unit name"},
		{key + "--unit redis-server.service,relative/path", "not a plain absolute path"},
		{key + "--unit redis-server.service,/var/../etc/shadow", "not a plain absolute path"},
		{key + "--unit 'redis-server.service,-,-,/etc/redis/redis conf'", "not a plain absolute path"},
		{key + "--user root", "must not be root"},
		{key + "--user 'a,b'", "not a plain account name"},
		{key + "--user noshell", "needs a real one"},
		{key + "--user other", "run uninstall.sh first"},
		{key + `--from '1.2.3.4",command="id'`, "not a list of address patterns"},
		{key + "--bogus", "unknown option: --bogus"},
	} {
		out, ok := runInstaller(t, h, c.args)
		if ok || !strings.Contains(out, c.want) {
			t.Errorf("install.sh %s: succeeded=%v, want %q in:\n%s", c.args, ok, c.want, out)
		}
	}
	if after := mustExec(t, h, state); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// The host that the architecture document describes, set up by hand, lets the account do what the document lists.
func TestDocumentSudoers(t *testing.T) {
	h := labtest.Up(t, lab.Options{DocumentSudoers: true})
	client := dial(t, h)
	for _, command := range []string{
		"sudo -n systemctl stop redis-server", "sudo -n systemctl start redis-server", "sudo -n systemctl restart redis-server",
		"sudo -n journalctl -u redis-server -n 5 --no-pager",
	} {
		if stdout, stderr, code := remote(t, client, command); code != 0 {
			t.Errorf("%s: exit %d, %q, %q", command, code, stdout, stderr)
		}
	}
	for _, command := range []string{
		"sudo -n systemctl reset-failed redis-server", "sudo -n systemctl kill --kill-who=main --signal=SIGKILL redis-server",
		"sudo -n /usr/local/sbin/redis-medic-config restore redis-server", "sudo -n /usr/local/sbin/redis-medic-config diff redis-server",
	} {
		if stdout, stderr, code := remote(t, client, command); code != 1 || !strings.Contains(stderr, "a password is required") {
			t.Errorf("%s: exit %d, %q, %q; want a refusal by sudo", command, code, stdout, stderr)
		}
	}
}
