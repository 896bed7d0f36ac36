package info

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestEach(t *testing.T) {
	t.Parallel()
	type line struct{ section, key, value string }
	var got []line
	Each("# Server\r\nredis_version:7.0.15\r\nexecutable:/usr/bin/redis:server\r\n\r\n#Stats\r\nx:\r\nno field\r\n:no key\r\n# Last\nbare:newline",
		func(s, k, v string) { got = append(got, line{s, k, v}) })
	want := []line{
		{"Server", "redis_version", "7.0.15"}, {"Server", "executable", "/usr/bin/redis:server"}, {"Stats", "x", ""}, {"Last", "bare", "newline"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
}

func TestPairs(t *testing.T) {
	t.Parallel()
	var got []string
	Pairs("keys=1,expires=0,bad,=x,last=", func(k, v string) { got = append(got, k+"="+v) })
	if !reflect.DeepEqual(got, []string{"keys=1", "expires=0", "last="}) {
		t.Errorf("%q", got)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	at := time.Unix(100, 0)
	i := Health(strings.Join([]string{
		"# Server", "redis_version:7.0.15", "run_id:abc", "process_id:42", "uptime_in_seconds:60", "redis_mode:standalone", "# Clients",
		"connected_clients:5", "maxclients:100", "blocked_clients:1", "# Memory", "used_memory:1000", "maxmemory:2000",
		"total_system_memory:9000", "# Persistence", "loading:1", "loading_loaded_perc:12.5", "loading_eta_seconds:7",
		"rdb_changes_since_last_save:3", "rdb_bgsave_in_progress:1", "rdb_last_bgsave_status:err", "rdb_last_save_time:50", "aof_enabled:1",
		"aof_rewrite_in_progress:1", "aof_last_write_status:ok", "# Stats", "total_commands_processed:77", "total_error_replies:2",
		"rejected_connections:4", "# Replication", "role:slave", "connected_slaves:2", "master_link_status:down", "master_sync_in_progress:1",
		"master_failover_state:no-failover", "master_repl_offset:99", "# CPU", "used_cpu_sys:1.5", "used_cpu_user:2.5", "# Cluster", "cluster_enabled:1",
	}, "\r\n"), at, time.Second)
	if i.Version != "7.0.15" || i.RunID != "abc" || i.ProcessID != 42 || i.Uptime != time.Minute || i.Mode != "standalone" || i.Clients != 5 ||
		i.MaxClients != 100 || i.Blocked != 1 || i.UsedMemory != 1000 || i.MaxMemory != 2000 || i.HostMemory != 9000 || !i.Loading ||
		i.LoadPercent != 12.5 || i.LoadETA != 7*time.Second || i.UnsavedChanges != 3 || !i.BgsaveRunning || i.BgsaveOK ||
		!i.LastSave.Equal(time.Unix(50, 0)) || !i.AOFOn || !i.AOFRewriting || !i.AOFWriteOK || i.Commands != 77 || i.ErrorCount != 2 ||
		i.Rejected != 4 || i.Role != "slave" || i.Replicas != 2 || i.MasterLink != "down" || !i.MasterSync || i.Failover != "no-failover" ||
		i.ReplOffset != 99 || i.CPU != 4*time.Second || !i.ClusterOn || !i.At.Equal(at) || i.Took != time.Second {
		t.Errorf("%+v", i)
	}
	if i := Health("uptime_in_seconds:nonsense\r\nused_cpu_sys:-1", at, 0); !i.BgsaveOK || !i.AOFWriteOK || i.Uptime != 0 || i.CPU != 0 {
		t.Errorf("what is not said has not failed: %+v", i)
	}
}

func FuzzInfo(f *testing.F) {
	f.Add("# Server\r\nredis_version:7.0.15\r\ndb0:keys=1,expires=0\r\n")
	f.Add("#\n:\n=,\r\r\n,=,")
	f.Fuzz(func(t *testing.T, text string) {
		total := 0
		Each(text, func(s, k, v string) {
			if k == "" {
				t.Fatal("a field without a name")
			}
			total += len(k) + len(v)
			Pairs(v, func(k, _ string) {
				if k == "" {
					t.Fatal("a pair without a name")
				}
			})
		})
		if total > len(text) {
			t.Fatal("more came out than went in")
		}
		Health(text, time.Unix(0, 0), 0)
	})
}
