package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// row is one fault and what redis-medic must do about it.
type row struct {
	name  string
	fault func(context.Context) error
	// More is broken after the fault; nil: nothing.
	more  func(context.Context) error
	alert string   // empty: RedisDown
	code  string   // of the decision that must be in the timeline
	text  string   // part of its words
	acts  []string // all that is done, in order
	// Manual: automatic recovery must latch off, with the code's words as its reason.
	manual bool
	// Moves: systemd or the test itself changes the process, so that it need not stay the same.
	moves bool
	// Undo mends the fault; then the service must be well again by itself, with these acts and this end. nil: not tried.
	undo func(context.Context) error
	then []string
	end  string
}

// check breaks the host, fires the alert, and compares what is decided and done.
func (r row) check(t *testing.T) {
	ctx := fresh(t)
	since := time.Now()
	if err := r.fault(ctx); err != nil {
		t.Fatal(err)
	}
	if r.more != nil {
		if err := r.more(ctx); err != nil {
			t.Fatal(err)
		}
	}
	pid := r.pid(ctx)
	alert := r.alert
	if alert == "" {
		alert = "RedisDown"
	}
	fire(ctx, t, "redis", alert)
	until(ctx, t, "the decision "+r.code, func() (bool, string) {
		i := newest(ctx, t, since)
		return i != nil && (tells(i, r.code, r.text) || r.manual && i["status"] == "manual" && i["cause"] == r.code), fmt.Sprint(i)
	})
	r.stays(ctx, t, since, pid)
	if r.manual {
		s := recovery(ctx, t)
		if s["manual_intervention"] != true || !strings.Contains(fmt.Sprint(s["manual_reason"]), r.text) {
			t.Errorf("manual intervention %v: %v; want %q", s["manual_intervention"], s["manual_reason"], r.text)
		}
	}
	if r.undo != nil {
		r.mended(ctx, t, since)
	}
}

// stays checks that nothing but the acts is done, for as long as several more looks take.
func (r row) stays(ctx context.Context, t *testing.T, since time.Time, pid string) {
	t.Helper()
	want := slices.Concat([]string{}, r.acts)
	stays(ctx, t, "nothing else is done", 1500*time.Millisecond, func() (bool, string) {
		i := newest(ctx, t, since)
		if got := acts(i); !slices.Equal(got, want) {
			return false, fmt.Sprintf("acts %q, want %q in %v", got, want, i)
		}
		now := r.pid(ctx)
		return r.moves || len(r.acts) > 0 || now == pid, "process " + pid + ", now " + now
	})
}

// mended undoes the fault and waits for the end of the incident.
func (r row) mended(ctx context.Context, t *testing.T, since time.Time) {
	t.Helper()
	if err := r.undo(ctx); err != nil {
		t.Fatal(err)
	}
	until(ctx, t, "well again: "+r.end, func() (bool, string) {
		i := newest(ctx, t, since)
		return i["status"] == r.end, fmt.Sprint(i)
	})
	i := newest(ctx, t, since)
	if got, want := acts(i), slices.Concat([]string{}, r.acts, r.then); !slices.Equal(got, want) {
		t.Errorf("acts %q, want %q", got, want)
	}
	if err := host.Running(ctx); err != nil {
		t.Error(err)
	}
}

// pid is the unit's main process. With systemd frozen it cannot be asked, and then nobody can change it either.
func (r row) pid(ctx context.Context) string {
	brief, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	pid, err := host.Property(brief, "MainPID")
	if err != nil {
		return "unknown"
	}
	return pid
}

// cut drops the traffic of sshd only: Redis is reached as ever.
func cut(ctx context.Context) error { return host.Partition(ctx, 22) }

