package exporter

import (
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/redis-medic/redis-medic/exporter/info"
	"github.com/redis-medic/redis-medic/exporter/metric"
)

// Bounds on labels whose values others choose. Redis itself bounds them far lower, but a module or a script may not.
const (
	maxCommands  = 1024
	maxErrors    = 128
	maxDatabases = 64
	maxReplicas  = 256
)

// infoField is where one INFO field goes.
type infoField struct {
	fam         family
	scale       float64
	notNegative bool
}

var infoFields = func() map[string]infoField {
	m := map[string]infoField{}
	for _, f := range metric.Fields() {
		m[f.Key] = infoField{familyOf(f.Name), f.Scale, f.NotNegative}
	}
	return m
}()

var (
	famStartTime     = familyOf(metric.StartTime)
	famInstance      = familyOf(metric.InstanceInfo)
	famRole          = familyOf(metric.InstanceRole)
	famLinkUp        = familyOf(metric.MasterLinkUp)
	famLastIO        = familyOf(metric.MasterLastIO)
	famSyncing       = familyOf(metric.MasterSyncInProgress)
	famLinkDownSince = familyOf(metric.MasterLinkDownSince)
	famFailover      = familyOf(metric.MasterFailoverState)
	famSlaveOffset   = familyOf(metric.SlaveReplOffset)
	famSlaveInfo     = familyOf(metric.SlaveInfo)
	famReplicaOffset = familyOf(metric.ConnectedSlaveOffset)
	famReplicaLag    = familyOf(metric.ConnectedSlaveLag)
	famCommands      = familyOf(metric.Commands)
	famCommandTime   = familyOf(metric.CommandsDuration)
	famFailed        = familyOf(metric.CommandsFailed)
	famRejected      = familyOf(metric.CommandsRejected)
	famPercentiles   = familyOf(metric.LatencyPercentiles)
	famErrors        = familyOf(metric.Errors)
	famKeys          = familyOf(metric.DBKeys)
	famExpiring      = familyOf(metric.DBKeysExpiring)
	famCached        = familyOf(metric.DBKeysCached)
	famTTL           = familyOf(metric.DBAvgTTL)
	famIOThread      = familyOf(metric.ActiveTimeIOThread)
	famWatchedStatus = familyOf(metric.SentinelMasterStatus)
	famWatchedSlaves = familyOf(metric.SentinelMasterSlaves)
	famWatchedPeers  = familyOf(metric.SentinelMasterPeers)

	roles          = []string{"master", "slave"}
	failoverStates = []string{"no-failover", "failover-in-progress", "waiting-for-sync", other}
)

// commandStat is what commandstats says of one command.
type commandStat struct {
	calls uint64
	usec  float64
}

// infoReader lays out one INFO text. Fields that belong together are gathered while it runs.
type infoReader struct {
	p        *page
	now      time.Time
	instance [12]string // the labels of redis_instance_info, in their order
	commands map[string]commandStat
	errors   int
	replicas int
	dbs      map[string]bool
	used     map[string]bool // labels of samples that may come twice
	masters  []string        // the names of the masters that a Sentinel watches

	host, port string // of the master
	readOnly   string
	serverTime float64 // seconds since the epoch by the server's clock; 0: not said
	steady     func(runID string, computed float64) float64
}

// instanceFields are the INFO fields of the labels of redis_instance_info, in their order.
var instanceFields = map[string]int{
	"role": 0, "redis_version": 1, "redis_build_id": 2, "redis_mode": 3, "os": 4, "maxmemory_policy": 5, "tcp_port": 6, "run_id": 7,
	"process_id": 8, "master_replid": 9, "valkey_version": 10, "valkey_release_stage": 11,
}

