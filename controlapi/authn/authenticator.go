package authn

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis-medic/redis-medic/remediator/store"
)

// SessionStore keeps panel sessions; store.Sessions has the contract.
type SessionStore = store.Sessions

// Options are what an Authenticator needs.
type Options struct {
	Users           []User
	ServiceAccounts []ServiceAccount
	JWT             JWTSettings
	OIDC            OIDCSettings
	Sessions        SessionStore
	SessionIdle     time.Duration // end after this long without use; 0: DefaultSessionIdle
	SessionMax      time.Duration // absolute end; 0: DefaultSessionMax
	// Hashing is how many passwords may be hashed at once; 0: 2. Further logins wait, a few at a time, or are refused.
	Hashing int
}

// The ends of a session: long enough for a night on call, short enough for a forgotten browser.
const (
	DefaultSessionIdle = 30 * time.Minute
	DefaultSessionMax  = 12 * time.Hour
)

// Authenticator answers who is asking. It is safe for concurrent use.
type Authenticator struct {
	directory atomic.Pointer[directory]
	jwt       atomic.Pointer[verifier] // nil: no token is believed
	oidc      atomic.Pointer[provider] // nil: no identity provider
	sessions  *sessions
	logins    *logins
	tickets   *tickets

	// mu guards the fields below: token ids that were logged out, with the time until which they must be remembered, and when users
	// were logged out everywhere.
	mu      sync.Mutex
	revoked map[string]time.Time
	ended   map[string]time.Time
}

// rememberEnd is how long a logout everywhere is remembered: longer than any token should live.
const rememberEnd = 24 * time.Hour

// New checks the options. It starts nothing.
func New(o Options) (*Authenticator, error) {
	if o.Sessions == nil {
		return nil, errors.New("authn: a session store is required")
	}
	if o.Hashing <= 0 {
		o.Hashing = 2
	}
	a := &Authenticator{
		sessions: &sessions{store: o.Sessions, cache: map[string]cachedSession{}},
		logins:   newLogins(o.Hashing),
		tickets:  &tickets{open: map[string]ticket{}},
		revoked:  map[string]time.Time{},
		ended:    map[string]time.Time{},
	}
	c, err := a.Prepare(o)
	if err != nil {
		return nil, err
	}
	a.directory.Store(c.directory)
	a.jwt.Store(c.jwt)
	a.oidc.Store(c.oidc)
	a.sessions.limit(c.idle, c.max)
	return a, nil
}

// Change is a checked set of options that Take brings into force.
type Change struct {
	directory *directory
	jwt       *verifier
	oidc      *provider
	idle, max time.Duration
}

// Prepare checks options that may come into force later. Sessions and Hashing are not among them: they stay what New was given.
func (a *Authenticator) Prepare(o Options) (Change, error) {
	v, jwtErr := newVerifier(o.JWT)
	d, dirErr := newDirectory(o.Users, o.ServiceAccounts)
	p, oidcErr := newProvider(o.OIDC)
	if err := errors.Join(jwtErr, dirErr, oidcErr); err != nil {
		return Change{}, err
	}
	if o.SessionIdle <= 0 {
		o.SessionIdle = DefaultSessionIdle
	}
	if o.SessionMax <= 0 {
		o.SessionMax = DefaultSessionMax
	}
	return Change{directory: d, jwt: v.keepKeys(a.jwt.Load()), oidc: p.keep(a.oidc.Load()), idle: o.SessionIdle, max: o.SessionMax}, nil
}

// Take brings a change into force. Sessions and tokens of ours follow at their next check: a removed user is nobody, a changed role
// counts at once, and a changed password ends what was issued before. Revoked tokens, failed logins and tickets are kept. An error
// says that sessions of such users could not be deleted; the change is in force all the same.
func (a *Authenticator) Take(ctx context.Context, c Change) error {
	a.jwt.Store(c.jwt)
	a.oidc.Store(c.oidc)
	a.sessions.limit(c.idle, c.max)
	old := a.directory.Swap(c.directory)
	var faults []error
	for id, u := range old.users {
		if now, still := c.directory.users[id]; !still || now.stamp() != u.stamp() {
			faults = append(faults, a.sessions.endAll(ctx, id))
		}
	}
	return errors.Join(faults...)
}

