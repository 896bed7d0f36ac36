package exporter

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/redis-medic/redis-medic/exporter/info"
	"github.com/redis-medic/redis-medic/exporter/metric"
	"github.com/redis-medic/redis-medic/exporter/resp"
)

var (
	famCollectorOK    = familyOf(metric.CollectorSuccess)
	famCollectorTime  = familyOf(metric.CollectorDuration)
	famOutputLimit    = familyOf(metric.ConfigOutputLimit)
	famOutputOvercome = familyOf(metric.ConfigOutputOvercome)
	famConfigText     = familyOf(metric.ConfigKeyValue)
	famConfigNumber   = familyOf(metric.ConfigValue)
	famSpikeLast      = familyOf(metric.LatencySpikeLast)
	famSpikeDuration  = familyOf(metric.LatencySpikeDuration)
	famLatencies      = familyOf(metric.CommandsLatencies)
	famSlowLength     = familyOf(metric.SlowlogLength)
	famSlowID         = familyOf(metric.SlowlogLastID)
	famSlowLast       = familyOf(metric.LastSlowExecution)

	configFamilies = map[string]family{
		"maxclients": familyOf(metric.ConfigMaxClients), "maxmemory": familyOf(metric.ConfigMaxMemory),
		"io-threads": familyOf(metric.ConfigIOThreads), "repl-backlog-size": familyOf(metric.ConfigReplBacklog),
		"commandlog-execution-slower-than":  familyOf(metric.CommandlogSlowerThan),
		"commandlog-slow-execution-max-len": familyOf(metric.CommandlogSlowMax),
		"commandlog-request-larger-than":    familyOf(metric.CommandlogRequestLarger),
		"commandlog-large-request-max-len":  familyOf(metric.CommandlogRequestMax),
		"commandlog-reply-larger-than":      familyOf(metric.CommandlogReplyLarger),
		"commandlog-large-reply-max-len":    familyOf(metric.CommandlogReplyMax),
	}
	commandlogFamilies = map[string]family{
		"slow": familyOf(metric.CommandlogSlow), "large-request": familyOf(metric.CommandlogRequest), "large-reply": familyOf(metric.CommandlogReply),
	}
)

// publishParts adds how each part of the scrape went.
func publishParts(p *page, a *answers) {
	for _, name := range a.order {
		o, ok := a.parts[name]
		if !ok {
			continue
		}
		p.flag(famCollectorOK, o.ok, string(name))
		p.gauge(famCollectorTime, o.at.Seconds(), string(name))
	}
}

// secret reports whether a configuration parameter must never be shown.
func secret(key string) bool {
	return key == "masterauth" || key == "requirepass" || strings.HasSuffix(key, "-pass") || strings.Contains(key, "password")
}

// publishConfig adds the parameters, and returns the number of databases. all also adds each parameter as text.
func publishConfig(p *page, config map[string]string, all bool) (databases int) {
	databases = 16 // the default of Redis, for servers that do not say
	for _, key := range slices.Sorted(maps.Keys(config)) {
		value := config[key]
		number, isNumber := parseValue(value)
		if f, ok := configFamilies[key]; ok && isNumber {
			p.gauge(f, number)
		}
		switch key {
		case "databases":
			if isNumber {
				databases = int(number)
			}
		case "client-output-buffer-limit":
			publishOutputLimits(p, value)
		}
		if all && !secret(key) {
			p.gauge(famConfigText, 1, key, value)
			if isNumber {
				p.gauge(famConfigNumber, number, key)
			}
		}
	}
	return databases
}

// publishOutputLimits reads "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60".
func publishOutputLimits(p *page, value string) {
	f := strings.Fields(value)
	for i := 0; i+3 < len(f); i += 4 {
		class := f[i]
		if v, ok := parseValue(f[i+1]); ok {
			p.gauge(famOutputLimit, v, class, "hard")
		}
		if v, ok := parseValue(f[i+2]); ok {
			p.gauge(famOutputLimit, v, class, "soft")
		}
		if v, ok := parseValue(f[i+3]); ok {
			p.gauge(famOutputOvercome, v, class, "soft")
		}
	}
}

