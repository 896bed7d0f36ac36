package config

import (
	"regexp"
	"strconv"
	"time"
)

// Collect says what a scrape asks Redis beyond what redis_exporter does by default, and what it leaves out. Replication, Sentinel and
// Cluster need no switch: a server that has them is asked for them.
type Collect struct {
	// Off: CONFIG GET is not asked, for servers where it is renamed or denied. The `redis_config_*` families are missing then.
	Config bool `key:"config"`
	// On: every configuration parameter, as text and as number (`redis_config_key_value`, `redis_config_value`). Parameters with
	// secrets are left out.
	ConfigAll bool `key:"config_all"`
	// Off: LATENCY LATEST and LATENCY HISTOGRAM are not asked.
	Latency bool `key:"latency"`
	// Off: SLOWLOG, and COMMANDLOG of Valkey, are not asked.
	SlowLog bool `key:"slow_log"`
	// On: the modules, and the sections that they add to INFO (search, JSON, time series and others).
	Modules bool `key:"modules"`
	// On: each connected client, up to a thousand (`redis_connected_client_*`). Every client that comes makes new series.
	Clients bool `key:"clients"`
	// On: the client's port is a label too, which makes still more series.
	ClientPorts bool `key:"client_ports"`
	// On: of a Sentinel, the other Sentinels of each master (`redis_sentinel_peer_info`).
	SentinelPeers bool   `key:"sentinel_peers"`
	Survey        Survey `key:"survey"`
}

// Survey is what is looked up in the data itself. That costs Redis more than a scrape may: it is done in an interval of its own, over
// a connection of its own, and scrapes publish what the last survey found.
type Survey struct {
	// How often it is done.
	Interval time.Duration `key:"interval_seconds"`
	// How long one survey may take.
	Timeout time.Duration `key:"timeout_seconds"`
	// The most keys per pattern, and the most groups of keys per database, that become series.
	MaxKeys int `key:"max_keys" min:"1" max:"100000"`
	// On: a master is not surveyed, only replicas are.
	ReplicasOnly bool `key:"replicas_only"`
	// The size and the memory of each of these keys: names, or patterns with *, ? or [...], such as "user:*"; for another database
	// than 0 with its number in front, "db3=session:*".
	Keys []string `key:"keys" check:"key"`
	// On: also the values of those that are strings. A value that is no number becomes a label, cut after 128 bytes.
	KeyValues bool `key:"key_values"`
	// How many keys match each of these patterns, written like `keys`.
	CountKeys []string `key:"count_keys" check:"key"`
	// Regular expressions: keys are counted, and their memory is added up, in groups that are named by what the parentheses match.
	KeyGroups []string `key:"key_groups" check:"regexp"`
	// Streams with their groups and consumers, written like `keys`.
	Streams []string `key:"streams" check:"key"`
	// Off: the consumers of streams are left out.
	Consumers bool `key:"consumers"`
	// A regular expression: the indexes of the search module with such names; ".*" for all, empty for none.
	SearchIndexes string `key:"search_indexes" check:"regexp"`
}

// On reports whether there is anything to look up.
func (s Survey) On() bool {
	return len(s.Keys)+len(s.CountKeys)+len(s.KeyGroups)+len(s.Streams) > 0 || s.SearchIndexes != ""
}

func defaultCollect() Collect {
	return Collect{
		Config: true, Latency: true, SlowLog: true,
		Survey: Survey{Interval: time.Minute, Timeout: 30 * time.Second, MaxKeys: 1000, Consumers: true},
	}
}

var inDatabase = regexp.MustCompile(`^db(\d{1,9})=(.*)$`)

// KeyPattern splits an entry of Survey.Keys and its like into the database and the pattern.
func KeyPattern(s string) (db int, pattern string) {
	if m := inDatabase.FindStringSubmatch(s); m != nil {
		db, _ = strconv.Atoi(m[1]) // digits, and few enough
		return db, m[2]
	}
	return 0, s
}

// keyFault says what is wrong with an entry of Survey.Keys and its like, or "".
func keyFault(s string) string {
	_, pattern := KeyPattern(s)
	return unless(pattern != "", `%q names no key; write it like db3=session:* or user:42`, s)
}

func regexpFault(s string) string {
	_, err := regexp.Compile(s)
	if err == nil {
		return ""
	}
	return unless(false, "%q is not a regular expression (%v)", s, err)
}

// checkCollect refuses what would have no effect: its author will think that something is measured, or not measured.
func (d *decoder) checkCollect(c Collect, path string) {
	if c.ConfigAll && !c.Config {
		d.faultAt(path+".config_all", "has no effect while config is off; switch that on or remove the key")
	}
	if c.ClientPorts && !c.Clients {
		d.faultAt(path+".client_ports", "has no effect while clients is off; switch that on or remove the key")
	}
	s, at := c.Survey, path+".survey"
	if s.KeyValues && len(s.Keys) == 0 {
		d.faultAt(at+".key_values", "has no effect without keys; name some or remove the key")
	}
	if !s.Consumers && len(s.Streams) == 0 {
		d.faultAt(at+".consumers", "has no effect without streams; name some or remove the key")
	}
	if s.ReplicasOnly && !s.On() {
		d.faultAt(at+".replicas_only", "has no effect while nothing is looked up; say what or remove the key")
	}
	if s.Timeout > s.Interval {
		d.faultAt(at+".timeout_seconds", "is longer than interval_seconds; make it shorter")
	}
	for _, l := range []struct {
		key  string
		list []string
	}{{"keys", s.Keys}, {"count_keys", s.CountKeys}, {"streams", s.Streams}} {
		seen := map[string]string{}
		for i, entry := range l.list {
			db, pattern := KeyPattern(entry)
			same := strconv.Itoa(db) + "=" + pattern
			if first, twice := seen[same]; twice && first != entry { // equal texts were refused before
				d.faultAt(at+"."+l.key+"["+strconv.Itoa(i)+"]", "is the same as %q; remove one of them", first)
			}
			seen[same] = entry
		}
	}
}
