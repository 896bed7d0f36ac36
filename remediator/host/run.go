package host

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/redis-medic/redis-medic/exporter/health"
)

// Result is what a command left behind.
type Result struct {
	Stdout    string
	Stderr    string // for log and audit only, never for a response
	ExitCode  int    // -1: not known
	Took      time.Duration
	Truncated bool // more than 1 MiB came; of logs the newest part is kept, of everything else the first
}

var (
	errCommandDeadline = errors.New("command deadline exceeded")
	errBusVerb         = errors.New("the bus is a stream, not a command")
)

// Run runs one command and waits for its end. An error is always an *Error. A command that ran and failed is an error of class
// command, or denied when sudo or the gate refused it; its Result is filled in all the same. When Error.Sent is set and the class
// is neither command nor denied, the command may have run, may still be running, and only the unit's state can tell.
//
// A verb that changes the host makes a new connection at once when there is none; any other verb fails at once between two
// dials, and is repeated once when the connection breaks under it. The context's deadline bounds an act (without one, ActTimeout does); a read is bounded by CommandTimeout as well.
func (c *Client) Run(ctx context.Context, cmd Command) (Result, error) {
	start := time.Now()
	line, err := c.line(cmd)
	if err != nil {
		return Result{ExitCode: -1}, c.of(cmd.Verb, c.fail(health.ClassCommand, "the command is not allowed", err))
	}
	if failure := c.enter(); failure != nil {
		return Result{ExitCode: -1}, c.of(cmd.Verb, failure)
	}
	defer c.leave()
	ctx, cancel := c.bound(ctx, cmd.Verb)
	defer cancel()
	res, failure := c.exec(ctx, cmd.Verb, line)
	if failure != nil && failure.Class == health.ClassUnreachable && failure.Sent && !cmd.Verb.Changes() {
		res, failure = c.exec(ctx, cmd.Verb, line) // a read may be repeated, an act never
	}
	res.Took = time.Since(start)
	if failure == nil {
		c.sawLife()
		failure = c.judge(cmd.Verb, res)
	}
	if !errors.Is(ctx.Err(), context.Canceled) { // else it was given up by our own side
		c.o.Metrics.ran(c.o.Name, cmd.Verb, res.Took, failure)
	}
	if failure != nil {
		return res, c.of(cmd.Verb, failure)
	}
	return res, nil
}

// of returns a copy of the failure that names the verb: the outcome of a dial is shared by all who waited for it.
func (c *Client) of(verb Verb, failure *Error) *Error {
	out := *failure
	out.Verb = verb
	return &out
}

// line returns what is sent for a command.
func (c *Client) line(cmd Command) (string, error) {
	if cmd.Verb == VerbBus {
		return "", errors.Join(ErrInvalidCommand, errBusVerb)
	}
	if c.o.Gate {
		return cmd.GateLine()
	}
	return cmd.ShellLine()
}

// bound sets the deadline of a command.
func (c *Client) bound(ctx context.Context, verb Verb) (context.Context, context.CancelFunc) {
	limit := c.o.CommandTimeout
	if verb.Changes() {
		if _, ok := ctx.Deadline(); ok {
			return context.WithCancel(ctx)
		}
		limit = c.o.ActTimeout
	}
	return context.WithTimeoutCause(ctx, limit, errCommandDeadline)
}

// exec takes a slot, opens a session and runs the line. A connection that turns out to be dead before the line was sent is
// replaced once: nothing can have run.
func (c *Client) exec(ctx context.Context, verb Verb, line string) (Result, *Error) {
	slots := c.reads
	if verb.Changes() {
		slots = c.acts
	}
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return Result{ExitCode: -1}, c.fail(health.ClassTimeout, "earlier commands on this host have not ended yet", context.Cause(ctx))
	}
	session, failure := c.session(ctx, verb.Changes())
	if failure != nil {
		<-slots
		return Result{ExitCode: -1}, failure
	}
	return c.await(ctx, verb, session, line, func() { <-slots })
}

