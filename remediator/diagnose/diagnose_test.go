package diagnose

import (
	"strings"
	"testing"

	"github.com/redis-medic/redis-medic/exporter/health"
)

// The lines are what Redis 7.0.15 and systemd 252 wrote on Debian 12.
func TestClassify(t *testing.T) {
	loaded := health.Unit{LoadState: "loaded", ActiveState: "failed", Result: "exit-code"}
	with := func(change func(*health.Unit)) health.Unit { u := loaded; change(&u); return u }
	for _, c := range []struct {
		name      string
		in        Evidence
		cause     Cause
		permanent bool
		word      string
	}{
		{"bad directive", Evidence{Unit: loaded, Journal: []string{
			"Starting redis-server.service - Advanced key-value store...",
			"*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***", "Reading the configuration file, at line 2277", ">>> 'maxmemroy 1gb'",
			"Bad directive or wrong number of arguments",
			"redis-server.service: Main process exited, code=exited, status=1/FAILURE",
		}}, ConfigError, true, "line 2277: 'maxmemroy 1gb' (Bad directive or wrong number of arguments)"},
		{"the newest of several config errors", Evidence{Unit: loaded, Journal: []string{
			"*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***", "Reading the configuration file, at line 1", ">>> 'old'", "Bad directive",
			"*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***", "Reading the configuration file, at line 2", ">>> 'new'", "Bad directive",
		}}, ConfigError, true, "line 2: 'new'"},
		{"config file not readable", Evidence{Unit: loaded, Journal: []string{"Fatal error, can't open config file '/etc/redis/redis.conf': Permission denied"}}, ConfigError, true, "/etc/redis/redis.conf"},
		{"a banner cut off", Evidence{Unit: loaded, Journal: []string{"*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***"}}, ConfigError, true, "configuration file has an error"},
		{"port taken", Evidence{Unit: loaded, Holder: "python3 (pid 4711)", RedisLog: []string{
			"Warning: Could not create server TCP listening socket 10.77.1.2:6379: bind: Address already in use", "Failed listening on port 6379 (TCP), aborting.",
		}}, PortInUse, true, "python3 (pid 4711)"},
		{"port taken, holder not known", Evidence{Unit: loaded, RedisLog: []string{
			"Warning: Could not create server TCP listening socket *:6379: bind: Address already in use", "Failed listening on port 6379 (TCP), aborting."}}, PortInUse, true, "another process"},
		{"address not of this host", Evidence{Unit: loaded, RedisLog: []string{"Warning: Could not create server TCP listening socket 10.9.9.9:6379: bind: Cannot assign requested address",
			"Failed listening on port 6379 (TCP), aborting."}}, BadBind, true, "listen"},
		{"broken AOF", Evidence{Unit: loaded, RedisLog: []string{"Bad file format reading the append only file appendonly.aof.1.incr.aof: make a backup of your AOF file, then use ./redis-check-aof --fix <filename>"}}, CorruptData, true, "data file"},
		{"broken RDB", Evidence{Unit: loaded, RedisLog: []string{"Wrong signature trying to load DB from file"}}, CorruptData, true, "data file"},
		{"disk full", Evidence{Unit: loaded, RedisLog: []string{"Can't create or open the append-only dir appendonlydir: No space left on device"}}, DiskFull, true, "disk"},
		{"no inode left", Evidence{Unit: loaded, NoInodes: "/var/lib/redis", RedisLog: []string{"Can't create or open the append-only dir appendonlydir: No space left on device"}}, DiskFull, true, "inode"},
		{"a data folder of somebody else", Evidence{Unit: loaded, Journal: []string{"*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***",
			"Reading the configuration file, at line 504", ">>> 'dir /var/lib/redis'", "Permission denied"}}, Permission, true, "/var/lib/redis"},
		{"killed, and nobody says why", Evidence{Unit: with(func(u *health.Unit) { u.ExecMainCode, u.ExecMainStatus = 2, 9 })}, Unknown, false, "signal 9"},
		{"crashed, and nobody says why", Evidence{Unit: with(func(u *health.Unit) { u.ExecMainCode, u.ExecMainStatus = 3, 11 })}, Unknown, false, "signal 11"},
		{"ended before the program ran", Evidence{Unit: with(func(u *health.Unit) { u.ExecMainCode, u.ExecMainStatus = 1, 217 })}, Unknown, false, "exit code 217: systemd could not change to the user"},
		{"ended, and nobody says why", Evidence{Unit: with(func(u *health.Unit) { u.ExecMainCode, u.ExecMainStatus = 1, 3 })}, Unknown, false, "exit code 3"},
		{"permission", Evidence{Unit: loaded, RedisLog: []string{"Can't open the append-only file appendonly.aof: Permission denied"}}, Permission, true, "open"},
		{"OOM by the log", Evidence{Unit: loaded, Journal: []string{"redis-server.service: A process of this unit has been killed by the OOM killer: oom-kill"}}, OOMKilled, false, "memory"},
		{"OOM by the result", Evidence{Unit: with(func(u *health.Unit) { u.Result = "oom-kill" })}, OOMKilled, false, "memory"},
		{"start timeout", Evidence{Unit: with(func(u *health.Unit) { u.Result = "timeout" })}, StartTimeout, true, "timeout"},
		{"start limit", Evidence{Unit: with(func(u *health.Unit) { u.StartLimitBurst, u.NRestarts = 5, 4 })}, StartLimit, false, "gave up"},
		{"masked", Evidence{Unit: with(func(u *health.Unit) { u.LoadState = "masked" })}, Masked, true, "masked"},
		{"missing", Evidence{Unit: with(func(u *health.Unit) { u.LoadState = "not-found" })}, Missing, true, "load"},
		{"nothing to go by", Evidence{Unit: loaded, Journal: []string{"Started redis-server.service."}}, Unknown, false, "not in"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := Classify(c.in)
			if f.Cause != c.cause || f.Permanent != c.permanent || !strings.Contains(f.Text, c.word) || f.Advice == "" {
				t.Errorf("%+v", f)
			}
			if f.Cause != Unknown && f.Proof == "" {
				t.Error("a cause without a proof")
			}
		})
	}
}

