package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/crypto/ssh"

	"github.com/redis-medic/redis-medic/exporter/health"
)

const (
	systemBus    = "/run/dbus/system_bus_socket"
	systemdName  = "org.freedesktop.systemd1"
	managerPath  = dbus.ObjectPath("/org/freedesktop/systemd1")
	unitsPath    = managerPath + "/unit"
	managerIface = systemdName + ".Manager"
	propsIface   = "org.freedesktop.DBus.Properties"
)

// busRetry is the wait before a missing bus is tried again on the same connection.
const busRetry = 10 * time.Second

// maxBusCalls is how many units are asked about at a time. systemd answers one call after the other: hundreds at once would only wait
// in its queue, beyond their deadlines.
const maxBusCalls = 16

var errBusEnded = errors.New("the bus ended as soon as it was opened")

// bus is the system D-Bus of a host over one SSH connection.
type bus struct {
	c       *Client
	conn    *dbus.Conn
	systemd dbus.BusObject
	down    chan struct{} // closed when the bus connection has ended
	born    time.Time
	zone    atomic.Pointer[time.Location] // nil: not known yet
	slots   chan struct{}                 // calls under way

	mu       sync.Mutex // guards the fields below
	paths    map[string]dbus.ObjectPath
	watchers map[*watcher]dbus.ObjectPath
	matched  map[dbus.ObjectPath]bool // their signals are delivered to us

	managerSaid  *health.Manager // nil: not said yet
	managerAsked time.Time
}

// watcher is woken when something about its unit may have changed.
type watcher struct {
	wake chan struct{} // capacity 1
}

func (w *watcher) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// openBus returns the bus if one is open, without opening it.
func (c *Client) openBus() *bus {
	c.mu.Lock()
	l := c.cur
	c.mu.Unlock()
	if l == nil || l.dead() {
		return nil
	}
	if b := l.bus.Load(); b != nil && !b.ended() {
		return b
	}
	return nil
}

// getBus returns the link's bus, opening it when there is none. A bus that was found missing is tried again after busRetry.
func (l *link) getBus(ctx context.Context, unit Unit) (*bus, *Error) {
	l.busMu.Lock()
	defer l.busMu.Unlock()
	if b := l.bus.Load(); b != nil {
		if !b.ended() {
			return b, nil
		}
		if l.busMissing == nil && time.Since(b.born) < stableAfter {
			l.busTried, l.busMissing = time.Now(), l.c.busFailure(errBusEnded)
		}
	}
	if l.busMissing != nil && time.Since(l.busTried) < busRetry {
		return nil, l.busMissing
	}
	b, err := l.dialBus(ctx, unit)
	if err != nil {
		failure := l.c.busFailure(err)
		if ctx.Err() == nil {
			l.busTried, l.busMissing = time.Now(), failure
		}
		return nil, failure
	}
	l.busMissing = nil
	l.bus.Store(b)
	return b, nil
}

// closeBus ends the bus of a dead link.
func (l *link) closeBus() {
	if b := l.bus.Load(); b != nil {
		_ = b.conn.Close()
	}
}

// dialBus opens the bus under the deadline of a command. The greeting can hang and knows no context; closing the stream ends it as
// soon as the far side confirms that.
func (l *link) dialBus(ctx context.Context, unit Unit) (*bus, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, l.c.o.CommandTimeout, errCommandDeadline)
	defer cancel()
	stream, err := l.busStream(ctx, unit)
	if err != nil {
		return nil, err
	}
	b := &bus{
		c: l.c, born: time.Now(), down: make(chan struct{}), slots: make(chan struct{}, maxBusCalls), paths: map[string]dbus.ObjectPath{},
		watchers: map[*watcher]dbus.ObjectPath{}, matched: map[dbus.ObjectPath]bool{},
	}
	b.conn, err = dbus.NewConn(&frames{rw: stream}, dbus.WithIncomingInterceptor(harmless),
		dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if err != nil {
		return nil, errors.Join(err, stream.Close())
	}
	b.systemd = b.conn.Object(systemdName, managerPath)
	greeted := make(chan error, 1)
	l.c.wg.Go(func() { greeted <- b.greet(ctx) })
	select {
	case err = <-greeted:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = b.conn.Close()
		return nil, err
	}
	signals := make(chan *dbus.Signal, 64)
	b.conn.Signal(signals)
	l.c.wg.Go(func() { b.dispatch(signals) })
	return b, nil
}

