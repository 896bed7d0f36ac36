// Package info reads the answer to INFO: one pass, no regular expressions, nothing copied. It knows the text's form and which of
// its fields matter to a verdict; it does not know metrics.
package info

import (
	"strconv"
	"strings"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
)

// Each calls f for every "key:value" line of an INFO text with the section it stands in ("Server", "Memory", ...). Lines that
// are neither a field nor a section are passed over. The strings are parts of text.
func Each(text string, f func(section, key, value string)) {
	section := ""
	for len(text) > 0 {
		line := text
		if i := strings.IndexByte(text, '\n'); i >= 0 {
			line, text = text[:i], text[i+1:]
		} else {
			text = ""
		}
		if n := len(line); n > 0 && line[n-1] == '\r' {
			line = line[:n-1]
		}
		if line == "" {
			continue
		}
		if line[0] == '#' {
			section = strings.TrimSpace(line[1:])
			continue
		}
		if i := strings.IndexByte(line, ':'); i > 0 {
			f(section, line[:i], line[i+1:])
		}
	}
}

// Pairs calls f for every "key=value" of a comma-separated list, as in "keys=1,expires=0,avg_ttl=0".
func Pairs(list string, f func(key, value string)) {
	for len(list) > 0 {
		pair := list
		if i := strings.IndexByte(list, ','); i >= 0 {
			pair, list = list[:i], list[i+1:]
		} else {
			list = ""
		}
		if i := strings.IndexByte(pair, '='); i > 0 {
			f(pair[:i], pair[i+1:])
		}
	}
}

// Health takes from an INFO text what verdicts and safety rules use. A field that is missing keeps its zero value, except for
// the persistence statuses: a server that does not report them has not failed.
func Health(text string, at time.Time, took time.Duration) *health.Info {
	i := &health.Info{At: at, Took: took, BgsaveOK: true, AOFWriteOK: true}
	Each(text, func(_, key, value string) {
		if set, ok := healthFields[key]; ok {
			set(i, value)
		}
	})
	return i
}

var healthFields = map[string]func(*health.Info, string){
	"redis_version":               func(i *health.Info, v string) { i.Version = v },
	"run_id":                      func(i *health.Info, v string) { i.RunID = v },
	"process_id":                  func(i *health.Info, v string) { i.ProcessID = number(v) },
	"uptime_in_seconds":           func(i *health.Info, v string) { i.Uptime = seconds(v) },
	"role":                        func(i *health.Info, v string) { i.Role = v },
	"redis_mode":                  func(i *health.Info, v string) { i.Mode = v },
	"connected_slaves":            func(i *health.Info, v string) { i.Replicas = number(v) },
	"master_link_status":          func(i *health.Info, v string) { i.MasterLink = v },
	"master_sync_in_progress":     func(i *health.Info, v string) { i.MasterSync = v == "1" },
	"master_failover_state":       func(i *health.Info, v string) { i.Failover = v },
	"master_repl_offset":          func(i *health.Info, v string) { i.ReplOffset = int64(number(v)) },
	"cluster_enabled":             func(i *health.Info, v string) { i.ClusterOn = v == "1" },
	"connected_clients":           func(i *health.Info, v string) { i.Clients = number(v) },
	"maxclients":                  func(i *health.Info, v string) { i.MaxClients = number(v) },
	"blocked_clients":             func(i *health.Info, v string) { i.Blocked = number(v) },
	"total_commands_processed":    func(i *health.Info, v string) { i.Commands = int64(number(v)) },
	"total_error_replies":         func(i *health.Info, v string) { i.ErrorCount = int64(number(v)) },
	"rejected_connections":        func(i *health.Info, v string) { i.Rejected = int64(number(v)) },
	"used_memory":                 func(i *health.Info, v string) { i.UsedMemory = int64(number(v)) },
	"maxmemory":                   func(i *health.Info, v string) { i.MaxMemory = int64(number(v)) },
	"total_system_memory":         func(i *health.Info, v string) { i.HostMemory = int64(number(v)) },
	"used_cpu_sys":                func(i *health.Info, v string) { i.CPU += seconds(v) },
	"used_cpu_user":               func(i *health.Info, v string) { i.CPU += seconds(v) },
	"loading":                     func(i *health.Info, v string) { i.Loading = v == "1" },
	"loading_loaded_perc":         func(i *health.Info, v string) { i.LoadPercent, _ = strconv.ParseFloat(v, 64) },
	"loading_eta_seconds":         func(i *health.Info, v string) { i.LoadETA = seconds(v) },
	"rdb_changes_since_last_save": func(i *health.Info, v string) { i.UnsavedChanges = int64(number(v)) },
	"rdb_bgsave_in_progress":      func(i *health.Info, v string) { i.BgsaveRunning = v == "1" },
	"rdb_last_bgsave_status":      func(i *health.Info, v string) { i.BgsaveOK = v != "err" },
	"rdb_last_save_time":          func(i *health.Info, v string) { i.LastSave = time.Unix(int64(number(v)), 0) },
	"aof_enabled":                 func(i *health.Info, v string) { i.AOFOn = v == "1" },
	"aof_rewrite_in_progress":     func(i *health.Info, v string) { i.AOFRewriting = v == "1" },
	"aof_last_write_status":       func(i *health.Info, v string) { i.AOFWriteOK = v != "err" },
}

func number(v string) int {
	n, _ := strconv.Atoi(v)
	return n
}

func seconds(v string) time.Duration {
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || f < 0 || f > 1e9 {
		return 0
	}
	return time.Duration(f * float64(time.Second))
}
