package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
)

// ErrUnknownService is returned for a service that the fleet has no host for.
var ErrUnknownService = errors.New("unknown service")

// Member is where a service lives.
type Member struct {
	Client *Client
	Unit   Unit
}

// Fleet maps the id of each service to its host and unit. All its methods may be called concurrently.
type Fleet struct {
	mu        sync.Mutex // guards the fields below
	members   map[string]Member
	changed   chan struct{} // closed and replaced when members change
	listeners []func(service string, status ConnStatus)
	hooked    map[*Client]bool
}

// NewFleet makes a fleet. It takes the clients over: Set and Close close them.
func NewFleet(members map[string]Member) *Fleet {
	f := &Fleet{changed: make(chan struct{}), hooked: map[*Client]bool{}}
	f.replace(members)
	return f
}

// replace puts the members in place and returns the clients that are not used any more.
func (f *Fleet) replace(members map[string]Member) []*Client {
	f.mu.Lock()
	old := clientsOf(f.members)
	f.members = maps.Clone(members)
	close(f.changed)
	f.changed = make(chan struct{})
	used := clientsOf(f.members)
	var added, gone []*Client
	for c := range used {
		if !f.hooked[c] {
			f.hooked[c] = true
			added = append(added, c)
		}
	}
	for c := range old {
		if !used[c] {
			gone = append(gone, c)
			delete(f.hooked, c)
		}
	}
	f.mu.Unlock()
	// Not under the lock: a client that tells its status holds its own lock while it asks for ours.
	for _, c := range added {
		c.OnStatus(func(s ConnStatus) { f.tell(c, s) })
	}
	return gone
}

func clientsOf(members map[string]Member) map[*Client]bool {
	out := make(map[*Client]bool, len(members))
	for _, m := range members {
		out[m.Client] = true
	}
	return out
}

// Set replaces the mapping, as a reload of the configuration does. Watches move to the new host by themselves; clients that are
// not part of the new mapping are closed, which cuts commands under way on them.
func (f *Fleet) Set(members map[string]Member) {
	for _, c := range f.replace(members) {
		_ = c.Close()
	}
}

// Close closes all clients. The fleet then knows no service.
func (f *Fleet) Close() error {
	f.Set(nil)
	return nil
}

// Services lists the ids, sorted.
func (f *Fleet) Services() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.members))
}

// Member returns where a service lives.
func (f *Fleet) Member(service string) (Member, bool) {
	m, _, ok := f.find(service)
	return m, ok
}

func (f *Fleet) find(service string) (Member, <-chan struct{}, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.members[service]
	return m, f.changed, ok
}

// OnStatus adds a listener that is called, for each service of a host, after each change of the host's connection status. It
// must not block and must not call Set or Close.
func (f *Fleet) OnStatus(fn func(service string, status ConnStatus)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listeners = append(f.listeners, fn)
}

func (f *Fleet) tell(c *Client, s ConnStatus) {
	f.mu.Lock()
	listeners := slices.Clone(f.listeners)
	var services []string
	for id, m := range f.members {
		if m.Client == c {
			services = append(services, id)
		}
	}
	f.mu.Unlock()
	slices.Sort(services)
	for _, id := range services {
		for _, fn := range listeners {
			fn(id, s)
		}
	}
}

// Status returns how the connection to the service's host stands; the zero value for an unknown service.
func (f *Fleet) Status(service string) ConnStatus {
	m, ok := f.Member(service)
	if !ok {
		return ConnStatus{}
	}
	return m.Client.Status()
}

// ReadUnit reads the service's unit; see Client.ReadUnit. It never panics and never waits longer than the command timeout.
func (f *Fleet) ReadUnit(ctx context.Context, service string) health.UnitRead {
	m, ok := f.Member(service)
	if !ok {
		return health.UnitRead{At: time.Now(), Class: health.ClassCommand, Err: "no host is known for this service"}
	}
	return m.Client.ReadUnit(ctx, m.Unit)
}

// WatchUnit watches the service's unit until ctx ends; see Client.WatchUnit. It follows the service to another host when the
// mapping changes, and ends with ErrUnknownService when the service is taken out of it.
func (f *Fleet) WatchUnit(ctx context.Context, service string, changed func(health.UnitRead)) error {
	for {
		m, moved, ok := f.find(service)
		if !ok {
			return fmt.Errorf("watch %q: %w", service, ErrUnknownService)
		}
		watchCtx, cancel := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				select {
				case <-moved:
				case <-watchCtx.Done():
					return
				}
				now, next, ok := f.find(service)
				if !ok || now != m {
					cancel()
					return
				}
				moved = next
			}
		}()
		err := m.Client.WatchUnit(watchCtx, m.Unit, changed)
		cancel()
		<-ended
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if now, _, ok := f.find(service); ok && now == m {
			return err
		}
	}
}

// Run runs a verb on the service's unit; see Client.Run. lines counts for the two log verbs only. VerbProcState takes the main
// PID from a fresh read of the unit.
func (f *Fleet) Run(ctx context.Context, service string, verb Verb, lines int) (Result, error) {
	m, ok := f.Member(service)
	if !ok {
		return Result{ExitCode: -1}, fmt.Errorf("%s on %q: %w", verb, service, ErrUnknownService)
	}
	cmd := Command{Verb: verb, Unit: m.Unit, Lines: lines}
	if verb == VerbProcState {
		read := m.Client.ReadUnit(ctx, m.Unit)
		if !read.OK() {
			return Result{ExitCode: -1}, &Error{Class: read.Class, Host: m.Client.Name(), Verb: verb, Public: read.Err}
		}
		if cmd.PID = read.Unit.MainPID; cmd.PID == 0 {
			return Result{ExitCode: -1}, &Error{Class: health.ClassCommand, Host: m.Client.Name(), Verb: verb, Public: "the unit has no main process"}
		}
	}
	return m.Client.Run(ctx, cmd)
}