// WithoutPassword lists the users whose password hash cannot be read, so that they cannot sign in with one.
func (a *Authenticator) WithoutPassword() []string { return a.directory.Load().unusable }

// Login checks a password. login is an id or an e-mail address. The answer for an unknown user costs and says the same as that
// for a wrong password. Errors: ErrBadLogin, *BackoffError, ErrHashingBusy, or the context's.
func (a *Authenticator) Login(ctx context.Context, login, password, address string) (Principal, error) {
	d := a.directory.Load()
	u, known := d.byLoginName(login)
	if !known {
		u = d.decoy()
	}
	ok, err := a.logins.check(ctx, normalLogin(login), address, u.PasswordHash, password)
	if err != nil {
		return Principal{}, err
	}
	if !ok || !known {
		return Principal{}, ErrBadLogin
	}
	a.logins.succeeded(normalLogin(login), address)
	return Principal{ID: u.ID, Email: u.Email, Role: u.Role, Method: MethodNone, stamp: u.stamp()}, nil
}

// Bearer identifies the holder of a bearer token: a service account's, ours, or the issuer's.
func (a *Authenticator) Bearer(ctx context.Context, token string) (Principal, error) {
	if len(token) > maxTokenBytes {
		return Principal{}, ErrInvalidToken
	}
	d := a.directory.Load()
	if p, ok := d.service(token); ok {
		return p, nil
	}
	c, err := a.jwt.Load().verify(ctx, token)
	if err != nil {
		return Principal{}, err
	}
	p := Principal{ID: c.Subject, Email: c.Email, Role: c.Role, Method: MethodJWT, Expires: c.ExpiresAt.Time, handle: c.ID}
	if c.IssuedAt != nil {
		p.issued = c.IssuedAt.Time
	}
	if c.Local {
		p.stamp = c.Stamp
	}
	return a.refreshToken(d, p)
}

// refreshToken brings the principal of a token up to the directory's state: a local account's role counts, not the token's.
func (a *Authenticator) refreshToken(d *directory, p Principal) (Principal, error) {
	local, known := d.subject(p.ID)
	if p.stamp != "" && (!known || local.stamp != p.stamp) {
		return Principal{}, ErrInvalidToken // we issued it, and the account has gone or changed its password
	}
	if known {
		p.Role = local.Role
		if p.Email == "" {
			p.Email = local.Email
		}
	}
	if p.Role == "" {
		return Principal{}, ErrInvalidToken
	}
	if a.isRevoked(p) {
		return Principal{}, ErrInvalidToken
	}
	return p, nil
}

// Refresh asks again whether a principal is still who it was, with the role of now. It is cheap enough to be called for every
// open connection every few seconds. A failure of the session store is returned as it is: unknown is not invalid.
func (a *Authenticator) Refresh(ctx context.Context, p Principal) (Principal, error) {
	if !p.Expires.IsZero() && !time.Now().Before(p.Expires) {
		return Principal{}, ErrExpired
	}
	d := a.directory.Load()
	switch p.Method {
	case MethodSession:
		now, err := a.sessionByHash(ctx, p.handle, false)
		if err == nil && now.stamp != p.stamp {
			return Principal{}, ErrInvalidToken
		}
		return now, err
	case MethodJWT:
		return a.refreshToken(d, p)
	case MethodService:
		acc, ok := d.byName[p.ID]
		if !ok || acc.stamp() != p.stamp {
			return Principal{}, ErrInvalidToken
		}
		p.Role = acc.Role
		return p, nil
	default:
		return p, nil
	}
}

// StartSession opens a panel session and returns the cookie's value, which is not kept, and the principal with the session's end.
// The value carries a check on the account's state: after a change of the password it is worth nothing, also in another process.
func (a *Authenticator) StartSession(ctx context.Context, p Principal, address string) (cookie string, session Principal, err error) {
	id := rand.Text() + rand.Text() // 260 bits
	s, err := a.sessions.start(ctx, store.Session{IDHash: hashID(id), UserID: p.ID, SourceIP: address, Identity: p.identity})
	if err != nil {
		return "", Principal{}, err
	}
	p.Method, p.Expires, p.handle = MethodSession, s.Expires, s.IDHash
	return id + "." + sessionCheck(id, p.stamp), p, nil
}

