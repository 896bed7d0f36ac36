package exporter

import (
	"strings"

	"github.com/redis-medic/redis-medic/exporter/info"
)

// replication reads the fields of the section that need labels, and reports whether it was one of them.
func (r *infoReader) replication(key, value string) bool {
	if _, rest, ok := numbered(key, "slave"); ok && rest == "" {
		r.replica(value)
		return true
	}
	if key == "master_failover_state" {
		if r.p.fams[famFailover] == nil {
			stateSet(r.p, famFailover, failoverStates, value)
		}
		return true
	}
	if key == "slave_read_only" {
		r.readOnly = value
		return true
	}
	if key == "slave_repl_offset" {
		r.ofMaster(famSlaveOffset, value)
		return true
	}
	field, ok := masterField(key)
	if !ok {
		return false
	}
	switch field {
	case "host":
		r.host = value
	case "port":
		r.port = value
	case "link_status":
		if !r.seen(famLinkUp, r.host, r.port) {
			r.p.flag(famLinkUp, value == "up", r.host, r.port)
		}
	case "last_io_seconds_ago":
		r.ofMaster(famLastIO, value)
	case "sync_in_progress":
		r.ofMaster(famSyncing, value)
	case "link_down_since_seconds":
		r.ofMaster(famLinkDownSince, value)
	default:
		return false
	}
	return true
}

// ofMaster adds a sample with the master's labels; -1 means that Redis does not know.
func (r *infoReader) ofMaster(f family, value string) {
	if v, ok := parseValue(value); ok && v >= 0 && !r.seen(f, r.host, r.port) {
		r.p.gauge(f, v, r.host, r.port)
	}
}

// masterField returns the part of a key after "master_", and after the number that KeyDB puts there for its other masters.
func masterField(key string) (string, bool) {
	field, ok := strings.CutPrefix(key, "master_")
	if !ok {
		return "", false
	}
	if digits, rest, ok := numbered(field, ""); ok && digits != "" && strings.HasPrefix(rest, "_") {
		return rest[1:], true
	}
	return field, true
}

// numbered splits a key of the form prefix, digits, rest. ok is false without a digit.
func numbered(key, prefix string) (digits, rest string, ok bool) {
	s, ok := strings.CutPrefix(key, prefix)
	if !ok {
		return "", "", false
	}
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return s[:n], s[n:], n > 0
}

// replica reads "ip=10.254.11.1,port=6379,state=online,offset=1751844676,lag=0".
func (r *infoReader) replica(value string) {
	if r.replicas >= maxReplicas {
		return
	}
	var ip, port, state, offset, lag string
	info.Pairs(value, func(k, v string) {
		switch k {
		case "ip":
			ip = v
		case "port":
			port = v
		case "state":
			state = v
		case "offset":
			offset = v
		case "lag":
			lag = v
		}
	})
	v, ok := parseValue(offset)
	if !ok || r.seen(famReplicaOffset, ip, port, state) { // behind NAT two replicas may look the same
		return
	}
	r.replicas++
	r.p.gauge(famReplicaOffset, v, ip, port, state)
	if v, ok := parseValue(lag); ok && v >= 0 {
		r.p.gauge(famReplicaLag, v, ip, port, state)
	}
}

// watched reads "master0:name=mymaster,status=ok,address=172.17.0.7:6379,slaves=1,sentinels=3" of a Sentinel.
func (r *infoReader) watched(key, value string) bool {
	if _, rest, ok := numbered(key, "master"); !ok || rest != "" {
		return false
	}
	var name, status, address, slaves, sentinels string
	info.Pairs(value, func(k, v string) {
		switch k {
		case "name":
			name = v
		case "status":
			status = v
		case "address":
			address = v
		case "slaves":
			slaves = v
		case "sentinels":
			sentinels = v
		}
	})
	n, ok := parseValue(slaves)
	m, ok2 := parseValue(sentinels)
	if !ok || !ok2 || len(r.masters) >= maxReplicas || r.seen(famWatchedSlaves, name) {
		return true
	}
	r.masters = append(r.masters, name)
	r.p.flag(famWatchedStatus, status == "ok", name, address, status)
	r.p.gauge(famWatchedSlaves, n, name, address)
	r.p.gauge(famWatchedPeers, m, name, address)
	return true
}
