package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// well waits for the end of the newest incident since a time, checks its acts, and that the service is well.
func well(ctx context.Context, t *testing.T, since time.Time, end string, want ...string) map[string]any {
	t.Helper()
	var i map[string]any
	until(ctx, t, "the incident ends: "+end, func() (bool, string) {
		i = newest(ctx, t, since)
		return i != nil && i["status"] == end, fmt.Sprint(i)
	})
	if got := acts(i); strings.Join(got, "; ") != strings.Join(want, "; ") {
		t.Errorf("acts %q, want %q", got, want)
	}
	if err := host.Running(ctx); err != nil {
		t.Error(err)
	}
	return i
}

// TestFaultsOfTheWay breaks what lies between redis-medic, its alerts and the host, while something is to be done.
func TestFaultsOfTheWay(t *testing.T) {
	direct(t)
	for _, c := range []struct {
		name string
		run  func(context.Context, *testing.T)
	}{
		{"two people at once", twoAtOnce},
		{"the same alert a hundred times", repeated},
		{"resolved before it fired", resolvedFirst},
		{"the connection ends in the middle of a start", cutInTheMiddle},
		{"a third of all packets is lost", lossy},
		{"the journal hangs", journalHangs},
		{"our process stood still", stoodStill},
		{"killed by the kernel for want of memory", outOfMemory},
		{"the host boots anew", rebooted},
		{"it fails again and again", again},
		{"three services at once", storm},
		{"logs that must not be read", hiddenLogs},
		{"log lines that try to do something", evilLines},
		{"a master with replicas and nothing on disk", emptyMaster},
		{"a replica with nothing on disk", emptyReplica},
		{"a failover is going on", failover},
		{"a save is running", saving},
		{"a stop that hangs while Redis serves", stopHangsServing},
		{"an impostor on the port", impostor},
		{"no descriptor is left for clients", noDescriptor},
		{"six restarts in a row", sixRestarts},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(fresh(t), t) })
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A hundred deliveries of one alert are one incident with one start.
func repeated(ctx context.Context, t *testing.T) {
	since := time.Now()
	must(t, host.Stop(ctx))
	fire(ctx, t, "redis", "RedisDown")
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if code, err := post(ctx, fired["redis"][0]); err != nil || code != 200 {
				t.Errorf("webhook: %d %v", code, err)
			}
		})
	}
	all.Wait()
	well(ctx, t, since, "recovered", "start")
	if n := starts(ctx, t, since); n != 1 {
		t.Errorf("%d starts", n)
	}
}

// The end of an episode that came before its beginning does not bring the alert to life again for ever: Redis is well, nothing is done.
func resolvedFirst(ctx context.Context, t *testing.T) {
	since := time.Now()
	a := map[string]any{
		"status": "resolved", "startsAt": since.UTC().Format(time.RFC3339Nano), "endsAt": since.Add(time.Second).UTC().Format(time.RFC3339Nano),
		"fingerprint": "00000000000f1257", "labels": map[string]string{"alertname": "RedisDown", "service": "redis", "remediation": "ladder"},
	}
	if code, err := post(ctx, a); err != nil || code >= 300 {
		t.Fatalf("webhook: %d %v", code, err)
	}
	a["status"], a["endsAt"] = "firing", "0001-01-01T00:00:00Z"
	if code, err := post(ctx, a); err != nil || code >= 300 {
		t.Fatalf("webhook: %d %v", code, err)
	}
	fired["redis"] = append(fired["redis"], a)
	stays(ctx, t, "nothing is done", 2*time.Second, func() (bool, string) {
		i := newest(ctx, t, since)
		return len(acts(i)) == 0, fmt.Sprint(i)
	})
	if err := host.Running(ctx); err != nil {
		t.Error(err)
	}
}

