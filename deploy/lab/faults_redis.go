package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Every fault below returns when it was seen to have taken effect, or with an error.

// until polls a condition of the host.
func (r *Redis) until(ctx context.Context, what string, try func(context.Context) error) error {
	return poll(ctx, faultTimeout, r.host.Name+" "+r.Unit+": "+what, try)
}

// untilProperty waits for one of the values of a unit property.
func (r *Redis) untilProperty(ctx context.Context, name string, values ...string) error {
	return r.until(ctx, name+" is "+strings.Join(values, " or "), func(ctx context.Context) error {
		got, err := r.Property(ctx, name)
		if err != nil {
			return err
		}
		if !slices.Contains(values, got) {
			return fmt.Errorf("%s is %q", name, got)
		}
		return nil
	})
}

// untilReply waits until PING is answered with something that contains text. The connection is made inside the host.
func (r *Redis) untilReply(ctx context.Context, text string) error {
	return r.until(ctx, "PING says "+text, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		// redis-cli reports an error reply on standard output and may exit with 0 or 1.
		reply, err := r.RedisCLI(ctx, "PING")
		if strings.Contains(reply, text) || (err != nil && strings.Contains(err.Error(), text)) {
			return nil
		}
		return errors.Join(err, fmt.Errorf("answered %q", reply))
	})
}

// systemctl runs one systemctl command on the unit.
func (r *Redis) systemctl(ctx context.Context, words string) error {
	_, err := r.host.Exec(ctx, "systemctl "+words+" "+quote(r.Unit))
	return err
}

// Start starts the unit and waits for PONG.
func (r *Redis) Start(ctx context.Context) error {
	if err := r.systemctl(ctx, "start"); err != nil {
		return err
	}
	return r.until(ctx, "runs", r.Running)
}

// Stop stops the unit in order, as a person on the host does.
func (r *Redis) Stop(ctx context.Context) error {
	if err := r.systemctl(ctx, "stop"); err != nil {
		return err
	}
	return r.untilProperty(ctx, "ActiveState", "inactive")
}

// Kill9 kills the main process once, as a crash does, and returns when that process is gone. systemd starts another by itself.
func (r *Redis) Kill9(ctx context.Context) error {
	pid, err := r.livePID(ctx)
	if err != nil {
		return err
	}
	if _, err := r.host.Exec(ctx, fmt.Sprintf("kill -KILL %d", pid)); err != nil {
		return err
	}
	return r.until(ctx, "process is gone", func(ctx context.Context) error {
		now, err := r.MainPID(ctx)
		if err == nil && now == pid {
			err = fmt.Errorf("process %d lives", pid)
		}
		return err
	})
}

func (r *Redis) livePID(ctx context.Context) (int, error) {
	pid, err := r.MainPID(ctx)
	if err == nil && pid == 0 {
		err = fmt.Errorf("%s runs no process", r.Unit)
	}
	return pid, err
}

// CrashUntilStartLimit kills the main process in quick succession until systemd gives the unit up: failed, start limit hit.
func (r *Redis) CrashUntilStartLimit(ctx context.Context) error {
	script := `
for try in $(seq 200); do
    [ "$(systemctl show --value --property=ActiveState UNIT)" != failed ] || exit 0
    pid=$(systemctl show --value --property=MainPID UNIT)
    [ "$pid" = 0 ] || kill -KILL "$pid" 2>/dev/null || :
    sleep 0.05
done
echo "systemd did not give the unit up" >&2
exit 1`
	if _, err := r.host.Exec(ctx, strings.ReplaceAll(script, "UNIT", quote(r.Unit))); err != nil {
		return err
	}
	return r.untilProperty(ctx, "ActiveState", "failed")
}

// Freeze stops the main process with SIGSTOP: the port still accepts, nothing is answered, systemd says active.
func (r *Redis) Freeze(ctx context.Context) error {
	pid, err := r.livePID(ctx)
	if err != nil {
		return err
	}
	return r.signalUntil(ctx, pid, "STOP", "T")
}

// Thaw lets a frozen main process go on.
func (r *Redis) Thaw(ctx context.Context) error {
	pid, err := r.livePID(ctx)
	if err != nil {
		return err
	}
	return r.signalUntil(ctx, pid, "CONT", "RSD")
}

