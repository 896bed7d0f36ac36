package authn

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/redis-medic/redis-medic/remediator/store"
)

const (
	password = "canary-correct horse"
	secret   = "canary-hmac-secret-0123456789abcdef"
	token    = "canary-service-token-0123456789abc"
)

var annHash = func() string {
	raw, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		panic(err)
	}
	return string(raw)
}()

// memSessions is a session store in memory that can break and counts reads.
type memSessions struct {
	mu     sync.Mutex
	all    map[string]store.Session
	broken bool
	reads  int
	writes int
}

var errStore = errors.New("database is locked")

func (m *memSessions) do(f func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken {
		return errStore
	}
	f()
	return nil
}

func (m *memSessions) setBroken(b bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = b
}

func (m *memSessions) PutSession(_ context.Context, s store.Session) error {
	return m.do(func() { m.all[s.IDHash] = s; m.writes++ })
}

func (m *memSessions) Session(_ context.Context, hash string) (s store.Session, err error) {
	var ok bool
	if err := m.do(func() { s, ok = m.all[hash]; m.reads++ }); err != nil {
		return s, err
	}
	if !ok {
		return s, store.ErrNotFound
	}
	return s, nil
}

func (m *memSessions) DeleteSession(_ context.Context, hash string) error {
	return m.do(func() { delete(m.all, hash) })
}

func (m *memSessions) DeleteUserSessions(_ context.Context, user string) (n int, err error) {
	err = m.do(func() {
		n = len(m.all)
		maps.DeleteFunc(m.all, func(_ string, s store.Session) bool { return s.UserID == user })
		n -= len(m.all)
	})
	return n, err
}

func (m *memSessions) PruneSessions(_ context.Context, now time.Time, idle time.Duration) (n int, err error) {
	err = m.do(func() {
		n = len(m.all)
		maps.DeleteFunc(m.all, func(_ string, s store.Session) bool { return now.After(s.Expires) || now.Sub(s.LastUsed) > idle })
		n -= len(m.all)
	})
	return n, err
}

var (
	ann = User{ID: "u-1", Email: "Ann@autobot.local", Role: "admin", PasswordHash: annHash}
	bot = ServiceAccount{Name: "backend", Role: "operator", Token: token}
)

