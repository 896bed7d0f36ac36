package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// memory is a store in this process. It is safe for concurrent use.
type memory struct {
	mu     sync.Mutex // guards values
	values map[string]entry
}

type entry struct {
	value string
	until time.Time
}

func newMemory() *memory { return &memory{values: map[string]entry{}} }

func (m *memory) get(key string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.values[key]
	if time.Now().After(e.until) {
		delete(m.values, key)
		return "", nil
	}
	return e.value, nil
}

func (m *memory) set(key, value string, ttl time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[key] = entry{value: value, until: time.Now().Add(ttl)}
	return nil
}

// moveTo hands everything on to another store. What that one does not take stays.
func (m *memory) moveTo(to store, ttl time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, e := range m.values {
		if to.set(key, e.value, ttl) == nil {
			delete(m.values, key)
		}
	}
}

// remote is Redis, as briefly as an example may: one connection per command. An application uses its Redis library.
type remote struct{ addr string }

const redisTimeout = time.Second

func (r remote) get(key string) (string, error) { return r.do("GET", key) }

func (r remote) set(key, value string, ttl time.Duration) error {
	_, err := r.do("SET", key, value, "EX", strconv.Itoa(int(ttl.Seconds())))
	return err
}

// do sends a command and reads its reply: a status, a bulk string, or an error.
func (r remote) do(args ...string) (string, error) {
	conn, err := net.DialTimeout("tcp", r.addr, redisTimeout)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(redisTimeout)); err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(conn, b.String()); err != nil {
		return "", err
	}
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSpace(line)
	switch {
	case strings.HasPrefix(line, "-"):
		return "", fmt.Errorf("redis: %s", line[1:])
	case !strings.HasPrefix(line, "$"), line == "$-1":
		return "", nil
	}
	n, err := strconv.Atoi(line[1:])
	if err != nil {
		return "", fmt.Errorf("redis: %q is no reply", line)
	}
	text := make([]byte, n)
	_, err = io.ReadFull(in, text)
	return string(text), err
}