// readInfo lays out an INFO text and returns what other answers need to be laid out. steady, if any, makes the start time steady.
func readInfo(p *page, text string, now time.Time, steady func(string, float64) float64) *infoReader {
	r := &infoReader{p: p, now: now, steady: steady, commands: make(map[string]commandStat, 128), dbs: map[string]bool{}, used: map[string]bool{}}
	info.Each(text, r.field)
	p.created = nil
	n := 10
	for n < len(r.instance) && r.instance[n] != "" {
		n++
	}
	p.gauge(famInstance, 1, r.instance[:n]...)
	if role := r.instance[0]; role != "" {
		for _, x := range roles {
			p.flag(famRole, x == role, x)
		}
		if role == "slave" {
			p.gauge(famSlaveInfo, 1, r.host, r.port, r.readOnly)
		}
	}
	return r
}

func (r *infoReader) field(section, key, value string) {
	switch section {
	case "Commandstats":
		r.command(key, value)
		return
	case "Latencystats":
		r.percentiles(key, value)
		return
	case "Errorstats":
		r.errorstat(key, value)
		return
	case "Keyspace":
		r.database(key, value)
		return
	case "Replication":
		if r.replication(key, value) {
			return
		}
	case "Modules":
		if key == "module" {
			r.module(value)
			return
		}
	case "Sentinel":
		if r.watched(key, value) {
			return
		}
	}
	if i, ok := instanceFields[key]; ok {
		r.instance[i] = value
	}
	switch key {
	case "uptime_in_seconds":
		r.started(value)
	case "server_time_usec":
		usec, _ := strconv.ParseFloat(value, 64)
		r.serverTime = usec / 1e6
	}
	if f, ok := infoFields[key]; ok {
		r.p.once(f, value)
		return
	}
	if thread, ok := strings.CutPrefix(key, "used_active_time_io_thread_"); ok && len(thread) <= 3 && !r.seen(famIOThread, thread) {
		if v, ok := parseValue(value); ok {
			r.p.counter(famIOThread, v, thread)
		}
	}
}

// once adds the sample of a field unless there is one: a field that comes twice must not spoil the page.
func (p *page) once(f infoField, value string) {
	if v, ok := parseValue(value); ok && (v >= 0 || !f.notNegative) && p.fams[f.fam] == nil {
		p.add(f.fam, v*f.scale)
	}
}

// seen reports whether the labels have been used with the family before, and remembers them. It is for names that others choose.
func (r *infoReader) seen(f family, labels ...string) bool {
	key := strconv.Itoa(int(f)) + "\x00" + strings.Join(labels, "\x00")
	if r.used[key] {
		return true
	}
	r.used[key] = true
	return false
}