// publishSpikes adds LATENCY LATEST: for each event its name, when it last spiked, for how many milliseconds, and the worst.
func publishSpikes(p *page, latest []resp.Reply) {
	for _, e := range latest {
		if len(e.Elems) < 3 {
			continue
		}
		p.gauge(famSpikeLast, float64(e.Elems[1].Int), e.Elems[0].Str)
		p.gauge(famSpikeDuration, float64(e.Elems[2].Int)/1e3, e.Elems[0].Str)
	}
}

// ladder are the bounds of redis_commands_latencies_usec, in microseconds. Redis leaves out a bound where nothing was counted, so
// that the set of bounds differs between commands and grows with time; rates and quantiles over such histograms are wrong. These
// bounds are a fixed choice of Redis's own, so the counts at them are exact.
var ladder = []float64{1, 2, 4, 8, 16, 33, 66, 132, 264, 528, 1056, 4227, 16908, 67633, 270532, 1082130}

// publishHistograms adds LATENCY HISTOGRAM: a flat list of a command and [calls n histogram_usec [bound count ...]].
func publishHistograms(p *page, reply []resp.Reply, commands map[string]commandStat) {
	for i := 0; i+1 < len(reply) && i < 2*maxCommands; i += 2 {
		name, details := reply[i].Str, reply[i+1].Elems
		if len(details) < 4 || details[1].Kind != resp.Integer {
			continue
		}
		h, count := p.histograms.next(), p.counts.next()
		*count = uint64(details[1].Int)
		h.SampleCount, h.SampleSum, h.Bucket = count, p.float(usecOf(name, commands)), p.bucketRefs.take(len(ladder))
		buckets, counts := p.buckets.take(len(ladder)), p.counts.take(len(ladder))
		pairs, at, cumulated := details[3].Elems, 0, uint64(0)
		for b := range ladder {
			for at+1 < len(pairs) && float64(pairs[at].Int) <= ladder[b] {
				cumulated = uint64(pairs[at+1].Int)
				at += 2
			}
			counts[b] = cumulated
			buckets[b].UpperBound, buckets[b].CumulativeCount = &ladder[b], &counts[b]
			h.Bucket[b] = &buckets[b]
		}
		p.sample(famLatencies, []string{name}).Histogram = h
	}
}

// usecOf is the time spent in a command; a container command's is that of its subcommands.
func usecOf(name string, commands map[string]commandStat) float64 {
	if s, ok := commands[name]; ok {
		return s.usec
	}
	total := 0.0
	for c, s := range commands {
		if strings.HasPrefix(c, name) && len(c) > len(name) && c[len(name)] == '|' {
			total += s.usec
		}
	}
	return total
}

// publishSlowlog adds the slow log, and Valkey's other logs.
func publishSlowlog(p *page, a *answers) {
	if a.slowLen.Kind == resp.Integer {
		p.gauge(famSlowLength, float64(a.slowLen.Int))
	}
	if a.slowGet.Kind == resp.Array {
		var id, usec int64
		if len(a.slowGet.Elems) > 0 {
			if e := a.slowGet.Elems[0].Elems; len(e) > 2 {
				id, usec = e[0].Int, e[2].Int
			}
		}
		p.gauge(famSlowID, float64(id))
		p.gauge(famSlowLast, float64(usec)/1e6)
	}
	for _, kind := range commandlogKinds {
		if n, ok := a.commands[kind]; ok {
			p.gauge(commandlogFamilies[kind], float64(n))
		}
	}
}

// publishCluster adds CLUSTER INFO, whose fields are told apart from INFO's by their names.
func publishCluster(p *page, text string) {
	info.Each(text, func(_, key, value string) {
		if f, ok := infoFields[key]; ok && strings.HasPrefix(key, "cluster_") {
			p.once(f, value)
		}
	})
}

// fields reads a flat list of names and values, as Sentinel answers with.
func fields(r resp.Reply) map[string]string {
	m := make(map[string]string, len(r.Elems)/2)
	for i := 0; i+1 < len(r.Elems); i += 2 {
		m[r.Elems[i].Str] = r.Elems[i+1].Str
	}
	return m
}

func number(s string) float64 {
	v, _ := strconv.ParseFloat(s, 64)
	return v
}
