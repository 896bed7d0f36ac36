package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redis-medic/redis-medic/cmd/internal/config"
	"github.com/redis-medic/redis-medic/exporter"
)

// TestCollectMeansWhatItSays sets every key of collect for one service, and leaves another one with the defaults of the tree.
func TestCollectMeansWhatItSays(t *testing.T) {
	file := writeConfig(t, func(s string) string {
		return strings.Replace(s, "  service: {ip: 127.0.0.1}\n", `  service: {ip: 127.0.0.1}
  collect: {config_all: true, latency: false}
services:
- id: two
  service: {port: 6380, systemd_unit: redis-server@two.service}
  collect:
    config: false
    config_all: false
    slow_log: false
    latency: true
    modules: true
    clients: true
    client_ports: true
    sentinel_peers: true
    survey:
      interval_seconds: 300
      timeout_seconds: 20
      max_keys: 50
      replicas_only: true
      keys: ["user:42", "db3=session:*"]
      key_values: true
      count_keys: ["db1=*"]
      key_groups: ["^(user):"]
      streams: ["events"]
      consumers: false
      search_indexes: "^idx"
`, 1)
	})
	p := planIn(t, file, func(*config.Config) {})
	survey := exporter.Survey{Interval: time.Minute, Timeout: 30 * time.Second, MaxKeys: 1000}
	want := []exporter.Collect{
		{AllConfig: true, NoLatency: true, Survey: survey},
		{
			NoConfig: true, NoSlowlog: true, Modules: true, Clients: true, ClientPorts: true, SentinelPeers: true,
			Survey: exporter.Survey{
				Interval: 5 * time.Minute, Timeout: 20 * time.Second, MaxKeys: 50, ReplicasOnly: true,
				Keys: []exporter.KeyPattern{{Pattern: "user:42"}, {DB: 3, Pattern: "session:*"}}, KeyValues: true,
				CountKeys: []exporter.KeyPattern{{DB: 1, Pattern: "*"}}, KeyGroups: []string{"^(user):"},
				Streams: []exporter.KeyPattern{{Pattern: "events"}}, NoConsumers: true, Indexes: "^idx",
			},
		},
	}
	for i, w := range want {
		if diff := cmp.Diff(w, p.Exporter.Targets[i].Collect); diff != "" {
			t.Errorf("service %s (-want +got):\n%s", p.Exporter.Targets[i].ID, diff)
		}
	}
}
