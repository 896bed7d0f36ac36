package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// RunOutside stops the unit and runs another Redis on its port, with the same password, as somebody does who starts it by hand.
func (r *Redis) RunOutside(ctx context.Context) error {
	if err := r.Stop(ctx); err != nil {
		return err
	}
	if err := r.outside(ctx, r.Port); err != nil {
		return err
	}
	return r.untilReply(ctx, "PONG")
}

// EndOutside ends the Redis of RunOutside or Impostor. It starts nothing.
func (r *Redis) EndOutside(ctx context.Context) error {
	if err := r.host.Heal(ctx); err != nil {
		return err
	}
	_, err := r.host.Exec(ctx, "systemctl stop "+r.clientUnit("outside")+".service")
	return err
}

func (r *Redis) outside(ctx context.Context, port int) error {
	_, err := r.host.Exec(ctx, "systemd-run --quiet --collect --uid=redis --working-directory=/tmp --unit="+r.clientUnit("outside")+
		" redis-server --port "+strconv.Itoa(port)+" --bind 0.0.0.0 --save '' --requirepass \"$REDISCLI_AUTH\"")
	return err
}

// Impostor runs another Redis on the host and lets connections from outside to the unit's port end there, while the unit runs on:
// what answers us is not the unit's process.
func (r *Redis) Impostor(ctx context.Context) error {
	port := strconv.Itoa(r.Port + 10000)
	if err := r.outside(ctx, r.Port+10000); err != nil {
		return err
	}
	rule := "-t nat -A PREROUTING -i eth0 -p tcp --dport " + strconv.Itoa(r.Port) + " -j REDIRECT --to-ports " + port
	if err := r.host.iptables(ctx, rule); err != nil {
		return err
	}
	return r.until(ctx, "the other one answers", r.ping)
}

// unitFile is where Debian has the files of its Redis units.
const (
	unitFile   = "/lib/systemd/system/redis-server.service"
	initScript = "/etc/init.d/redis-server"
)

// RemoveUnit stops the stock unit and takes its file away, as a package that was removed does. Instances have a template, which
// stays.
func (r *Redis) RemoveUnit(ctx context.Context) error {
	if err := r.Stop(ctx); err != nil {
		return err
	}
	// systemd makes a unit of the init script where there is no other.
	if _, err := r.host.Exec(ctx, "rm "+unitFile+"\nmv "+initScript+" "+savedDir+"/\nsystemctl daemon-reload"); err != nil {
		return err
	}
	return r.untilProperty(ctx, "LoadState", "not-found")
}

// RestoreUnit ends RemoveUnit. It starts nothing.
func (r *Redis) RestoreUnit(ctx context.Context) error {
	if _, err := r.host.Exec(ctx, restoreUnit); err != nil {
		return err
	}
	return r.untilProperty(ctx, "LoadState", "loaded")
}

const restoreUnit = `
cp -a ` + savedDir + `/redis-server.service ` + unitFile + `
[ -e ` + initScript + ` ] || mv ` + savedDir + `/redis-server /etc/init.d/
systemctl daemon-reload
`

// HangStop makes an orderly stop hang for ever, as Debian's unit allows: a script that has written keeps Redis busy, and systemd is
// told to stop it.
func (r *Redis) HangStop(ctx context.Context) error {
	if err := r.BusyScriptWrite(ctx); err != nil {
		return err
	}
	return r.stopHangs(ctx)
}

