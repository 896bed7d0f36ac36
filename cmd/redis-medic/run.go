package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/cmd/internal/config"
	"github.com/redis-medic/redis-medic/exporter/metric"
)

// The components that run can start.
const (
	componentExporter   = "exporter"
	componentRemediator = "remediator"
	componentControlAPI = "controlapi"
)

var allComponents = []string{componentExporter, componentRemediator, componentControlAPI}

// components is a flag that may be repeated.
type components []string

// String implements flag.Value.
func (c *components) String() string { return strings.Join(*c, ",") }

// Set implements flag.Value.
func (c *components) Set(s string) error {
	if !slices.Contains(allComponents, s) {
		return fmt.Errorf("want %s, %s or %s", componentExporter, componentRemediator, componentControlAPI)
	}
	*c = append(*c, s)
	return nil
}

func (c components) has(name string) bool { return slices.Contains(c, name) }

// runServer runs the components until ctx ends or one of them fails. A reload changes them while they run; only where that cannot
// be, as with another listener, they end as at a shutdown and start anew. A bad configuration changes nothing.
func runServer(ctx context.Context, c console, args []string) error {
	f := newFlags(c, "run", "[--config FILE] [--component NAME]...")
	file := f.String("config", defaultConfig, "the configuration `FILE`")
	level := f.String("log.level", "info", "the least `LEVEL` that is logged: debug, info, warn, error")
	format := f.String("log.format", "json", "the `FORMAT` of the log: json or console")
	var parts components
	f.Var(&parts, "component", "start only this `NAME`: exporter, remediator or controlapi; may be repeated")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	log, err := newLogger(c.err, *level, *format)
	if err != nil {
		fmt.Fprintln(c.err, err)
		return errUsage
	}
	if len(parts) == 0 {
		parts = allComponents
	}
	if parts.has(componentControlAPI) && !parts.has(componentRemediator) {
		fmt.Fprintln(c.err, "redis-medic run: the controlapi asks the remediator of its own process: add --component remediator")
		return errUsage
	}
	s := &server{file: *file, parts: parts, log: log, reloads: make(chan settings, 1), metrics: newProcessMetrics()}
	first, err := s.load()
	if err != nil {
		return faults(*file, err)
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	go s.reloadOnSignal(ctx, hup)
	return s.run(ctx, first)
}

func newLogger(w io.Writer, level, format string) (zerolog.Logger, error) {
	l, err := zerolog.ParseLevel(level)
	if err != nil || l == zerolog.NoLevel || l > zerolog.ErrorLevel {
		return zerolog.Nop(), fmt.Errorf("redis-medic run: --log.level %q is not debug, info, warn or error", level)
	}
	switch format {
	case "json":
	case "console":
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: "15:04:05.000"}
	default:
		return zerolog.Nop(), fmt.Errorf("redis-medic run: --log.format %q is not json or console", format)
	}
	return zerolog.New(w).Level(l).With().Timestamp().Logger(), nil
}

// settings is a configuration and what it means.
type settings struct {
	config *config.Config
	plan   *plan
}

// server keeps the components running with the newest good configuration.
type server struct {
	file    string
	parts   components
	log     zerolog.Logger
	reloads chan settings // holds the newest one that is not in force yet
	metrics *processMetrics
	replica *replica // nil: the store is a folder, and this process alone
	program programRecorder
}

func (s *server) load() (settings, error) {
	cfg, todo, err := loadConfig(s.file)
	if err != nil {
		s.metrics.reloaded.Set(0)
		return settings{}, err
	}
	for _, w := range cfg.Warnings {
		s.log.Warn().Str("file", s.file).Msg(w)
	}
	return settings{config: cfg, plan: todo}, nil
}

// reload reads the configuration again. A good one comes into force soon after; with a bad one the old one stays and the error
// says what is wrong. It may be called concurrently.
func (s *server) reload() error {
	next, err := s.load()
	if err != nil {
		s.log.Error().Err(err).Str("file", s.file).Msg("the new configuration is bad, the old one stays in force")
		s.program.record("config.reload", "the new configuration is bad, the old one stays in force", err, nil)
		return err
	}
	s.program.record("config.reload", "the new configuration is good and comes into force", nil, nil)
	for {
		select {
		case s.reloads <- next:
			return nil
		case <-s.reloads: // one that never came into force
		}
	}
}

