// Package hosttest is a Redis host for tests: an SSH server over in-memory connections, with a scripted systemd behind it that
// answers the verbs of package host and speaks D-Bus. It works on the clock of testing/synctest. It refuses to imitate Redis.
package hosttest

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"

	"github.com/redis-medic/redis-medic/remediator/host"
)

// Address is the address of every Server, as its known_hosts has it.
const Address = "redis-host:22"

// Server is one scripted Redis host. All its methods may be called concurrently.
type Server struct {
	t      testing.TB
	dir    string
	gate   bool
	wire   *wire
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex // guards the fields below
	hostKey   ssh.Signer // ed25519
	otherKey  ssh.Signer // ECDSA, as every sshd has one beside it; never in known_hosts
	clientKey ssh.PublicKey
	units     map[string]*Unit
	commands  []string
	hooks     map[host.Verb]func(Call) *Reply
	conns     map[net.Conn]bool
	buses     map[*busConn]bool
	matches   []string
	faults    Faults
	dials     int
}

// Faults is what is wrong with a host. The zero value is a healthy one.
type Faults struct {
	Refused     bool // connections are refused: sshd is stopped
	Unreachable bool // connections get no answer, and those that stand are cut: a partition
	Frozen      bool // connections are accepted, but nothing is said: sshd is stopped by a signal
	KeyRevoked  bool // our key is not accepted
	NoSudo      bool // sudo asks for a password
	NoSessions  bool // no further session is opened
	LostOpens   bool // the opening of a session is not answered
	NoBus       bool // D-Bus is down, so systemctl fails too
	NoBridge    bool // D-Bus cannot be reached over SSH; systemctl works
	SilentBus   bool // D-Bus takes new connections over SSH but says nothing on them; systemctl works
	HungSystemd bool // systemd answers nothing
}

// Call is a command that arrived.
type Call struct {
	Line    string
	Command host.Command
}

// Reply is what a command answers.
type Reply struct {
	Stdout   string
	Stderr   string
	ExitCode int
	Hang     bool // never ends
	Drop     bool // the connection breaks instead of an answer
}

// New starts a host without the gate. It ends with the test.
func New(t testing.TB) *Server { return start(t, false) }

// NewGated starts a host with the gate: only its command lines are understood.
func NewGated(t testing.TB) *Server { return start(t, true) }

func start(t testing.TB, gate bool) *Server {
	t.Helper()
	s := &Server{
		t: t, dir: t.TempDir(), gate: gate, wire: newWire(),
		units: map[string]*Unit{}, hooks: map[host.Verb]func(Call) *Reply{}, conns: map[net.Conn]bool{}, buses: map[*busConn]bool{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	s.must(err)
	s.clientKey, err = ssh.NewPublicKey(pub)
	s.must(err)
	block, err := ssh.MarshalPrivateKey(private, "")
	s.must(err)
	s.must(os.WriteFile(s.identityFile(), pem.EncodeToMemory(block), 0o600))
	s.RotateHostKey()
	s.TrustHostKey()
	t.Cleanup(s.Close)
	return s
}

func (s *Server) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) identityFile() string   { return filepath.Join(s.dir, "id_ed25519") }
func (s *Server) knownHostsFile() string { return filepath.Join(s.dir, "known_hosts") }

// ClientOptions returns the options of a client for this host; the test may change them.
func (s *Server) ClientOptions() host.ClientOptions {
	return host.ClientOptions{
		Name: "redis", Address: Address, User: "autobot", Gate: s.gate,
		IdentityFile: s.identityFile(), KnownHostsFile: s.knownHostsFile(), Dial: s.Dial,
	}
}

// Client returns a client for this host that is closed with the test. The functions change its options.
func (s *Server) Client(change ...func(*host.ClientOptions)) *host.Client {
	s.t.Helper()
	o := s.ClientOptions()
	for _, fn := range change {
		fn(&o)
	}
	c, err := host.NewClient(o)
	s.must(err)
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// Fleet returns a fleet of one service, whose unit this host has; it is closed with the test.
func (s *Server) Fleet(service string, unit host.Unit) *host.Fleet {
	s.t.Helper()
	return host.NewFleet(map[string]host.Member{service: {Client: s.Client(), Unit: unit}})
}

// Close stops the host and waits for its end.
func (s *Server) Close() {
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock()
	s.wire.setCut(false)
	s.Drop()
	s.wg.Wait()
}

// Break changes the host's faults.
func (s *Server) Break(change func(*Faults)) {
	s.mu.Lock()
	change(&s.faults)
	f := s.faults
	s.mu.Unlock()
	s.wire.setCut(f.Unreachable || f.Frozen)
	if f.NoBus || f.NoBridge {
		s.dropBuses()
	}
}

// Heal ends all faults.
func (s *Server) Heal() { s.Break(func(f *Faults) { *f = Faults{} }) }

func (s *Server) broken() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults
}

// Drop closes all connections, as a restart of the host does.
func (s *Server) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close()
	}
}

