package exporter

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/exporter/health"
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

// scrape asks one Redis in one pipeline and lays out all that is known of the service. trace, if any, is told what happened.
func (e *Exporter) scrape(ctx context.Context, s *service, want selection, trace func(format string, args ...any)) *page {
	t := s.current()
	if trace == nil {
		trace = func(string, ...any) {}
	}
	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, t.Timings.PingTimeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	var commands [][]string
	if want.redis {
		commands = infoCommands
	}
	x := s.link.do(ctx, false, commands, nil)
	trace("PING: %s after %s (connected: %v) %s", x.ping.Reply, x.ping.Latency.Round(time.Microsecond), x.ping.Connected, x.ping.Detail)
	enough := time.Duration(countShare * float64(t.Timings.PingTimeout))
	s.recordPing(x.ping, x.end, !want.redis, deadline.Sub(started) >= enough || x.ping.Reply != health.ReplyTimeout)
	if want.redis && x.ping.Reply.Alive() {
		i, words := healthInfo(x)
		s.recordInfo(i, words)
		if i == nil {
			trace("INFO: %s", words)
		}
	}
	p := newPage(t.ID)
	v, _ := s.view()
	reply := x.ping.Reply
	if reply == health.NoReplyYet {
		reply = v.Samples.Ping.Reply
	}
	publishReply(p, reply)
	publishView(p, v, t.Thresholds)
	publishUnit(p, v.Samples)
	if e.opt.HostStatus != nil {
		if reachable, known := e.opt.HostStatus(t.ID); known {
			p.flag(famHost, reachable)
		}
	}
	e.self.scrapes.Inc()
	e.self.duration.Observe(time.Since(started).Seconds())
	return p
}

// errorLog lets promhttp report what it could not encode.
type errorLog struct{ zerolog.Logger }

// Println implements promhttp.Logger.
func (l errorLog) Println(v ...any) { l.Error().Msg(fmt.Sprint(v...)) }
