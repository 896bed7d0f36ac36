package hostpkg_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/redis-medic/redis-medic/deploy/lab"
	"github.com/redis-medic/redis-medic/deploy/lab/labtest"
)

// dial signs in with the lab's key.
func dial(t *testing.T, h *lab.Host) *ssh.Client {
	t.Helper()
	key, err := os.ReadFile(h.IdentityFile)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	check, err := knownhosts.New(h.KnownHostsFile)
	if err != nil {
		t.Fatal(err)
	}
	client, err := ssh.Dial("tcp", h.SSHAddress, &ssh.ClientConfig{
		User: h.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: check,
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519}, Timeout: 10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// remote runs one command over SSH and returns its output and exit code.
func remote(t *testing.T, client *ssh.Client, command string) (stdout, stderr string, code int) {
	t.Helper()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	var out, errOut strings.Builder
	session.Stdout, session.Stderr = &out, &errOut
	err = session.Run(command)
	var exit *ssh.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit):
		code = exit.ExitStatus()
	default:
		code = -1
	}
	return out.String(), errOut.String(), code
}

func mustExec(t *testing.T, h *lab.Host, script string) string {
	t.Helper()
	out, err := h.Exec(t.Context(), script)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestGateOverSSH(t *testing.T) {
	h := labtest.Up(t, lab.Options{Gate: true})
	client := dial(t, h)

	for _, request := range malicious {
		if strings.Contains(request, "\x00") {
			// sshd itself cuts off who sends this.
			if stdout, stderr, code := remote(t, dial(t, h), request); code == 0 || stdout != "" {
				t.Errorf("%q: exit %d, stdout %q, stderr %q; want no answer", request, code, stdout, stderr)
			}
			continue
		}
		if stdout, stderr, code := remote(t, client, request); code != 126 || stdout != "" {
			t.Errorf("%q: exit %d, stdout %q, stderr %q; want 126 and nothing", request, code, stdout, stderr)
		}
	}
	if err := h.Running(t.Context()); err != nil {
		t.Error("after all refused requests:", err)
	}
	journal := mustExec(t, h, "journalctl --sync; journalctl --quiet --no-pager --identifier=redis-medic-gate")
	for _, part := range []string{"refused (unit not allowed here) from 10.77.", ": v1?show?ssh.service", "refused (unknown verb)"} {
		if !strings.Contains(journal, part) {
			t.Errorf("the journal of refused calls lacks %q", part)
		}
	}

	t.Run("verbs", func(t *testing.T) { checkVerbs(t, h, client) })
	t.Run("no way around the gate", func(t *testing.T) { checkNoWayAround(t, h, client) })
	t.Run("no more rights than needed", func(t *testing.T) { checkRights(t, h) })
}

// checkVerbs uses each verb for what it is there for.
func checkVerbs(t *testing.T, h *lab.Host, client *ssh.Client) {
	want := func(command, part string) {
		t.Helper()
		stdout, stderr, code := remote(t, client, command)
		if code != 0 || !strings.Contains(stdout, part) {
			t.Errorf("%s: exit %d, stdout %q, stderr %q; want %q", command, code, stdout, stderr, part)
		}
	}
	state := func(value string) {
		t.Helper()
		if got, err := h.Property(t.Context(), "ActiveState"); err != nil || got != value {
			t.Errorf("unit is %q (%v), want %q", got, err, value)
		}
	}
	const unit = " redis-server.service"
	want("v1 show"+unit, "ActiveState=active")
	want("v1 is-active"+unit, "active")
	want("v1 stop"+unit, "")
	state("inactive")
	want("v1 start"+unit, "")
	state("active")
	before, err := h.MainPID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want("v1 restart"+unit, "")
	if after, err := h.MainPID(t.Context()); err != nil || after == before || after == 0 {
		t.Errorf("main process after restart is %d (%v), before it was %d", after, err, before)
	}
	if _, stderr, code := remote(t, client, "v1 reload"+unit); code == 0 || code == 126 {
		t.Errorf("reload: exit %d, %q; stock Redis cannot reload, and systemd should say so", code, stderr)
	}
	if err := h.Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("v1 continue"+unit, "")
	if err := h.Running(t.Context()); err != nil {
		t.Error("after continue:", err)
	}
	if err := h.CrashUntilStartLimit(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("v1 reset-failed"+unit, "")
	state("inactive")
	want("v1 start"+unit, "")
	want("v1 kill"+unit, "")
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	pid := mustExec(t, h, "systemctl show --value --property=MainPID redis-server")
	want("v1 proc"+unit+" "+pid, "(redis-server)")
	want("v1 journal"+unit+" 50", `"MESSAGE":"Started redis-server.service`)
	want("v1 redis-log"+unit+" 5", "Ready to accept connections")
	want("v1 listeners"+unit, `users:(("redis-server",pid=`+pid)
	want("v1 disk"+unit, "/var/lib/redis")
	if _, stderr, code := remote(t, client, "v1 config-diff"+unit); code != 3 || !strings.Contains(stderr, "no last known good") {
		t.Errorf("config-diff without a snapshot: exit %d, %q", code, stderr)
	}
	checkBus(t, client)
}

// checkBus reads a property over the verb "bus" by hand: the greeting of the D-Bus protocol is enough to know who answers.
func checkBus(t *testing.T, client *ssh.Client) {
	t.Helper()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	stdin, err := session.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Start("v1 bus redis-server.service"); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(stdin, "\x00AUTH EXTERNAL\r\nDATA\r\n"); err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	go func() {
		var text strings.Builder
		buf := make([]byte, 256)
		for !strings.Contains(text.String(), "OK ") {
			n, err := stdout.Read(buf)
			text.Write(buf[:n])
			if err != nil {
				break
			}
		}
		got <- text.String()
	}()
	select {
	case text := <-got:
		if !strings.Contains(text, "OK ") {
			t.Errorf("the bus said %q", text)
		}
	case <-time.After(10 * time.Second):
		t.Error("the bus said nothing")
	}
}

// checkNoWayAround uses OpenSSH's own client, as somebody who has stolen the key would.
func checkNoWayAround(t *testing.T, h *lab.Host, client *ssh.Client) {
	openssh := func(program string, args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		common := []string{
			"-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "UserKnownHostsFile=" + h.KnownHostsFile, "-i", h.IdentityFile,
		}
		out, err := exec.CommandContext(ctx, program, append(common, args...)...).CombinedOutput()
		return string(out), err
	}
	target := h.User + "@" + h.Address
	if out, err := openssh("ssh", target); err == nil || !strings.Contains(out, "refused: no command") {
		t.Errorf("a shell: %v, %q", err, out)
	}
	if out, err := openssh("ssh", "-tt", target, "v1 show ssh.service"); err == nil || !strings.Contains(out, "PTY allocation request failed") {
		t.Errorf("a terminal: %v, %q", err, out)
	}
	var exit *exec.ExitError // sshd shows nothing of what a subsystem writes on standard error
	if out, err := openssh("ssh", "-s", target, "sftp"); !errors.As(err, &exit) || exit.ExitCode() != 126 {
		t.Errorf("sftp: %v, %q", err, out)
	}
	for _, network := range []struct{ kind, address string }{{"tcp", "127.0.0.1:6379"}, {"unix", "/run/dbus/system_bus_socket"}} {
		if conn, err := client.Dial(network.kind, network.address); err == nil {
			t.Errorf("forwarding to %s was allowed", network.address)
			conn.Close()
		}
	}
	if l, err := client.Listen("tcp", "127.0.0.1:7777"); err == nil {
		t.Error("forwarding from the host was allowed")
		l.Close()
	}
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if err := session.Setenv("BASH_ENV", "/etc/passwd"); err == nil {
		t.Error("an environment variable was accepted")
	}
}

// checkRights tries, as the account itself, what neither gate nor sudo may allow.
func checkRights(t *testing.T, h *lab.Host) {
	for _, command := range []string{
		"systemctl start ssh", "systemctl stop ssh", "systemctl start redis-server ssh", "systemctl start redis-server.service",
		"systemctl -H x start redis-server", "systemctl edit redis-server", "systemctl status redis-server", "systemctl mask redis-server",
		"systemctl kill redis-server", "systemctl kill --kill-who=all --signal=SIGKILL redis-server", "journalctl -u redis-server",
		"ss -Kltnp", "ss -Hltnp -D /etc/passwd", "sh", "cat /etc/shadow", "-u redis id", "visudo", "tee /etc/redis/redis.conf",
	} {
		if out, err := h.Exec(t.Context(), "runuser -u "+h.User+" -- sudo -n "+command+" 2>&1"); err == nil {
			t.Errorf("sudo %s is allowed: %s", command, out)
		}
	}
	if out, err := h.Exec(t.Context(), "runuser -u "+h.User+" -- systemctl stop redis-server 2>&1"); err == nil {
		t.Errorf("systemctl stop without sudo is allowed: %s", out)
	}
	writable := mustExec(t, h, "runuser -u "+h.User+" -- find / -xdev -writable -not -type l -not -path '/proc/*' -not -path '/tmp*' "+
		"-not -path '/var/tmp*' -not -path '/dev/*' -not -path '/run/user/*' -not -path '/sys/*' 2>/dev/null || :")
	for line := range strings.Lines(writable) {
		line = strings.TrimSpace(line)
		// Debian lets everybody write to the lock folder and to the sockets of the journal and the bus, and the group that may
		// read Redis's log write it too (the unit's UMask=007). No verb of the gate writes anything.
		if line != "/run/lock" && !strings.HasPrefix(line, "/run/systemd/") && line != "/run/dbus/system_bus_socket" && line != h.LogFile {
			t.Errorf("%s can write %s", h.User, line)
		}
	}
}