// inHand stops a Redis that loads slowly and waits until its start is in hand.
func inHand(ctx context.Context, t *testing.T) (since time.Time) {
	t.Helper()
	must(t, host.SlowLoad(ctx, 5*time.Second))
	until(ctx, t, "the first load is over", func() (bool, string) { s := unitState(ctx, t); return s == "active", s })
	forget(ctx, t)
	since = time.Now()
	must(t, host.Stop(ctx))
	fire(ctx, t, "redis", "RedisDown")
	until(ctx, t, "the start is in hand", func() (bool, string) {
		i := newest(ctx, t, since)
		return len(acts(i)) == 1 && unitState(ctx, t) == "activating", fmt.Sprint(i)
	})
	return since
}

// The start goes on without us; we look again and repeat nothing.
func cutInTheMiddle(ctx context.Context, t *testing.T) {
	since := inHand(ctx, t)
	must(t, cut(ctx))
	until(ctx, t, "Redis is there", func() (bool, string) { s := unitState(ctx, t); return s == "active", s })
	must(t, host.Heal(ctx))
	well(ctx, t, since, "recovered", "start")
	if n := starts(ctx, t, since); n != 1 {
		t.Errorf("%d starts", n)
	}
}

// Lost packets make everything slow; they make nothing down.
func lossy(ctx context.Context, t *testing.T) {
	since, pid := time.Now(), unitState(ctx, t)
	must(t, host.Loss(ctx, 30))
	fire(ctx, t, "redis", "RedisDown")
	stays(ctx, t, "nothing is done", 5*time.Second, func() (bool, string) {
		i := newest(ctx, t, since)
		return len(acts(i)) == 0 && unitState(ctx, t) == pid, fmt.Sprint(i)
	})
	must(t, host.Heal(ctx))
}

// Without a journal the evidence is thinner; Redis comes back all the same.
func journalHangs(ctx context.Context, t *testing.T) {
	since := time.Now()
	must(t, host.FreezeJournal(ctx))
	must(t, host.Stop(ctx))
	fire(ctx, t, "redis", "RedisDown")
	well(ctx, t, since, "recovered", "start")
}

// After a pause of our own process what it had seen is worthless: it refrains for a while, then looks again.
func stoodStill(ctx context.Context, t *testing.T) {
	since := time.Now()
	must(t, syscall.Kill(st.MedicPID(), syscall.SIGSTOP))
	must(t, host.Stop(ctx))
	paused, cancel := context.WithTimeout(ctx, 6*time.Second)
	defer cancel()
	<-paused.Done()
	must(t, syscall.Kill(st.MedicPID(), syscall.SIGCONT))
	fire(ctx, t, "redis", "RedisDown")
	i := well(ctx, t, since, "recovered", "start")
	if !tells(i, "clock_stall", "") {
		t.Errorf("the pause is not in the timeline: %v", i)
	}
}

// systemd restarts what the kernel has killed; we record it and do nothing.
func outOfMemory(ctx context.Context, t *testing.T) {
	since := time.Now()
	must(t, host.OOMKill(ctx))
	fire(ctx, t, "redis", "RedisDown")
	until(ctx, t, "it is back", func() (bool, string) { err := host.Running(ctx); return err == nil, fmt.Sprint(err) })
	stays(ctx, t, "nothing is done", 2*time.Second, func() (bool, string) {
		i := newest(ctx, t, since)
		return len(acts(i)) == 0, fmt.Sprint(i)
	})
	if n := starts(ctx, t, since); n != 1 {
		t.Errorf("%d starts, want systemd's one", n)
	}
}

// While the host boots, systemd is at work; when it is up, Redis is.
func rebooted(ctx context.Context, t *testing.T) {
	since := time.Now()
	must(t, host.Reboot(ctx))
	fire(ctx, t, "redis", "RedisDown")
	until(ctx, t, "Redis is back", func() (bool, string) { err := host.Running(ctx); return err == nil, fmt.Sprint(err) })
	until(ctx, t, "the way to the host is back", func() (bool, string) {
		_, s, err := st.Call(ctx, "", "GET", "/api/services/redis/status", nil)
		vm, _ := s["vm_info"].(map[string]any)
		return err == nil && vm["ssh_accessible"] == true && s["status"] == "running", fmt.Sprint(s, err)
	})
	if i := newest(ctx, t, since); len(acts(i)) != 0 {
		t.Errorf("acts: %v", i)
	}
}

