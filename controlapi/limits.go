package controlapi

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// window is the time over which acts are counted.
const window = time.Minute

// limits counts acts per person and kind over a sliding minute. It is safe for concurrent use.
type limits struct {
	// mu guards the fields below. taken has the times of the acts of the last minute, oldest first.
	mu        sync.Mutex
	perMinute map[string]int
	taken     map[limitKey][]time.Time
}

type limitKey struct{ user, kind string }

func newLimits(r RateLimits) *limits {
	l := &limits{taken: map[limitKey][]time.Time{}}
	l.set(r)
	return l
}

// set replaces the limits. What was taken stays taken.
func (l *limits) set(r RateLimits) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.perMinute = map[string]int{"start": r.Start, "stop": r.Stop, "restart": r.Restart, "reload": r.Restart, "logs": r.Logs}
}

// take counts one act, or refuses it with 429, and says in the headers how many are left.
func (l *limits) take(h http.Header, user, kind string, now time.Time) error {
	key := limitKey{user, kind}
	l.mu.Lock()
	limit := l.perMinute[kind]
	if limit < 0 {
		l.mu.Unlock()
		return nil
	}
	times := recent(l.taken[key], now)
	refused := len(times) >= limit
	if !refused {
		times = append(times, now)
	}
	l.taken[key] = times
	l.mu.Unlock()

	reset := window
	if len(times) > 0 {
		reset = times[0].Add(window).Sub(now)
	}
	h.Set("X-RateLimit-Limit", strconv.Itoa(limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(max(0, limit-len(times))))
	h.Set("X-RateLimit-Reset", strconv.Itoa(ceilSeconds(reset)))
	if !refused {
		return nil
	}
	p := newProblem(http.StatusTooManyRequests, "rate_limited",
		"More than "+strconv.Itoa(limit)+" "+kind+" requests per minute")
	p.err = "Rate limit exceeded"
	p.retryAfter = reset
	return p
}

// giveBack uncounts the newest act: a question for confirmation is not an act.
func (l *limits) giveBack(user, kind string) {
	key := limitKey{user, kind}
	l.mu.Lock()
	defer l.mu.Unlock()
	if times := l.taken[key]; len(times) > 0 {
		l.taken[key] = times[:len(times)-1]
	}
}

// prune forgets people who did nothing for a minute.
func (l *limits) prune(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, times := range l.taken {
		if len(recent(times, now)) == 0 {
			delete(l.taken, key)
		}
	}
}

// recent drops the times that have left the window.
func recent(times []time.Time, now time.Time) []time.Time {
	for len(times) > 0 && now.Sub(times[0]) >= window {
		times = times[1:]
	}
	return times
}
