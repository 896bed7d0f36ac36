package stack

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"time"
)

// MailSink is a mail server that keeps what it is given. It speaks as much SMTP as Alertmanager does.
type MailSink struct {
	listener net.Listener
	wg       sync.WaitGroup

	mu       sync.Mutex // guards the fields below
	messages []Mail
	conns    map[net.Conn]struct{}
	closed   bool
}

// Mail is one message.
type Mail struct {
	At      time.Time
	From    string
	To      []string
	Subject string
	Text    string // the message as it came, headers included
}

func newMailSink(addr string) (*MailSink, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("mail sink: %w", err)
	}
	m := &MailSink{listener: l, conns: map[net.Conn]struct{}{}}
	m.wg.Add(1)
	go m.accept()
	return m, nil
}

// Addr is host:port.
func (m *MailSink) Addr() string { return m.listener.Addr().String() }

// Messages returns what came so far, oldest first.
func (m *MailSink) Messages() []Mail {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.messages)
}

// Wait waits for a message that the function accepts.
func (m *MailSink) Wait(ctx context.Context, want func(Mail) bool) (Mail, error) {
	var found Mail
	err := poll(ctx, 20*time.Millisecond, func() (bool, error) {
		all := m.Messages()
		i := slices.IndexFunc(all, want)
		if i >= 0 {
			found = all[i]
		}
		return i >= 0, nil
	})
	if err != nil {
		return Mail{}, fmt.Errorf("wait for mail (%d came): %w", len(m.Messages()), err)
	}
	return found, nil
}

func (m *MailSink) close() error {
	m.mu.Lock()
	m.closed = true
	for c := range m.conns {
		c.Close()
	}
	m.mu.Unlock()
	err := m.listener.Close()
	m.wg.Wait()
	return err
}

func (m *MailSink) accept() {
	defer m.wg.Done()
	for {
		c, err := m.listener.Accept()
		if err != nil {
			return
		}
		m.mu.Lock()
		if m.closed {
			m.mu.Unlock()
			c.Close()
			return
		}
		m.conns[c] = struct{}{}
		m.wg.Add(1)
		m.mu.Unlock()
		go m.serve(c)
	}
}

func (m *MailSink) serve(c net.Conn) {
	defer m.wg.Done()
	defer func() {
		c.Close()
		m.mu.Lock()
		delete(m.conns, c)
		m.mu.Unlock()
	}()
	in := bufio.NewScanner(c)
	in.Buffer(nil, 1<<20)
	fmt.Fprint(c, "220 mail sink\r\n")
	var msg Mail
	for in.Scan() {
		line := in.Text()
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		switch {
		case verb == "EHLO" || verb == "HELO":
			fmt.Fprint(c, "250 mail sink\r\n")
		case strings.HasPrefix(strings.ToUpper(line), "MAIL FROM:"):
			msg = Mail{From: address(line)}
			fmt.Fprint(c, "250 ok\r\n")
		case strings.HasPrefix(strings.ToUpper(line), "RCPT TO:"):
			msg.To = append(msg.To, address(line))
			fmt.Fprint(c, "250 ok\r\n")
		case verb == "DATA":
			fmt.Fprint(c, "354 go on\r\n")
			msg.Text = data(in)
			m.keep(msg)
			fmt.Fprint(c, "250 ok\r\n")
		case verb == "QUIT":
			fmt.Fprint(c, "221 bye\r\n")
			return
		case verb == "RSET" || verb == "NOOP":
			fmt.Fprint(c, "250 ok\r\n")
		default:
			fmt.Fprint(c, "502 not known\r\n")
		}
	}
}

func (m *MailSink) keep(msg Mail) {
	msg.At = time.Now()
	if parsed, err := mail.ReadMessage(strings.NewReader(msg.Text)); err == nil {
		msg.Subject = parsed.Header.Get("Subject")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.messages = append(m.messages, msg)
}

// data reads a message up to the line with the dot.
func data(in *bufio.Scanner) string {
	var b strings.Builder
	for in.Scan() && in.Text() != "." {
		b.WriteString(strings.TrimPrefix(in.Text(), ".") + "\r\n")
	}
	return b.String()
}

// address is what stands between the angle brackets.
func address(line string) string {
	_, after, _ := strings.Cut(line, "<")
	inside, _, _ := strings.Cut(after, ">")
	return inside
}
