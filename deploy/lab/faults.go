package lab

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// Fault is one way to break a host, by name.
type Fault struct {
	Name string
	Args string // what Do takes, for help; empty: nothing
	Help string
	Do   func(ctx context.Context, r *Redis, args []string) error // breaks it
	Undo func(ctx context.Context, r *Redis) error                // nil: nothing to undo, or only Reset undoes it
}

// Host returns the host of a server.
func (r *Redis) Host() *Host { return r.host }

// plain makes a fault of a server's method that takes nothing.
func plain(do func(*Redis, context.Context) error) func(context.Context, *Redis, []string) error {
	return func(ctx context.Context, r *Redis, _ []string) error { return do(r, ctx) }
}

func undo(do func(*Redis, context.Context) error) func(context.Context, *Redis) error {
	return func(ctx context.Context, r *Redis) error { return do(r, ctx) }
}

func plainHost(do func(*Host, context.Context) error) func(context.Context, *Redis, []string) error {
	return func(ctx context.Context, r *Redis, _ []string) error { return do(r.host, ctx) }
}

func undoHost(do func(*Host, context.Context) error) func(context.Context, *Redis) error {
	return func(ctx context.Context, r *Redis) error { return do(r.host, ctx) }
}

// Faults lists every fault.
func Faults() []Fault {
	return []Fault{
		{Name: "stop", Help: "systemctl stop", Do: plain((*Redis).Stop), Undo: undo((*Redis).Start)},
		{Name: "kill9", Help: "kill -9 of the main process, once", Do: plain((*Redis).Kill9)},
		{Name: "crash", Help: "quick crashes until systemd gives up (start limit)", Do: plain((*Redis).CrashUntilStartLimit)},
		{Name: "freeze", Help: "SIGSTOP of the main process", Do: plain((*Redis).Freeze), Undo: undo((*Redis).Thaw)},
		{Name: "bad-config", Args: "[LINE]", Help: "a line that Redis does not know, and a restart", Do: badConfig, Undo: undo((*Redis).FixConfig)},
		{Name: "take-port", Help: "another program listens on the port", Do: plain((*Redis).TakePort), Undo: undo((*Redis).ReleasePort)},
		{Name: "mask", Help: "systemctl mask --now", Do: plain((*Redis).Mask), Undo: undo((*Redis).Unmask)},
		{Name: "disk-full", Help: "no space for a save: MISCONF", Do: plain((*Redis).DiskFull), Undo: undo((*Redis).DiskFree)},
		{Name: "slow-load", Args: "[SECONDS]", Help: "a crash, then loading that takes long: LOADING", Do: slowLoad, Undo: undo((*Redis).FastLoad)},
		{Name: "busy", Help: "an endless script that reads: BUSY", Do: plain((*Redis).BusyScript), Undo: undo((*Redis).EndBusy)},
		{Name: "busy-write", Help: "an endless script that has written: BUSY", Do: plain((*Redis).BusyScriptWrite), Undo: undo((*Redis).EndBusy)},
		{Name: "max-clients", Help: "no client more is let in", Do: plain((*Redis).MaxClients), Undo: undo((*Redis).MoreClients)},
		{Name: "corrupt-data", Help: "the saved data cannot be loaded", Do: plain((*Redis).CorruptData), Undo: undo((*Redis).RemoveData)},
		{Name: "config-hidden", Help: "Redis may not read its configuration", Do: plain((*Redis).HideConfig), Undo: undo((*Redis).FixConfig)},
		{Name: "outside", Help: "another Redis, started by hand, has the port; the unit is stopped", Do: plain((*Redis).RunOutside), Undo: undo((*Redis).EndOutside)},
		{Name: "impostor", Help: "connections from outside reach another Redis; the unit runs", Do: plain((*Redis).Impostor), Undo: undo((*Redis).EndOutside)},
		{Name: "no-unit", Help: "the unit's file is gone", Do: plain((*Redis).RemoveUnit), Undo: undo((*Redis).RestoreUnit)},
		{Name: "hang-stop", Help: "a stop that hangs; a script keeps Redis busy", Do: plain((*Redis).HangStop), Undo: undo((*Redis).EndStop)},
		{Name: "hang-stop-serving", Help: "a stop that hangs while Redis serves: it cannot save", Do: plain((*Redis).HangStopServing), Undo: undo((*Redis).EndStop)},
		{Name: "oom-kill", Help: "the kernel kills Redis for want of memory, once", Do: plain((*Redis).OOMKill)},
		{Name: "no-inodes", Help: "no inode for a save: MISCONF", Do: plain((*Redis).NoInodes), Undo: undo((*Redis).MoreInodes)},
		{Name: "data-locked", Help: "Redis may not write its data folder: MISCONF", Do: plain((*Redis).LockData), Undo: undo((*Redis).UnlockData)},
		{Name: "corrupt-aof", Help: "the append-only file cannot be loaded", Do: plain((*Redis).CorruptAOF), Undo: undo((*Redis).RemoveAOF)},
		{Name: "memory-full", Help: "maxmemory is reached: writes are refused", Do: plain((*Redis).MemoryFull), Undo: undo((*Redis).MemoryFree)},
		{Name: "password", Help: "Redis has another password", Do: plain((*Redis).ChangePassword), Undo: undo((*Redis).RestorePassword)},
		{Name: "drop-in", Args: "TEXT", Help: "override settings of the unit", Do: dropIn},
		{Name: "ssh-down", Help: "sshd stopped, sessions cut", Do: plainHost((*Host).SSHDown), Undo: undoHost((*Host).SSHUp)},
		{Name: "ssh-freeze", Help: "sshd accepts and says nothing", Do: plainHost((*Host).FreezeSSH), Undo: undoHost((*Host).SSHUp)},
		{Name: "partition", Args: "[PORT…]", Help: "drop the traffic of ports, or all", Do: partition, Undo: undoHost((*Host).Heal)},
		{Name: "reject", Args: "PORT…", Help: "answer ports with a reset", Do: reject, Undo: undoHost((*Host).Heal)},
		{Name: "link-down", Help: "the host's network interface is down", Do: plainHost((*Host).LinkDown), Undo: undoHost((*Host).LinkUp)},
		{Name: "sudo-removed", Help: "no sudo rights", Do: plainHost((*Host).RemoveSudo), Undo: undoHost((*Host).RestoreSudo)},
		{Name: "key-revoked", Help: "our key is no longer accepted", Do: plainHost((*Host).RevokeKey), Undo: undoHost((*Host).RestoreKey)},
		{Name: "host-key", Help: "the host shows another key", Do: plainHost((*Host).ChangeHostKey), Undo: undoHost((*Host).RestoreHostKey)},
		{Name: "loss", Args: "[PERCENT]", Help: "packets are lost", Do: loss, Undo: undoHost((*Host).Heal)},
		{Name: "account-locked", Help: "nobody but root may sign in", Do: plainHost((*Host).LockAccount), Undo: undoHost((*Host).UnlockAccount)},
		{Name: "logs-hidden", Help: "our account may not read the logs", Do: plainHost((*Host).HideLogs), Undo: undoHost((*Host).ShowLogs)},
		{Name: "journal-freeze", Help: "SIGSTOP of the journal's daemon", Do: plainHost((*Host).FreezeJournal), Undo: undoHost((*Host).ThawJournal)},
		{Name: "ssh-flood", Help: "sshd has more connections than it takes", Do: plainHost((*Host).FloodSSH), Undo: undoHost((*Host).UnfloodSSH)},
		{Name: "reboot", Help: "the host boots anew", Do: plainHost((*Host).Reboot)},
		{Name: "bus-down", Help: "the system D-Bus is stopped", Do: plainHost((*Host).BusDown), Undo: undoHost((*Host).BusUp)},
		{Name: "systemd-freeze", Help: "SIGSTOP of process 1", Do: plainHost((*Host).FreezeSystemd), Undo: undoHost((*Host).ThawSystemd)},
	}
}

