package lab_test

import (
	"errors"
	"os"
	"testing"

	"github.com/redis-medic/redis-medic/deploy/lab"
)

// needLab skips a test only where the lab cannot run at all: without root. A missing package is a failure.
func needLab(t *testing.T) {
	t.Helper()
	if err := lab.Require(); errors.Is(err, lab.ErrNotRoot) {
		t.Skip("needs root: the lab boots real hosts in network namespaces")
	} else if err != nil {
		t.Fatal(err)
	}
}

// up boots a host that ends with the test.
func up(t *testing.T, opts lab.Options) *lab.Host {
	t.Helper()
	needLab(t)
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

func TestUp(t *testing.T) {
	h := up(t, lab.Options{Gate: true})
	if err := h.Running(t.Context()); err != nil {
		t.Fatal(err)
	}
}
