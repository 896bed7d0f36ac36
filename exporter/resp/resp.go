// Package resp speaks the Redis protocol, version 2, over one connection whose every step the caller controls: when it is
// dialled, how long it may take, and which of several pipelined answers arrived before it broke. It has no pool, no retry, no
// handshake and no cache, because each of these would stand between a probe and the truth about Redis.
package resp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// ErrProtocol means that what came back is not RESP.
var ErrProtocol = errors.New("not a Redis reply")

// ErrHandshake means that TCP came up, but TLS did not.
var ErrHandshake = errors.New("TLS handshake")

// Bounds on what is read. They are far above anything INFO, CONFIG or LATENCY answer.
const (
	maxBulk  = 64 << 20
	maxElems = 1 << 20
	maxDepth = 16
	maxLine  = 64 << 10
	readSize = 8 << 10
)

// Kind is the type byte of a Reply.
type Kind byte

// The kinds of RESP2.
const (
	Simple  Kind = '+'
	Error   Kind = '-'
	Integer Kind = ':'
	Bulk    Kind = '$'
	Array   Kind = '*'
	Nil     Kind = '_'
)

// Reply is one answer.
type Reply struct {
	Kind  Kind
	Str   string // Simple, Error and Bulk; for Integer its digits
	Int   int64
	Elems []Reply
}

// Err returns the error reply as an error, nil for any other kind.
func (r Reply) Err() error {
	if r.Kind == Error {
		return errors.New(r.Str)
	}
	return nil
}

// Options says how to connect.
type Options struct {
	Addr     string      // "host:port", or "unix:/path"
	User     string      // empty: the default user
	Password string      // empty: no AUTH is sent
	TLS      *tls.Config // nil: plain
}

// Conn is one connection. It is not safe for concurrent use.
type Conn struct {
	nc      net.Conn
	r       *bufio.Reader
	auth    []string // sent before the first command; nil afterwards
	authErr string
}

// Dial connects, and finishes the TLS handshake, before ctx ends. AUTH is sent together with the first command.
func Dial(ctx context.Context, o Options) (*Conn, error) {
	network, addr := "tcp", o.Addr
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", o.Addr, err)
	}
	if o.TLS != nil {
		cfg := o.TLS
		if cfg.ServerName == "" && !cfg.InsecureSkipVerify {
			cfg = cfg.Clone()
			cfg.ServerName, _, _ = net.SplitHostPort(addr)
		}
		tc := tls.Client(nc, cfg)
		if err := tc.HandshakeContext(ctx); err != nil {
			_ = nc.Close()
			return nil, fmt.Errorf("%w with %s: %w", ErrHandshake, o.Addr, err)
		}
		nc = tc
	}
	c := &Conn{nc: nc, r: bufio.NewReaderSize(nc, readSize)}
	switch {
	case o.User != "":
		c.auth = []string{"AUTH", o.User, o.Password}
	case o.Password != "":
		c.auth = []string{"AUTH", o.Password}
	}
	return c, nil
}

// AuthError is the error reply to AUTH, empty when it was accepted or not needed.
func (c *Conn) AuthError() string { return c.authErr }

// Close closes the connection.
func (c *Conn) Close() error { return c.nc.Close() }

// Do sends the commands in one write and reads one reply for each. When the connection breaks or ctx ends in the middle it
// returns the replies read so far with the error; the connection is useless then. An error reply is a Reply, not an error.
func (c *Conn) Do(ctx context.Context, commands ...[]string) ([]Reply, error) {
	replies := make([]Reply, 0, len(commands))
	err := c.DoEach(ctx, commands, func(r Reply) { replies = append(replies, r) })
	return replies, err
}

// DoEach is Do with a function that gets each reply as soon as it is read.
func (c *Conn) DoEach(ctx context.Context, commands [][]string, each func(Reply)) error {
	deadline, _ := ctx.Deadline() // the zero time: none
	if err := c.nc.SetDeadline(deadline); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	auth := c.auth
	c.auth = nil
	out := make([]byte, 0, 256)
	if auth != nil {
		out = appendCommand(out, auth)
	}
	for _, cmd := range commands {
		out = appendCommand(out, cmd)
	}
	// A server that has written its refusal and closed (maxclients, protected mode) fails our write; its words still wait to
	// be read and say more than the failed write does.
	_, writeErr := c.nc.Write(out)
	if auth != nil {
		r, err := c.read(0)
		if err != nil {
			return either(writeErr, err)
		}
		if r.Kind == Error {
			c.authErr = r.Str
		}
	}
	for range commands {
		r, err := c.read(0)
		if err != nil {
			return either(writeErr, err)
		}
		each(r)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("read replies: %w", err)
	}
	return nil
}