// HangStopServing makes an orderly stop hang while Redis still answers: it cannot write its final save.
func (r *Redis) HangStopServing(ctx context.Context) error {
	// Without stop-writes-on-bgsave-error a Redis that cannot save answers as if nothing were wrong.
	if _, err := r.RedisCLI(ctx, "CONFIG", "SET", "stop-writes-on-bgsave-error", "no"); err != nil {
		return err
	}
	if _, err := r.RedisCLI(ctx, "SET", "lab:filler", "x"); err != nil {
		return err
	}
	if _, err := r.host.Exec(ctx, "chown root:root "+r.DataDir+" && chmod 0700 "+r.DataDir); err != nil {
		return err
	}
	if err := r.stopHangs(ctx); err != nil {
		return err
	}
	err := r.until(ctx, "Redis refuses to exit", func(ctx context.Context) error {
		_, err := r.host.Exec(ctx, "grep -q \"can't exit\" "+quote(r.LogFile))
		return err
	})
	if err != nil {
		return err
	}
	return r.untilReply(ctx, "PONG")
}

func (r *Redis) stopHangs(ctx context.Context) error {
	if err := r.systemctl(ctx, "stop --no-block"); err != nil {
		return err
	}
	return r.untilProperty(ctx, "SubState", "stop-sigterm")
}

// EndStop ends HangStop and HangStopServing by force, and starts the unit again.
func (r *Redis) EndStop(ctx context.Context) error {
	if _, err := r.host.Exec(ctx, "chown redis:redis "+r.DataDir+" && chmod 0750 "+r.DataDir); err != nil {
		return err
	}
	if err := r.systemctl(ctx, "kill --signal=SIGKILL"); err != nil {
		return err
	}
	if err := r.untilProperty(ctx, "ActiveState", "inactive", "failed"); err != nil {
		return err
	}
	return r.Start(ctx)
}

// memoryGroups is where the kernel's older control groups limit memory. systemd inside a host cannot set limits there, so it is
// done from outside.
const memoryGroups = "/sys/fs/cgroup/memory"

// OOMKill limits the memory of the main process and fills it with data until the kernel kills it. systemd starts another by itself.
func (r *Redis) OOMKill(ctx context.Context) error {
	inside, err := r.livePID(ctx)
	if err != nil {
		return err
	}
	pid, err := r.host.outsidePID(inside)
	if err != nil {
		return err
	}
	group := filepath.Join(memoryGroups, r.host.Name+"-oom")
	if err := os.MkdirAll(group, 0o755); err != nil {
		return fmt.Errorf("oom kill: %w", err)
	}
	defer os.Remove(group) //nolint:errcheck // an empty group that stays does no harm, and the next OOMKill takes it
	for name, value := range map[string]string{"memory.limit_in_bytes": "20M", "cgroup.procs": strconv.Itoa(pid)} {
		if err := os.WriteFile(filepath.Join(group, name), []byte(value), 0o600); err != nil {
			return fmt.Errorf("oom kill: %w", err)
		}
	}
	// The client sees the connection break; that is the sign that the process is gone.
	brief, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	_, _ = r.RedisCLI(brief, "EVAL", "for i=1,100000 do redis.call('SET','lab:oom:'..i,string.rep('x',1024)) end", "0")
	return r.until(ctx, "the kernel has killed it", func(ctx context.Context) error {
		now, err := r.MainPID(ctx)
		if err == nil && now == inside {
			err = fmt.Errorf("process %d lives", inside)
		}
		return err
	})
}

// outsidePID finds the number that this machine gives a process of the host.
func (h *Host) outsidePID(inside int) (int, error) {
	found, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		return 0, err
	}
	ours, err := os.Readlink("/proc/" + strconv.Itoa(h.PID) + "/ns/pid")
	if err != nil {
		return 0, fmt.Errorf("processes of %s: %w", h.Name, err)
	}
	for _, name := range found {
		data, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended meanwhile
		}
		dir := filepath.Dir(name)
		for line := range strings.Lines(string(data)) {
			ids := strings.Fields(line)
			if len(ids) < 3 || ids[0] != "NSpid:" || ids[len(ids)-1] != strconv.Itoa(inside) {
				continue
			}
			if space, err := os.Readlink(dir + "/ns/pid"); err == nil && space == ours {
				return strconv.Atoi(filepath.Base(dir))
			}
		}
	}
	return 0, errors.New("no process " + strconv.Itoa(inside) + " in " + h.Name)
}
