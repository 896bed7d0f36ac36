package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The severities of syslog (RFC 5424, table 2), and the facility for security messages that are not for everybody.
const (
	severityError   = 3
	severityWarning = 4
	severityNotice  = 5
	severityInfo    = 6

	facilityAuthPriv = 10
)

const (
	sendTimeout  = 5 * time.Second
	syslogTag    = "redis-medic-audit"
	journaldPath = "/run/systemd/journal/socket"
	syslogPath   = "/dev/log"
)

// forwardForms are the ways in which a target is written.
const forwardForms = "journald, syslog, udp://host:port or tcp://host:port"

// CheckForward says what is wrong with a target of Options.Forward.
func CheckForward(target string) error {
	_, err := parseForward(target)
	return err
}

// address is where and how messages go.
type address struct {
	network, to string
	journald    bool // the native protocol
	text        string
}

func parseForward(target string) (address, error) {
	kind, rest, more := strings.Cut(target, ":")
	a, good := address{text: target}, false
	switch kind {
	case "journald", "syslog":
		a.network, a.to, a.journald = "unixgram", syslogPath, kind == "journald"
		if a.journald {
			a.to = journaldPath
		}
		if more { // a socket of its own: a journal namespace, or another daemon
			a.to = rest
		}
		good = strings.HasPrefix(a.to, "/")
	case "udp", "tcp":
		a.network, a.to = kind, strings.TrimPrefix(rest, "//")
		host, port, err := net.SplitHostPort(a.to)
		n, perr := strconv.Atoi(port)
		good = strings.HasPrefix(rest, "//") && err == nil && host != "" && perr == nil && n > 0 && n <= 65535
	}
	if !good {
		return a, fmt.Errorf("%q is no log daemon; write %s", target, forwardForms)
	}
	return a, nil
}

// message is one line for a log daemon.
type message struct {
	severity    int
	at          time.Time
	seq         int64  // 0: a checkpoint
	line, short []byte // short is sent where line is too long for a datagram; nil: there is none
}

// sender speaks to a log daemon. It is not safe for concurrent use.
type sender struct {
	target address
	host   string
	conn   net.Conn      // nil: to be dialled
	gone   chan struct{} // closed when the other side hung up
}

// String is how the target was written.
func (a address) String() string { return a.text }

func newSender(target string) (*sender, error) {
	a, err := parseForward(target)
	if err != nil {
		return nil, fmt.Errorf("forward audit records: %w", err)
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "-"
	}
	return &sender{target: a, host: host}, nil
}

// send delivers one message. After an error the connection is dialled anew next time.
func (s *sender) send(ctx context.Context, m message) error {
	if err := s.dial(ctx); err != nil {
		return err
	}
	err := s.write(s.frame(m))
	if errors.Is(err, syscall.EMSGSIZE) && m.short != nil {
		m.line = m.short
		err = s.write(s.frame(m))
	}
	if err != nil {
		s.close()
	}
	return err
}

func (s *sender) write(frame []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	_, err := s.conn.Write(frame)
	return err
}

// dial connects where there is no connection, or where the other side has hung up: a write after that would seem to succeed.
func (s *sender) dial(ctx context.Context) error {
	if s.conn != nil {
		select {
		case <-s.gone:
			s.close()
		default:
			return nil
		}
	}
	d := net.Dialer{Timeout: sendTimeout}
	conn, err := d.DialContext(ctx, s.target.network, s.target.to)
	if err != nil {
		return err
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, conn) // a log daemon says nothing; this ends with the connection
	}()
	s.conn, s.gone = conn, gone
	return nil
}

func (s *sender) close() {
	if s.conn == nil {
		return
	}
	_ = s.conn.Close() // nothing is left to be delivered
	<-s.gone
	s.conn = nil
}

// frame is a message as the daemon wants it: journald's native protocol, the short form of the local socket (RFC 3164 without a
// host), or RFC 5424, over TCP with its length before it (RFC 6587).
func (s *sender) frame(m message) []byte {
	priority := facilityAuthPriv*8 + m.severity
	switch {
	case s.target.journald:
		var b bytes.Buffer
		fmt.Fprintf(&b, "PRIORITY=%d\nSYSLOG_FACILITY=%d\nSYSLOG_IDENTIFIER=%s\n", m.severity, facilityAuthPriv, syslogTag)
		if m.seq > 0 {
			fmt.Fprintf(&b, "REDIS_MEDIC_AUDIT_SEQ=%d\n", m.seq)
		}
		fmt.Fprintf(&b, "MESSAGE=%s\n", m.line) // a sealed line has no line break
		return b.Bytes()
	case s.target.network == "unixgram":
		return fmt.Appendf(nil, "<%d>%s %s[%d]: %s", priority, m.at.Local().Format(time.Stamp), syslogTag, os.Getpid(), m.line)
	}
	text := fmt.Appendf(nil, "<%d>1 %s %s %s %d audit - %s", priority, m.at.UTC().Format("2006-01-02T15:04:05.000000Z"), s.host, syslogTag, os.Getpid(), m.line)
	if s.target.network == "tcp" {
		return append(fmt.Appendf(nil, "%d ", len(text)), text...)
	}
	return text
}
