package host_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/deploy/lab"
	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/host"
)

func labNoSudo(t *testing.T, h *lab.Host) {
	fleet := labFleet(t, h)
	do(t, "remove sudo", h.RemoveSudo)
	defer do(t, "restore sudo", h.RestoreSudo)
	start := time.Now()
	res, err := fleet.Run(t.Context(), "redis", host.VerbRestart, 0)
	if host.ClassOf(err) != health.ClassDenied {
		t.Errorf("restart without sudo: %+v, %v", res, err)
	}
	t.Logf("refused after %v", time.Since(start))
	if read := fleet.ReadUnit(t.Context(), "redis"); !read.OK() || !read.Unit.Running() || !fleet.Status("redis").Reachable {
		t.Errorf("reads need no sudo: %+v, %+v", read, fleet.Status("redis"))
	}
}

// outage breaks the way to the host under a running watch, wants the class from the watch, a read and an act within a limit, heals,
// and wants the watch back.
func outage(t *testing.T, h *lab.Host, class health.ErrorClass, limit time.Duration, breakIt, heal func(context.Context) error) {
	t.Helper()
	fleet := labFleet(t, h)
	r := labWatch(t, fleet)
	healed := false
	defer func() {
		if !healed {
			do(t, "heal", heal)
		}
	}()
	do(t, "break", breakIt)
	noticed := eventually(t, 15*time.Second, "class "+string(class), func() bool { return r.last().Class == class })
	start := time.Now()
	if read := fleet.ReadUnit(t.Context(), "redis"); read.Class != class || read.Unit.ActiveState != "" {
		t.Errorf("read %+v", read)
	}
	readTook := time.Since(start)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	start = time.Now()
	_, err := fleet.Run(ctx, "redis", host.VerbStart, 0)
	if host.ClassOf(err) != class {
		t.Errorf("start: %v", err)
	}
	actTook := time.Since(start)
	if readTook > limit || actTook > 5*time.Second+limit {
		t.Errorf("the read took %v, the act %v", readTook, actTook)
	}
	status := fleet.Status("redis")
	do(t, "heal", heal)
	healed = true
	back := eventually(t, 30*time.Second, "a read after healing", func() bool { return r.last().OK() && r.last().Unit.Running() })
	t.Logf("noticed after %v, read failed after %v, act after %v (%v), back %v after healing; status was %+v",
		noticed.Round(time.Millisecond), readTook.Round(time.Millisecond), actTook.Round(time.Millisecond), err, back.Round(time.Millisecond), status)
}

func labSSHDown(t *testing.T, h *lab.Host) {
	outage(t, h, health.ClassUnreachable, time.Second, h.SSHDown, h.SSHUp)
}

func labSSHFrozen(t *testing.T, h *lab.Host) {
	outage(t, h, health.ClassTimeout, 3*time.Second, h.FreezeSSH, h.SSHUp)
}

func labPartition(t *testing.T, h *lab.Host) {
	outage(t, h, health.ClassUnreachable, 3*time.Second, func(ctx context.Context) error { return h.Partition(ctx) }, h.Heal)
}

func labBusDown(t *testing.T, h *lab.Host) {
	fleet := labFleet(t, h)
	r := labWatch(t, fleet)
	do(t, "bus down", h.BusDown)
	noticed := eventually(t, 15*time.Second, "a class", func() bool { return !r.last().OK() })
	if last := r.last(); last.Class != health.ClassCommand || last.Unit.ActiveState != "" {
		t.Errorf("watch %+v", last)
	}
	read := fleet.ReadUnit(t.Context(), "redis")
	if read.OK() || read.Unit.ActiveState != "" {
		t.Errorf("a missing bus was read as %+v", read)
	}
	do(t, "bus up", h.BusUp)
	back := eventually(t, 30*time.Second, "a read", func() bool { return r.last().OK() })
	t.Logf("noticed after %v, class %s (%s), back after %v", noticed, read.Class, read.Err, back)
}

func labSystemdFrozen(t *testing.T, h *lab.Host) {
	fleet := labFleet(t, h, func(o *host.ClientOptions) { o.ResyncInterval = time.Second })
	r := labWatch(t, fleet)
	do(t, "freeze systemd", h.FreezeSystemd)
	thawed := false
	defer func() {
		if !thawed {
			do(t, "thaw systemd", h.ThawSystemd)
		}
	}()
	start := time.Now()
	read := fleet.ReadUnit(t.Context(), "redis")
	if read.Class != health.ClassTimeout || time.Since(start) > 3*time.Second {
		t.Errorf("read %+v after %v", read, time.Since(start))
	}
	eventually(t, 10*time.Second, "class timeout", func() bool { return r.last().Class == health.ClassTimeout })
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	start = time.Now()
	if _, err := fleet.Run(ctx, "redis", host.VerbResetFailed, 0); err == nil || time.Since(start) > 2*time.Second {
		t.Errorf("an act with systemd frozen: %v after %v", err, time.Since(start))
	}
	do(t, "thaw systemd", h.ThawSystemd)
	thawed = true
	back := eventually(t, 20*time.Second, "a read", func() bool { return r.last().OK() })
	t.Logf("back after %v", back)
}

func labKeyRevoked(t *testing.T, h *lab.Host) {
	fleet := labFleet(t, h)
	r := labWatch(t, fleet)
	do(t, "revoke key", h.RevokeKey)
	defer do(t, "restore key", h.RestoreKey)
	noticed := eventually(t, 15*time.Second, "class auth", func() bool { return r.last().Class == health.ClassAuth })
	_, err := fleet.Run(t.Context(), "redis", host.VerbStart, 0)
	if host.ClassOf(err) != health.ClassAuth {
		t.Errorf("start: %v", err)
	}
	t.Logf("noticed after %v: %v", noticed, err)
}

func labHostKey(t *testing.T, h *lab.Host) {
	fleet := labFleet(t, h)
	r := labWatch(t, fleet)
	do(t, "change the host key", h.ChangeHostKey)
	defer do(t, "restore the host key", h.RestoreHostKey)
	noticed := eventually(t, 15*time.Second, "class host-key", func() bool { return r.last().Class == health.ClassHostKey })
	_, err := fleet.Run(t.Context(), "redis", host.VerbStart, 0)
	if host.ClassOf(err) != health.ClassHostKey || !strings.Contains(err.Error(), "SHA256:") {
		t.Errorf("start: %v", err)
	}
	t.Logf("noticed after %v: %v", noticed, err)
}
