package exporter

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/exporter/info"
	"github.com/redis-medic/redis-medic/exporter/metric"
)

// countShare is the least share of a service's PING timeout that a scrape must have waited for its missing answer to count as a
// lost PING: a scrape in a hurry must not condemn a Redis that the configuration gives more time.
const countShare = 0.75

// selection says which parts a request asks for: all of them, or only health for a frequent, cheap scrape.
type selection struct{ redis bool }

// wanted reads the parameter collect[]: "health" leaves out everything that needs INFO.
func wanted(r *http.Request) (selection, error) {
	names := r.URL.Query()["collect[]"]
	if len(names) == 0 {
		return selection{redis: true}, nil
	}
	var s selection
	for _, n := range names {
		switch n {
		case "health":
		case "redis":
			s.redis = true
		default:
			return s, fmt.Errorf("unknown collector %q: health or redis", n)
		}
	}
	return s, nil
}

// scrapeAll scrapes all services at once: each costs its own deadline only.
func (e *Exporter) scrapeAll(ctx context.Context, want selection) []*page {
	ids := e.prober.Services()
	pages := make([]*page, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		if s, ok := e.prober.find(id); ok {
			wg.Go(func() { pages[i] = e.scrape(ctx, s, want, nil) })
		}
	}
	wg.Wait()
	return pages
}

// trace is told what happened in a scrape, for a person.
type trace func(format string, args ...any)

// scrape asks one Redis in one pipeline and lays out all that is known of the service.
func (e *Exporter) scrape(ctx context.Context, s *service, want selection, tell trace) *page {
	t := s.current()
	if tell == nil {
		tell = func(string, ...any) {}
	}
	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, t.Timings.PingTimeout)
	defer cancel()
	p := newPage(t.ID)
	var x exchange
	if want.redis {
		x = e.scrapeRedis(ctx, s, t, p, tell)
	} else {
		x = s.link.do(ctx, false, nil, nil)
		s.recordScrape(ctx, x, started, true)
	}
	tell("PING: %s after %s (connected: %v) %s", x.ping.Reply, x.ping.Latency.Round(time.Microsecond), x.ping.Connected, x.ping.Detail)

	v, _ := s.view()
	reply := x.ping.Reply
	if reply == health.NoReplyYet { // the scrape was broken off: what is known stands
		reply = v.Samples.Ping.Reply
	}
	publishReply(p, reply)
	publishView(p, v, t.Thresholds)
	publishUnit(p, v.Samples, t.Thresholds)
	if e.opt.HostStatus != nil {
		if reachable, known := e.opt.HostStatus(t.ID); known {
			p.flag(famHost, reachable)
		}
	}
	took := time.Since(started).Seconds()
	publishScrape(p, s, reply, took)
	e.self.scrapes.Inc()
	e.self.duration.Observe(took)
	return p
}

// recordScrape lets the prober learn from a scrape's PING.
func (s *service) recordScrape(ctx context.Context, x exchange, started time.Time, timed bool) {
	deadline, _ := ctx.Deadline()
	s.mu.Lock()
	enough := time.Duration(countShare * float64(s.target.Timings.PingTimeout))
	s.mu.Unlock()
	s.recordPing(x.ping, x.end, timed, deadline.Sub(started) >= enough || x.ping.Reply != health.ReplyTimeout)
}

// scrapeRedis sends everything in one write, and a second round only for what the first one revealed.
func (e *Exporter) scrapeRedis(ctx context.Context, s *service, t Target, p *page, tell trace) exchange {
	started := time.Now()
	known := s.knownTraits()
	a := newAnswers()
	x := s.ask(ctx, t.Collect.plan(known), a, started, tell)
	s.recordScrape(ctx, x, started, false)
	if a.info == "" {
		if x.ping.Reply.Alive() {
			s.recordInfo(nil, infoTrouble(x))
		}
		publishParts(p, a)
		return x
	}
	r := readInfo(p, a.info, x.end, s.startedAt)
	i := info.Health(a.info, x.end, a.parts[partInfo].at)
	if save, ok := a.config["save"]; ok {
		on := save != ""
		i.RDBConfigured = &on
	}
	s.recordInfo(i, "")
	now := traitsOf(r, i.ClusterOn)
	s.learn(now)
	if q := t.Collect.secondRound(known, now, r.masters); len(q) > 0 {
		s.ask(ctx, q, a, started, tell)
	}
	r.publishRest(s, a, t.Collect, now)
	return x
}

func infoTrouble(x exchange) string {
	_, words := healthInfo(x)
	return words
}

// secondRound lists what the first round has shown to be worth asking.
func (o Collect) secondRound(known, now traits, masters []string) []question {
	switch {
	case now.sentinel:
		return o.sentinelPlan(masters)
	case now.cluster && !known.cluster:
		return []question{clusterQuestion()}
	}
	return nil
}

// publishRest lays out the answers other than INFO.
func (r *infoReader) publishRest(s *service, a *answers, o Collect, t traits) {
	if t.sentinel {
		publishSentinel(r.p, a, o)
		for _, part := range []part{partConfig, partLatency, partSlowlog} { // a Sentinel has none of these
			delete(a.parts, part)
		}
		publishParts(r.p, a)
		return
	}
	databases := publishConfig(r.p, a.config, o.AllConfig)
	if t.cluster {
		databases = 1
		publishCluster(r.p, a.cluster)
	}
	r.emptyDatabases(databases)
	publishSpikes(r.p, a.latest)
	publishHistograms(r.p, a.histogram, r.commands)
	publishSlowlog(r.p, a)
	publishClients(r.p, a.clients, o.ClientPorts, r.now)
	publishSurvey(r.p, s)
	publishParts(r.p, a)
}

// ask sends PING and the questions in one pipeline and takes in the answers.
func (s *service) ask(ctx context.Context, questions []question, a *answers, started time.Time, tell trace) exchange {
	commands := make([][]string, len(questions))
	for i, q := range questions {
		commands[i] = q.command
	}
	arrived := make([]time.Duration, len(questions))
	x := s.link.do(ctx, false, commands, func(i int, at time.Time) { arrived[i] = at.Sub(started) })
	a.hear(questions, x.replies, arrived, tell)
	return x
}

func (s *service) knownTraits() traits {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.traits
}

func (s *service) learn(t traits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.traits = t
}

var (
	famLastError    = familyOf(metric.ExporterLastError)
	famLastDuration = familyOf(metric.ExporterLastDuration)
	famLastConnect  = familyOf(metric.ExporterLastConnect)
)

// publishScrape adds redis_exporter's own words on the scrape. Its label err holds a class of reply, never a text.
func publishScrape(p *page, s *service, reply health.Reply, took float64) {
	if reply == health.ReplyPong {
		p.gauge(famLastError, 0, "")
	} else {
		p.gauge(famLastError, 1, string(reply))
	}
	p.gauge(famLastDuration, took)
	s.link.mu.Lock()
	connect := s.link.connect
	s.link.mu.Unlock()
	if connect > 0 {
		p.gauge(famLastConnect, connect.Seconds())
	}
}