// Clients that take every file descriptor are refused; nothing is taken for down meanwhile, and everything goes on afterwards.
func noDescriptor(ctx context.Context, t *testing.T) {
	since, pid := time.Now(), strconv.Itoa(st.MedicPID())
	open, err := os.ReadDir("/proc/" + pid + "/fd")
	must(t, err)
	limit := func(soft int) {
		t.Helper()
		if out, err := exec.CommandContext(ctx, "prlimit", "--pid", pid, fmt.Sprintf("--nofile=%d:", soft)).CombinedOutput(); err != nil {
			t.Fatalf("prlimit: %v %s", err, out)
		}
	}
	limit(len(open) + 8)
	var clients []net.Conn
	for range 40 {
		c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", strings.TrimPrefix(st.ControlAPI, "http://"))
		must(t, err)
		clients = append(clients, c)
	}
	stays(ctx, t, "nothing is done", 4*time.Second, func() (bool, string) {
		now, err := host.MainPID(ctx)
		return err == nil && now > 0 && starts(ctx, t, since) == 0, fmt.Sprint(now, err)
	})
	for _, c := range clients {
		c.Close() // nothing was sent
	}
	limit(4096)
	if i := newest(ctx, t, since); len(acts(i)) != 0 {
		t.Errorf("acts: %v", i)
	}
	since = time.Now()
	must(t, host.Stop(ctx))
	fire(ctx, t, "redis", "RedisDown")
	well(ctx, t, since, "recovered", "start")
}

