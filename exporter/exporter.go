package exporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/exporter-toolkit/web"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/redis-medic/redis-medic/exporter/health"
)

// Options are the settings of an Exporter.
type Options struct {
	Listen        string // "host:port" or ":port"; ":0" picks a free one
	WebConfigFile string // Prometheus's web config file: TLS and basic auth; empty: plain
	Targets       []Target
	Units         UnitReader                                   // nil: the systemd layer is off
	HostStatus    func(service string) (reachable, known bool) // nil: not published
	OnChange      func(view, previous health.View)             // see ProberOptions
	Reload        func(ctx context.Context) error              // POST /-/reload; nil: 404
	Extra         []prometheus.Collector                       // what the other components publish on /metrics
	MaxRequests   int                                          // scrapes in flight; 0: DefaultMaxRequests
	ScrapeTimeout time.Duration                                // where Prometheus does not say; 0: DefaultScrapeTimeout
	Version       string
	Logger        zerolog.Logger
}

// Defaults of Options.
const (
	DefaultMaxRequests   = 40               // as node_exporter: more are a mistake or an attack
	DefaultScrapeTimeout = 10 * time.Second // Prometheus's own default
	shutdownGrace        = 5 * time.Second
)

// Exporter serves the metrics of all services and runs their Prober.
type Exporter struct {
	opt      Options
	prober   *Prober
	registry *prometheus.Registry
	self     *selfMetrics
	listener net.Listener
	inFlight chan struct{}
	ready    atomic.Bool
}

// New checks the options and binds the listener; it starts nothing.
func New(opt Options) (*Exporter, error) {
	if opt.MaxRequests <= 0 {
		opt.MaxRequests = DefaultMaxRequests
	}
	if opt.ScrapeTimeout <= 0 {
		opt.ScrapeTimeout = DefaultScrapeTimeout
	}
	if err := web.Validate(opt.WebConfigFile); err != nil {
		return nil, fmt.Errorf("web config file: %w", err)
	}
	prober, err := NewProber(ProberOptions{Targets: opt.Targets, Units: opt.Units, OnChange: opt.OnChange, Logger: opt.Logger})
	if err != nil {
		return nil, err
	}
	e := &Exporter{opt: opt, prober: prober, registry: prometheus.NewRegistry(), inFlight: make(chan struct{}, opt.MaxRequests)}
	e.self = newSelfMetrics(opt.Version)
	for _, c := range append([]prometheus.Collector{
		e.self, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}, opt.Extra...) {
		if err := e.registry.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	if e.listener, err = net.Listen("tcp", opt.Listen); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", opt.Listen, err)
	}
	return e, nil
}

// Addr is the address the listener is bound to.
func (e *Exporter) Addr() net.Addr { return e.listener.Addr() }

// Prober is what watches the services.
func (e *Exporter) Prober() *Prober { return e.prober }

// Run watches and serves until ctx ends and returns when all its goroutines have ended.
func (e *Exporter) Run(ctx context.Context) error {
	handler, err := e.handler()
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return e.prober.Run(ctx) })
	g.Go(func() error {
		systemd := false
		err := web.Serve(e.listener, server, &web.FlagConfig{WebConfigFile: &e.opt.WebConfigFile, WebSystemdSocket: &systemd}, e.slog())
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return fmt.Errorf("serve metrics: %w", err)
	})
	g.Go(func() error {
		<-ctx.Done()
		e.ready.Store(false)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		if err := server.Shutdown(grace); err != nil {
			e.opt.Logger.Warn().Err(err).Msg("connections to the metrics are cut")
			if err := server.Close(); err != nil {
				return fmt.Errorf("stop serving metrics: %w", err)
			}
		}
		return nil
	})
	e.ready.Store(true)
	return g.Wait()
}

func (e *Exporter) slog() *slog.Logger { return slog.New(zerolog.NewSlogHandler(e.opt.Logger)) }
