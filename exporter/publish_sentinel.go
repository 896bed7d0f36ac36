package exporter

import (
	"maps"
	"slices"
	"strings"

	"github.com/redis-medic/redis-medic/exporter/metric"
	"github.com/redis-medic/redis-medic/exporter/resp"
)

var (
	famQuorumOK    = familyOf(metric.SentinelCkquorum)
	famQuorum      = familyOf(metric.SentinelSetCkquorum)
	famDownAfter   = familyOf(metric.SentinelSetDownAfter)
	famFailoverSet = familyOf(metric.SentinelSetFailover)
	famSyncs       = familyOf(metric.SentinelSetSyncs)
	famEpoch       = familyOf(metric.SentinelConfigEpoch)
	famLastOKPing  = familyOf(metric.SentinelLastOKPing)
	famOKPeers     = familyOf(metric.SentinelOKPeers)
	famOKSlaves    = familyOf(metric.SentinelOKSlaves)
	famPeer        = familyOf(metric.SentinelPeerInfo)
	famSentText    = familyOf(metric.SentinelConfigKeyValue)
	famSentNumber  = familyOf(metric.SentinelConfigValue)
)

// publishSentinel adds what a Sentinel says of its masters beyond its INFO.
func publishSentinel(p *page, a *answers, o Collect) {
	for _, entry := range a.list {
		m := fields(entry)
		name, address := m["name"], m["ip"]+":"+m["port"]
		if name == "" {
			continue
		}
		p.gauge(famQuorum, number(m["quorum"]), name, address)
		p.gauge(famFailoverSet, number(m["failover-timeout"]), name, address)
		p.gauge(famSyncs, number(m["parallel-syncs"]), name, address)
		p.gauge(famDownAfter, number(m["down-after-milliseconds"]), name, address)
		p.gauge(famEpoch, number(m["config-epoch"]), name, address)
		p.gauge(famLastOKPing, number(m["last-ok-ping-reply"])/1e3, name, address)
		w := a.masters[name]
		if w == nil {
			continue
		}
		if w.quorum.Kind != 0 {
			p.flag(famQuorumOK, w.quorum.Kind != resp.Error, name, w.quorum.Str)
		}
		p.gauge(famOKSlaves, float64(up(w.replicas)), name, address)
		p.gauge(famOKPeers, float64(1+up(w.peers)), name, address)
		if o.SentinelPeers {
			for _, peer := range w.peers {
				f := fields(peer)
				p.gauge(famPeer, 1, name, address, f["name"], f["ip"], f["port"], f["runid"], f["flags"])
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(a.sconfig)) {
		value := a.sconfig[key]
		if secret(key) {
			continue
		}
		p.gauge(famSentText, 1, key, value)
		if v, ok := parseValue(value); ok {
			p.gauge(famSentNumber, v, key)
		}
	}
}

// up counts the servers that are not down by their flags.
func up(servers []resp.Reply) int {
	n := 0
	for _, s := range servers {
		if flags, ok := fields(s)["flags"]; ok && !strings.Contains(flags, "s_down") && !strings.Contains(flags, "o_down") {
			n++
		}
	}
	return n
}
