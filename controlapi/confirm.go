package controlapi

import (
	"crypto/rand"
	"net/http"
	"sync"
	"time"
)

// maxConfirmations bounds the open confirmation tokens; beyond it the oldest questions have to be asked again.
const maxConfirmations = 1000

// confirmations are one-use tokens that prove that a person was told what a stop affects. Safe for concurrent use.
type confirmations struct {
	// mu guards the fields below.
	mu   sync.Mutex
	ttl  time.Duration
	open map[string]confirmation
}

type confirmation struct {
	user, service, operation string
	expires                  time.Time
}

func newConfirmations(ttl time.Duration) *confirmations {
	return &confirmations{ttl: ttl, open: map[string]confirmation{}}
}

// set changes how long further confirmations last.
func (c *confirmations) set(ttl time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ttl = ttl
}

func (c *confirmations) issue(user, service, operation string, now time.Time) string {
	token := rand.Text()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= maxConfirmations {
		clear(c.open)
	}
	c.open[token] = confirmation{user: user, service: service, operation: operation, expires: now.Add(c.ttl)}
	return token
}

// redeem ends a token and reports whether it was good for exactly this act of this person.
func (c *confirmations) redeem(token, user, service, operation string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.open[token]
	delete(c.open, token)
	return ok && now.Before(found.expires) && found.user == user && found.service == service && found.operation == operation
}

func (c *confirmations) prune(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for token, open := range c.open {
		if !now.Before(open.expires) {
			delete(c.open, token)
		}
	}
}

// confirmed returns nil, or the document's 400 that asks for confirmation.
func (a *API) confirmed(c *call, op string, given, tokenGiven bool, token string) error {
	if !a.conf().ConfirmStop {
		return nil
	}
	detail := "Stopping Redis will affect all dependent services"
	if tokenGiven {
		if a.confirmations.redeem(token, c.who.ID, c.service.ID, op, time.Now()) {
			return nil
		}
		detail = "The confirmation has been used or has expired; confirm again"
	} else if given {
		return nil
	}
	a.limits.giveBack(c.who.ID, c.route.limit)
	p := newProblem(http.StatusBadRequest, "confirmation_required", detail)
	p.err = "Confirmation required to stop Redis service"
	p.extra = map[string]any{
		"affected_services": a.conf().Dependents, "confirmation_required": true,
		"confirmation_token":           a.confirmations.issue(c.who.ID, c.service.ID, op, time.Now()),
		"confirmation_timeout_seconds": int(a.conf().ConfirmationTTL / time.Second),
	}
	return p
}