func TestFaultMatrix(t *testing.T) {
	direct(t)
	start := []string{"start"}
	t.Run("no act can help", func(t *testing.T) {
		for _, r := range []row{
			{name: "masked", fault: host.Mask, code: "unit_masked"},
			{name: "unit missing", fault: host.RemoveUnit, code: "unit_missing"},
			{name: "disk full", fault: host.DiskFull, code: "misconf", undo: host.DiskFree, end: "self_healed"},
			{name: "no inode free", fault: host.NoInodes, code: "misconf"},
			{name: "data folder locked", fault: host.LockData, code: "misconf", undo: host.UnlockData, end: "self_healed"},
			{name: "no room for clients", fault: host.MaxClients, alert: "RedisMaxClients", code: "maxclients"},
			{name: "another password", fault: host.ChangePassword, code: "noauth", undo: host.RestorePassword, end: "self_healed"},
			{name: "traffic dropped", fault: func(ctx context.Context) error { return host.Partition(ctx, 6379) }, code: "filtered", undo: host.Heal, end: "self_healed"},
			{name: "connections refused by a firewall", fault: func(ctx context.Context) error { return host.Reject(ctx, 6379) }, code: "refused_while_running", undo: host.Heal, end: "self_healed"},
			{name: "started by hand beside its unit", fault: host.RunOutside, code: "wrong_instance"},
			{name: "a script that has written", fault: host.BusyScriptWrite, alert: "RedisBusyScript", code: "busy_script", acts: []string{"script-kill"}, manual: true},
			{name: "the stop hangs", fault: host.HangStop, code: "stuck_stopping", acts: []string{"script-kill"}, manual: true},
			{name: "loading", fault: func(ctx context.Context) error { return host.SlowLoad(ctx, 6*time.Second) }, alert: "RedisLoadingLong", code: "loading",
				undo: func(ctx context.Context) error { return nil }, end: "self_healed"},
			{name: "one long command", fault: func(ctx context.Context) error { return host.DebugSleep(ctx, 3*time.Second) }, alert: "RedisHung", code: "maybe_slow",
				undo: func(ctx context.Context) error { return nil }, end: "self_healed"},
			{name: "memory at its limit", fault: host.MemoryFull, code: "not_confirmed"},
			{name: "nothing is wrong", fault: func(ctx context.Context) error { return nil }, code: "not_confirmed"},
		} {
			t.Run(r.name, r.check)
		}
	})
	t.Run("no way to the host", func(t *testing.T) {
		for _, r := range []row{
			{name: "host off the network", fault: host.LinkDown, code: "host_unreachable", undo: host.LinkUp, end: "self_healed"},
			{name: "sshd stopped", fault: host.SSHDown, more: host.Stop, code: "host_unreachable", undo: host.SSHUp, then: start, end: "recovered"},
			{name: "sshd says nothing", fault: host.FreezeSSH, more: host.Stop, code: "unit_unknown", undo: host.SSHUp, then: start, end: "recovered"},
			{name: "only Redis can be reached", fault: cut, more: host.Stop, code: "host_unreachable", undo: host.Heal, then: start, end: "recovered"},
			{name: "too many connections to sshd", fault: flooded, more: host.Stop, code: "host_unreachable", undo: host.UnfloodSSH, then: start, end: "recovered"},
			{name: "host key changed", fault: host.ChangeHostKey, more: host.Stop, code: "host_key_changed", undo: anew(host.RestoreHostKey), then: start, end: "recovered"},
			{name: "key revoked", fault: host.RevokeKey, more: host.Stop, code: "host_auth", undo: anew(host.RestoreKey), then: start, end: "recovered"},
			{name: "account locked", fault: host.LockAccount, more: host.Stop, code: "host_auth", undo: anew(host.UnlockAccount), then: start, end: "recovered"},
			{name: "sudo denied", fault: host.RemoveSudo, more: host.Stop, code: "host_denied", acts: start, undo: byHand(host.RestoreSudo), end: "recovered"},
			{name: "D-Bus down", fault: host.BusDown, more: host.Stop, code: "unit_unknown", undo: host.BusUp, then: start, end: "recovered"},
			{name: "systemd frozen", fault: host.Freeze, more: host.FreezeSystemd, code: "unit_unknown", undo: host.ThawSystemd, then: []string{"continue"}, end: "recovered"},
		} {
			t.Run(r.name, r.check)
		}
	})
}

// byHand mends and then starts Redis as a person does, over the API.
func byHand(mend func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := mend(ctx); err != nil {
			return err
		}
		code, answer, err := st.Call(ctx, "operator", "POST", "/api/services/redis/start", map[string]any{})
		if err != nil || code != 200 {
			return fmt.Errorf("start: %d %v %w", code, answer, err)
		}
		return nil
	}
}

// anew mends and then restarts redis-medic: a host that has refused us is asked again only after up to a minute, so that nothing locks
// the account, and the test need not wait for that.
func anew(mend func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := mend(ctx); err != nil {
			return err
		}
		if err := st.StopMedic(); err != nil {
			return err
		}
		return st.StartMedic(ctx)
	}
}

// flooded keeps sshd from greeting anybody and then cuts our session: it is not made again.
func flooded(ctx context.Context) error {
	if err := host.FloodSSH(ctx); err != nil {
		return err
	}
	_, err := host.Exec(ctx, "pkill -KILL -u "+host.User+" || :")
	return err
}