// session opens a session on the live connection.
func (c *Client) session(ctx context.Context, force bool) (*ssh.Session, *Error) {
	for attempt := 0; ; attempt++ {
		l, failure := c.acquire(ctx, force || attempt > 0)
		if failure != nil {
			return nil, failure
		}
		s, err := l.open(ctx)
		var refused *ssh.OpenChannelError
		switch {
		case err == nil:
			return s, nil
		case errors.Is(err, errLinkDown) && attempt == 0:
			continue
		case errors.Is(err, errLinkDown):
			return nil, c.fail(health.ClassUnreachable, "the connection to the host broke", err)
		case errors.As(err, &refused):
			return nil, c.fail(health.ClassTimeout, "the host takes no more sessions", err)
		default:
			return nil, c.fail(health.ClassTimeout, "the host did not open a session in time", err)
		}
	}
}

// await runs the line and waits for its end or for ctx. A command that outlives ctx is left alone, and keeps its slot until it
// ends or the connection does: closing the session would not end it on the host, and new ones would pile up there.
func (c *Client) await(ctx context.Context, verb Verb, s *ssh.Session, line string, release func()) (Result, *Error) {
	stdout, stderr := newOutput(verb), newOutput(verb)
	s.Stdout, s.Stderr = stdout, stderr
	ended := make(chan error, 1)
	c.wg.Go(func() {
		defer release()
		err := s.Run(line)
		_ = s.Close()
		ended <- err
	})
	select {
	case err := <-ended:
		return c.outcome(stdout, stderr, err)
	case <-ctx.Done():
	}
	if !verb.Changes() {
		c.wg.Go(func() { _ = s.Signal(ssh.SIGTERM) })
	}
	res := collect(stdout, stderr, -1)
	failure := c.fail(health.ClassTimeout, "the command did not end in time", context.Cause(ctx))
	failure.Sent = true
	return res, failure
}

// outcome reads the end of a session. A session without an exit code went down with its connection: sshd always sends one.
func (c *Client) outcome(stdout, stderr *output, err error) (Result, *Error) {
	var exit *ssh.ExitError
	switch {
	case err == nil:
		return collect(stdout, stderr, 0), nil
	case errors.As(err, &exit):
		return collect(stdout, stderr, exit.ExitStatus()), nil
	}
	failure := c.fail(health.ClassUnreachable, "the connection broke while the command ran; its outcome is unknown", err)
	failure.Sent = true
	return collect(stdout, stderr, -1), failure
}

func collect(stdout, stderr *output, code int) Result {
	out, cut := stdout.take()
	errOut, errCut := stderr.take()
	return Result{Stdout: out, Stderr: errOut, ExitCode: code, Truncated: cut || errCut}
}

// output keeps a bounded part of a stream and swallows the rest, so that the far side is never blocked by us.
type output struct {
	newest bool // keep the end, not the beginning

	mu  sync.Mutex // guards the fields below: a command that outlived its deadline still writes
	buf []byte
	cut bool
}

func newOutput(verb Verb) *output {
	return &output{newest: verb == VerbJournal || verb == VerbRedisLog}
}

// Write implements io.Writer; it never fails.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.newest {
		o.buf = append(o.buf, p...)
		// Letting it grow to twice the bound before cutting keeps the copying cheap.
		if len(o.buf) > 2*maxOutput {
			o.buf = append(o.buf[:0], o.buf[len(o.buf)-maxOutput:]...)
			o.cut = true
		}
		return len(p), nil
	}
	room := maxOutput - len(o.buf)
	if len(p) > room {
		o.buf, o.cut = append(o.buf, p[:room]...), true
		return len(p), nil
	}
	o.buf = append(o.buf, p...)
	return len(p), nil
}

func (o *output) take() (string, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if over := len(o.buf) - maxOutput; over > 0 {
		return string(o.buf[over:]), true
	}
	return string(o.buf), o.cut
}
