// Command dependant is an example: a small web application that keeps sessions and a cache in a Redis that redis-medic looks after.
// It follows the degraded mode. During an outage sessions live in memory and the cache is passed by; afterwards the sessions that
// began in memory move to Redis, and nobody was signed out.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"time"

	"github.com/redis-medic/redis-medic/controlapi/degradation"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "`ADDRESS` of the application")
	redis := flag.String("redis", "127.0.0.1:6379", "`ADDRESS` of Redis")
	api := flag.String("api", "http://127.0.0.1:8001", "`URL` of redis-medic's control API")
	service := flag.String("service", "redis", "the service's `ID` there")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *listen, *redis, *api, *service)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, listen, redis, api, service string) error {
	a := newApp(redis)
	follower, err := degradation.New(degradation.Options{
		URL: api, Service: service, Token: func() string { return os.Getenv("REDIS_MEDIC_TOKEN") },
		Enter: a.enter, Leave: a.leave,
		Failed: func(err error) { fmt.Fprintln(os.Stderr, err) }, // it goes on with what it knows
	})
	if err != nil {
		return err
	}
	followed := make(chan error, 1)
	go func() { followed <- follower.Run(ctx) }()
	server := &http.Server{Addr: listen, Handler: a, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-followed
}

// store keeps values for a while. An empty value is none.
type store interface {
	get(key string) (string, error)
	set(key, value string, ttl time.Duration) error
}

const (
	sessionTTL = time.Hour
	cacheTTL   = 10 * time.Second
)

// app is the application. It is safe for concurrent use.
type app struct {
	redis  store
	memory *memory
	// now says where things go; the zero value is Redis.
	now atomic.Pointer[degradation.Fallbacks]
}

func newApp(redis string) *app {
	a := &app{redis: remote{addr: redis}, memory: newMemory()}
	a.now.Store(&degradation.Fallbacks{})
	return a
}

// enter is called when the degraded mode begins. It only turns switches: what is slow would hold up the follower.
func (a *app) enter(s degradation.State) { a.now.Store(&s.Fallbacks) }

// leave is called when it is over. Sessions that began meanwhile go on in Redis; one that cannot be moved stays where it is.
func (a *app) leave(s degradation.State) {
	a.now.Store(&s.Fallbacks)
	a.memory.moveTo(a.redis, sessionTTL)
}

func (a *app) sessions() store {
	if a.now.Load().Sessions == degradation.InMemory {
		return a.memory
	}
	return a.redis
}

func (a *app) cached() bool { return a.now.Load().Cache != degradation.Bypass }

// ServeHTTP signs in with POST /login?user=NAME, and greets on GET /. The headers X-Sessions and X-Cache say where things went.
func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Sessions", cmp.Or(a.now.Load().Sessions, degradation.FromRedis))
	w.Header().Set("X-Cache", cmp.Or(a.now.Load().Cache, degradation.FromRedis))
	if r.Method == http.MethodPost && r.URL.Path == "/login" {
		id := rand.Text()
		if err := a.sessions().set("session:"+id, r.URL.Query().Get("user"), sessionTTL); err != nil {
			http.Error(w, "try again in a moment", http.StatusServiceUnavailable)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "session", Value: id, HttpOnly: true, Path: "/"})
		return
	}
	user := a.user(r)
	if user == "" {
		http.Error(w, "sign in", http.StatusUnauthorized)
		return
	}
	fmt.Fprintln(w, a.greeting(user))
}

// user is who a session belongs to. While Redis is away the sessions of before are out of reach, but the newer ones are not; once
// it is back, one that could not be moved is still in memory.
func (a *app) user(r *http.Request) string {
	c, err := r.Cookie("session")
	if err != nil {
		return ""
	}
	user, err := a.sessions().get("session:" + c.Value)
	if err != nil || user == "" {
		user, _ = a.memory.get("session:" + c.Value) // memory never fails
	}
	return user
}

// greeting stands for something that is worth a cache.
func (a *app) greeting(user string) string {
	if a.cached() {
		if text, err := a.redis.get("greeting:" + user); err == nil && text != "" {
			return text
		}
	}
	text := "Hello, " + user
	if a.cached() {
		_ = a.redis.set("greeting:"+user, text, cacheTTL) // a cache that cannot be written is no fault
	}
	return text
}