// signalUntil sends a signal and waits until the process is in one of the states.
func (r *Redis) signalUntil(ctx context.Context, pid int, signal, states string) error {
	if _, err := r.host.Exec(ctx, fmt.Sprintf("kill -%s %d", signal, pid)); err != nil {
		return err
	}
	return r.until(ctx, "process state", func(ctx context.Context) error {
		state, err := r.host.Exec(ctx, fmt.Sprintf(`sed -n 's/^State:\t\(.\).*/\1/p' /proc/%d/status`, pid))
		if err == nil && (state == "" || !strings.Contains(states, state)) {
			err = fmt.Errorf("process %d is in state %q", pid, state)
		}
		return err
	})
}

// BadConfig appends a line to the configuration and restarts the unit with it, so that Redis refuses to start and systemd gives up.
func (r *Redis) BadConfig(ctx context.Context, line string) error {
	if err := r.AppendConfig(ctx, line); err != nil {
		return err
	}
	if err := r.systemctl(ctx, "restart --no-block"); err != nil {
		return err
	}
	return r.untilProperty(ctx, "ActiveState", "failed")
}

// AppendConfig appends lines to the configuration file. Redis does not see them before its next start.
func (r *Redis) AppendConfig(ctx context.Context, lines string) error {
	_, err := r.host.Exec(ctx, "printf '%s\\n' "+quote(lines)+" >>"+quote(r.ConfigFile))
	return err
}

// FixConfig puts the configuration file back as it was after Up. It starts nothing.
func (r *Redis) FixConfig(ctx context.Context) error {
	saved := savedDir + "/redis" + strings.TrimPrefix(r.ConfigFile, "/etc/redis")
	_, err := r.host.Exec(ctx, "cp -a "+quote(saved)+" "+quote(r.ConfigFile)+" && cmp -s "+quote(saved)+" "+quote(r.ConfigFile))
	return err
}

// Snapshot lets the host package keep the configuration as the last known good one now, without waiting for its timer. It fails when
// the running process was not started from the file as it is.
func (r *Redis) Snapshot(ctx context.Context) error {
	unit := strings.TrimSuffix(r.Unit, ".service")
	_, err := r.host.Exec(ctx, "redis-medic-config snapshot-now "+quote(unit))
	return err
}

// TakePort stops Redis and lets another program (nc) listen on its port; then it starts the unit, which fails until systemd gives up.
func (r *Redis) TakePort(ctx context.Context) error {
	if err := r.Stop(ctx); err != nil {
		return err
	}
	port := strconv.Itoa(r.Port)
	script := "systemd-run --quiet --collect --unit=lab-port-" + port + " /usr/bin/nc -lk 0.0.0.0 " + port
	if _, err := r.host.Exec(ctx, script); err != nil {
		return err
	}
	err := r.until(ctx, "port is taken", func(ctx context.Context) error {
		_, err := r.host.Exec(ctx, "ss -Hltnp 'sport = :"+port+"' | grep -q '\"nc\"'")
		return err
	})
	if err != nil {
		return err
	}
	if err := r.systemctl(ctx, "start --no-block"); err != nil {
		return err
	}
	return r.untilProperty(ctx, "ActiveState", "failed")
}

// ReleasePort ends the program that holds the port. It starts nothing.
func (r *Redis) ReleasePort(ctx context.Context) error {
	port := strconv.Itoa(r.Port)
	_, err := r.host.Exec(ctx, "systemctl stop lab-port-"+port+".service; [ -z \"$(ss -Hltn 'sport = :"+port+"')\" ]")
	return err
}

// Mask stops and masks the unit, as an admin does who wants it to stay down.
func (r *Redis) Mask(ctx context.Context) error {
	if err := r.systemctl(ctx, "mask --quiet --now"); err != nil {
		return err
	}
	return r.untilProperty(ctx, "LoadState", "masked")
}

// Unmask removes the mask. It starts nothing.
func (r *Redis) Unmask(ctx context.Context) error {
	if err := r.systemctl(ctx, "unmask --quiet"); err != nil {
		return err
	}
	return r.untilProperty(ctx, "LoadState", "loaded")
}

// DropIn overrides settings of the unit by a drop-in file and reloads systemd; Reset removes it.
func (r *Redis) DropIn(ctx context.Context, text string) error {
	dir := quote("/etc/systemd/system/" + r.Unit + ".d")
	_, err := r.host.Exec(ctx, "mkdir -p "+dir+" && printf '%s\\n' "+quote(text)+" >"+dir+"/lab.conf && systemctl daemon-reload")
	return err
}
