package hostpkg_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis-medic/redis-medic/deploy/lab"
	"github.com/redis-medic/redis-medic/deploy/lab/labtest"
)

const (
	keeper = "redis-medic-config "
	kept   = "/var/lib/redis-medic-host/redis-server.service/"
)

// keep runs the keeper as root on the host and returns both outputs and the exit code as "CODE TEXT".
func keep(t *testing.T, h *lab.Host, args string) string {
	t.Helper()
	return mustExec(t, h, "code=0; out=$("+keeper+args+" 2>&1) || code=$?; printf '%s %s' \"$code\" \"$out\"")
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if !strings.Contains(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// wipe brings the host back to its first state, without a snapshot.
func wipe(t *testing.T, h *lab.Host) {
	t.Helper()
	if err := h.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func snapshot(t *testing.T, h *lab.Host) {
	t.Helper()
	if err := h.Snapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestLastKnownGoodConfiguration(t *testing.T) {
	h := labtest.Up(t, lab.Options{Gate: true, Instances: []lab.Instance{{Name: "sessions", Port: 6380}}})
	for _, part := range []struct {
		name string
		run  func(*testing.T, *lab.Host)
	}{
		{"put back", checkPutBack},
		{"only proven files are kept", checkProof},
		{"refusals", checkRefusals},
		{"what a restore may not change", checkGuard},
		{"secrets are not shown", checkSecrets},
		{"owner, mode and a missing file", checkOwner},
		{"links of the account of Redis", checkLinks},
		{"hostile arguments", checkArguments},
		{"no more than five rejected files", checkRejected},
	} {
		t.Run(part.name, func(t *testing.T) {
			wipe(t, h)
			part.run(t, h)
		})
	}
}

func checkPutBack(t *testing.T, h *lab.Host) {
	snapshot(t, h)
	good := mustExec(t, h, "sha256sum </etc/redis/redis.conf; stat -c '%U:%G %a' /etc/redis/redis.conf")
	expect(t, "modes", mustExec(t, h, "stat -c '%U %a' /var/lib/redis-medic-host "+kept+" "+kept+"good.conf | xargs"), "root 700 root 700 root 600")
	if err := h.BadConfig(t.Context(), "maxmemroy 1gb"); err != nil {
		t.Fatal(err)
	}
	bad := mustExec(t, h, "sha256sum </etc/redis/redis.conf")
	client := dial(t, h)
	stdout, stderr, code := remote(t, client, "v1 config-diff redis-server.service")
	if code != 0 || !strings.Contains(stdout, "\n+maxmemroy 1gb") || strings.Contains(stdout, h.Password) {
		t.Errorf("diff: exit %d, %q, %q", code, stdout, stderr)
	}
	stdout, stderr, code = remote(t, client, "v1 config-restore redis-server.service")
	if code != 0 || !strings.Contains(stdout, "\n+maxmemroy 1gb") || strings.Contains(stdout, h.Password) || !strings.Contains(stdout, "+++ "+kept+"rejected-") {
		t.Fatalf("restore: exit %d, %q, %q", code, stdout, stderr)
	}
	if now := mustExec(t, h, "sha256sum </etc/redis/redis.conf; stat -c '%U:%G %a' /etc/redis/redis.conf"); now != good {
		t.Errorf("after the restore: %s, want %s", now, good)
	}
	if rejected := mustExec(t, h, "cat "+kept+"rejected-*.conf | sha256sum; ls -A /etc/redis; ls "+kept); rejected[:64] != bad[:64] || strings.Contains(rejected, "work") || strings.Contains(rejected, ".redis-medic") {
		t.Errorf("the rejected file or what is left: %s", rejected)
	}
	expect(t, "the journal", mustExec(t, h, "journalctl --sync; journalctl -q --no-pager -t redis-medic-config"), "put the last known good configuration back as /etc/redis/redis.conf; rejected: "+kept)
	if _, stderr, code := remote(t, client, "v1 config-restore redis-server.service"); code != 4 {
		t.Errorf("again: exit %d, %q; want 4", code, stderr)
	}
	mustExec(t, h, "systemctl reset-failed redis-server; systemctl start redis-server")
	if err := h.Running(t.Context()); err != nil {
		t.Error(err)
	}
	snapshot(t, h)
	expect(t, "the other unit", keep(t, h, "diff redis-server@sessions"), "3 redis-medic-config: redis-server@sessions.service: there is no last known good")
	expect(t, "the other unit", keep(t, h, "snapshot-now redis-server@sessions"), "0 ")
	expect(t, "the other unit", mustExec(t, h, "cmp /etc/redis/redis-sessions.conf /var/lib/redis-medic-host/redis-server@sessions.service/good.conf && echo same"), "same")
}

func checkProof(t *testing.T, h *lab.Host) {
	if got := keep(t, h, "snapshot redis-server"); !strings.HasPrefix(got, "8 ") || !strings.Contains(got, "long enough") {
		t.Errorf("a process of a few seconds: %s", got)
	}
	for _, change := range []string{
		"touch /etc/redis/redis.conf",
		"echo 'maxmemroy 1gb' >>/etc/redis/redis.conf",
		"cp /etc/redis/redis.conf /etc/redis/x; echo >>/etc/redis/x; touch -d '1 hour ago' /etc/redis/x; mv /etc/redis/x /etc/redis/redis.conf",
		"redis-cli CONFIG SET timeout 77; redis-cli CONFIG REWRITE",
	} {
		wipe(t, h)
		mustExec(t, h, change)
		expect(t, change, keep(t, h, "snapshot-now redis-server"), "8 redis-medic-config: redis-server.service: not kept: the file was changed")
		expect(t, change, mustExec(t, h, "ls "+kept), "lock")
	}
	// What Redis wrote itself is good once a process was started from it.
	mustExec(t, h, "systemctl restart redis-server")
	snapshot(t, h)
	expect(t, "rewritten", mustExec(t, h, "grep -c '^timeout 77' "+kept+"good.conf"), "1")
	before := mustExec(t, h, "stat -c %i "+kept+"good.conf")
	snapshot(t, h)
	expect(t, "nothing new", mustExec(t, h, "stat -c %i "+kept+"good.conf; ls "+kept), before)
	mustExec(t, h, "sed -i 's/^timeout 77/timeout 78/' /etc/redis/redis.conf; systemctl restart redis-server")
	snapshot(t, h)
	expect(t, "the one before", mustExec(t, h, "grep -h ^timeout "+kept+"previous.conf "+kept+"good.conf | xargs"), "timeout 77 timeout 78")
	mustExec(t, h, "systemctl stop redis-server")
	expect(t, "stopped", keep(t, h, "snapshot-now redis-server"), "8 ")
}

func checkRefusals(t *testing.T, h *lab.Host) {
	client := dial(t, h)
	refused := func(what string, want int) {
		t.Helper()
		stdout, stderr, code := remote(t, client, "v1 config-restore redis-server.service")
		if code != want || stdout != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit %d, %q, %q; want %d and one line", what, code, stdout, stderr, want)
		}
	}
	refused("while it runs, without a snapshot", 5)
	snapshot(t, h)
	mustExec(t, h, "echo 'maxmemroy 1gb' >>/etc/redis/redis.conf")
	refused("while it runs", 5)
	expect(t, "the file stays", mustExec(t, h, "tail -n 1 /etc/redis/redis.conf"), "maxmemroy 1gb")
	wipe(t, h)
	if err := h.BadConfig(t.Context(), "maxmemroy 1gb"); err != nil {
		t.Fatal(err)
	}
	refused("without a snapshot", 3)
	expect(t, "the file stays", mustExec(t, h, "tail -n 1 /etc/redis/redis.conf"), "maxmemroy 1gb")
	wipe(t, h)
	snapshot(t, h)
	mustExec(t, h, "systemctl stop redis-server")
	refused("without a difference", 4)
}

func checkGuard(t *testing.T, h *lab.Host) {
	snapshot(t, h)
	mustExec(t, h, "systemctl stop redis-server; cp -p /etc/redis/redis.conf /srv/first.conf")
	for _, line := range []string{"replicaof 192.0.2.1 6379", "appendonly yes", "DIR /srv", "requirepass another-one", "user x on >y ~* +@all"} {
		mustExec(t, h, "cp -p /srv/first.conf /etc/redis/redis.conf; printf '%s\\n' '"+line+"' 'maxmemroy 1gb' >>/etc/redis/redis.conf")
		expect(t, line, keep(t, h, "restore redis-server"), "7 redis-medic-config: redis-server.service: the last known good configuration differs in role")
		expect(t, line, mustExec(t, h, "tail -n 1 /etc/redis/redis.conf"), "maxmemroy 1gb")
		expect(t, line, keep(t, h, "diff redis-server"), "+maxmemroy 1gb")
	}
}

func checkSecrets(t *testing.T, h *lab.Host) {
	mustExec(t, h, `printf '%s\n' 'masterauth "canary-master"' 'user ann on >canary-ann ~* +@all' '# requirepass canary-old' >>/etc/redis/redis.conf
systemctl restart redis-server`)
	snapshot(t, h)
	mustExec(t, h, `systemctl stop redis-server
sed -i '/canary/d; /^requirepass/d' /etc/redis/redis.conf
printf '%s\n' "requirepas $REDISCLI_AUTH" 'MASTERAUTH canary-two' 'user bob on #canary-hash <canary-gone ~*' 'tls-key-file-pass canary-tls' '#requirepass canary-off' \
    'maxmemroy canary-master' 'sentinel auth-pass mine canary-sentinel' 'timeout 5' >>/etc/redis/redis.conf`)
	got := keep(t, h, "diff redis-server")
	for _, part := range []string{"+requirepas [redacted]", "+MASTERAUTH [redacted]", "-masterauth [redacted]", "+user bob on #[redacted] <[redacted] ~*", "-user ann on >[redacted] ~* +@all",
		"+tls-key-file-pass [redacted]", "\n # requirepass [redacted]", "+maxmemroy [redacted]", "+timeout 5"} {
		expect(t, "diff", got, part)
	}
	if strings.Contains(got, "canary") || strings.Contains(got, h.Password) {
		t.Errorf("a secret is shown: %s", got)
	}
	// The whole file, for the evidence of an incident: with a snapshot, and on a host that has none.
	for _, prepare := range []string{":", "rm -rf /var/lib/redis-medic-host; sed -i '/maxmemroy/d' /etc/redis/redis.conf"} {
		mustExec(t, h, prepare)
		stdout, stderr, code := remote(t, dial(t, h), "v1 config-show redis-server.service")
		for _, part := range []string{"# /etc/redis/redis.conf, owner and mode ", "\nrequirepas [redacted]\n", "\nuser bob on #[redacted] <[redacted] ~*\n", "\ntimeout 5\n", "\nport 6379\n",
			"\n# files\n20", " 640 redis /etc/redis/redis.conf\n"} {
			expect(t, "show", stdout, part)
		}
		if code != 0 || strings.Contains(stdout, "canary") || strings.Contains(stdout, h.Password) || strings.Contains(stdout, "# Note") {
			t.Errorf("exit %d, %q; a secret or a comment is shown: %s", code, stderr, stdout)
		}
	}
}

func checkOwner(t *testing.T, h *lab.Host) {
	snapshot(t, h)
	if err := h.HideConfig(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, "owner", keep(t, h, "restore redis-server"), "0 # owner and mode: 0:0 600, known good: ")
	mustExec(t, h, "systemctl reset-failed redis-server; systemctl start redis-server; systemctl stop redis-server; mv /etc/redis/redis.conf /srv/gone.conf")
	expect(t, "missing", keep(t, h, "restore redis-server"), "0 # /etc/redis/redis.conf is missing")
	mustExec(t, h, "cmp /srv/gone.conf /etc/redis/redis.conf; systemctl start redis-server")
}

// checkLinks is the account of Redis, which owns the folder of its configuration on Debian, against the keeper, which is root.
func checkLinks(t *testing.T, h *lab.Host) {
	for _, link := range []string{"ln -s /etc/shadow", "ln /srv/secret", "ln -s /srv", "mkfifo", "mkdir", "ln -s redis.conf.bak"} {
		wipe(t, h)
		snapshot(t, h)
		mustExec(t, h, "echo canary >/srv/secret; cp /etc/redis/redis.conf /etc/redis/redis.conf.bak; cp "+kept+"good.conf /srv/before.conf; mv /etc/redis/redis.conf /srv/x; "+link+" /etc/redis/redis.conf")
		expect(t, link, keep(t, h, "snapshot-now redis-server"), "1 redis-medic-config: redis-server.service: /etc/redis/redis.conf is not a plain file")
		expect(t, link, keep(t, h, "diff redis-server"), "1 redis-medic-config: redis-server.service: /etc/redis/redis.conf is not a plain file")
		mustExec(t, h, "systemctl stop redis-server")
		expect(t, link, keep(t, h, "restore redis-server"), "1 ")
		mustExec(t, h, "cmp /srv/before.conf "+kept+"good.conf; ! grep -rq -e canary -e root: /var/lib/redis-medic-host; grep -q canary /srv/secret; rm -f /srv/x")
	}
}

func checkArguments(t *testing.T, h *lab.Host) {
	for _, args := range []string{
		"", "restore", "restore redis-server extra", "restore ''", "restore ssh", "restore ../redis-server", "restore /etc/passwd", "restore -h", "restore 'redis-server ssh'",
		"restore 'redis-server;id'", "restore '$(id)'", "restore '*'", "restore redis-server.service.service", "restore redis-server@other", "RESTORE redis-server", "--help x",
		"exec redis-server", "restore \"$(printf 'redis-server\\nunit x')\"", "restore " + strings.Repeat("a", 300), "snapshot ssh", "diff redis-serve", "restore unit", "restore '#'",
	} {
		if got := keep(t, h, args); !strings.HasPrefix(got, "2 redis-medic-config: ") || strings.Count(got, "\n") != 0 {
			t.Errorf("%s: %q, want exit 2 and one line", args, got)
		}
	}
	expect(t, "not root", mustExec(t, h, "runuser -u autobot -- redis-medic-config diff redis-server 2>&1 || :"), "only root")
	for _, args := range []string{"snapshot redis-server", "snapshot-now redis-server", "restore ssh", "restore redis-server.service", "restore redis-server x", "diff"} {
		if out, err := h.Exec(t.Context(), "runuser -u autobot -- sudo -n /usr/local/sbin/redis-medic-config "+args+" 2>&1"); err == nil || !strings.Contains(fmt.Sprint(out, err), "a password is required") {
			t.Errorf("sudo redis-medic-config %s: %q", args, out)
		}
	}
	// The environment of the caller changes nothing.
	got := mustExec(t, h, "CONF=/etc/shadow STATE=/srv SETTLE=0 MAX=1 IFS=- PATH=/srv ENV=/etc/passwd /usr/local/sbin/redis-medic-config snapshot redis-server 2>&1 || :")
	expect(t, "environment", got, "long enough")
}

func checkRejected(t *testing.T, h *lab.Host) {
	snapshot(t, h)
	mustExec(t, h, "systemctl stop redis-server; for n in 1 2 3 4 5 6 7; do : >"+kept+"rejected-2020010${n}T000000Z.conf; done; echo 'maxmemroy 1gb' >>/etc/redis/redis.conf")
	expect(t, "restore", keep(t, h, "restore redis-server"), "0 ")
	got := strings.Fields(mustExec(t, h, "ls "+kept+" | grep rejected"))
	if len(got) != 5 || got[0] != "rejected-20200104T000000Z.conf" {
		t.Errorf("kept: %v", got)
	}
}

// The timer keeps a file by itself, within its sandbox.
func TestSnapshotTimer(t *testing.T) {
	h := labtest.Up(t, lab.Options{Gate: true, SnapshotTimer: true})
	expect(t, "timer", mustExec(t, h, "systemctl is-active redis-medic-config.timer; systemctl is-enabled redis-medic-config.timer"), "active\nenabled")
	expect(t, "service", mustExec(t, h, "systemctl start redis-medic-config.service; systemctl show --value -p Result redis-medic-config.service"), "success")
	mustExec(t, h, "sed -i 's/ snapshot / snapshot-now /' /etc/systemd/system/redis-medic-config.service; systemctl daemon-reload; systemctl start redis-medic-config.service")
	expect(t, "kept", mustExec(t, h, "cmp /etc/redis/redis.conf "+kept+"good.conf && stat -c '%U %a' "+kept+"good.conf"), "root 600")
	// journald finds the unit of a line by the process that wrote it, which may be gone by then; its tag is always there.
	expect(t, "the journal", mustExec(t, h, "journalctl --sync; journalctl -q --no-pager -o cat -t redis-medic-config | grep -c 'kept /etc/redis'"), "1")
	if said := mustExec(t, h, "journalctl -q --no-pager -o cat -u redis-medic-config.service | grep -v 'kept /etc/redis' || :"); said != "" {
		t.Errorf("the journal has more than what was kept: %s", said)
	}
	if out, ok := runInstaller(t, h, "--key /opt/redis-medic-host/key.pub --no-timer"); !ok {
		t.Error(out)
	}
	expect(t, "without the timer", mustExec(t, h, "systemctl is-active redis-medic-config.timer || :; ls /etc/systemd/system/redis-medic-config.* 2>&1 || :"), "No such file")
}