// greet authenticates and subscribes to what systemd says of its units. The credentials are those of the process on the host;
// no user id is sent.
func (b *bus) greet(ctx context.Context) error {
	if err := b.conn.Auth([]dbus.Auth{dbus.AuthExternal("")}); err != nil {
		return fmt.Errorf("authenticate on the bus: %w", err)
	}
	if err := b.conn.Hello(); err != nil {
		return fmt.Errorf("greet the bus: %w", err)
	}
	matches := [][]dbus.MatchOption{
		{dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, systemdName)},
		{dbus.WithMatchSender(systemdName), dbus.WithMatchInterface(managerIface), dbus.WithMatchMember("Reloading")},
	}
	for _, m := range matches {
		if err := b.conn.AddMatchSignalContext(ctx, m...); err != nil {
			return fmt.Errorf("match signals: %w", err)
		}
	}
	return b.subscribe(ctx)
}

func (b *bus) subscribe(ctx context.Context) error {
	if err := b.systemd.CallWithContext(ctx, managerIface+".Subscribe", 0).Err; err != nil {
		return fmt.Errorf("subscribe to systemd: %w", err)
	}
	return nil
}

// harmless defuses messages on which the D-Bus library would fall over or act: it runs before the library looks at them. A host
// may be compromised; it must not take its monitor down.
func harmless(m *dbus.Message) {
	switch m.Type {
	case dbus.TypeMethodCall:
		m.Type = 0 // we serve nothing
	case dbus.TypeSignal:
		member, _ := m.Headers[dbus.FieldMember].Value().(string)
		if member != "NameLost" && member != "NameAcquired" {
			return
		}
		if len(m.Body) == 0 {
			m.Type = 0
		} else if _, ok := m.Body[0].(string); !ok {
			m.Type = 0
		}
	}
}

func (b *bus) ended() bool {
	select {
	case <-b.down:
		return true
	default:
		return !b.conn.Connected()
	}
}

// dispatch wakes the watchers that a signal concerns, until the connection ends, which closes signals.
func (b *bus) dispatch(signals <-chan *dbus.Signal) {
	defer close(b.down)
	for s := range signals {
		switch s.Name {
		case propsIface + ".PropertiesChanged":
			b.poke(s.Path)
		case managerIface + ".Reloading":
			b.poke("")
		case "org.freedesktop.DBus.NameOwnerChanged":
			if owner, _ := last(s.Body).(string); owner == "" {
				continue // systemd is about to come back
			}
			// After a re-execution systemd may have forgotten us.
			b.c.wg.Go(b.resubscribe)
		}
	}
}

func last(body []any) any {
	if len(body) == 0 {
		return nil
	}
	return body[len(body)-1]
}

func (b *bus) resubscribe() {
	ctx, cancel := context.WithTimeoutCause(b.c.ctx, b.c.o.CommandTimeout, errCommandDeadline)
	defer cancel()
	if err := b.subscribe(ctx); err != nil {
		_ = b.conn.Close()
		return
	}
	b.poke("")
}

// poke wakes the watchers of one path, or all.
func (b *bus) poke(path dbus.ObjectPath) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for w, p := range b.watchers {
		if path == "" || p == path {
			w.poke()
		}
	}
}