func sessionCheck(id, stamp string) string { return shortDigest("session", id, stamp) }

// Session identifies the holder of a session cookie and counts this as use.
func (a *Authenticator) Session(ctx context.Context, cookie string) (Principal, error) {
	id, check, ok := strings.Cut(cookie, ".")
	if !ok || len(id) < 32 || len(id) > 128 {
		return Principal{}, ErrInvalidToken
	}
	p, err := a.sessionByHash(ctx, hashID(id), true)
	if err != nil {
		return Principal{}, err
	}
	if subtle.ConstantTimeCompare([]byte(check), []byte(sessionCheck(id, p.stamp))) != 1 {
		return Principal{}, ErrInvalidToken
	}
	return p, nil
}

func (a *Authenticator) sessionByHash(ctx context.Context, hash string, use bool) (Principal, error) {
	s, err := a.sessions.get(ctx, hash, use)
	if err != nil {
		return Principal{}, err
	}
	if s.Identity != "" {
		p, ok := a.vouchedFor(s.Identity)
		if !ok {
			return Principal{}, ErrInvalidToken
		}
		p.Method, p.Expires, p.handle = MethodSession, s.Expires, hash
		return p, nil
	}
	u, ok := a.directory.Load().users[s.UserID]
	if !ok {
		return Principal{}, ErrInvalidToken
	}
	return Principal{ID: u.ID, Email: u.Email, Role: u.Role, Method: MethodSession, Expires: s.Expires, handle: hash, stamp: u.stamp()}, nil
}

// Logout ends the credential of a principal: its session, or its token if it has an id. With everywhere, all sessions of the user and
// all tokens that were issued until now end.
func (a *Authenticator) Logout(ctx context.Context, p Principal, everywhere bool) error {
	var faults []error
	switch p.Method {
	case MethodSession:
		faults = append(faults, a.sessions.end(ctx, p.handle))
	case MethodJWT:
		if p.handle != "" {
			a.revoke(p.handle, p.Expires)
		}
	}
	if everywhere {
		a.mu.Lock()
		a.ended[p.ID] = time.Now()
		a.mu.Unlock()
		faults = append(faults, a.sessions.endAll(ctx, p.ID))
	}
	return errors.Join(faults...)
}

// IssueToken signs a bearer token for a local account; ErrCannotSign when we hold no signing key.
func (a *Authenticator) IssueToken(p Principal) (token string, expires time.Time, err error) {
	local, known := a.directory.Load().subject(p.ID)
	if !known {
		return "", time.Time{}, ErrCannotSign
	}
	return a.jwt.Load().issue(local, rand.Text(), time.Now())
}

// Prune forgets what has ended. The API calls it every minute.
func (a *Authenticator) Prune(ctx context.Context) error {
	now := time.Now()
	a.mu.Lock()
	maps.DeleteFunc(a.revoked, func(_ string, until time.Time) bool { return now.After(until) })
	maps.DeleteFunc(a.ended, func(_ string, at time.Time) bool { return now.Sub(at) > rememberEnd })
	a.mu.Unlock()
	a.logins.prune(now)
	a.tickets.prune(now)
	return a.sessions.prune(ctx, now)
}

func (a *Authenticator) revoke(id string, until time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.revoked[id] = until.Add(MaxLeeway)
}

// isRevoked reports whether a token was logged out, itself or with all of its user. A token has whole seconds: one of the very second
// of a logout everywhere counts as older.
func (a *Authenticator) isRevoked(p Principal) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, itself := a.revoked[p.handle]
	end, everywhere := a.ended[p.ID]
	return itself || everywhere && !p.issued.After(end)
}

// LooksLikeToken reports whether an Authorization header carries a bearer token, and returns it.
func LooksLikeToken(header string) (string, bool) {
	scheme, token, ok := strings.Cut(header, " ")
	token = strings.TrimSpace(token)
	return token, ok && strings.EqualFold(scheme, "bearer") && token != ""
}
