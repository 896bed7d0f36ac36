package exporter

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/exporter/resp"
)

// dataRedis has keys of every type.
func dataRedis(t *testing.T) *testRedis {
	t.Helper()
	r := startRedis(t)
	for _, c := range [][]string{
		{"SET", "num", "42.5"}, {"SET", "text", "hello"}, {"SET", "long", strings.Repeat("x", 500)}, {"RPUSH", "list", "a", "b", "c"},
		{"SADD", "set", "a", "b"}, {"ZADD", "zset", "1", "a"}, {"HSET", "hash", "f", "v", "g", "w"}, {"PFADD", "hll", "a", "b", "c", "d"},
		{"XADD", "stream", "1700000000000-0", "f", "v"}, {"XADD", "stream", "1700000001000-0", "f", "v"},
		{"XGROUP", "CREATE", "stream", "readers", "0"}, {"XREADGROUP", "GROUP", "readers", "one", "COUNT", "1", "STREAMS", "stream", ">"},
	} {
		if err := r.do(c...).Err(); err != nil {
			t.Fatalf("%v: %v", c, err)
		}
	}
	for i := range 30 {
		r.do("SET", fmt.Sprintf("user:%d:name", i), "x")
	}
	for i := range 3 {
		r.do("SET", fmt.Sprintf("order:%d", i), "x")
	}
	return r
}

func TestSurvey(t *testing.T) {
	t.Parallel()
	r := dataRedis(t)
	tg := target(r)
	tg.Collect = Collect{Clients: true, ClientPorts: true, Survey: Survey{
		Interval: time.Hour, MaxKeys: 20, KeyValues: true,
		Keys: []KeyPattern{
			{0, "num"}, {0, "text"}, {0, "long"}, {0, "list"}, {0, "set"}, {0, "zset"}, {0, "hash"}, {0, "hll"}, {0, "stream"}, {0, "absent"},
			{0, "user:*"}, {0, "nu*"}, {1, "nothing*"},
		},
		CountKeys: []KeyPattern{{0, "user:*"}}, Streams: []KeyPattern{{0, "str*"}, {0, "num"}}, KeyGroups: []string{`^(user):.*:(name)$`, `^order`},
	}}
	before := r.do("INFO", "errorstats").Str
	_, base := runExporter(t, Options{Targets: []Target{tg}})
	var s scraped
	until(t, "the survey is published", func() bool {
		s = scrapePage(t, base+"/probe?target=redis")
		_, ok := s["redis_survey_success"]
		return ok
	})
	if after := r.do("INFO", "errorstats").Str; after != before {
		t.Errorf("the survey caused errors in Redis: %s", after)
	}
	s.want(t, 1, "redis_survey_success")
	for key, size := range map[string]float64{"num": 4, "text": 5, "long": 500, "list": 3, "set": 2, "zset": 1, "hash": 2, "hll": 4, "stream": 2} {
		s.want(t, size, "redis_key_size", "db", "db0", "key", key)
		if v, _ := s.value("redis_key_memory_usage_bytes", "db", "db0", "key", key); v <= 0 {
			t.Errorf("no memory of %s", key)
		}
	}
	s.want(t, 42.5, "redis_key_value", "key", "num")
	s.want(t, 1, "redis_key_value_as_string", "key", "text", "val", "hello")
	s.want(t, 1, "redis_key_value_as_string", "key", "long", "val", strings.Repeat("x", maxValue))
	s.want(t, 30, "redis_keys_count", "db", "db0", "key", "user:*")
	s.want(t, 30, "redis_key_group_count", "db", "db0", "key_group", "username")
	s.want(t, 3, "redis_key_group_count", "db", "db0", "key_group", "order")
	s.want(t, 9, "redis_key_group_count", "db", "db0", "key_group", unclassified)
	s.want(t, 3, "redis_number_of_distinct_key_groups", "db", "db0")
	s.want(t, 2, "redis_stream_length", "db", "db0", "stream", "stream")
	s.want(t, 1700000001000, "redis_stream_last_entry_id", "stream", "stream")
	s.want(t, 1700000000000, "redis_stream_first_entry_id", "stream", "stream")
	s.want(t, 2, "redis_stream_entries_added_total", "stream", "stream")
	s.want(t, 1, "redis_stream_group_messages_pending", "stream", "stream", "group", "readers")
	s.want(t, 1, "redis_stream_group_lag", "stream", "stream", "group", "readers")
	s.want(t, 1, "redis_stream_group_consumer_messages_pending", "stream", "stream", "group", "readers", "consumer", "one")
	if n := len(s["redis_key_size"].GetMetric()); n != 9+20 {
		t.Errorf("%d keys: a pattern is bounded", n)
	}
	if _, ok := s.value("redis_connected_client_info", "host", "127.0.0.1", "user", "default"); !ok {
		t.Error("no client")
	}
	if _, ok := s["redis_connected_client_created_at_timestamp"]; !ok {
		t.Error("no age of a client")
	}
}

