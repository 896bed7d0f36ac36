package lab

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// DiskFull fills the file system of the data folder and lets a save fail, so that Redis answers MISCONF.
func (r *Redis) DiskFull(ctx context.Context) error {
	// Something to save, or else the save could fit into what a page of the file system leaves.
	if _, err := r.RedisCLI(ctx, "SET", "lab:filler", "x"); err != nil {
		return err
	}
	fill := "dd if=/dev/zero of=" + r.DataDir + "/lab.fill bs=1M 2>/dev/null || :\n" +
		"[ \"$(df --output=avail " + r.DataDir + " | tail -n 1)\" -eq 0 ]"
	if _, err := r.host.Exec(ctx, fill); err != nil {
		return err
	}
	if _, err := r.RedisCLI(ctx, "BGSAVE"); err != nil {
		return err
	}
	return r.untilReply(ctx, "MISCONF")
}

// DiskFree makes room again and lets a save succeed, so that Redis answers PONG.
func (r *Redis) DiskFree(ctx context.Context) error {
	if _, err := r.host.Exec(ctx, "rm -f "+r.DataDir+"/lab.fill"); err != nil {
		return err
	}
	if _, err := r.RedisCLI(ctx, "BGSAVE"); err != nil {
		return err
	}
	return r.untilReply(ctx, "PONG")
}

// slowKeys is how many keys a slow load reads. Each is big enough that Redis answers clients after it.
const slowKeys = 400

// SlowLoad saves some keys, makes Redis wait for each while it loads so that loading takes about the given time, and kills the
// process. It returns when Redis answers LOADING.
func (r *Redis) SlowLoad(ctx context.Context, d time.Duration) error {
	populate := "for i=1," + strconv.Itoa(slowKeys) + " do redis.call('SET','lab:slow:'..i,string.rep(tostring(i),1024)) end"
	for _, args := range [][]string{{"EVAL", populate, "0"}, {"CONFIG", "SET", "rdbcompression", "no"}, {"SAVE"}} {
		if _, err := r.RedisCLI(ctx, args...); err != nil {
			return err
		}
	}
	delay := (d / slowKeys).Microseconds()
	if err := r.AppendConfig(ctx, fmt.Sprintf("key-load-delay %d\nloading-process-events-interval-bytes 1024", delay)); err != nil {
		return err
	}
	if err := r.Kill9(ctx); err != nil {
		return err
	}
	return r.untilReply(ctx, "LOADING")
}

// FastLoad ends SlowLoad at once: the configuration is put back and Redis started again, with the same data.
func (r *Redis) FastLoad(ctx context.Context) error {
	if err := r.FixConfig(ctx); err != nil {
		return err
	}
	if err := r.systemctl(ctx, "kill --signal=SIGKILL"); err != nil {
		return err
	}
	return r.untilReply(ctx, "PONG")
}

// BusyScript runs a script that reads only and never ends: Redis answers BUSY, and SCRIPT KILL helps.
func (r *Redis) BusyScript(ctx context.Context) error {
	return r.busy(ctx, "while true do redis.call('GET','lab:busy') end")
}

// BusyScriptWrite runs a script that has written and never ends: Redis answers BUSY, and SCRIPT KILL is refused.
func (r *Redis) BusyScriptWrite(ctx context.Context) error {
	return r.busy(ctx, "redis.call('SET','lab:busy','1') while true do end")
}

// busy starts a script in a client of its own. Redis answers BUSY only after a while (5 s by default), so that is shortened.
func (r *Redis) busy(ctx context.Context, script string) error {
	if _, err := r.RedisCLI(ctx, "CONFIG", "SET", "busy-reply-threshold", "100"); err != nil {
		return err
	}
	if err := r.client(ctx, "busy", "EVAL", script, "0"); err != nil {
		return err
	}
	return r.untilReply(ctx, "BUSY")
}

// EndBusy ends a busy script: SCRIPT KILL, or a kill of the process when the script has written.
func (r *Redis) EndBusy(ctx context.Context) error {
	reply, err := r.RedisCLI(ctx, "SCRIPT", "KILL")
	if err != nil || reply != "OK" {
		if err := r.systemctl(ctx, "kill --signal=SIGKILL"); err != nil {
			return err
		}
	}
	return r.untilReply(ctx, "PONG")
}