func newAuth(t *testing.T, change func(*Options)) (*Authenticator, *memSessions) {
	t.Helper()
	m := &memSessions{all: map[string]store.Session{}}
	o := Options{
		Users: []User{ann}, ServiceAccounts: []ServiceAccount{bot}, Sessions: m,
		JWT: JWTSettings{Issuer: "iss", Audience: "aud", HMACSecret: []byte(secret)},
	}
	if change != nil {
		change(&o)
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return a, m
}

func mustLogin(t *testing.T, a *Authenticator) Principal {
	t.Helper()
	p, err := a.Login(t.Context(), "ann@autobot.local", password, "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// pass lets time go by. In a synctest bubble that costs nothing.
func pass(d time.Duration) { <-time.After(d) }

func TestAccountsThatAreRefused(t *testing.T) {
	_, err := New(Options{Sessions: &memSessions{}, JWT: JWTSettings{HMACSecret: []byte("canary")}, Users: []User{
		{Role: "admin"}, {ID: "a"}, {ID: "b", Role: "anonymous"}, {ID: "c", Role: "admin"}, {ID: "c", Role: "admin"}, {ID: "d", Email: " C ", Role: "admin"},
	}, ServiceAccounts: []ServiceAccount{
		{Role: "admin", Token: token}, {Name: "x", Role: "admin", Token: "canary"}, {Name: "y", Role: "admin", Token: token},
		{Name: "y", Role: "admin", Token: token + "2"}, {Name: "z", Role: "admin", Token: token},
	}})
	for _, want := range []string{
		"users[0]: id and role", "users[1]: id and role", "users[2]: id and role", `users[4]: id "c" is used twice`, `users[5]: login "c" is used twice`,
		"service_accounts[0]: name and role", "service_accounts[1]: x: the token is shorter", `service_accounts[3]: name "y" is used twice`,
		"service_accounts[4]: z: the token is also that of y", "jwt: issuer and audience",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("a secret is shown: %v", err)
	}
	if _, err := New(Options{}); err == nil {
		t.Error("no session store was taken")
	}
}

func TestLogins(t *testing.T) {
	a, _ := newAuth(t, nil)
	for _, login := range []string{"u-1", "ann@autobot.local", " ANN@AUTOBOT.LOCAL "} {
		if p, err := a.Login(t.Context(), login, password, "192.0.2.1"); err != nil || p.ID != "u-1" || p.Role != "admin" {
			t.Errorf("%q: %+v %v", login, p, err)
		}
	}
	for _, c := range [][2]string{{"u-1", "wrong"}, {"nobody", password}, {"", ""}, {"backend", token}, {"u-1", strings.Repeat("x", 2000)}} {
		if _, err := a.Login(t.Context(), c[0], c[1], "192.0.2."+fmt.Sprint(len(c[0]))); !errors.Is(err, ErrBadLogin) {
			t.Errorf("%q: %v", c, err)
		}
	}
	none, _ := newAuth(t, func(o *Options) { o.Users = nil })
	if _, err := none.Login(t.Context(), "u-1", password, ""); !errors.Is(err, ErrBadLogin) {
		t.Errorf("without users: %v", err)
	}
	broken, _ := newAuth(t, func(o *Options) { o.Users = []User{{ID: "u-1", Role: "admin", PasswordHash: "$2a$12$..."}} })
	if _, err := broken.Login(t.Context(), "u-1", "", ""); !errors.Is(err, ErrBadLogin) || len(broken.WithoutPassword()) != 1 {
		t.Errorf("an unreadable hash: %v %v", err, broken.WithoutPassword())
	}
}

func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newAuth(t, nil)
		try := func(pass, address string) error {
			_, err := a.Login(t.Context(), "u-1", pass, address)
			return err
		}
		waits := func(err error) time.Duration {
			if b, ok := errors.AsType[*BackoffError](err); ok {
				return b.RetryAfter
			}
			return 0
		}
		for i := range 5 {
			if err := try("wrong", "192.0.2.1"); !errors.Is(err, ErrBadLogin) {
				t.Fatalf("try %d: %v", i, err)
			}
		}
		if got := waits(try(password, "192.0.2.1")); got != time.Second {
			t.Errorf("after 5 failures one waits %s", got)
		}
		if err := try(password, "192.0.2.2"); err != nil {
			t.Errorf("the owner elsewhere: %v", err)
		}
		pass(time.Second)
		if err := try("wrong", "192.0.2.1"); !errors.Is(err, ErrBadLogin) {
			t.Errorf("after the wait: %v", err)
		}
		if got := waits(try("wrong", "192.0.2.1")); got != 2*time.Second {
			t.Errorf("then one waits %s", got)
		}
		pass(2 * time.Second)
		if err := try(password, "192.0.2.1"); err != nil {
			t.Errorf("the right password: %v", err)
		}
		for range 5 {
			if err := try("wrong", "192.0.2.1"); !errors.Is(err, ErrBadLogin) {
				t.Errorf("a success forgets the failures: %v", err)
			}
		}
		pass(2 * forgetFailures)
		if err := a.Prune(t.Context()); err != nil || len(a.logins.failed) != 0 {
			t.Errorf("%v, %d keys", err, len(a.logins.failed))
		}
	})
}

func TestBackoffRules(t *testing.T) {
	for _, c := range []struct {
		rule     backoffRule
		failures int
		want     time.Duration
	}{
		{rulePair, 4, 0}, {rulePair, 5, time.Second}, {rulePair, 10, 32 * time.Second}, {rulePair, 15, 15 * time.Minute}, {rulePair, 500, 15 * time.Minute},
		{ruleAccount, 19, 0}, {ruleAccount, 1000, 30 * time.Second}, {ruleAddress, 20, time.Second},
	} {
		if got := c.rule.wait(c.failures); got != c.want {
			t.Errorf("%+v after %d: %s", c.rule, c.failures, got)
		}
	}
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "odd": "odd", "::ffff:192.0.2.1": "::ffff:192.0.2.1",
	} {
		if got := network(address); got != want {
			t.Errorf("%s counts as %s", address, got)
		}
	}
	l := newLogins(1)
	for i := range maxFailureKeys {
		l.attempt(fmt.Sprint("name", i), fmt.Sprint("10.", i), time.Now())
	}
	if len(l.failed) > maxFailureKeys+3 {
		t.Errorf("%d keys are kept", len(l.failed))
	}
	l.attempt(strings.Repeat("x", 10000), "a", time.Now())
}

