// Package controlapi owns the face that people and programs talk to: REST, the event stream and the panel. Every route stands in
// one table with the permission it needs. It asks others for everything: the prober what is known, the remediator for every act,
// the audit log for a durable record of every attempt. It never touches a host itself.
package controlapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/exporter-toolkit/web"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/redis-medic/redis-medic/controlapi/authn"
	"github.com/redis-medic/redis-medic/controlapi/live"
	"github.com/redis-medic/redis-medic/remediator"
)

// The limits on connections. An operation extends its own write deadline.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
	maxStreams        = 64 // requests at once over one HTTP/2 connection
	pruneEvery        = time.Minute
)

// API is the control API. It is safe for concurrent use.
type API struct {
	log      zerolog.Logger
	listener net.Listener
	server   *http.Server

	settings  atomic.Pointer[settings]
	reloading sync.Mutex // one reload at a time
	panel     panel

	auth          *authn.Authenticator
	limits        *limits
	confirmations *confirmations
	operations    *operations
	hub           *live.Hub
	tails         *tails
	metrics       *metrics

	changed chan string // services of which the prober sees something new

	ready   atomic.Bool
	running sync.WaitGroup // operations that outlive their requests
}

// maxChanges is how many services may wait to have their change published.
const maxChanges = 1024

// New checks the options and binds the listener. It starts nothing; the caller must call Run, or Close.
func New(o Options) (*API, error) {
	a := &API{log: o.Logger.With().Str("component", component).Logger(), operations: newOperations(), changed: make(chan string, maxChanges)}
	if err := a.assemble(o); err != nil {
		return nil, fmt.Errorf("control api: %w", err)
	}
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("control api: %w", err)
	}
	a.listener = listener
	return a, nil
}

// assemble makes the parts from the options.
func (a *API) assemble(o Options) error {
	s, err := a.settle(o, nil)
	if err != nil {
		return err
	}
	a.settings.Store(s)
	a.limits, a.confirmations = newLimits(s.RateLimits), newConfirmations(s.ConfirmationTTL)
	if a.auth, err = authn.New(s.accounts()); err != nil {
		return err
	}
	a.warnWithoutPassword()
	if a.panel, err = loadPanel(o.Panel); err != nil {
		return err
	}
	a.hub = live.New(live.Options{Logger: a.log, Limits: s.streams(), Snapshot: a.snapshot, Prepare: a.prepare})
	a.tails = newTails(a)
	a.metrics = newMetrics(a.hub)
	a.server = &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.conf().router.ServeHTTP(w, r) }),
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes, ConnContext: withConn,
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog: slog.NewLogLogger(zerolog.NewSlogHandler(a.log), slog.LevelDebug),
	}
	return nil
}

// prepare makes the next answer about the service fresh, and puts a degradation into the form in which it can also be asked for.
// It must not ask the remediator, whose goroutine it runs on.
func (a *API) prepare(ev *remediator.Event) {
	if s, known := a.conf().services[ev.Service]; known {
		s.invalidate()
	}
	if ev.Type != remediator.EventDegradation {
		return
	}
	state := remediator.State{}
	if ev.Status == "entered" {
		state.DegradedSince = ev.Timestamp
		if payload, ok := ev.Degradation.(map[string]any); ok {
			if since, ok := payload["since"].(time.Time); ok {
				state.DegradedSince = since
			}
		}
	}
	ev.Degradation = a.newDegradationBody(ev.Service, state, ev.Timestamp)
}

func (a *API) warnWithoutPassword() {
	for _, id := range a.auth.WithoutPassword() {
		a.log.Warn().Str("user", id).Msg("the password hash of this user cannot be read: signing in with a password is not possible")
	}
}

// Addr is the address that the API listens on.
func (a *API) Addr() net.Addr { return a.listener.Addr() }

// Hub returns the event stream: the sink that the remediator publishes to.
func (a *API) Hub() *live.Hub { return a.hub }

// Handler returns the whole API as a handler, for tests that need no listener.
func (a *API) Handler() http.Handler { return a.server.Handler }

// Close releases the listener of an API that was never run.
func (a *API) Close() error { return a.listener.Close() }

// Run serves until ctx ends. Then it stops accepting, lets requests and operations in hand finish within the grace time, closes
// the event streams, and returns after all its goroutines have ended; an operation that takes longer goes on in the remediator.
func (a *API) Run(ctx context.Context) error {
	group, groupCtx := errgroup.WithContext(ctx)
	// The streams outlive the stop of the listener only by the order below.
	group.Go(func() error {
		config := a.conf().WebConfigFile
		err := web.Serve(a.listener, a.server, &web.FlagConfig{WebConfigFile: &config}, slog.New(zerolog.NewSlogHandler(a.log)))
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return fmt.Errorf("serve control api: %w", err)
	})
	group.Go(func() error { return a.hub.Run(groupCtx) })
	group.Go(func() error { return a.watch(groupCtx) })
	group.Go(func() error { return a.prune(groupCtx) })
	group.Go(func() error {
		a.ready.Store(true)
		<-groupCtx.Done()
		a.ready.Store(false)
		return a.shutdown()
	})
	err := group.Wait()
	a.tails.close()
	a.waitForOperations()
	return err
}

// shutdown ends the server; connections that are still busy after the grace time are cut.
func (a *API) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), a.conf().ShutdownGrace)
	defer cancel()
	defer func() { _ = a.listener.Close() }() // a server that never began does not close it
	if err := a.server.Shutdown(ctx); err != nil {
		a.log.Warn().Err(err).Msg("requests were cut at shutdown")
		return errors.Join(nil, a.server.Close())
	}
	return nil
}

// waitForOperations gives operations whose client has gone the rest of the grace time.
func (a *API) waitForOperations() {
	done := make(chan struct{})
	go func() {
		a.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(a.conf().ShutdownGrace):
		a.log.Warn().Msg("an operation is still running at shutdown; its record stays an intent without an outcome")
	}
}

// prune forgets what has ended: sessions, tickets, rate windows, confirmations.
func (a *API) prune(ctx context.Context) error {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			a.limits.prune(now)
			a.confirmations.prune(now)
			if err := a.auth.Prune(ctx); err != nil && ctx.Err() == nil {
				a.log.Warn().Err(err).Msg("sessions could not be pruned")
			}
		}
	}
}
