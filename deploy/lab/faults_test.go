package lab_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/deploy/lab"
)

// effects say for each fault what can be seen on the host, by other means than the fault's own check. The script's output must
// contain the text.
var effects = map[string]struct {
	args           []string
	script, want   string
	dial           string // address part to dial: "ssh" or "redis"
	dialed         string // how that goes: see dialable
	redisStaysUp   bool   // inside the host Redis goes on answering
	undoLeavesDown bool   // after undo somebody still has to start Redis
}{
	"stop":        {script: "systemctl show -p ActiveState,Result redis-server | xargs", want: "Result=success ActiveState=inactive", dial: "redis", dialed: "refused"},
	"kill9":       {script: "journalctl -q --no-pager -u redis-server", want: "status=9/KILL"},
	"crash":       {script: "journalctl -q --no-pager -u redis-server", want: "Start request repeated too quickly", dial: "redis", dialed: "refused"},
	"freeze":      {script: "systemctl is-active redis-server; grep State /proc/$(systemctl show --value -p MainPID redis-server)/status", want: "active\nState:\tT"},
	"bad-config":  {script: "tail -n 20 /var/log/redis/redis-server.log; journalctl -q --no-pager -u redis-server", want: "no-such-directive", undoLeavesDown: true},
	"take-port":   {script: "cat /var/log/redis/redis-server.log; ss -Hltnp sport = :6379", want: "Address already in use", undoLeavesDown: true},
	"mask":        {script: "systemctl start redis-server 2>&1 || :", want: "is masked", undoLeavesDown: true},
	"disk-full":   {script: "redis-cli SET a b; df /var/lib/redis", want: "MISCONF"},
	"slow-load":   {script: "systemctl show -p ActiveState,SubState,StatusText redis-server", want: "StatusText=Redis is loading"},
	"busy":        {script: "redis-cli PING", want: "BUSY"},
	"busy-write":  {script: "redis-cli SCRIPT KILL", want: "UNKILLABLE"},
	"max-clients": {script: "redis-cli SET a b 2>&1 || :", want: "max number of clients"},
	"corrupt-data": {
		script: "cat /var/log/redis/redis-server.log", want: "Wrong signature", dial: "redis", dialed: "refused", undoLeavesDown: true,
	},
	"config-hidden": {
		script: "journalctl -q --no-pager -u redis-server", want: "can't open config file", dial: "redis", dialed: "refused", undoLeavesDown: true,
	},
	"password": {script: "redis-cli SET a b 2>&1 || :", want: "NOAUTH"},
	"drop-in": {
		args: []string{"[Service]\nTimeoutStartSec=5"}, script: "systemctl show -p TimeoutStartUSec redis-server", want: "TimeoutStartUSec=5s", redisStaysUp: true,
	},
	"ssh-down":     {script: "systemctl is-active ssh || :", want: "inactive", dial: "ssh", dialed: "refused", redisStaysUp: true},
	"ssh-freeze":   {script: "grep -h State /proc/$(pgrep -o -x sshd)/status", want: "T (stopped)", dial: "ssh", dialed: "", redisStaysUp: true},
	"partition":    {script: "echo", dial: "redis", dialed: "timeout", redisStaysUp: true},
	"reject":       {args: []string{"6379"}, script: "echo", dial: "redis", dialed: "refused", redisStaysUp: true},
	"link-down":    {script: "ip -o link show eth0", want: "state DOWN", dial: "ssh", dialed: "timeout", redisStaysUp: true},
	"sudo-removed": {script: "runuser -u autobot -- sudo -n systemctl restart redis-server 2>&1 || :", want: "password is required", redisStaysUp: true},
	"key-revoked":  {script: "ls /home/autobot/.ssh", redisStaysUp: true},
	"host-key":     {script: "ls /etc/ssh", want: "ssh_host_ed25519_key", redisStaysUp: true},
	"bus-down":     {script: "runuser -u autobot -- systemctl is-active redis-server 2>&1 || :", want: "Failed to connect to bus", redisStaysUp: true},
	"outside": {
		script: "systemctl is-active redis-server || :; redis-cli PING", want: "inactive\nPONG", redisStaysUp: true, undoLeavesDown: true,
	},
	"impostor": {script: "systemctl is-active redis-server; redis-cli -p 16379 PING", want: "active\nPONG", redisStaysUp: true},
	"no-unit":  {script: "systemctl start redis-server 2>&1 || :", want: "not found", undoLeavesDown: true, dial: "redis", dialed: "refused"},
	"hang-stop": {
		script: "systemctl show -p SubState redis-server; redis-cli PING", want: "SubState=stop-sigterm\nBUSY",
	},
	"hang-stop-serving": {
		script: "systemctl show -p SubState redis-server; tail -n 5 /var/log/redis/redis-server.log", want: "can't exit", redisStaysUp: true,
	},
	"oom-kill":       {script: "journalctl -q --no-pager -u redis-server", want: "status=9/KILL"},
	"no-inodes":      {script: "redis-cli SET a b; df -i /var/lib/redis", want: "MISCONF"},
	"data-locked":    {script: "redis-cli SET a b; tail -n 5 /var/log/redis/redis-server.log", want: "MISCONF"},
	"corrupt-aof":    {script: "cat /var/log/redis/redis-server.log", want: "Bad file format", dial: "redis", dialed: "refused", undoLeavesDown: true},
	"memory-full":    {script: "redis-cli SET a b", want: "OOM", redisStaysUp: true},
	"loss":           {script: "echo", redisStaysUp: true},
	"account-locked": {script: "ls /etc/nologin", want: "nologin", redisStaysUp: true},
	"logs-hidden":    {script: "runuser -u autobot -- journalctl -q -n 1 -u redis-server 2>&1 || :", want: "", redisStaysUp: true},
	"journal-freeze": {script: "grep State /proc/$(pgrep -x systemd-journal)/status", want: "T (stopped)", redisStaysUp: true},
	"ssh-flood":      {script: "ss -Htn state established sport = :22 | wc -l", redisStaysUp: true},
	"reboot":         {script: "until redis-cli PING; do sleep 0.1; done; cut -d. -f1 /proc/uptime", redisStaysUp: true},
	"systemd-freeze": {script: "timeout 1 systemctl is-active redis-server || echo hangs", want: "hangs", redisStaysUp: true},
}