// Impatient people do not run into systemd's own limit: the unit never fails by our doing.
func sixRestarts(ctx context.Context, t *testing.T) {
	refused := 0
	for range 6 {
		code, answer, err := st.Call(ctx, "admin", "POST", "/api/services/redis/restart", map[string]any{})
		switch {
		case err != nil || code != 200 && code != 429:
			t.Errorf("restart: %d %v %v", code, answer, err)
		case code == 429:
			refused++
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
	if err := host.Running(ctx); err != nil {
		t.Error(err)
	}
	if s := unitState(ctx, t); s != "active" {
		t.Errorf("the unit is %s", s)
	}
}

// The second one is told who is doing what.
func twoAtOnce(ctx context.Context, t *testing.T) {
	must(t, host.SlowLoad(ctx, 2*time.Second))
	until(ctx, t, "the first load is over", func() (bool, string) { s := unitState(ctx, t); return s == "active", s })
	since := time.Now()
	codes := make(chan string, 2)
	for _, role := range []string{"admin", "operator"} {
		go func() {
			code, answer, err := st.Call(ctx, role, "POST", "/api/services/redis/restart", map[string]any{})
			codes <- fmt.Sprint(code, answer["detail"], err)
		}()
	}
	one, two := <-codes, <-codes
	if !strings.HasPrefix(one, "409") {
		one, two = two, one
	}
	if !strings.HasPrefix(one, "409") || !strings.Contains(one, "@autobot.local") || !strings.HasPrefix(two, "200") {
		t.Errorf("%q and %q", one, two)
	}
	if n := starts(ctx, t, since); n != 1 {
		t.Errorf("%d starts", n)
	}
}

// Three recoveries in five minutes are a loop: a person is needed.
func again(ctx context.Context, t *testing.T) {
	for n := range 4 {
		since := time.Now()
		must(t, host.Stop(ctx))
		fire(ctx, t, "redis", "RedisDown")
		if n < 3 {
			until(ctx, t, "recovered", func() (bool, string) {
				i := newest(ctx, t, since)
				return i != nil && (i["status"] == "recovered" || i["status"] == "manual"), fmt.Sprint(i)
			})
			resolve(ctx, t, "redis")
		}
		if recovery(ctx, t)["manual_intervention"] == true {
			break
		}
	}
	until(ctx, t, "manual intervention is required", func() (bool, string) {
		s := recovery(ctx, t)
		return s["manual_intervention"] == true && strings.Contains(fmt.Sprint(s["manual_reason"]), "keeps failing"), fmt.Sprint(s)
	})
}

// Three of three services fail in one moment: that is the network or we, not Redis.
func storm(ctx context.Context, t *testing.T) {
	since := time.Now()
	must(t, host.LinkDown(ctx))
	for _, service := range []string{"redis", "sessions", "queue"} {
		fire(ctx, t, service, "RedisDown")
	}
	until(ctx, t, "a storm is suspected", func() (bool, string) {
		i := newest(ctx, t, since)
		return tells(i, "storm", ""), fmt.Sprint(i)
	})
	must(t, host.LinkUp(ctx))
	well(ctx, t, since, "self_healed")
}

// No access to logs is said as such; it is not "no logs".
func hiddenLogs(ctx context.Context, t *testing.T) {
	must(t, host.HideLogs(ctx))
	seenTwice(ctx, t) // the connection is made anew, without the groups
	code, answer, err := st.Call(ctx, "admin", "GET", "/api/services/redis/logs?lines=20", nil)
	if err != nil || code != 503 || answer["code"] != "host_denied" {
		t.Errorf("logs: %d %v %v", code, answer, err)
	}
	since := time.Now()
	must(t, host.Stop(ctx))
	fire(ctx, t, "redis", "RedisDown")
	well(ctx, t, since, "recovered", "start")
	must(t, host.ShowLogs(ctx)) // a session keeps the rights that it began with
}

// Log lines are data: escaped, cut, and nothing follows from them.
func evilLines(ctx context.Context, t *testing.T) {
	_, err := host.Exec(ctx, `printf "1:M $(date '+%d %b %Y %H:%M:%S').000 # \033[31m<script>alert(1)</script> %s\n" "$(head -c 20000 /dev/zero | tr '\0' x)" >>/var/log/redis/redis-server.log`)
	must(t, err)
	// sshd was restarted a moment ago, and may end the connection under the first question; the limit on questions is 20 a minute.
	var code int
	var answer map[string]any
	for range 5 {
		if code, answer, err = st.Call(ctx, "admin", "GET", "/api/services/redis/logs?lines=5", nil); code != 503 {
			break
		}
		seenTwice(ctx, t)
	}
	text := fmt.Sprint(answer)
	if err != nil || code != 200 || strings.Contains(text, "\033") || len(text) > 100000 || !strings.Contains(text, "alert(1)") {
		t.Errorf("logs: %d %v, %d characters: %.300s", code, err, len(text), text)
	}
}

// replicated lets sessions follow redis, and waits until redis-medic has seen it.
func replicated(ctx context.Context, t *testing.T) {
	t.Helper()
	must(t, sessions.ReplicaOf(ctx, host.Redis))
	until(ctx, t, "the replica is seen", func() (bool, string) {
		_, h, err := st.Call(ctx, "admin", "GET", "/api/services/redis/health", nil)
		text := fmt.Sprint(h)
		return err == nil && h["overall_status"] == "healthy", text
	})
	seenTwice(ctx, t)
}

// seenTwice waits until INFO, which is read every second here, was read after this moment.
func seenTwice(ctx context.Context, t *testing.T) {
	t.Helper()
	pause, cancel := context.WithTimeout(ctx, 2500*time.Millisecond)
	defer cancel()
	<-pause.Done()
}

// An empty master that came back would empty its replicas within milliseconds.
func emptyMaster(ctx context.Context, t *testing.T) {
	must(t, host.NoPersistence(ctx))
	replicated(ctx, t)
	since := time.Now()
	must(t, host.Stop(ctx))
	fire(ctx, t, "redis", "RedisDown")
	until(ctx, t, "a person is asked", func() (bool, string) {
		s := recovery(ctx, t)
		return s["manual_intervention"] == true && strings.Contains(fmt.Sprint(s["manual_reason"]), "would empty them"), fmt.Sprint(s)
	})
	if i := newest(ctx, t, since); len(acts(i)) != 0 {
		t.Errorf("acts: %v", i)
	}
	if n := starts(ctx, t, since); n != 0 {
		t.Errorf("%d starts", n)
	}
}

// A replica has nothing to lose: it fetches its data again.
func emptyReplica(ctx context.Context, t *testing.T) {
	must(t, host.NoPersistence(ctx))
	must(t, host.Redis.ReplicaOf(ctx, sessions))
	seenTwice(ctx, t)
	since := time.Now()
	must(t, host.Stop(ctx))
	fire(ctx, t, "redis", "RedisDown")
	well(ctx, t, since, "recovered", "start")
}

// While a role is handed over, everybody else keeps their hands off.
func failover(ctx context.Context, t *testing.T) {
	replicated(ctx, t)
	must(t, sessions.Freeze(ctx))
	_, err := host.RedisCLI(ctx, "FAILOVER", "TO", "127.0.0.1", "6380", "TIMEOUT", "60000")
	must(t, err)
	seenTwice(ctx, t)
	since := time.Now()
	must(t, host.Freeze(ctx))
	if err := host.Redis.Thaw(ctx); err != nil { // a frozen one would only be continued, which harms no failover
		t.Fatal(err)
	}
	_, err = host.Exec(ctx, "systemctl kill --signal=SIGKILL redis-server; systemctl stop redis-server")
	must(t, err)
	fire(ctx, t, "redis", "RedisDown")
	until(ctx, t, "the failover is waited for", func() (bool, string) {
		i := newest(ctx, t, since)
		return tells(i, "failover", ""), fmt.Sprint(i)
	})
	if i := newest(ctx, t, since); len(acts(i)) != 0 {
		t.Errorf("acts: %v", i)
	}
}

// A Redis that fell silent while it saved is given time: a restart would break the save.
func saving(ctx context.Context, t *testing.T) {
	must(t, host.SlowSave(ctx, 30*time.Second))
	seenTwice(ctx, t)
	since := time.Now()
	must(t, host.DebugSleep(ctx, 7*time.Second))
	fire(ctx, t, "redis", "RedisHung")
	until(ctx, t, "the save is waited for", func() (bool, string) {
		i := newest(ctx, t, since)
		return tells(i, "saving", ""), fmt.Sprint(i)
	})
	well(ctx, t, since, "self_healed")
}

// A stop that hangs harms nobody as long as Redis serves: nothing is done about it, and people are told what it waits for.
func stopHangsServing(ctx context.Context, t *testing.T) {
	must(t, host.HangStopServing(ctx))
	until(ctx, t, "health says what is going on", func() (bool, string) {
		_, h, err := st.Call(ctx, "", "GET", "/api/services/redis/health", nil)
		text := fmt.Sprint(h)
		return err == nil && h["overall_status"] == "degraded" && strings.Contains(text, "unit_transient") && strings.Contains(text, "can't exit"), text
	})
	since := time.Now()
	fire(ctx, t, "redis", "RedisDown")
	stays(ctx, t, "nothing is done", 5*time.Second, func() (bool, string) {
		i := newest(ctx, t, since)
		return len(acts(i)) == 0 && recovery(ctx, t)["manual_intervention"] == false, fmt.Sprint(i)
	})
}

// What answers is not the unit's process, though both run: nothing is done to either.
func impostor(ctx context.Context, t *testing.T) {
	since, before := time.Now(), unitState(ctx, t)
	must(t, host.Impostor(ctx))
	fire(ctx, t, "redis", "RedisDown")
	stays(ctx, t, "nothing is done", 3*time.Second, func() (bool, string) {
		i := newest(ctx, t, since)
		return len(acts(i)) == 0 && unitState(ctx, t) == before, fmt.Sprint(i)
	})
}