// client starts a redis-cli on the host that goes on in the background until the host is reset. One of the same name that is still
// ending is waited for.
func (r *Redis) client(ctx context.Context, name string, args ...string) error {
	unit := r.clientUnit(name)
	err := r.until(ctx, unit+" is free", func(ctx context.Context) error {
		state, err := r.host.Exec(ctx, "systemctl stop "+unit+" 2>/dev/null || :\nsystemctl show --value -p LoadState "+unit)
		if err == nil && state != "not-found" {
			err = errors.New("it is " + state)
		}
		return err
	})
	if err != nil {
		return err
	}
	words := []string{
		"systemd-run --quiet --collect --unit=" + unit, `--setenv=REDISCLI_AUTH="$REDISCLI_AUTH"`,
		"redis-cli --no-auth-warning -p " + strconv.Itoa(r.Port),
	}
	for _, a := range args {
		words = append(words, quote(a))
	}
	_, err = r.host.Exec(ctx, strings.Join(words, " "))
	return err
}

func (r *Redis) clientUnit(name string) string { return "lab-" + name + "-" + strconv.Itoa(r.Port) }

// MaxClients lowers the limit of clients to one and takes that one, so that every new client is told that the limit is reached.
// Clients that are connected stay.
func (r *Redis) MaxClients(ctx context.Context) error {
	if err := r.client(ctx, "holder", "SUBSCRIBE", "lab:holder"); err != nil {
		return err
	}
	err := r.until(ctx, "the holder is connected", func(ctx context.Context) error {
		n, err := r.RedisCLI(ctx, "PUBLISH", "lab:holder", "x")
		if err == nil && n != "1" {
			err = errors.New("nobody listens")
		}
		return err
	})
	if err != nil {
		return err
	}
	if _, err := r.RedisCLI(ctx, "CONFIG", "SET", "maxclients", "1"); err != nil {
		return err
	}
	return r.untilReply(ctx, "max number of clients")
}

// MoreClients ends MaxClients. When other clients keep the one place taken, it restarts Redis.
func (r *Redis) MoreClients(ctx context.Context) error {
	if _, err := r.host.Exec(ctx, "systemctl stop "+r.clientUnit("holder")+".service"); err != nil {
		return err
	}
	brief, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	err := poll(brief, 2*time.Second, "raise maxclients", func(ctx context.Context) error {
		reply, err := r.RedisCLI(ctx, "CONFIG", "SET", "maxclients", "10000")
		if err == nil && reply != "OK" {
			err = errors.New(reply)
		}
		return err
	})
	if err != nil {
		if err := r.systemctl(ctx, "restart"); err != nil {
			return err
		}
	}
	return r.untilReply(ctx, "PONG")
}

// DebugSleep blocks Redis for a while; it returns when Redis no longer answers.
func (r *Redis) DebugSleep(ctx context.Context, d time.Duration) error {
	if err := r.client(ctx, "sleep", "DEBUG", "SLEEP", fmt.Sprintf("%.3f", d.Seconds())); err != nil {
		return err
	}
	return r.until(ctx, "does not answer", func(ctx context.Context) error {
		brief, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		if r.ping(brief) == nil {
			return errors.New("still answers")
		}
		return nil
	})
}

// CorruptData spoils the saved data and kills the process, so that Redis refuses to load and systemd gives up.
func (r *Redis) CorruptData(ctx context.Context) error {
	name, err := r.RedisCLI(ctx, "CONFIG", "GET", "dbfilename")
	if err != nil {
		return err
	}
	name = name[strings.LastIndexByte(name, '\n')+1:]
	for _, args := range [][]string{{"SET", "lab:data", strings.Repeat("x", 1000)}, {"SAVE"}} {
		if _, err := r.RedisCLI(ctx, args...); err != nil {
			return err
		}
	}
	file := quote(r.DataDir + "/" + name)
	if _, err := r.host.Exec(ctx, "printf 'NOTREDIS' | dd of="+file+" conv=notrunc 2>/dev/null"); err != nil {
		return err
	}
	if err := r.Kill9(ctx); err != nil {
		return err
	}
	return r.untilProperty(ctx, "ActiveState", "failed")
}