// enter waits for a slot, which leave gives back. The wait counts against ctx, but not against the deadline of the call itself.
func (b *bus) enter(ctx context.Context) error {
	select {
	case b.slots <- struct{}{}:
		return nil
	case <-b.down:
		return errLinkDown
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (b *bus) leave() { <-b.slots }

// path returns the object of a unit. LoadUnit, not GetUnit: a stopped unit may not be in memory.
func (b *bus) path(ctx context.Context, name string) (dbus.ObjectPath, error) {
	b.mu.Lock()
	path, ok := b.paths[name]
	b.mu.Unlock()
	if ok {
		return path, nil
	}
	if err := b.systemd.CallWithContext(ctx, managerIface+".LoadUnit", 0, name).Store(&path); err != nil {
		return "", fmt.Errorf("load unit: %w", err)
	}
	b.mu.Lock()
	b.paths[name] = path
	b.mu.Unlock()
	return path, nil
}

// read reads all properties of a unit in one answer, so that they belong together.
func (b *bus) read(ctx context.Context, unit Unit) (health.Unit, error) {
	path, err := b.path(ctx, unit.Name)
	if err != nil {
		return health.Unit{}, err
	}
	var props busProps
	if err := b.conn.Object(systemdName, path).CallWithContext(ctx, propsIface+".GetAll", 0, "").Store(&props); err != nil {
		return health.Unit{}, fmt.Errorf("read properties: %w", err)
	}
	return unitOf(props)
}

// watch has the watcher woken by changes of the unit until the returned function is called.
func (b *bus) watch(ctx context.Context, unit Unit, w *watcher) (func(), error) {
	path, err := b.path(ctx, unit.Name)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	b.watchers[w] = path
	matched := b.matched[path] || b.matched[unitsPath]
	b.mu.Unlock()
	if matched {
		return func() { b.unwatch(w) }, nil
	}
	if err := b.match(ctx, path); err != nil {
		b.unwatch(w)
		return nil, fmt.Errorf("match signals: %w", err)
	}
	return func() { b.unwatch(w) }, nil
}

// maxMatches is how many units are matched one by one. D-Bus grants a connection 512 matches on the system bus; a host with more
// units than this is listened to as a whole, and what does not concern us is left aside here.
const maxMatches = 128

// match asks for the changes of a unit. A match stays when its watcher goes: another one may use it, and an unused one costs nothing.
func (b *bus) match(ctx context.Context, path dbus.ObjectPath) error {
	rule := dbus.WithMatchObjectPath(path)
	b.mu.Lock()
	all := len(b.matched) >= maxMatches
	b.mu.Unlock()
	if all {
		path, rule = unitsPath, dbus.WithMatchPathNamespace(unitsPath)
	}
	err := b.conn.AddMatchSignalContext(ctx, dbus.WithMatchSender(systemdName), rule,
		dbus.WithMatchInterface(propsIface), dbus.WithMatchMember("PropertiesChanged"))
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.matched[path] = true
	return nil
}

func (b *bus) unwatch(w *watcher) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.watchers, w)
}

// busFailure classifies a failure of the bus.
func (c *Client) busFailure(err error) *Error {
	var failure *Error
	var reply dbus.Error
	switch {
	case errors.As(err, &failure):
		return failure
	case errors.Is(err, errCommandDeadline), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		failure = c.fail(health.ClassTimeout, "systemd on the host did not answer in time", err)
	case errors.As(err, &reply) && (reply.Name == "org.freedesktop.DBus.Error.AccessDenied" || reply.Name == "org.freedesktop.DBus.Error.AuthFailed"):
		failure = c.fail(health.ClassDenied, "the bus on the host refused us", err)
	case errors.As(err, &reply) && (reply.Name == "org.freedesktop.DBus.Error.NoReply" || reply.Name == "org.freedesktop.DBus.Error.TimedOut"):
		failure = c.fail(health.ClassTimeout, "systemd on the host did not answer in time", err)
	default:
		failure = c.fail(health.ClassCommand, "systemd on the host cannot be asked over its bus", err)
	}
	failure.Verb = VerbBus
	return failure
}

// busStream opens the stream to the bus: with the gate its verb, without it a forwarded socket or, where forwarding is off, the
// bridge as a command.
func (l *link) busStream(ctx context.Context, unit Unit) (io.ReadWriteCloser, error) {
	cmd := Command{Verb: VerbBus, Unit: unit}
	if l.c.o.Gate {
		line, err := cmd.GateLine()
		if err != nil {
			return nil, err
		}
		return l.startBridge(ctx, line)
	}
	if conn, err := l.forward(ctx); err == nil {
		return conn, nil
	}
	line, err := cmd.ShellLine()
	if err != nil {
		return nil, err
	}
	return l.startBridge(ctx, line)
}

// startBridge runs a command that speaks D-Bus on its standard input and output.
func (l *link) startBridge(ctx context.Context, line string) (io.ReadWriteCloser, error) {
	s, err := l.open(ctx)
	if err != nil {
		return nil, err
	}
	stdin, err := s.StdinPipe()
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	stdout, err := s.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	started := make(chan error, 1)
	l.c.wg.Go(func() { started <- s.Start(line) })
	select {
	case err = <-started:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &bridge{Reader: stdout, Writer: stdin, session: s}, nil
}

// bridge is the stream of a session.
type bridge struct {
	io.Reader
	io.Writer
	session *ssh.Session
}

// Close ends the session; the program on the far side ends with its input.
func (b *bridge) Close() error { return b.session.Close() }