func TestHashingIsBounded(t *testing.T) {
	l := newLogins(1)
	l.slots <- struct{}{} // somebody is being hashed
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	refused := make(chan error, 100)
	for i := range 40 {
		wg.Go(func() {
			_, err := l.check(ctx, fmt.Sprint("u", i), fmt.Sprint("10.0.0.", i), annHash, "x")
			refused <- err
		})
	}
	for range 40 - (1 + maxHashWaiters) {
		if err := <-refused; !errors.Is(err, ErrHashingBusy) {
			t.Fatalf("%v", err)
		}
	}
	cancel()
	wg.Wait()
	for range 1 + maxHashWaiters {
		if err := <-refused; !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	}
	<-l.slots
	if ok, err := l.check(t.Context(), strings.Repeat("n", 500), "a", annHash, password); !ok || err != nil {
		t.Errorf("a free slot: %v %v", ok, err)
	}
}

func TestPasswordHashes(t *testing.T) {
	hash, err := HashPassword(password)
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("%s %v", hash, err)
	}
	if again, _ := HashPassword(password); again == hash {
		t.Error("two hashes have the same salt")
	}
	for _, h := range []string{hash, annHash} {
		if !VerifyPassword(h, password) || VerifyPassword(h, password+"x") || VerifyPassword(h, "") {
			t.Errorf("%s", h)
		}
	}
	for _, bad := range []string{"", strings.Repeat("x", MaxPasswordLength+1)} {
		if _, err := HashPassword(bad); err == nil {
			t.Errorf("a password of %d bytes was hashed", len(bad))
		}
	}
	for _, bad := range []string{
		"", "plain", "$1$abc", "$2a$12$...", "$2a$31$" + strings.Repeat("a", 53), "$2b$10$" + strings.Repeat("a", 10),
		"$argon2id$v=18$m=19456,t=2,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5", "$argon2id$v=19$m=x$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5",
		"$argon2id$v=19$m=99999999,t=2,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5", "$argon2id$v=19$m=19456,t=0,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5",
		"$argon2id$v=19$m=19456,t=2,p=1$!!$a2V5a2V5a2V5a2V5a2V5", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$a2V5", "$argon2id$v=19$m=19456,t=2,p=1",
	} {
		if VerifyPassword(bad, password) {
			t.Errorf("%q matches", bad)
		}
		if _, err := parseHash(bad); err == nil || (len(bad) > 8 && strings.Contains(err.Error(), bad)) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, m := newAuth(t, nil)
		p := mustLogin(t, a)
		cookie, s, err := a.StartSession(t.Context(), p, "192.0.2.1")
		if err != nil || s.Method != MethodSession || !s.Expires.Equal(time.Now().Add(DefaultSessionMax)) {
			t.Fatalf("%+v %v", s, err)
		}
		id, _, _ := strings.Cut(cookie, ".")
		for hash := range m.all {
			if strings.Contains(hash, id) || strings.Contains(cookie, hash) {
				t.Error("the id is stored as it is")
			}
		}
		use := func() error {
			_, err := a.Session(t.Context(), cookie)
			return err
		}
		for range 100 {
			if err := use(); err != nil {
				t.Fatal(err)
			}
		}
		if m.reads != 1 || m.writes != 1 {
			t.Errorf("100 uses cost %d reads and %d writes", m.reads, m.writes)
		}
		for range 10 {
			pass(DefaultSessionIdle - time.Minute)
			if err := use(); err != nil {
				t.Fatalf("used in time, but %v", err)
			}
		}
		for range 20 { // an open page that nobody looks at does not keep a session alive
			pass(DefaultSessionIdle / 20)
			_, _ = a.Refresh(t.Context(), s)
		}
		pass(time.Second)
		if err := use(); !errors.Is(err, ErrExpired) {
			t.Errorf("idle: %v", err)
		}

		cookie, s, _ = a.StartSession(t.Context(), p, "192.0.2.1")
		for time.Now().Before(s.Expires) {
			if err := use(); err != nil {
				t.Fatal(err)
			}
			pass(20 * time.Minute)
		}
		if err := use(); !errors.Is(err, ErrExpired) {
			t.Errorf("over: %v", err)
		}
		if _, err := a.Refresh(t.Context(), s); !errors.Is(err, ErrExpired) {
			t.Errorf("over: %v", err)
		}
		if err := a.Prune(t.Context()); err != nil || len(m.all) != 1 {
			t.Errorf("%v, %d left", err, len(m.all))
		}
	})
}

func TestSessionsThatEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, m := newAuth(t, nil)
		p := mustLogin(t, a)
		open := func() (string, Principal) {
			cookie, s, err := a.StartSession(t.Context(), p, "192.0.2.1")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.Session(t.Context(), cookie); err != nil {
				t.Fatal(err)
			}
			return cookie, s
		}
		invalid := func(name, cookie string, s Principal) {
			t.Helper()
			if _, err := a.Session(t.Context(), cookie); !errors.Is(err, ErrInvalidToken) {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := a.Refresh(t.Context(), s); !errors.Is(err, ErrInvalidToken) {
				t.Errorf("%s, open stream: %v", name, err)
			}
		}
		cookie, s := open()
		if err := a.Logout(t.Context(), s, false); err != nil {
			t.Error(err)
		}
		invalid("logged out", cookie, s)

		cookie, s = open()
		other, o := open()
		if err := a.Logout(t.Context(), s, true); err != nil {
			t.Error(err)
		}
		invalid("logged out", cookie, s)
		invalid("logged out everywhere", other, o)

		cookie, s = open()
		clear(m.all) // another process ended it
		pass(sessionCacheFor + time.Second)
		invalid("ended elsewhere", cookie, s)

		cookie, s = open()
		if err := update(t.Context(), a, nil, nil); err != nil {
			t.Error(err)
		}
		invalid("the user is gone", cookie, s)

		if err := update(t.Context(), a, []User{ann}, nil); err != nil {
			t.Error(err)
		}
		cookie, s = open()
		// Another process starts with a new password: the sessions are still in the store.
		changed := ann
		changed.PasswordHash, _ = HashPassword("new")
		next, err := New(Options{Users: []User{changed}, Sessions: m})
		if err != nil {
			t.Fatal(err)
		}
		a = next
		invalid("the password changed", cookie, s)

		for _, c := range []string{"", "x", strings.Repeat("x", 52), strings.Repeat("x", 200) + ".y", "short.check"} {
			if _, err := a.Session(t.Context(), c); !errors.Is(err, ErrInvalidToken) {
				t.Errorf("%q: %v", c, err)
			}
		}
	})
}

func TestAStoreThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, m := newAuth(t, nil)
		p := mustLogin(t, a)
		cookie, s, err := a.StartSession(t.Context(), p, "")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = a.Session(t.Context(), cookie)
		m.setBroken(true)
		if _, _, err := a.StartSession(t.Context(), p, ""); !errors.Is(err, errStore) {
			t.Errorf("%v", err)
		}
		if _, err := a.Session(t.Context(), cookie); err != nil {
			t.Errorf("just seen, but %v", err)
		}
		pass(time.Minute)
		for _, err := range []error{
			second(a.Session(t.Context(), cookie)), second(a.Refresh(t.Context(), s)), a.Logout(t.Context(), s, true), a.Prune(t.Context()),
			update(t.Context(), a, nil, nil),
		} {
			if !errors.Is(err, errStore) || errors.Is(err, ErrInvalidToken) {
				t.Errorf("%v", err)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestATouchThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, m := newAuth(t, nil)
		cookie, s, _ := a.StartSession(t.Context(), mustLogin(t, a), "")
		pass(2 * touchEvery)
		if _, err := a.Refresh(t.Context(), s); err != nil { // fills the cache without a write
			t.Fatal(err)
		}
		m.setBroken(true)
		if _, err := a.Session(t.Context(), cookie); !errors.Is(err, errStore) {
			t.Errorf("%v", err)
		}
	})
}

