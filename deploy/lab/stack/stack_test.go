package stack_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/deploy/lab"
	"github.com/redis-medic/redis-medic/deploy/lab/labtest"
	"github.com/redis-medic/redis-medic/deploy/lab/stack"
)

// up boots a host and a stack that end with the test.
func up(t *testing.T, opts stack.Options) (*lab.Host, *stack.Stack) {
	t.Helper()
	host := labtest.Up(t, lab.Options{Gate: true})
	opts.Host, opts.Binary, opts.Log = host, binary(t), os.Stderr
	s, err := stack.Up(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Down(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(s.Dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", s.Dir, err)
		}
	})
	return host, s
}

func binary(t *testing.T) string {
	t.Helper()
	name, err := stack.BuildMedic()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestTheChainFromRedisToTheWebhookStandsAndLeavesNothing(t *testing.T) {
	host, s := up(t, stack.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	code, body, err := s.Call(ctx, "", http.MethodGet, "/api/services/redis/status", nil)
	if err != nil || code != http.StatusOK || body["status"] != "running" {
		t.Errorf("status: %d %v %v", code, body, err)
	}
	if code, _, err := s.Call(ctx, "operator", http.MethodPost, "/api/services/redis/stop", map[string]any{"confirmation": true}); err != nil || code != http.StatusForbidden {
		t.Errorf("an operator's stop: %d %v", code, err)
	}
	if code, body, err := s.Call(ctx, "admin", http.MethodPost, "/api/auth/login", map[string]any{"email": s.Users[0].Email, "password": s.Users[0].Password}); err != nil || code != http.StatusOK {
		t.Errorf("login: %d %v %v", code, body, err)
	}
	if out, err := exec.CommandContext(ctx, binary(t), "check-config", s.ConfigFile).CombinedOutput(); err != nil {
		t.Errorf("check-config: %v\n%s", err, out)
	}
	r, err := stack.Measure(ctx, s, func(ctx context.Context) error {
		_, err := host.Exec(ctx, "systemctl stop redis-server")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", r)
	if r.Incident == "" || r.Act.IsZero() || r.Pong.Before(r.Intent) || r.Webhook.Before(r.Alert) {
		t.Errorf("the timeline has no order: %+v", r)
	}
}

// The doctor finds a healthy host healthy, and names each fault with what to do about it.
func TestTheDoctorNamesEachFault(t *testing.T) {
	host, s := up(t, stack.Options{WithoutMedic: true, WithoutPrometheus: true, Edit: func(yaml string) string {
		return regexp.MustCompile(`url: "http://[^"]*"`).ReplaceAllString(yaml, `url: ""`) // Alertmanager does not run
	}})
	doctor := func(more ...string) (string, error) {
		args := append([]string{"doctor", "--try-sudo", "--config", s.ConfigFile}, more...)
		out, err := exec.CommandContext(t.Context(), binary(t), args...).CombinedOutput()
		return string(out), err
	}
	sh := func(script string) func(context.Context) error {
		return func(ctx context.Context) error { _, err := host.Exec(ctx, script); return err }
	}
	const sudoers = "/etc/sudoers.d/redis-medic"
	for _, c := range []struct {
		name      string
		do, undo  func(context.Context) error
		line, fix string
	}{
		{"a healthy host", nil, nil, "ok    service redis, sudo: continue works", ""},
		{"no sshd", host.SSHDown, host.SSHUp, "BAD   service redis, SSH: ", "nc -vz"},
		{"another host key", host.ChangeHostKey, host.RestoreHostKey, "BAD   service redis, SSH: ", "ssh-keygen -lf"},
		{"our key revoked", host.RevokeKey, host.RestoreKey, "BAD   service redis, SSH: ", "install.sh --key"},
		{"an account that is locked", host.LockAccount, host.UnlockAccount, "BAD   service redis, SSH: ", "install.sh --key"},
		{"no gate", sh("mv /usr/local/sbin/redis-medic-gate /srv/"), sh("mv /srv/redis-medic-gate /usr/local/sbin/"), "BAD   service redis, SSH: ", "gate: false"},
		{"a gate that does not know the unit", sh("cp /etc/redis-medic/gate.conf /srv/; : >/etc/redis-medic/gate.conf"), sh("cp /srv/gate.conf /etc/redis-medic/"),
			"BAD   service redis, SSH: ", "--unit redis-server.service"},
		{"no sudo lines", host.RemoveSudo, host.RestoreSudo, "BAD   service redis, sudo: ", "install.sh"},
		{"no sudo line for restart", sh("sed -i '/systemctl restart/d' " + sudoers), host.RestoreSudo, "BAD   service redis, sudo lines: sudo does not allow: systemctl restart redis-server", "visudo -c"},
		{"no sudo line for reset-failed", sh("sed -i '/reset-failed/d' " + sudoers), host.RestoreSudo, "warn  service redis, sudo lines: sudo does not allow: systemctl reset-failed", "visudo -c"},
		{"logs that we may not read", host.HideLogs, host.ShowLogs, "warn  service redis, journal: ", "usermod -aG systemd-journal"},
		{"no D-Bus", sh("mv /usr/bin/systemd-stdio-bridge /srv/"), sh("mv /srv/systemd-stdio-bridge /usr/bin/"), "warn  service redis, watch: no D-Bus", "systemd-stdio-bridge"},
		{"a wrong clock", sh("mv /usr/bin/date /usr/bin/date.real; printf '#!/bin/sh\necho $(($(/usr/bin/date.real +%%s) + 3600)).000000000\n' >/usr/bin/date; chmod 755 /usr/bin/date"),
			sh("mv /usr/bin/date.real /usr/bin/date"), "warn  service redis, clock: the host's clock is ", "timedatectl"},
		{"no keeper of configurations", sh("mv /usr/local/sbin/redis-medic-config /srv/"), sh("mv /srv/redis-medic-config /usr/local/sbin/"),
			"warn  service redis, last known good configuration: ", "install.sh"},
		{"no timer for it", nil, nil, "warn  service redis, last known good configuration: the host takes no snapshots by itself", "--no-timer"},
		{"a masked unit", host.Mask, func(ctx context.Context) error { return errors.Join(host.Unmask(ctx), host.Start(ctx)) }, "BAD   service redis, unit: redis-server.service is masked", "systemctl status"},
		{"another password", host.ChangePassword, host.RestorePassword, "BAD   service redis, Redis: ", "redis.password_file"},
		{"Redis on loopback only", sh("sed -i 's/^bind .*/bind 127.0.0.1/' /etc/redis/redis.conf; systemctl restart redis-server"),
			func(ctx context.Context) error {
				return errors.Join(host.FixConfig(ctx), sh("systemctl restart redis-server")(ctx))
			},
			"BAD   service redis, Redis: nothing listens on", "bind 127.0.0.1 -::1 " + host.Address},
		{"Redis stopped", host.Stop, host.Start, "BAD   service redis, Redis: nothing listens", "redis-medic start redis"},
		{"a healthy host again", nil, nil, "ok    service redis, Redis: ", ""},
		{"its watch", nil, nil, "ok    service redis, watch: ", ""},
		{"its sudo lines", nil, nil, "ok    service redis, sudo lines: ", ""},
		{"its clock", nil, nil, "ok    service redis, clock: ", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.do != nil {
				if err := c.do(t.Context()); err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := c.undo(context.WithoutCancel(t.Context())); err != nil {
						t.Error(err)
					}
				}()
			}
			out, err := doctor()
			if (err != nil) != strings.HasPrefix(c.line, "BAD") {
				t.Errorf("ended with %v", err)
			}
			if !strings.Contains(out, c.line) || !strings.Contains(out, c.fix) {
				t.Errorf("no %q with %q in\n%s", c.line, c.fix, out)
			}
		})
	}
	out, err := doctor("-o", "json")
	var answer struct {
		Well     bool
		Findings []struct{ Service, Check, Status, Text, Fix string }
	}
	if jsonErr := json.Unmarshal([]byte(out), &answer); err != nil || jsonErr != nil || !answer.Well || len(answer.Findings) < 10 {
		t.Errorf("%v, %v, %s", err, jsonErr, out)
	}
	if out, err := doctor("-o", "xml"); err == nil || !strings.Contains(out, "text or json") {
		t.Errorf("%v, %s", err, out)
	}
}

func TestTheMailSinkTakesWhatAlertmanagerSends(t *testing.T) {
	sink, err := stack.NewMailSink("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", sink.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, err = c.Write([]byte("EHLO me\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nRCPT TO:<g@h.i>\r\nDATA\r\nSubject: fire\r\n\r\n..dot\r\n.\r\nQUIT\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	msg, err := sink.Wait(t.Context(), func(m stack.Mail) bool { return m.Subject == "fire" })
	if err != nil {
		t.Fatal(err)
	}
	if msg.From != "a@b.c" || strings.Join(msg.To, " ") != "d@e.f g@h.i" || !strings.Contains(msg.Text, "\r\n.dot\r\n") {
		t.Errorf("got %+v", msg)
	}
	if err := sink.Close(); err != nil {
		t.Error(err)
	}
}

// A process that is killed takes its stack with it: programs, folder and all.
func TestNothingStaysAfterAKill(t *testing.T) {
	if dir := os.Getenv("STACK_TEST_VICTIM"); dir != "" {
		if err := stack.Sacrifice(dir); err != nil {
			t.Fatal(err)
		}
		select {} // until we are killed
	}
	dir := filepath.Join(t.TempDir(), "work")
	victim := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNothingStaysAfterAKill$")
	victim.Env = append(os.Environ(), "STACK_TEST_VICTIM="+dir)
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	pidFile := filepath.Join(dir, "pid")
	if err := stack.Poll(ctx, func() bool { data, err := os.ReadFile(pidFile); return err == nil && len(data) > 0 }); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	child := strings.TrimSpace(string(data))
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait()
	gone := func() bool {
		_, dirErr := os.Stat(dir)
		_, procErr := os.Stat("/proc/" + child)
		return errors.Is(dirErr, os.ErrNotExist) && errors.Is(procErr, os.ErrNotExist)
	}
	if err := stack.Poll(ctx, gone); err != nil {
		t.Errorf("the folder or process %s is still there: %v", child, err)
	}
}