func (s *server) reloadOnSignal(ctx context.Context, hup <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			_ = s.reload() // logged and measured there; nobody waits for an answer
		}
	}
}

// run starts the components with a configuration, and again with each new one. When a new one cannot be started, for example
// because its port is taken, the one before it is.
func (s *server) run(ctx context.Context, now settings) (err error) {
	defer func() { err = errors.Join(err, s.leave()) }()
	var before *settings // nil at first, and after going back
	back := false
	for {
		p, tasks, err := s.make(ctx, now.plan)
		if err != nil {
			if before == nil {
				return err
			}
			s.metrics.reloaded.Set(0)
			s.log.Error().Err(err).Msg("the new configuration cannot be started, going back to the old one")
			now, before, back = *before, nil, true
			continue
		}
		if !back {
			s.metrics.took(time.Now())
		}
		s.log.Info().Str("version", version).Str("file", now.config.File).Int("services", len(now.config.Services)).
			Strs("components", tasks).Msg("redis-medic is running")
		last, next, err := s.runParts(ctx, p, now)
		if err != nil || next == nil {
			return err
		}
		before, now, back = &last, *next, false
	}
}

// make makes the parts that this process runs now: all, or only those of a replica that does not lead.
func (s *server) make(ctx context.Context, p *plan) (*parts, components, error) {
	if err := s.join(ctx, p); err != nil {
		return nil, nil, err
	}
	tasks := s.replica.tasks(s.parts)
	made, err := wire(ctx, wiring{plan: p, replica: s.replica, parts: tasks, log: s.log, metrics: s.metrics, reload: s.reload, program: &s.program})
	return made, tasks, err
}

// runParts runs a set of components, and lets them take over each new configuration that they can. It returns when they have ended:
// with the configuration that was in force and the one that needs new parts, or with nil for it when ctx ended.
func (s *server) runParts(ctx context.Context, p *parts, now settings) (last settings, next *settings, err error) {
	runCtx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- p.run(runCtx) }()
	duty, release := s.replica.begin(ctx)
	defer release()
	notify(s.log, "READY=1")
	for next == nil {
		select {
		case err := <-done:
			if ctx.Err() == nil && err == nil {
				err = errors.New("a component ended by itself")
			}
			return now, nil, err
		case <-ctx.Done():
			notify(s.log, "STOPPING=1")
			s.log.Info().Msg("shutting down")
			return now, nil, <-done
		case err := <-duty:
			s.log.Info().Err(err).Msg("the leader has changed: everything starts anew")
			next = &now
		case another := <-s.reloads:
			if s.takenOver(ctx, p, another) {
				now = another
				continue
			}
			next = &another
		}
	}
	stop()
	if err := <-done; err != nil {
		s.log.Error().Err(err).Msg("the parts did not end well")
	}
	return now, next, nil
}

// takenOver puts a configuration into force in running parts, and reports whether that could be.
func (s *server) takenOver(ctx context.Context, p *parts, next settings) bool {
	if !p.live.fits(next.plan) {
		s.log.Info().Str("file", s.file).Msg("the new configuration needs new listeners or files: everything starts anew")
		return false
	}
	if err := p.live.take(ctx, next.plan); err != nil {
		s.log.Error().Err(err).Msg("the running parts could not take over the new configuration: everything starts anew")
		return false
	}
	s.metrics.took(time.Now())
	s.log.Info().Str("file", s.file).Int("services", len(next.config.Services)).Msg("the new configuration is in force")
	return true
}

// processMetrics are the families of the process itself. They outlive a reload.
type processMetrics struct {
	reloaded, reloadedAt, leader prometheus.Gauge
}

func (m *processMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.reloaded, m.reloadedAt, m.leader}
}

func newProcessMetrics() *processMetrics {
	return &processMetrics{
		reloaded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: metric.ConfigReloaded, Help: metric.Help(metric.ConfigReloaded),
		}),
		reloadedAt: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: metric.ConfigReloadedAt, Help: metric.Help(metric.ConfigReloadedAt),
		}),
		leader: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: metric.Leader, Help: metric.Help(metric.Leader),
		}),
	}
}

func (m *processMetrics) took(now time.Time) {
	m.reloaded.Set(1)
	m.reloadedAt.Set(float64(now.UnixMilli()) / 1000)
}