// either prefers the failed write: what follows it in reading is only its echo.
func either(writeErr, readErr error) error {
	if writeErr != nil {
		return fmt.Errorf("send command: %w", writeErr)
	}
	return fmt.Errorf("read reply: %w", readErr)
}

func appendCommand(b []byte, args []string) []byte {
	b = append(b, '*')
	b = strconv.AppendInt(b, int64(len(args)), 10)
	for _, a := range args {
		b = append(b, "\r\n$"...)
		b = strconv.AppendInt(b, int64(len(a)), 10)
		b = append(b, "\r\n"...)
		b = append(b, a...)
	}
	return append(b, "\r\n"...)
}

func (c *Conn) read(depth int) (Reply, error) {
	line, err := c.line()
	if err != nil {
		return Reply{}, err
	}
	if len(line) == 0 {
		return Reply{}, fmt.Errorf("%w: empty line", ErrProtocol)
	}
	kind, rest := Kind(line[0]), line[1:]
	switch kind {
	case Simple, Error:
		return Reply{Kind: kind, Str: string(rest)}, nil
	case Integer:
		n, err := strconv.ParseInt(string(rest), 10, 64)
		if err != nil {
			return Reply{}, fmt.Errorf("%w: bad integer", ErrProtocol)
		}
		return Reply{Kind: Integer, Int: n, Str: string(rest)}, nil
	case Bulk:
		return c.bulk(rest)
	case Array:
		return c.array(rest, depth)
	default:
		return Reply{}, fmt.Errorf("%w: unknown type byte %q", ErrProtocol, line[0])
	}
}

// line reads up to CRLF and returns the line without it. The bytes are valid until the next read.
func (c *Conn) line() ([]byte, error) {
	b, err := c.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, fmt.Errorf("%w: line too long", ErrProtocol)
	}
	if err != nil {
		return nil, err
	}
	if len(b) < 2 || b[len(b)-2] != '\r' {
		return nil, fmt.Errorf("%w: line without CR", ErrProtocol)
	}
	return b[:len(b)-2], nil
}

func length(b []byte, limit int) (int, error) {
	n, err := strconv.Atoi(string(b))
	if err != nil || n < -1 || n > limit {
		return 0, fmt.Errorf("%w: bad length %q", ErrProtocol, b)
	}
	return n, nil
}

func (c *Conn) bulk(size []byte) (Reply, error) {
	n, err := length(size, maxBulk)
	if err != nil {
		return Reply{}, err
	}
	if n < 0 {
		return Reply{Kind: Nil}, nil
	}
	var b strings.Builder
	b.Grow(min(n, maxLine)) // what a liar announces is not allocated at once
	for left := n; left > 0; {
		if _, err := c.r.Peek(1); err != nil {
			return Reply{}, unexpected(err)
		}
		chunk, _ := c.r.Peek(min(left, c.r.Buffered()))
		b.Write(chunk)
		left -= len(chunk)
		_, _ = c.r.Discard(len(chunk)) // they are buffered: it cannot fail
	}
	var end [2]byte
	if _, err := io.ReadFull(c.r, end[:]); err != nil {
		return Reply{}, unexpected(err)
	}
	if end != [2]byte{'\r', '\n'} {
		return Reply{}, fmt.Errorf("%w: bulk string without end", ErrProtocol)
	}
	return Reply{Kind: Bulk, Str: b.String()}, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (c *Conn) array(size []byte, depth int) (Reply, error) {
	n, err := length(size, maxElems)
	if err != nil {
		return Reply{}, err
	}
	if n < 0 {
		return Reply{Kind: Nil}, nil
	}
	if depth >= maxDepth {
		return Reply{}, fmt.Errorf("%w: nested too deeply", ErrProtocol)
	}
	r := Reply{Kind: Array, Elems: make([]Reply, 0, min(n, 1024))}
	for range n {
		e, err := c.read(depth + 1)
		if err != nil {
			return Reply{}, unexpected(err)
		}
		r.Elems = append(r.Elems, e)
	}
	return r, nil
}
