// Package labtest boots real hosts for tests.
package labtest

import (
	"errors"
	"os"
	"testing"

	"github.com/redis-medic/redis-medic/deploy/lab"
)

// Need skips a test only where the lab cannot run at all: without root. A missing package is a failure.
func Need(t *testing.T) {
	t.Helper()
	if err := lab.Require(); errors.Is(err, lab.ErrNotRoot) {
		t.Skip("needs root: the lab boots real hosts in network namespaces")
	} else if err != nil {
		t.Fatal(err)
	}
}

// Up boots a real host that ends with the test.
func Up(t *testing.T, opts lab.Options) *lab.Host {
	t.Helper()
	Need(t)
	opts.Log = os.Stderr
	h, err := lab.Up(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Down(); err != nil {
			t.Error(err)
		}
	})
	return h
}