// RotateHostKey gives the host another key, which known_hosts does not have.
func (s *Server) RotateHostKey() {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	s.must(err)
	signer, err := ssh.NewSignerFromKey(private)
	s.must(err)
	otherPrivate, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.must(err)
	other, err := ssh.NewSignerFromKey(otherPrivate)
	s.must(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hostKey, s.otherKey = signer, other
}

// TrustHostKey writes the host's present key to known_hosts.
func (s *Server) TrustHostKey() {
	s.mu.Lock()
	key := s.hostKey.PublicKey()
	s.mu.Unlock()
	s.must(os.WriteFile(s.knownHostsFile(), []byte(knownhosts.Line([]string{Address}, key)+"\n"), 0o600))
}

// On replaces what a verb does; a nil Reply means what it does normally.
func (s *Server) On(verb host.Verb, hook func(Call) *Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks[verb] = hook
}

// Commands returns the command lines that arrived, oldest first.
func (s *Server) Commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands)
}

// Dials returns how many connections were tried.
func (s *Server) Dials() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dials
}

// Dial connects to the host; it is the Dial of ClientOptions.
func (s *Server) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	s.mu.Lock()
	s.dials++
	f := s.faults
	s.mu.Unlock()
	switch {
	case s.ctx.Err() != nil, f.Refused:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: pipeAddr, Err: syscall.ECONNREFUSED}
	case f.Unreachable:
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: pipeAddr, Err: context.Cause(ctx)}
	}
	client, server := s.wire.pipe()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return nil, net.ErrClosed
	}
	s.conns[server] = true
	s.wg.Go(func() { s.serve(server) })
	return client, nil
}

// serve speaks SSH on one connection.
func (s *Server) serve(conn net.Conn) {
	defer func() {
		_ = conn.Close()
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if s.broken().KeyRevoked || string(key.Marshal()) != string(s.clientKey.Marshal()) {
			return nil, errors.New("key is not authorized")
		}
		return nil, nil
	}}
	s.mu.Lock()
	config.AddHostKey(s.hostKey)
	config.AddHostKey(s.otherKey)
	s.mu.Unlock()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	s.wg.Go(func() { ssh.DiscardRequests(requests) })
	for c := range channels {
		s.accept(c, conn)
	}
}

// accept takes a session, or a forwarding to the bus.
func (s *Server) accept(c ssh.NewChannel, conn net.Conn) {
	f := s.broken()
	switch {
	case f.LostOpens:
	case c.ChannelType() == "session" && !f.NoSessions:
		ch, requests, err := c.Accept()
		if err == nil {
			s.wg.Go(func() { s.session(ch, requests, conn) })
		}
	case c.ChannelType() == "direct-streamlocal@openssh.com" && !s.gate && !f.NoBus && !f.NoBridge:
		ch, requests, err := c.Accept()
		if err == nil {
			s.wg.Go(func() { ssh.DiscardRequests(requests) })
			s.wg.Go(func() { s.serveBus(ch) })
		}
	default:
		_ = c.Reject(ssh.Prohibited, "open failed")
	}
}

// session runs the one command of a session.
func (s *Server) session(ch ssh.Channel, requests <-chan *ssh.Request, conn net.Conn) {
	closed := make(chan struct{})
	started := false
	for r := range requests {
		var exec struct{ Command string }
		if r.Type != "exec" || started || ssh.Unmarshal(r.Payload, &exec) != nil {
			_ = r.Reply(false, nil)
			continue
		}
		started = true
		_ = r.Reply(true, nil)
		s.wg.Go(func() { s.run(ch, conn, exec.Command, closed) })
	}
	close(closed)
}

// run answers one command line; closed ends a command that hangs.
func (s *Server) run(ch ssh.Channel, conn net.Conn, line string, closed <-chan struct{}) {
	defer func() { _ = ch.Close() }()
	call, known := s.parse(line)
	s.mu.Lock()
	s.commands = append(s.commands, line)
	hook := s.hooks[call.Command.Verb]
	s.mu.Unlock()
	var reply *Reply
	if known && hook != nil {
		reply = hook(call)
	}
	switch {
	case reply != nil:
	case !known && s.gate:
		reply = &Reply{Stderr: "redis-medic-gate: refused: unknown verb\n", ExitCode: 126}
	case !known:
		reply = &Reply{Stderr: "sh: 1: not found\n", ExitCode: 127}
	case call.Command.Verb == host.VerbBus && !s.broken().NoBus && !s.broken().NoBridge:
		s.serveBus(ch)
		reply = &Reply{}
	default:
		reply = s.execute(call.Command)
	}
	if reply.Drop {
		_ = conn.Close()
		return
	}
	_, _ = io.WriteString(ch, reply.Stdout)
	_, _ = io.WriteString(ch.Stderr(), reply.Stderr)
	if reply.Hang {
		select {
		case <-closed:
		case <-s.ctx.Done():
		}
		return
	}
	_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(reply.ExitCode)}))
}