// TestSurveyOfReplicasOnly turns a replica into a master: what was found on the replica must go.
func TestSurveyOfReplicasOnly(t *testing.T) {
	t.Parallel()
	master := dataRedis(t)
	master.do("CONFIG", "SET", "repl-diskless-sync-delay", "0")
	host, port, _ := net.SplitHostPort(master.addr)
	replica := startRedis(t, "--replicaof", host+" "+port)
	var targets []Target
	for id, r := range map[string]*testRedis{"master": master, "replica": replica} {
		tg := target(r)
		tg.ID = id
		tg.Collect.Survey = Survey{Interval: 50 * time.Millisecond, ReplicasOnly: true, CountKeys: []KeyPattern{{0, "user:*"}}}
		targets = append(targets, tg)
	}
	_, base := runExporter(t, Options{Targets: targets})
	until(t, "the replica is surveyed", func() bool {
		v, _ := scrapePage(t, base+"/metrics").value("redis_keys_count", "service", "replica")
		return v == 30
	})
	if _, ok := scrapePage(t, base+"/metrics").value("redis_survey_success", "service", "master"); ok {
		t.Error("the master was surveyed")
	}
	replica.do("REPLICAOF", "NO", "ONE")
	until(t, "nothing is told of the new master", func() bool {
		_, ok := scrapePage(t, base+"/metrics").value("redis_survey_success", "service", "replica")
		return !ok
	})
}

func TestSurveyThatFails(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	for name, c := range map[string]struct {
		addr string
		opt  Survey
	}{
		"no search module":       {r.addr, Survey{Indexes: ".*"}},
		"a database too many":    {r.addr, Survey{Keys: []KeyPattern{{99, "a"}}}},
		"nobody there":           {freeAddr(t), Survey{Indexes: ".*"}},
		"a frozen server":        {serve(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 10)); <-t.Context().Done() }), Survey{CountKeys: []KeyPattern{{0, "*"}}}},
		"a strange answer":       {serveReplies(t, "*1\r\n:1\r\n"), Survey{CountKeys: []KeyPattern{{0, "*"}}}},
		"a stream that breaks":   {serveReplies(t, "+stream\r\n"), Survey{Streams: []KeyPattern{{0, "s"}}}},
		"a key that breaks":      {serveReplies(t, ""), Survey{Keys: []KeyPattern{{0, "k"}}}},
		"groups without answer":  {serveReplies(t, ""), Survey{KeyGroups: []string{"a"}}},
		"indexes without answer": {serveReplies(t, ""), Survey{Indexes: ".*"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tg := target(r)
			tg.Addr, tg.Collect.Survey = c.addr, c.opt
			tg.Collect.Survey.Timeout = 200 * time.Millisecond
			s := newService(tg.withDefaults(), false)
			s.survey(t.Context(), s.current().Collect.Survey)
			p := newPage("redis")
			publishSurvey(p, s)
			if s.found.err == nil || *p.fams[famSurveyOK].GetMetric()[0].GetGauge().Value != 0 {
				t.Error("a failed survey is published as good")
			}
		})
	}
}

// serveReplies answers every command with the same words and closes where there are none.
func serveReplies(t *testing.T, words string) string {
	t.Helper()
	return serve(t, func(c net.Conn) {
		if _, err := c.Read(make([]byte, 4096)); err == nil {
			_, _ = io.WriteString(c, words)
		}
	})
}

func TestKeyGroupsOverflow(t *testing.T) {
	t.Parallel()
	v := &surveyor{opt: Survey{MaxKeys: 1}}
	v.addGroups("db0", map[string]*keyGroup{"a": {"a", 1, 100}, "b": {"b", 2, 50}, "c": {"c", 3, 10}})
	got := fmt.Sprint(v.out)
	for _, want := range []string{"100 [db0 a]", "5 [db0 overflow]", "60 [db0 overflow]", "3 [db0]"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
}

func TestSearchIndexFields(t *testing.T) {
	t.Parallel()
	text := func(s string) resp.Reply { return resp.Reply{Kind: resp.Bulk, Str: s} }
	v := &surveyor{}
	v.fieldsOf(resp.Reply{Kind: resp.Array, Elems: []resp.Reply{
		text("num_docs"), text("7"), text("inverted_sz_mb"), text("0.5"), text("attributes"), {Kind: resp.Array}, text("cleaning"), {Kind: resp.Nil},
	}}, indexFields, "idx")
	if len(v.out) != 2 || v.out[0].value != 7 || v.out[1].value != 0.5*(1<<20) || v.out[1].labels[0] != "idx" {
		t.Errorf("%+v", v.out)
	}
}

func TestModules(t *testing.T) {
	t.Parallel()
	p := newPage("redis")
	readInfo(p, "# Modules\r\nmodule:name=search,ver=21005,api=1,filters=0,usedby=[],using=[ReJSON],options=[]\r\n\r\n# search_runtime\r\nsearch_total_cycles:9\r\n", time.Now(), nil)
	if m := p.fams[famModule].GetMetric()[0].GetLabel(); len(m) != 7 || m[1].GetValue() != "search" || m[6].GetValue() != "[ReJSON]" {
		t.Errorf("%v", m)
	}
	if v := p.fams[familyOf("redis_search_cycles_total")].GetMetric()[0].GetCounter().GetValue(); v != 9 {
		t.Errorf("%v", v)
	}
}
