// Package stack starts everything that stands beside a Redis host: a real Prometheus, a real Alertmanager, a mail sink and
// redis-medic, each with the configuration that the project ships, on loopback, in a folder of their own. Tests and the demo use
// it. Nothing of it stays when Down was called or the process that called Up is gone, however it went.
package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/redis-medic/redis-medic/deploy"
	"github.com/redis-medic/redis-medic/deploy/lab"
)

// Ports are where the parts listen on 127.0.0.1; 0 is a free one.
type Ports struct {
	Exporter, Remediator, ControlAPI, Prometheus, Alertmanager, SMTP int
}

// DefaultPorts are those of the shipped configuration.
func DefaultPorts() Ports {
	return Ports{Exporter: 9121, Remediator: 9122, ControlAPI: 8001, Prometheus: 9090, Alertmanager: 9093, SMTP: 1025}
}

// Options say what to start. Host and Binary are required.
type Options struct {
	Host   *lab.Host
	Binary string // bin/redis-medic
	Rules  string // folder of the rule files; empty: alerts/rules of this module
	Ports  Ports
	// Services is a block "services:" in YAML for more services on the host; empty: none.
	Services string
	// Edit changes redis-medic's configuration before it is written; nil: it stays as it is shipped.
	Edit func(yaml string) string
	// WithoutPrometheus starts neither Prometheus nor Alertmanager, for tests that send their own webhooks.
	WithoutPrometheus bool
	// WithoutMedic does not start redis-medic; StartMedic does.
	WithoutMedic bool
	// LogDir keeps the programs' output in a folder that outlives the stack; empty: it goes with the stack.
	LogDir string
	// Log receives one line per step; nil: none.
	Log io.Writer
}

// Stack is everything that Up started. Its fields do not change; its methods may be called from several goroutines.
type Stack struct {
	Dir          string // working folder, mode 0700
	LogDir       string // one file per program
	ConfigFile   string // redis-medic's configuration
	Exporter     string // http://host:port of each part
	Remediator   string
	ControlAPI   string
	Prometheus   string
	Alertmanager string
	Users        []User
	Mail         *MailSink

	opts    Options
	secrets secrets
	ports   Ports

	mu       sync.Mutex // guards the fields below
	medic    *process
	others   []*process
	watchdog *watchdog
	down     bool
}

// User may sign in to the panel.
type User struct{ ID, Email, Role, Password string }

// Bounds of the work. They are generous: the machine may be busy.
const (
	readyTimeout = 60 * time.Second
	stopTimeout  = 30 * time.Second
)

// Up starts everything and returns when Prometheus has scraped redis-medic and evaluated its rules. On an error nothing stays
// behind; the error holds the last words of the program that failed.
func Up(ctx context.Context, opts Options) (*Stack, error) {
	if opts.Host == nil || opts.Binary == "" {
		return nil, errors.New("stack options: Host and Binary are required")
	}
	if opts.Log == nil {
		opts.Log = io.Discard
	}
	s := &Stack{opts: opts}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Down())
	}
	return s, nil
}