// RemoveData deletes the saved data, good or spoilt. It starts nothing.
func (r *Redis) RemoveData(ctx context.Context) error {
	_, err := r.host.Exec(ctx, "find "+quote(r.DataDir)+" -name '*.rdb' -delete")
	return err
}

// HideConfig makes the configuration file unreadable for Redis and restarts the unit, which fails until systemd gives up.
func (r *Redis) HideConfig(ctx context.Context) error {
	if _, err := r.host.Exec(ctx, "chown root:root "+quote(r.ConfigFile)+" && chmod 0600 "+quote(r.ConfigFile)); err != nil {
		return err
	}
	if err := r.systemctl(ctx, "restart --no-block"); err != nil {
		return err
	}
	return r.untilProperty(ctx, "ActiveState", "failed")
}

// otherPassword is what ChangePassword sets.
const otherPassword = "not-the-password-of-the-lab"

// ChangePassword sets another password in the running Redis: who signs in with the old one gets WRONGPASS.
func (r *Redis) ChangePassword(ctx context.Context) error {
	if _, err := r.RedisCLI(ctx, "CONFIG", "SET", "requirepass", otherPassword); err != nil {
		return err
	}
	return r.untilReply(ctx, "NOAUTH")
}

// RestorePassword ends ChangePassword.
func (r *Redis) RestorePassword(ctx context.Context) error {
	if _, err := r.RedisCLI(ctx, "-a", otherPassword, "CONFIG", "SET", "requirepass", r.host.Password); err != nil {
		return err
	}
	return r.untilReply(ctx, "PONG")
}

// NoInodes leaves the data folder's file system without room for one more file, and lets a save fail, so that Redis answers MISCONF.
func (r *Redis) NoInodes(ctx context.Context) error {
	if _, err := r.RedisCLI(ctx, "SET", "lab:filler", "x"); err != nil {
		return err
	}
	fill := "mount -o remount,nr_inodes=64 " + r.DataDir + "\n" +
		"i=0; while touch " + r.DataDir + "/lab.fill.$i 2>/dev/null; do i=$((i + 1)); done\n" +
		"[ \"$(df --output=iavail " + r.DataDir + " | tail -n 1)\" -eq 0 ]"
	if _, err := r.host.Exec(ctx, fill); err != nil {
		return err
	}
	if _, err := r.RedisCLI(ctx, "BGSAVE"); err != nil {
		return err
	}
	return r.untilReply(ctx, "MISCONF")
}

// MoreInodes ends NoInodes.
func (r *Redis) MoreInodes(ctx context.Context) error {
	if _, err := r.host.Exec(ctx, "rm -f "+r.DataDir+"/lab.fill.*"); err != nil {
		return err
	}
	return r.DiskFree(ctx)
}

// LockData takes the data folder away from Redis and lets a save fail, so that Redis answers MISCONF.
func (r *Redis) LockData(ctx context.Context) error {
	if _, err := r.RedisCLI(ctx, "SET", "lab:filler", "x"); err != nil {
		return err
	}
	if _, err := r.host.Exec(ctx, "chown root:root "+r.DataDir+" && chmod 0700 "+r.DataDir); err != nil {
		return err
	}
	if _, err := r.RedisCLI(ctx, "BGSAVE"); err != nil {
		return err
	}
	return r.untilReply(ctx, "MISCONF")
}

// UnlockData ends LockData.
func (r *Redis) UnlockData(ctx context.Context) error {
	if _, err := r.host.Exec(ctx, "chown redis:redis "+r.DataDir+" && chmod 0750 "+r.DataDir); err != nil {
		return err
	}
	return r.DiskFree(ctx)
}

