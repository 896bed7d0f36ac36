package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// diary notes what happens, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(s string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, s)
}

func (d *diary) part(name string, err error) part {
	return part{
		name: name,
		run: func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(time.Second) // the bubble's clock: an end that takes time
			d.note(name + " ended")
			return err
		},
		close: func() error {
			d.note(name + " closed")
			return nil
		},
	}
}

func TestPartsEndInReverseOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		p := &parts{log: zerolog.Nop()}
		p.add(part{name: "store", close: func() error { d.note("store closed"); return nil }})
		p.add(d.part("audit", nil))
		p.add(d.part("remediator", context.Canceled))
		p.add(d.part("api", errors.New("bad")))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := p.run(ctx)
		want := []string{"api ended", "api closed", "remediator ended", "remediator closed", "audit ended", "audit closed", "store closed"}
		if !slices.Equal(d.lines, want) {
			t.Errorf("got %q, want %q", d.lines, want)
		}
		if err == nil || err.Error() != "api: bad" {
			t.Errorf("error %v", err)
		}
	})
}

func TestOnePartThatEndsEndsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		p := &parts{log: zerolog.Nop()}
		p.add(d.part("store", nil))
		p.add(part{name: "listener", run: func(context.Context) error { return errors.New("the port is gone") }})
		err := p.run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "listener: the port is gone") || !slices.Contains(d.lines, "store closed") {
			t.Errorf("%v, %q", err, d.lines)
		}
	})
}

func TestAPartThatHangsIsLeftAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := &parts{log: zerolog.Nop()}
		p.add(part{name: "hung", run: func(context.Context) error { <-release; return nil }})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		err := p.run(ctx)
		if err == nil || !strings.Contains(err.Error(), "hung did not end within 30s") || time.Since(began) != partGrace {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		close(release)
	})
}

func TestWhatWasMadeEndsWhenTheMakingFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		p := &parts{log: zerolog.Nop()}
		p.add(d.part("store", nil))
		p.add(d.part("audit", nil))
		if err := p.abandon(); err != nil || !slices.Equal(d.lines, []string{"audit ended", "audit closed", "store ended", "store closed"}) {
			t.Errorf("%v, %q", err, d.lines)
		}
	})
}