func (s *Stack) start(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "redis-medic-stack-")
	if err != nil {
		return fmt.Errorf("stack: %w", err)
	}
	s.Dir, s.LogDir = dir, s.opts.LogDir
	if s.LogDir == "" {
		s.LogDir = filepath.Join(dir, "log")
	}
	if s.watchdog, err = watch(dir); err != nil {
		return err
	}
	if s.ports, err = fill(s.opts.Ports); err != nil {
		return err
	}
	s.Exporter, s.Remediator, s.ControlAPI = s.url(s.ports.Exporter), s.url(s.ports.Remediator), s.url(s.ports.ControlAPI)
	s.Prometheus, s.Alertmanager = s.url(s.ports.Prometheus), s.url(s.ports.Alertmanager)
	if err := s.writeFiles(); err != nil {
		return err
	}
	if s.Mail, err = newMailSink(loopback(s.ports.SMTP)); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	if !s.opts.WithoutMedic {
		g.Go(func() error { return s.StartMedic(gctx) })
	}
	if !s.opts.WithoutPrometheus {
		g.Go(func() error { return s.startAlertmanager(gctx) })
		g.Go(func() error { return s.startPrometheus(gctx) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if s.opts.WithoutPrometheus || s.opts.WithoutMedic {
		return nil
	}
	return s.waitForChain(ctx)
}

// StartMedic starts redis-medic, after Up with WithoutMedic, KillMedic or StopMedic. It returns when it is ready.
func (s *Stack) StartMedic(ctx context.Context) error {
	s.mu.Lock()
	if s.medic != nil && s.medic.running() {
		s.mu.Unlock()
		return errors.New("redis-medic runs already")
	}
	p, err := startProcess(s.LogDir, "redis-medic", s.opts.Binary, "run", "--config", s.ConfigFile)
	s.medic = p
	s.mu.Unlock()
	if err != nil {
		return err
	}
	for _, base := range []string{s.Exporter, s.Remediator, s.ControlAPI} {
		if err := waitReady(ctx, p, base+"/-/ready"); err != nil {
			return err
		}
	}
	s.say("redis-medic is ready at %s", s.ControlAPI)
	return nil
}

// KillMedic ends redis-medic with SIGKILL, as a crash would.
func (s *Stack) KillMedic() error { return s.endMedic((*process).kill) }

// StopMedic ends redis-medic as systemd would, and waits for it.
func (s *Stack) StopMedic() error { return s.endMedic((*process).stop) }

// Signal sends a signal to Prometheus or Alertmanager ("prometheus", "prometheus-alertmanager"): SIGSTOP freezes it, SIGCONT lets it go on.
func (s *Stack) Signal(name string, sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.others {
		if p.name == name && p.running() {
			if err := p.cmd.Process.Signal(sig); err != nil {
				return fmt.Errorf("signal %s: %w", name, err)
			}
			return nil
		}
	}
	return fmt.Errorf("signal %s: it does not run", name)
}

func (s *Stack) endMedic(how func(*process) error) error {
	s.mu.Lock()
	p := s.medic
	s.mu.Unlock()
	if p == nil {
		return errors.New("redis-medic was not started")
	}
	return how(p)
}

// MedicPID is the process id of redis-medic, 0 when it does not run.
func (s *Stack) MedicPID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.medic == nil || !s.medic.running() {
		return 0
	}
	return s.medic.pid()
}

func (s *Stack) startAlertmanager(ctx context.Context) error {
	addr := loopback(s.ports.Alertmanager)
	p, err := s.startOther("prometheus-alertmanager", "--config.file="+filepath.Join(s.Dir, "alertmanager.yml"), "--web.listen-address="+addr,
		"--storage.path="+filepath.Join(s.Dir, "alertmanager"), "--cluster.listen-address=")
	if err != nil {
		return err
	}
	if err := waitReady(ctx, p, s.Alertmanager+"/-/ready"); err != nil {
		return err
	}
	s.say("Alertmanager is ready at %s", s.Alertmanager)
	return nil
}

func (s *Stack) startPrometheus(ctx context.Context) error {
	addr := loopback(s.ports.Prometheus)
	p, err := s.startOther("prometheus", "--config.file="+filepath.Join(s.Dir, "prometheus.yml"), "--web.listen-address="+addr,
		"--storage.tsdb.path="+filepath.Join(s.Dir, "prometheus"), "--web.enable-lifecycle")
	if err != nil {
		return err
	}
	if err := waitReady(ctx, p, s.Prometheus+"/-/ready"); err != nil {
		return err
	}
	s.say("Prometheus is ready at %s", s.Prometheus)
	return nil
}

func (s *Stack) startOther(program string, args ...string) (*process, error) {
	p, err := startProcess(s.LogDir, program, program, args...)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.others = append(s.others, p)
	return p, nil
}

// Down ends everything and removes the working folder. It may be called more than once.
func (s *Stack) Down() error {
	s.mu.Lock()
	if s.down {
		s.mu.Unlock()
		return nil
	}
	s.down = true
	all := append([]*process{}, s.others...)
	if s.medic != nil {
		all = append(all, s.medic)
	}
	s.mu.Unlock()
	var g errgroup.Group
	for _, p := range all {
		g.Go(p.stop)
	}
	err := g.Wait()
	if s.Mail != nil {
		err = errors.Join(err, s.Mail.close())
	}
	if s.Dir != "" {
		err = errors.Join(err, os.RemoveAll(s.Dir))
	}
	if s.watchdog != nil {
		err = errors.Join(err, s.watchdog.dismiss())
	}
	return err
}

func (s *Stack) say(format string, args ...any) { fmt.Fprintf(s.opts.Log, format+"\n", args...) }

func (s *Stack) url(port int) string { return "http://" + loopback(port) }

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// fill gives every part without a port a free one.
func fill(p Ports) (Ports, error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	for _, port := range []*int{&p.Exporter, &p.Remediator, &p.ControlAPI, &p.Prometheus, &p.Alertmanager, &p.SMTP} {
		l, err := net.Listen("tcp", loopback(*port))
		if err != nil {
			return p, fmt.Errorf("stack: port %d is taken by another program: %w", *port, err)
		}
		held = append(held, l)
		*port = l.Addr().(*net.TCPAddr).Port
	}
	return p, nil
}

// settings are what the shipped configuration is given.
func (s *Stack) settings() deploy.Settings {
	h := s.opts.Host
	return deploy.Settings{
		SSHAddress: h.SSHAddress, SSHUser: h.User, RedisIP: h.Address, Etc: filepath.Join(s.Dir, "etc"), State: filepath.Join(s.Dir, "state"),
		Exporter: loopback(s.ports.Exporter), Remediator: loopback(s.ports.Remediator), ControlAPI: loopback(s.ports.ControlAPI),
		Alertmanager: loopback(s.ports.Alertmanager), NoGate: h.Access != lab.AccessGate, Services: s.opts.Services,
	}
}