// CorruptAOF switches the append-only file on, spoils it and kills the process, so that Redis refuses to load and systemd gives up.
func (r *Redis) CorruptAOF(ctx context.Context) error {
	if err := r.AppendConfig(ctx, "appendonly yes"); err != nil {
		return err
	}
	if _, err := r.RedisCLI(ctx, "CONFIG", "SET", "appendonly", "yes"); err != nil {
		return err
	}
	err := r.until(ctx, "the append-only file is there", func(ctx context.Context) error {
		info, err := r.RedisCLI(ctx, "INFO", "persistence")
		if err == nil && !strings.Contains(info, "aof_rewrite_in_progress:0") {
			err = errors.New("still rewriting")
		}
		return err
	})
	if err != nil {
		return err
	}
	for range 20 {
		if _, err := r.RedisCLI(ctx, "SET", "lab:data", strings.Repeat("x", 1000)); err != nil {
			return err
		}
	}
	spoil := "for f in " + r.DataDir + "/appendonlydir/*.incr.aof; do printf 'NOTREDIS' | dd of=\"$f\" bs=1 conv=notrunc 2>/dev/null; done"
	if _, err := r.host.Exec(ctx, spoil); err != nil {
		return err
	}
	if err := r.Kill9(ctx); err != nil {
		return err
	}
	return r.untilProperty(ctx, "ActiveState", "failed")
}

// RemoveAOF deletes the append-only file, good or spoilt, and switches it off. It starts nothing.
func (r *Redis) RemoveAOF(ctx context.Context) error {
	if _, err := r.host.Exec(ctx, "rm -rf "+r.DataDir+"/appendonlydir"); err != nil {
		return err
	}
	return r.FixConfig(ctx)
}

// SlowSave starts a save in the background that takes about the given time.
func (r *Redis) SlowSave(ctx context.Context, d time.Duration) error {
	populate := "for i=1," + strconv.Itoa(slowKeys) + " do redis.call('SET','lab:slow:'..i,i) end"
	delay := strconv.FormatInt((d / slowKeys).Microseconds(), 10)
	for _, args := range [][]string{{"EVAL", populate, "0"}, {"CONFIG", "SET", "rdb-key-save-delay", delay}, {"BGSAVE"}} {
		if _, err := r.RedisCLI(ctx, args...); err != nil {
			return err
		}
	}
	return r.until(ctx, "a save is running", func(ctx context.Context) error {
		info, err := r.RedisCLI(ctx, "INFO", "persistence")
		if err == nil && !strings.Contains(info, "rdb_bgsave_in_progress:1") {
			err = errors.New("no save is running")
		}
		return err
	})
}

// MemoryFull lets the data reach maxmemory, so that Redis refuses writes with OOM and answers PING as ever.
func (r *Redis) MemoryFull(ctx context.Context) error {
	for _, args := range [][]string{{"CONFIG", "SET", "maxmemory-policy", "noeviction"}, {"CONFIG", "SET", "maxmemory", "1"}} {
		if _, err := r.RedisCLI(ctx, args...); err != nil {
			return err
		}
	}
	return r.until(ctx, "writes are refused", func(ctx context.Context) error {
		reply, err := r.RedisCLI(ctx, "SET", "lab:more", "x")
		if strings.Contains(reply, "OOM") || (err != nil && strings.Contains(err.Error(), "OOM")) {
			return nil
		}
		return errors.Join(err, fmt.Errorf("answered %q", reply))
	})
}

// MemoryFree ends MemoryFull.
func (r *Redis) MemoryFree(ctx context.Context) error {
	_, err := r.RedisCLI(ctx, "CONFIG", "SET", "maxmemory", "0")
	return err
}

// NoPersistence lets Redis keep nothing on disk, now and after a restart.
func (r *Redis) NoPersistence(ctx context.Context) error {
	if err := r.AppendConfig(ctx, `save ""`); err != nil {
		return err
	}
	_, err := r.RedisCLI(ctx, "CONFIG", "SET", "save", "")
	return err
}

// ReplicaOf makes a server the replica of another one of the same host, until Reset.
func (r *Redis) ReplicaOf(ctx context.Context, master *Redis) error {
	for _, args := range [][]string{{"CONFIG", "SET", "masterauth", r.host.Password}, {"REPLICAOF", "127.0.0.1", strconv.Itoa(master.Port)}} {
		if _, err := r.RedisCLI(ctx, args...); err != nil {
			return err
		}
	}
	return r.until(ctx, "the link to its master is up", func(ctx context.Context) error {
		info, err := r.RedisCLI(ctx, "INFO", "replication")
		if err == nil && !strings.Contains(info, "master_link_status:up") {
			err = errors.New("the link is down")
		}
		return err
	})
}