// parseValue reads a number, or one of the words that Redis uses for yes and no.
func parseValue(s string) (float64, bool) {
	switch s {
	case "ok", "true":
		return 1, true
	case "err", "fail", "false":
		return 0, true
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil && v == v // not NaN
}

// command reads "cmdstat_get:calls=21,usec=175,usec_per_call=8.33,rejected_calls=0,failed_calls=0"; the last two since Redis 6.2.
func (r *infoReader) command(key, value string) {
	name, ok := strings.CutPrefix(key, "cmdstat_")
	if _, twice := r.commands[name]; !ok || twice || len(r.commands) >= maxCommands {
		return
	}
	calls, usec, rejected, failed := -1.0, -1.0, -1.0, -1.0
	info.Pairs(value, func(k, v string) {
		var into *float64
		switch k {
		case "calls":
			into = &calls
		case "usec":
			into = &usec
		case "rejected_calls":
			into = &rejected
		case "failed_calls":
			into = &failed
		default:
			return
		}
		if f, ok := parseValue(v); ok {
			*into = f
		}
	})
	if calls < 0 || usec < 0 {
		return
	}
	r.commands[name] = commandStat{uint64(calls), usec}
	r.p.counter(famCommands, calls, name)
	r.p.counter(famCommandTime, usec/1e6, name)
	if rejected >= 0 {
		r.p.counter(famRejected, rejected, name)
	}
	if failed >= 0 {
		r.p.counter(famFailed, failed, name)
	}
}

// maxQuantiles is how many quantiles of a command have room from the start; Redis has three unless it is configured otherwise.
const maxQuantiles = 4

// percentiles reads "latency_percentiles_usec_get:p50=0.001,p99=1.003,p99.9=3.007". The quantiles keep redis_exporter's form, which
// counts to 100.
func (r *infoReader) percentiles(key, value string) {
	name, ok := strings.CutPrefix(key, "latency_percentiles_usec_")
	stat, known := r.commands[name]
	if !ok || !known || r.seen(famPercentiles, name) {
		return
	}
	s, calls := r.p.summaries.next(), r.p.counts.next()
	*calls = stat.calls
	s.SampleCount, s.SampleSum = calls, r.p.float(stat.usec)
	s.Quantile = r.p.quantRefs.take(maxQuantiles)[:0]
	info.Pairs(value, func(k, v string) {
		q, err := strconv.ParseFloat(strings.TrimPrefix(k, "p"), 64)
		if f, ok := parseValue(v); ok && err == nil {
			quantile := r.p.quantiles.next()
			quantile.Quantile, quantile.Value = r.p.float(q), r.p.float(f)
			s.Quantile = append(s.Quantile, quantile)
		}
	})
	if len(s.Quantile) > 0 {
		r.p.sample(famPercentiles, []string{name}).Summary = s
	}
}

// errorstat reads "errorstat_ERR:count=4". A script may raise errors of any name, so their number is bounded.
func (r *infoReader) errorstat(key, value string) {
	name, ok := strings.CutPrefix(key, "errorstat_")
	if !ok || r.errors >= maxErrors {
		return
	}
	info.Pairs(value, func(k, v string) {
		if f, ok := parseValue(v); ok && k == "count" && !r.seen(famErrors, name) {
			r.errors++
			r.p.counter(famErrors, f, name)
		}
	})
}

// database reads "db0:keys=1,expires=0,avg_ttl=0,cached_keys=0".
func (r *infoReader) database(key, value string) {
	if !strings.HasPrefix(key, "db") || len(r.dbs) >= maxDatabases || r.seen(famKeys, key) {
		return
	}
	info.Pairs(value, func(k, v string) {
		f, ok := parseValue(v)
		if !ok {
			return
		}
		if r.seen(famKeys, key, k) {
			return
		}
		r.dbs[key] = true
		switch k {
		case "keys":
			r.p.gauge(famKeys, f, key)
		case "expires":
			r.p.gauge(famExpiring, f, key)
		case "avg_ttl":
			r.p.gauge(famTTL, f/1e3, key)
		case "cached_keys":
			r.p.gauge(famCached, f, key)
		}
	})
}

// emptyDatabases adds a zero for each configured database that INFO leaves out because it is empty.
func (r *infoReader) emptyDatabases(count int) {
	for i := range min(count, maxDatabases) {
		if name := "db" + strconv.Itoa(i); !r.dbs[name] {
			r.p.gauge(famKeys, 0, name)
			r.p.gauge(famExpiring, 0, name)
		}
	}
}

// started adds when Redis was started, made steady: computed anew at each scrape it would waver by a second. It is also when
// the counters began. INFO says the run id and the server's time before the uptime.
func (r *infoReader) started(uptime string) {
	up, ok := parseValue(uptime)
	if !ok {
		return
	}
	now := float64(r.now.Unix())
	if r.serverTime > 0 {
		now = r.serverTime
	}
	start := float64(int64(now - up))
	if r.steady != nil {
		start = r.steady(r.instance[instanceFields["run_id"]], start)
	}
	if r.p.fams[famStartTime] == nil {
		r.p.gauge(famStartTime, start)
	}
	r.p.created = timestamppb.New(time.Unix(int64(start), 0))
}

// startedAt returns the start time first computed for the process with this run id.
func (s *service) startedAt(runID string, computed float64) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.startTime - computed; s.startRun != runID || d > 5 || d < -5 {
		s.startRun, s.startTime = strings.Clone(runID), computed
	}
	return s.startTime
}
