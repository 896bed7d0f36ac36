package stack

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// NewMailSink makes a mail sink without a stack.
func NewMailSink(addr string) (*MailSink, error) { return newMailSink(addr) }

// Close ends it.
func (m *MailSink) Close() error { return m.close() }

// Poll waits for a condition.
func Poll(ctx context.Context, yes func() bool) error {
	return poll(ctx, 10*time.Millisecond, func() (bool, error) { return yes(), nil })
}

// Sacrifice starts a program in a folder as a stack does, and writes its number there.
func Sacrifice(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if _, err := watch(dir); err != nil {
		return err
	}
	p, err := startProcess(dir, "sleep", "sleep", "1000")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "pid"), []byte(strconv.Itoa(p.pid())), 0o600)
}
