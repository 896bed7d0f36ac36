package exporter

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis-medic/redis-medic/exporter/resp"
)

// part is one collector of a scrape: a kind of question whose failure does not touch the others.
type part string

// The parts of a scrape of Redis, as the label "collector" names them.
const (
	partInfo     part = "info"
	partConfig   part = "config"
	partLatency  part = "latency"
	partSlowlog  part = "slowlog"
	partCluster  part = "cluster"
	partSentinel part = "sentinel"
	partClients  part = "clients"
)

// traits is what earlier scrapes taught about a server, so that it is asked only what it can answer. The zero value is a server
// that nobody has scraped yet.
type traits struct {
	major    int  // of the Redis version; 0: not known
	valkey   bool // Valkey, which has COMMANDLOG from 8.1
	valkey81 bool
	sentinel bool
	cluster  bool
}

func traitsOf(r *infoReader, cluster bool) traits {
	version := r.instance[instanceFields["redis_version"]]
	head, _, _ := strings.Cut(version, ".")
	t := traits{cluster: cluster, sentinel: r.instance[instanceFields["redis_mode"]] == "sentinel"}
	t.major, _ = strconv.Atoi(head)
	if v := r.instance[instanceFields["valkey_version"]]; v != "" {
		t.valkey = true
		major, rest, _ := strings.Cut(v, ".")
		minor, _, _ := strings.Cut(rest, ".")
		a, _ := strconv.Atoi(major)
		b, _ := strconv.Atoi(minor)
		t.valkey81 = a > 8 || (a == 8 && b >= 1)
	}
	return t
}

// question is one command of a scrape and where its answer goes.
type question struct {
	part    part
	command []string
	take    func(*answers, resp.Reply)
}

// answers is what a server said in one scrape.
type answers struct {
	info      string
	config    map[string]string
	latest    []resp.Reply
	histogram []resp.Reply
	slowLen   resp.Reply
	slowGet   resp.Reply
	cluster   string
	clients   string
	commands  map[string]int64 // COMMANDLOG LEN by kind
	masters   map[string]*watchedMaster
	list      []resp.Reply // SENTINEL MASTERS
	sconfig   map[string]string
	parts     map[part]outcome
	order     []part
}

// outcome is how one part went.
type outcome struct {
	ok bool
	at time.Duration // since the start of the scrape
}

// configKeys are the parameters that become metrics or enter a verdict.
var configKeys = []string{"save", "databases", "maxclients", "maxmemory", "io-threads", "repl-backlog-size", "client-output-buffer-limit"}

// plan lists what to ask a server with these traits in the first round.
func (o Collect) plan(t traits) []question {
	q := []question{{partInfo, []string{"INFO", o.section()}, func(a *answers, r resp.Reply) { a.info = r.Str }}}
	if t.sentinel {
		return q
	}
	if !o.NoConfig {
		q = append(q, o.configQuestions(t)...)
	}
	if !o.NoLatency {
		q = append(q, question{partLatency, []string{"LATENCY", "LATEST"}, func(a *answers, r resp.Reply) { a.latest = r.Elems }})
		if t.major == 0 || t.major >= 7 {
			q = append(q, question{partLatency, []string{"LATENCY", "HISTOGRAM"}, func(a *answers, r resp.Reply) { a.histogram = r.Elems }})
		}
	}
	if !o.NoSlowlog {
		q = append(q,
			question{partSlowlog, []string{"SLOWLOG", "LEN"}, func(a *answers, r resp.Reply) { a.slowLen = r }},
			question{partSlowlog, []string{"SLOWLOG", "GET", "1"}, func(a *answers, r resp.Reply) { a.slowGet = r }})
		if t.valkey81 {
			q = append(q, commandlogQuestions()...)
		}
	}
	if o.Clients {
		q = append(q, question{partClients, []string{"CLIENT", "LIST"}, func(a *answers, r resp.Reply) { a.clients = r.Str }})
	}
	if t.cluster {
		q = append(q, clusterQuestion())
	}
	return q
}

func (o Collect) section() string {
	if o.Modules {
		return "EVERYTHING"
	}
	return "ALL"
}