func TestTheCacheIsBounded(t *testing.T) {
	s := &sessions{cache: map[string]cachedSession{}}
	for i := range maxCachedSessions + 5 {
		s.remember(fmt.Sprint(i), cachedSession{})
	}
	if len(s.cache) > maxCachedSessions {
		t.Errorf("%d", len(s.cache))
	}
}

func TestServiceAccounts(t *testing.T) {
	a, _ := newAuth(t, nil)
	p, err := a.Bearer(t.Context(), token)
	if err != nil || p.ID != "backend" || p.Role != "operator" || p.Method != MethodService || p.IsAnonymous() {
		t.Fatalf("%+v %v", p, err)
	}
	if now, err := a.Refresh(t.Context(), p); err != nil || now.Role != "operator" {
		t.Errorf("%+v %v", now, err)
	}
	promoted := bot
	promoted.Role = "admin"
	_ = update(t.Context(), a, nil, []ServiceAccount{promoted})
	if now, err := a.Refresh(t.Context(), p); err != nil || now.Role != "admin" {
		t.Errorf("%+v %v", now, err)
	}
	promoted.Token += "2"
	_ = update(t.Context(), a, nil, []ServiceAccount{promoted})
	for name, err := range map[string]error{"old token": second(a.Bearer(t.Context(), token)), "open stream": second(a.Refresh(t.Context(), p))} {
		if !errors.Is(err, ErrInvalidToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := a.Logout(t.Context(), p, false); err != nil {
		t.Error(err)
	}
	if p := Anonymous(); !p.IsAnonymous() {
		t.Error("somebody")
	} else if now, err := a.Refresh(t.Context(), p); err != nil || now != p {
		t.Errorf("%+v %v", now, err)
	}
}

func TestTickets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newAuth(t, nil)
		p, _ := a.Bearer(t.Context(), token)
		issue := func() string {
			id, expires, err := a.IssueTicket(p, "192.0.2.1")
			if err != nil || !expires.Equal(time.Now().Add(TicketTTL)) {
				t.Fatal(err)
			}
			return id
		}
		id := issue()
		if got, err := a.RedeemTicket(t.Context(), id, "192.0.2.1"); err != nil || got.ID != "backend" {
			t.Errorf("%+v %v", got, err)
		}
		for name, c := range map[string]struct {
			id, address string
			wait        time.Duration
			want        error
		}{
			"used":            {id, "192.0.2.1", 0, ErrInvalidToken},
			"made up":         {"x", "192.0.2.1", 0, ErrInvalidToken},
			"another address": {issue(), "192.0.2.2", 0, ErrInvalidToken},
		} {
			if _, err := a.RedeemTicket(t.Context(), c.id, c.address); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		late := issue()
		pass(TicketTTL)
		if _, err := a.RedeemTicket(t.Context(), late, "192.0.2.1"); !errors.Is(err, ErrExpired) {
			t.Errorf("late: %v", err)
		}
		for range maxTickets {
			issue()
		}
		if _, _, err := a.IssueTicket(p, ""); !errors.Is(err, ErrTooManyTickets) {
			t.Errorf("%v", err)
		}
		pass(TicketTTL + time.Second)
		_ = a.Prune(t.Context())
		if len(a.tickets.open) != 0 {
			t.Errorf("%d are kept", len(a.tickets.open))
		}
	})
}

func TestBearerHeaders(t *testing.T) {
	for header, want := range map[string]string{"Bearer abc": "abc", "bearer  abc ": "abc", "Basic abc": "", "Bearer": "", "Bearer ": "", "": ""} {
		if got, ok := LooksLikeToken(header); (ok && got != want) || ok != (want != "") {
			t.Errorf("%q: %q %v", header, got, ok)
		}
	}
}

// update replaces the accounts and leaves the rest as it is.
func update(ctx context.Context, a *Authenticator, users []User, accounts []ServiceAccount) error {
	d, err := newDirectory(users, accounts)
	if err != nil {
		return err
	}
	idle, longest := a.sessions.limits()
	return a.Take(ctx, Change{directory: d, jwt: a.jwt.Load(), idle: idle, max: longest})
}
