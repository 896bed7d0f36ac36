package authn

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis-medic/redis-medic/remediator/store"
)

const (
	// sessionCacheFor bounds how long a session that was ended elsewhere is still believed here.
	sessionCacheFor = 2 * time.Second
	// touchEvery bounds how often use of a session is written down.
	touchEvery = time.Minute
	// maxCachedSessions bounds the memory of the cache; beyond it the cache starts anew.
	maxCachedSessions = 20000
)

// sessions is the store of panel sessions with a small cache, so that open connections can be checked every few seconds.
type sessions struct {
	store SessionStore

	// mu guards the fields below.
	mu        sync.Mutex
	idle, max time.Duration
	cache     map[string]cachedSession
}

type cachedSession struct {
	store.Session
	read time.Time
}

// limit sets the ends of sessions. The absolute end of open ones stays.
func (s *sessions) limit(idle, max time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle, s.max = idle, max
}

func (s *sessions) limits() (idle, max time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.idle, s.max
}

// start keeps a new session; the times are set here.
func (s *sessions) start(ctx context.Context, sess store.Session) (store.Session, error) {
	now := time.Now().UTC()
	_, longest := s.limits()
	sess.Created, sess.LastUsed, sess.Expires = now, now, now.Add(longest)
	if err := s.store.PutSession(ctx, sess); err != nil {
		return store.Session{}, fmt.Errorf("open session: %w", err)
	}
	return sess, nil
}

// get returns a live session. use counts this as activity; a check of an open connection does not, so an abandoned browser
// tab ends.
func (s *sessions) get(ctx context.Context, hash string, use bool) (store.Session, error) {
	now := time.Now()
	c, cached := s.cached(hash)
	if !cached || now.Sub(c.read) > sessionCacheFor {
		sess, err := s.store.Session(ctx, hash)
		if errors.Is(err, store.ErrNotFound) {
			s.forget(hash)
			return store.Session{}, ErrInvalidToken
		}
		if err != nil {
			return store.Session{}, fmt.Errorf("read session: %w", err)
		}
		c = cachedSession{Session: sess, read: now}
	}
	if idle, _ := s.limits(); !now.Before(c.Expires) || now.Sub(c.LastUsed) > idle {
		s.forget(hash)
		return store.Session{}, ErrExpired
	}
	if use && now.Sub(c.LastUsed) > touchEvery {
		c.LastUsed = now.UTC()
		if err := s.store.PutSession(ctx, c.Session); err != nil {
			return store.Session{}, fmt.Errorf("touch session: %w", err)
		}
	}
	s.remember(hash, c)
	return c.Session, nil
}

func (s *sessions) end(ctx context.Context, hash string) error {
	s.forget(hash)
	if err := s.store.DeleteSession(ctx, hash); err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("end session: %w", err)
	}
	s.forget(hash) // a reader in between may have put it back
	return nil
}

func (s *sessions) endAll(ctx context.Context, userID string) error {
	_, err := s.store.DeleteUserSessions(ctx, userID)
	s.mu.Lock()
	for hash, c := range s.cache {
		if c.UserID == userID {
			delete(s.cache, hash)
		}
	}
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	return nil
}

func (s *sessions) prune(ctx context.Context, now time.Time) error {
	s.mu.Lock()
	idle := s.idle
	for hash, c := range s.cache {
		if now.Sub(c.read) > sessionCacheFor {
			delete(s.cache, hash)
		}
	}
	s.mu.Unlock()
	if _, err := s.store.PruneSessions(ctx, now.UTC(), idle); err != nil {
		return fmt.Errorf("prune sessions: %w", err)
	}
	return nil
}

func (s *sessions) cached(hash string) (cachedSession, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.cache[hash]
	return c, ok
}

func (s *sessions) remember(hash string, c cachedSession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.cache) >= maxCachedSessions {
		clear(s.cache)
	}
	s.cache[hash] = c
}

func (s *sessions) forget(hash string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.cache, hash)
}

const (
	// TicketTTL is how long a ticket for the event stream can be redeemed, once.
	TicketTTL  = 30 * time.Second
	maxTickets = 10000
)

// tickets are one-use passes for clients that can set neither header nor cookie on a WebSocket.
type tickets struct {
	// mu guards open.
	mu   sync.Mutex
	open map[string]ticket
}

type ticket struct {
	principal Principal
	address   string
	expires   time.Time
}

// ErrTooManyTickets refuses a ticket while too many are open.
var ErrTooManyTickets = errors.New("too many open tickets")

// IssueTicket returns a ticket that is good for one connection from the same address.
func (a *Authenticator) IssueTicket(p Principal, address string) (string, time.Time, error) {
	id := rand.Text() + rand.Text()
	expires := time.Now().Add(TicketTTL)
	t := a.tickets
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.open) >= maxTickets {
		return "", time.Time{}, ErrTooManyTickets
	}
	t.open[hashID(id)] = ticket{principal: p, address: address, expires: expires}
	return id, expires, nil
}

// RedeemTicket returns the principal of a ticket and ends it, also when it comes from the wrong address.
func (a *Authenticator) RedeemTicket(ctx context.Context, id, address string) (Principal, error) {
	hash := hashID(id)
	t := a.tickets
	t.mu.Lock()
	found, ok := t.open[hash]
	delete(t.open, hash)
	t.mu.Unlock()
	if !ok || found.address != address {
		return Principal{}, ErrInvalidToken
	}
	if !time.Now().Before(found.expires) {
		return Principal{}, ErrExpired
	}
	return a.Refresh(ctx, found.principal)
}

func (t *tickets) prune(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for hash, open := range t.open {
		if now.After(open.expires) {
			delete(t.open, hash)
		}
	}
}