func TestEveryCauseIsListed(t *testing.T) {
	seen := map[Cause]bool{}
	for _, c := range Causes() {
		if seen[c] {
			t.Errorf("%s twice", c)
		}
		seen[c] = true
	}
	for _, p := range patterns {
		if !seen[p.cause] {
			t.Errorf("%s is not in Causes", p.cause)
		}
	}
}

func FuzzClassify(f *testing.F) {
	f.Add("*** FATAL CONFIG FILE ERROR\nReading the configuration file, at line 9\n>>> 'x'", "bind: Address already in use")
	f.Fuzz(func(t *testing.T, journal, log string) {
		e := Evidence{Unit: health.Unit{LoadState: "loaded"}, Journal: strings.Split(journal, "\n"), RedisLog: strings.Split(log, "\n")}
		if got := Classify(e); got.Text == "" || got.Cause != Unknown && got.Proof == "" {
			t.Fatalf("%+v", got)
		}
	})
}

// The line that Redis complains of may hold a password.
func TestAConfigErrorShowsNoPassword(t *testing.T) {
	for line, want := range map[string]string{
		"requirepass canary extra":                  "requirepass [redacted]",
		"requirepas canary":                         "requirepas [redacted]",
		"MASTERAUTH canary x":                       "MASTERAUTH [redacted]",
		"tls-key-file-pass canary x":                "tls-key-file-pass [redacted]",
		"user ann on >canary +@nope":                "user ann [redacted]",
		"sentinel auth-pass mine canary x":          "sentinel auth-pass [redacted]",
		"maxmemroy 1gb":                             "maxmemroy 1gb",
		"sentinel monitor mine 192.0.2.1 6379 many": "sentinel monitor mine 192.0.2.1 6379 many",
	} {
		f := Classify(Evidence{Unit: health.Unit{LoadState: "loaded"}, Journal: []string{"*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***",
			"Reading the configuration file, at line 7", ">>> '" + line + "'", "Bad directive or wrong number of arguments"}})
		if f.Cause != ConfigError || !strings.Contains(f.Text, "'"+want+"'") || strings.Contains(f.Text, "canary") {
			t.Errorf("%q: %+v", line, f)
		}
	}
}
