package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"

	"github.com/redis-medic/redis-medic/exporter/health"
)

// hostKeyError is what the host key callback refuses with.
type hostKeyError struct {
	public string
	cause  error
}

func (e *hostKeyError) Error() string { return e.cause.Error() }
func (e *hostKeyError) Unwrap() error { return e.cause }

var errDialDeadline = errors.New("dial deadline exceeded")

// dial makes one connection: TCP, handshake and authentication under one deadline.
func (c *Client) dial(ctx context.Context) (*link, *Error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.DialTimeout, errDialDeadline)
	defer cancel()
	config, authReached, failure := c.sshConfig()
	if failure != nil {
		return nil, failure
	}
	conn, err := c.o.Dial(ctx, "tcp", c.o.Address)
	if err != nil {
		return nil, c.fail(health.ClassUnreachable, "the host cannot be reached over SSH", err)
	}
	// The handshake knows no context: closing the connection ends it.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	sshConn, chans, reqs, err := ssh.NewClientConn(conn, c.o.Address, config)
	if !stop() && err == nil {
		err = context.Cause(ctx)
		_ = sshConn.Close()
	}
	if err != nil {
		_ = conn.Close()
		return nil, c.classifyHandshake(ctx, err, authReached.Load())
	}
	return newLink(c, conn, ssh.NewClient(sshConn, chans, reqs)), nil
}

// sshConfig reads the key and known_hosts anew, so that a rotated key or a newly pinned host key counts at the next dial. The
// flag tells whether the server let us come as far as showing our key.
func (c *Client) sshConfig() (*ssh.ClientConfig, *atomic.Bool, *Error) {
	signer, err := loadKey(c.o.IdentityFile)
	if err != nil {
		return nil, nil, c.fail(health.ClassAuth, "the private key for this host cannot be used", err)
	}
	db, err := knownhosts.NewDB(c.o.KnownHostsFile)
	if err != nil {
		return nil, nil, c.fail(health.ClassHostKey, "the known_hosts file for this host cannot be read", fmt.Errorf("known hosts: %w", err))
	}
	authReached := new(atomic.Bool)
	return &ssh.ClientConfig{
		User: c.o.User,
		Auth: []ssh.AuthMethod{ssh.PublicKeysCallback(func() ([]ssh.Signer, error) {
			authReached.Store(true)
			return []ssh.Signer{signer}, nil
		})},
		HostKeyCallback: checkHostKey(db),
		// Without this the server may offer a key type that known_hosts has not, and a good host looks like an impostor.
		HostKeyAlgorithms: db.HostKeyAlgorithms(c.o.Address),
		ClientVersion:     "SSH-2.0-redis-medic",
	}, authReached, nil
}

// checkHostKey wraps the callback of the file so that its refusals are recognised and carry the fingerprint to compare.
func checkHostKey(db *knownhosts.HostKeyDB) ssh.HostKeyCallback {
	check := db.HostKeyCallback()
	return func(hostname string, remote net.Addr, key ssh.PublicKey) error {
		err := check(hostname, remote, key)
		switch {
		case err == nil:
			return nil
		case knownhosts.IsHostKeyChanged(err):
			return &hostKeyError{"the host shows another key (" + ssh.FingerprintSHA256(key) + ") than known_hosts has", err}
		case knownhosts.IsHostUnknown(err):
			return &hostKeyError{"the host's key (" + ssh.FingerprintSHA256(key) + ") is not in known_hosts", err}
		default:
			return &hostKeyError{"the host's key is refused", err}
		}
	}
}

// classifyHandshake says what a failed handshake means.
func (c *Client) classifyHandshake(ctx context.Context, err error, authReached bool) *Error {
	var key *hostKeyError
	var negotiation *ssh.AlgorithmNegotiationError
	switch {
	case errors.As(err, &key):
		return c.fail(health.ClassHostKey, key.public, err)
	case errors.As(err, &negotiation) && strings.Contains(err.Error(), "host key"):
		return c.fail(health.ClassHostKey, "the host has no key of a type that known_hosts has", err)
	case errors.Is(context.Cause(ctx), errDialDeadline):
		return c.fail(health.ClassTimeout, "the host accepts the connection, but its SSH server does not answer", errors.Join(errDialDeadline, err))
	case authReached && (strings.Contains(err.Error(), "unable to authenticate") || strings.Contains(err.Error(), "ssh: disconnect")):
		return c.fail(health.ClassAuth, "the host does not accept our key", err)
	case authReached && errors.Is(err, io.EOF):
		// OpenSSH accepts the key and hangs up without a word where PAM refuses the account (locked, expired, /etc/nologin).
		return c.fail(health.ClassAuth, "the host hangs up on our account after it has seen our key", err)
	default:
		return c.fail(health.ClassUnreachable, "the host's SSH server ended the connection", err)
	}
}

// fail makes an error of the way to the host, before any command.
func (c *Client) fail(class health.ErrorClass, public string, cause error) *Error {
	return &Error{Class: class, Host: c.o.Name, Public: public, Cause: cause}
}

// resolveTimeout bounds a look-up: a dead resolver keeps the C library waiting for 20 s.
const resolveTimeout = 2 * time.Second

// resolver dials by name and remembers the last addresses that the name had, for when DNS is what is broken.
type resolver struct {
	lookup func(ctx context.Context, host string) ([]string, error)
	dialer net.Dialer
	last   atomic.Pointer[[]string]
}

func (r *resolver) dial(ctx context.Context, network, address string) (net.Conn, error) {
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if net.ParseIP(name) != nil {
		return r.dialer.DialContext(ctx, network, address)
	}
	lookupCtx, cancel := context.WithTimeout(ctx, resolveTimeout)
	addrs, err := r.lookup(lookupCtx, name)
	cancel()
	if err == nil {
		r.last.Store(&addrs)
	} else if known := r.last.Load(); known != nil {
		addrs = *known
	} else {
		return nil, err
	}
	var errs []error
	for _, addr := range slices.Compact(addrs) {
		conn, err := r.dialer.DialContext(ctx, network, net.JoinHostPort(addr, port))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}