func badConfig(ctx context.Context, r *Redis, args []string) error {
	line := "no-such-directive yes"
	if len(args) > 0 {
		line = args[0]
	}
	return r.BadConfig(ctx, line)
}

func slowLoad(ctx context.Context, r *Redis, args []string) error {
	seconds := 20
	if len(args) > 0 {
		n, err := strconv.Atoi(args[0])
		if err != nil || n < 1 {
			return fmt.Errorf("slow-load: %q is not a number of seconds", args[0])
		}
		seconds = n
	}
	return r.SlowLoad(ctx, time.Duration(seconds)*time.Second)
}

func dropIn(ctx context.Context, r *Redis, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("drop-in takes the text of the file")
	}
	return r.DropIn(ctx, args[0])
}

func ports(args []string) ([]int, error) {
	var list []int
	for _, a := range args {
		p, err := strconv.Atoi(a)
		if err != nil || p < 1 || p > 65535 {
			return nil, fmt.Errorf("%q is not a port", a)
		}
		list = append(list, p)
	}
	return list, nil
}

func partition(ctx context.Context, r *Redis, args []string) error {
	list, err := ports(args)
	if err != nil {
		return err
	}
	return r.host.Partition(ctx, list...)
}

func loss(ctx context.Context, r *Redis, args []string) error {
	percent := 30
	if len(args) > 0 {
		var err error
		if percent, err = strconv.Atoi(args[0]); err != nil {
			return fmt.Errorf("loss: %q is not a number of percent", args[0])
		}
	}
	return r.host.Loss(ctx, percent)
}

func reject(ctx context.Context, r *Redis, args []string) error {
	list, err := ports(args)
	if err != nil {
		return err
	}
	return r.host.Reject(ctx, list...)
}
