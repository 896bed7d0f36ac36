package authn

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

// backoffRule says how failures of one key slow further attempts down: free tries, then a wait that doubles up to a maximum.
type backoffRule struct {
	free int
	max  time.Duration
}

// A guesser at one address is stopped hard. An account that is guessed at from many addresses is slowed only a little: else
// anybody could lock the on-call person out at 3 am.
var (
	rulePair    = backoffRule{free: 5, max: 15 * time.Minute}
	ruleAddress = backoffRule{free: 20, max: 15 * time.Minute}
	ruleAccount = backoffRule{free: 20, max: 30 * time.Second}
)

const (
	// forgetFailures is how long after the last failure a key starts anew.
	forgetFailures = time.Hour
	maxFailureKeys = 10000
	// maxHashWaiters bounds the logins that wait for their turn to be hashed.
	maxHashWaiters = 16
)

// wait returns how long to wait after the n-th failure in a row.
func (r backoffRule) wait(failures int) time.Duration {
	over := failures - r.free
	if over < 0 {
		return 0
	}
	if over > 20 {
		return r.max
	}
	return min(time.Second<<over, r.max)
}

type failures struct {
	count int
	last  time.Time
}

// logins slows guessing down and bounds how many passwords are hashed at once.
type logins struct {
	slots   chan struct{}
	waiting chan struct{}

	// mu guards failed.
	mu     sync.Mutex
	failed map[string]failures
}

func newLogins(concurrency int) *logins {
	return &logins{
		slots:   make(chan struct{}, concurrency),
		waiting: make(chan struct{}, concurrency+maxHashWaiters),
		failed:  map[string]failures{},
	}
}

type failureKey struct {
	key  string
	rule backoffRule
}

func failureKeys(login, address string) [3]failureKey {
	net := network(address)
	return [3]failureKey{
		{"p\x00" + login + "\x00" + net, rulePair},
		{"a\x00" + net, ruleAddress},
		{"u\x00" + login, ruleAccount},
	}
}

// network is the address, or the /64 of an IPv6 address: one subscriber has all of that.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Is4() || ip.Is4In6() {
		return address
	}
	if p, err := ip.WithZone("").Prefix(64); err == nil {
		return p.String()
	}
	return address
}

// check counts the attempt as failed before it hashes, so that parallel guesses do not slip through; succeeded takes it back.
func (l *logins) check(ctx context.Context, login, address, hash, password string) (bool, error) {
	if len(login) > 256 {
		login = login[:256]
	}
	if wait := l.attempt(login, address, time.Now()); wait > 0 {
		return false, &BackoffError{RetryAfter: wait}
	}
	select {
	case l.waiting <- struct{}{}:
		defer func() { <-l.waiting }()
	default:
		return false, ErrHashingBusy
	}
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	return VerifyPassword(hash, password), nil
}

// attempt returns how long to wait before the next try is allowed, or counts this one.
func (l *logins) attempt(login, address string, now time.Time) time.Duration {
	keys := failureKeys(login, address)
	l.mu.Lock()
	defer l.mu.Unlock()
	var wait time.Duration
	for _, k := range keys {
		f, ok := l.failed[k.key]
		if !ok || now.Sub(f.last) > forgetFailures {
			continue
		}
		wait = max(wait, f.last.Add(k.rule.wait(f.count)).Sub(now))
	}
	if wait > 0 {
		return wait
	}
	if len(l.failed) > maxFailureKeys {
		clear(l.failed) // a flood of made-up names must not take memory; real guessing soon counts again
	}
	for _, k := range keys {
		f := l.failed[k.key]
		if now.Sub(f.last) > forgetFailures {
			f.count = 0
		}
		l.failed[k.key] = failures{count: f.count + 1, last: now}
	}
	return 0
}

// succeeded forgets the failures of this account from this address, and takes the attempt back from the wider counts.
func (l *logins) succeeded(login, address string) {
	keys := failureKeys(login, address)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.failed, keys[0].key)
	for _, k := range keys[1:] {
		if f, ok := l.failed[k.key]; ok && f.count > 1 {
			f.count--
			l.failed[k.key] = f
		} else {
			delete(l.failed, k.key)
		}
	}
}

func (l *logins) prune(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, f := range l.failed {
		if now.Sub(f.last) > forgetFailures {
			delete(l.failed, key)
		}
	}
}

// decoyHash is verified for unknown users where no user is configured at all: a bcrypt hash of nothing that anybody knows.
const decoyHash = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"

// decoy returns an account whose hash costs as much to check as a real one.
func (d *directory) decoy() User {
	for _, u := range d.users {
		if _, err := parseHash(u.PasswordHash); err == nil {
			return u
		}
	}
	return User{PasswordHash: decoyHash}
}
