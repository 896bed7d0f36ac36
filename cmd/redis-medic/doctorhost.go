package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/host"
)

// checkWatch waits for a word of the unit over D-Bus; a watch goes on without it, but sees changes later.
func checkWatch(ctx context.Context, p patient) finding {
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout/4)
	defer cancel()
	m, ok := p.fleet.Member(p.service.ID)
	if !ok {
		return bad("see the message", "no host is known for this service")
	}
	ended := make(chan error, 1)
	var watching sync.WaitGroup
	watching.Go(func() { ended <- p.fleet.WatchUnit(ctx, p.service.ID, func(health.UnitRead) {}) })
	tick := time.NewTicker(doctorTick)
	defer tick.Stop()
	for ctx.Err() == nil {
		// Only over D-Bus does systemd tell of itself; it is asked beside the first reads.
		if m.Client.ReadUnit(ctx, m.Unit).Manager != nil {
			cancel()
			watching.Wait()
			return good("unit changes are seen at once, over D-Bus")
		}
		select {
		case err := <-ended:
			if ctx.Err() == nil { // else the time is over, and that is what ended it
				return warn("see the message", "the unit cannot be watched: %v", err)
			}
		case <-tick.C:
		}
	}
	watching.Wait()
	return warn("on the host, as root: apt-get install dbus && systemctl start dbus.socket; and see that systemd-stdio-bridge is there",
		"no D-Bus: unit changes are seen within poll_interval_seconds only")
}

// doctorTick is the pace of looking again.
const doctorTick = 100 * time.Millisecond

// clockBound is by how much the clocks may differ before evidence of both is hard to put in order. Certificates and tokens stand more.
const clockBound = 2 * time.Second

func checkClock(ctx context.Context, p patient) finding {
	ahead, precision, err := p.fleet.Clock(ctx, p.service.ID)
	if err != nil {
		return oldHost(p, "the host's clock could not be read", err)
	}
	words := fmt.Sprintf("%s ahead of ours", ahead.Round(time.Millisecond))
	if ahead < 0 {
		words = fmt.Sprintf("%s behind ours", (-ahead).Round(time.Millisecond))
	}
	if ahead.Abs() > clockBound+precision {
		return warn("on both machines: timedatectl set-ntp true; and see timedatectl timesync-status", "the host's clock is %s", words)
	}
	return good("the host's clock is %s", words)
}

// oldHost is for what a host package that is older than this program does not know yet.
func oldHost(p patient, what string, err error) finding {
	text := err.Error()
	if e, ok := errors.AsType[*host.Error](err); ok {
		text = e.Public
	}
	return warn("install the host package of this version again; "+gateFix(p), "%s: %s", what, text)
}

// needed are the sudo lines without which a rung or an operation cannot work, and what each is for.
func needed(unit string) []struct{ command, use string } {
	short := strings.TrimSuffix(unit, ".service")
	return []struct{ command, use string }{
		{"systemctl start " + short, "start"},
		{"systemctl stop " + short, "stop"},
		{"systemctl restart " + short, "restart"},
		{"systemctl reset-failed " + short, "a start after systemd's start limit"},
		{"systemctl kill --kill-who=main --signal=SIGCONT " + short, "the soft rung for a stopped process"},
		{"ss -Hltnp", "naming the holder of a taken port"},
	}
}

// checkRights compares what sudo allows with what is needed, line by line; nothing is tried.
func checkRights(ctx context.Context, p patient) finding {
	rights, err := p.fleet.Rights(ctx, p.service.ID)
	if host.ClassOf(err) == health.ClassDenied {
		if e, ok := errors.AsType[*host.Error](err); ok && e.Sent {
			return bad(sudoFix(p), "sudo allows nothing: %s", e.Public)
		}
	}
	if err != nil {
		return oldHost(p, "the sudo lines could not be listed", err)
	}
	has := func(command string) bool {
		return slices.ContainsFunc(rights, func(r string) bool { return strings.HasSuffix(r, "/"+command) })
	}
	var missing, vital []string
	for _, n := range needed(p.service.Service.SystemdUnit) {
		if has(n.command) {
			continue
		}
		missing = append(missing, n.command+" (for "+n.use+")")
		if slices.Contains([]string{"start", "stop", "restart"}, n.use) {
			vital = append(vital, n.command)
		}
	}
	force := p.service.AutoRecovery.Strategies.Force.Enabled
	kill := "systemctl kill --kill-who=main --signal=SIGKILL " + strings.TrimSuffix(p.service.Service.SystemdUnit, ".service")
	switch {
	case len(vital) > 0:
		return bad(sudoFix(p), "sudo does not allow: %s", strings.Join(missing, "; "))
	case len(missing) > 0:
		return warn(sudoFix(p), "sudo does not allow: %s", strings.Join(missing, "; "))
	case force && !has(kill):
		return warn(sudoFix(p)+" --allow-kill", "the force rung is on, but sudo does not allow: %s", kill)
	}
	return good("sudo allows all of start, stop, restart, reset-failed, continue and listing of sockets")
}

func sudoFix(p patient) string {
	return "on the host, as root: visudo -c, then deploy/host/install.sh --key KEY.pub --user " + p.ssh.User + " --unit " + p.service.Service.SystemdUnit
}

// keeperUnit is the service that the host package's timer starts every minute.
const keeperUnit = "redis-medic-config.service"

// checkKeeper asks for the last known good configuration, and whether the host takes snapshots by itself.
func checkKeeper(ctx context.Context, p patient) finding {
	if !p.service.AutoRecovery.RestoreLastGoodConfig {
		return good("not wanted (auto_recovery.restore_last_good_config is off)")
	}
	_, err := p.fleet.Run(ctx, p.service.ID, host.VerbConfigDiff, 0)
	known := "it is kept, and the present file differs from it"
	if e, ok := errors.AsType[*host.Error](err); ok {
		known = e.Public
		if e.Class == health.ClassDenied || strings.Contains(e.Public, "missing") {
			return warn(gateFix(p), "the host's keeper of configurations cannot be asked: %s", e.Public)
		}
	} else if err != nil {
		return warn("see the message", "%v", err)
	}
	m, _ := p.fleet.Member(p.service.ID)
	timer := m.Client.ReadUnit(ctx, host.Unit{Name: keeperUnit})
	switch {
	case timer.OK() && timer.Unit.LoadState == "not-found":
		return warn("on the host, as root: run install.sh without --no-timer", "the host takes no snapshots by itself: %s does not exist; %s", keeperUnit, known)
	case timer.OK() && timer.Unit.InactiveEnter.IsZero() && timer.Unit.ActiveEnter.IsZero() && timer.Unit.ActiveState == "inactive":
		return warn("on the host, as root: systemctl enable --now redis-medic-config.timer", "%s has not run since the host's boot; %s", keeperUnit, known)
	case strings.Contains(known, "no last known good"):
		return warn("let Redis run for half a minute with a configuration that was not edited since its start, then on the host, as root: redis-medic-config snapshot "+
			strings.TrimSuffix(p.service.Service.SystemdUnit, ".service"), "%s", known)
	}
	return good("%s", known)
}