func TestFaults(t *testing.T) {
	h := up(t, lab.Options{Gate: true, Instances: []lab.Instance{{Name: "sessions", Port: 6380}}})
	for _, fault := range lab.Faults() {
		effect, ok := effects[fault.Name]
		if !ok {
			t.Errorf("fault %s has no test", fault.Name)
			continue
		}
		t.Run(fault.Name, func(t *testing.T) {
			if err := fault.Do(t.Context(), h.Redis, effect.args); err != nil {
				t.Fatal(err)
			}
			seen, err := h.Exec(t.Context(), effect.script)
			if err != nil || !strings.Contains(seen, effect.want) {
				t.Errorf("%q (%v), want %q", seen, err, effect.want)
			}
			if address := map[string]string{"ssh": h.SSHAddress, "redis": h.RedisAddr}[effect.dial]; address != "" {
				if got := dialable(address); got != effect.dialed {
					t.Errorf("dialling %s: %q, want %q", effect.dial, got, effect.dialed)
				}
			}
			// After a crash systemd may have Redis back at any moment.
			if err := h.Running(brief(t)); fault.Name != "kill9" && fault.Name != "oom-kill" && (err == nil) != effect.redisStaysUp {
				t.Errorf("Redis inside the host: %v", err)
			}
			if fault.Undo != nil {
				checkUndo(t, h, fault, effect.undoLeavesDown)
				if err := fault.Do(t.Context(), h.Redis, effect.args); err != nil {
					t.Fatal("a second time:", err)
				}
			}
			started := time.Now()
			if err := h.Reset(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Logf("reset took %s", time.Since(started).Round(time.Millisecond))
			checkClean(t, h)
		})
	}
}

// brief bounds a question to a Redis that may not answer.
func brief(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	t.Cleanup(cancel)
	return ctx
}

func checkUndo(t *testing.T, h *lab.Host, fault lab.Fault, leavesDown bool) {
	t.Helper()
	if err := fault.Undo(t.Context(), h.Redis); err != nil {
		t.Fatal("undo:", err)
	}
	if leavesDown {
		if _, err := h.Exec(t.Context(), "systemctl reset-failed redis-server"); err != nil {
			t.Fatal(err)
		}
		if err := h.Start(t.Context()); err != nil {
			t.Fatal("start after undo:", err)
		}
	}
	if err := h.Running(t.Context()); err != nil {
		t.Error("after undo:", err)
	}
	// An undo must leave no start limit behind for what comes next.
	if _, err := h.Exec(t.Context(), "systemctl reset-failed redis-server"); err != nil {
		t.Fatal(err)
	}
}

// checkClean checks that nothing of a fault or of data is left.
func checkClean(t *testing.T, h *lab.Host) {
	t.Helper()
	var script, want strings.Builder // one script: entering the host costs more than most of the questions
	for _, c := range []struct{ question, answer string }{
		{"redis-cli DBSIZE", "0"},
		{"systemctl show --value -p ActiveState,NRestarts redis-server | xargs", "0 active"},
		{"systemctl list-units --no-legend --plain 'lab-*'", ""},
		{"systemctl --failed --no-legend", ""},
		{"systemctl show --value -p DropInPaths redis-server", ""},
		{"redis-cli CONFIG GET maxclients | tail -n 1", "10000"},
		{"grep -c -e key-load-delay -e no-such /etc/redis/redis.conf || :", "0"},
		{"ls /var/lib/redis", ""},
		{"df --output=used /var/lib/redis | tail -n 1 | xargs", "0"},
		{"journalctl -q --no-pager -u redis-server | grep -c -e 'too quickly' -e KILL || :", "0"},
		{"redis-cli -p 6380 PING", "PONG"},
	} {
		script.WriteString("echo '" + strings.ReplaceAll(c.question, "'", `'\''`) + "' says \"$(" + c.question + ")\"\n")
		want.WriteString(c.question + " says " + c.answer + "\n")
	}
	if got, err := h.Exec(t.Context(), script.String()); err != nil || got+"\n" != want.String() {
		t.Errorf("after reset (%v):\n%s\nwant:\n%s", err, got, want.String())
	}
}

func TestFaultsConcernTheNamedServer(t *testing.T) {
	h := up(t, lab.Options{Instances: []lab.Instance{{Name: "sessions", Port: 6380}}})
	sessions := h.Server("redis-server@sessions.service")
	for name, do := range map[string]func(context.Context) error{
		"stop": sessions.Stop, "mask": sessions.Mask, "take-port": sessions.TakePort, "busy": sessions.BusyScript, "disk-full": sessions.DiskFull,
	} {
		if err := do(t.Context()); err != nil {
			t.Fatal(name, err)
		}
		if err := sessions.Running(brief(t)); err == nil {
			t.Errorf("%s: the instance still answers", name)
		}
		if err := h.Running(t.Context()); err != nil {
			t.Errorf("%s: the stock server: %v", name, err)
		}
		if err := h.Reset(t.Context()); err != nil {
			t.Fatal(name, err)
		}
	}
}

func TestDebugSleepBlocks(t *testing.T) {
	h := up(t, lab.Options{})
	if err := h.DebugSleep(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := h.Running(brief(t)); err == nil {
		t.Error("Redis answers")
	}
	if err := h.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestExecReportsAndEnds(t *testing.T) {
	h := up(t, lab.Options{})
	if _, err := h.Exec(t.Context(), "echo to-out; echo to-err >&2; exit 3"); err == nil || !strings.Contains(err.Error(), "to-err") || !strings.Contains(err.Error(), "to-out") {
		t.Errorf("%v, want an error with what the script printed", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := h.Exec(ctx, "sleep 1234 & wait"); err == nil {
		t.Error("no error from a script that was ended")
	}
	if out, err := h.Exec(t.Context(), "pgrep -f 'sleep 123[4]' || :"); err != nil || out != "" {
		t.Errorf("the ended script left %q (%v)", out, err)
	}
	if out, err := h.Exec(t.Context(), "echo "+`"it's \$5"`); err != nil || out != "it's $5" {
		t.Errorf("%q (%v)", out, err)
	}
}

// A child of sshd that ends while its parent is stopped stays a zombie, which no SIGSTOP can stop.
func TestSSHIsFrozenThoughAChildIsAZombie(t *testing.T) {
	h := up(t, lab.Options{})
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", h.SSHAddress)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 4)); err != nil { // the banner: the child is there
		t.Fatal(err)
	}
	if _, err := h.Exec(t.Context(), "pkill -STOP -o -x sshd"); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if _, err := h.Exec(t.Context(), "until grep -qs '^State:.Z' /proc/$(pgrep -n -x sshd)/status; do sleep 0.1; done"); err != nil {
		t.Fatal(err)
	}
	if err := h.FreezeSSH(t.Context()); err != nil {
		t.Error(err)
	}
}