// configQuestions asks for the parameters, all with one command where the server takes more than one pattern.
func (o Collect) configQuestions(t traits) []question {
	take := func(a *answers, r resp.Reply) {
		for i := 0; i+1 < len(r.Elems); i += 2 {
			a.config[r.Elems[i].Str] = r.Elems[i+1].Str
		}
	}
	switch {
	case o.AllConfig:
		return []question{{partConfig, []string{"CONFIG", "GET", "*"}, take}}
	case t.major >= 7:
		keys := configKeys
		if t.valkey81 {
			keys = append(slices.Clip(keys), "commandlog-*")
		}
		return []question{{partConfig, append([]string{"CONFIG", "GET"}, keys...), take}}
	}
	var q []question
	for _, k := range configKeys {
		q = append(q, question{partConfig, []string{"CONFIG", "GET", k}, take})
	}
	return q
}

func clusterQuestion() question {
	return question{partCluster, []string{"CLUSTER", "INFO"}, func(a *answers, r resp.Reply) { a.cluster = r.Str }}
}

// commandlogKinds are the logs of Valkey's COMMANDLOG.
var commandlogKinds = []string{"slow", "large-request", "large-reply"}

func commandlogQuestions() []question {
	var q []question
	for _, kind := range commandlogKinds {
		q = append(q, question{partSlowlog, []string{"COMMANDLOG", "LEN", kind}, func(a *answers, r resp.Reply) {
			if r.Kind == resp.Integer {
				a.commands[kind] = r.Int
			}
		}})
	}
	return q
}

// watchedMaster is what a Sentinel says of one master beyond its INFO.
type watchedMaster struct {
	quorum   resp.Reply
	peers    []resp.Reply
	replicas []resp.Reply
}

// sentinelPlan lists what to ask a Sentinel about its masters in the second round.
func (o Collect) sentinelPlan(masters []string) []question {
	q := []question{{partSentinel, []string{"SENTINEL", "MASTERS"}, func(a *answers, r resp.Reply) { a.list = r.Elems }}}
	for _, name := range masters {
		q = append(q,
			// NOQUORUM is an answer to this question, not a failure of the part.
			question{partSentinel, []string{"SENTINEL", "CKQUORUM", name}, func(a *answers, r resp.Reply) { a.master(name).quorum = r }},
			question{partSentinel, []string{"SENTINEL", "SENTINELS", name}, func(a *answers, r resp.Reply) { a.master(name).peers = r.Elems }},
			question{partSentinel, []string{"SENTINEL", "SLAVES", name}, func(a *answers, r resp.Reply) { a.master(name).replicas = r.Elems }})
	}
	if o.AllConfig {
		q = append(q, question{partSentinel, []string{"SENTINEL", "CONFIG", "GET", "*"}, func(a *answers, r resp.Reply) {
			for i := 0; i+1 < len(r.Elems); i += 2 {
				a.sconfig[r.Elems[i].Str] = r.Elems[i+1].Str
			}
		}})
	}
	return q
}

func newAnswers() *answers {
	return &answers{
		config: map[string]string{}, commands: map[string]int64{}, masters: map[string]*watchedMaster{}, sconfig: map[string]string{},
		parts: map[part]outcome{},
	}
}

func (a *answers) master(name string) *watchedMaster {
	m := a.masters[name]
	if m == nil {
		m = &watchedMaster{}
		a.masters[name] = m
	}
	return m
}

// hear takes in the replies of one exchange to the questions; arrived holds when each came, since the start.
func (a *answers) hear(questions []question, replies []resp.Reply, arrived []time.Duration, tell trace) {
	for i, q := range questions {
		o, seen := a.parts[q.part]
		if !seen {
			o.ok = true
			a.order = append(a.order, q.part)
		}
		switch {
		case i >= len(replies):
			o.ok = false
			tell("%s: no answer", strings.Join(q.command, " "))
		case replies[i].Kind == resp.Error && q.command[1] != "CKQUORUM":
			o.ok, o.at = false, arrived[i]
			tell("%s: %s", strings.Join(q.command, " "), replies[i].Str)
		default:
			o.at = arrived[i]
			q.take(a, replies[i])
		}
		a.parts[q.part] = o
	}
}
