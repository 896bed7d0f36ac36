package host_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/host/hosttest"
)

func TestWatchUsesTheBridgeWhereForwardingIsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.NewGated(t)
		s.Unit(redisUnit.Name)
		watch(t, s.Client())
		if got := s.Commands(); len(got) != 1 || got[0] != "v1 bus redis-server.service" {
			t.Errorf("commands %q", got)
		}
	})
}

func TestSilentBusIsGivenUp(t *testing.T) {
	for _, gated := range []bool{false, true} {
		for _, lost := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				s := hosttest.New(t)
				if gated {
					s = hosttest.NewGated(t)
				}
				u := s.Unit(redisUnit.Name)
				c := s.Client()
				if r := c.ReadUnit(t.Context(), redisUnit); !r.OK() {
					t.Fatalf("read %+v", r)
				}
				s.Break(func(f *hosttest.Faults) { f.SilentBus, f.LostOpens = true, lost })
				r := watch(t, c)
				advance(host.DefaultCommandTimeout)
				s.Break(func(f *hosttest.Faults) { f.LostOpens = false })
				advance(2*host.DefaultDialTimeout + 2*host.DefaultPollInterval)
				u.Stop()
				advance(2 * host.DefaultPollInterval)
				if got := strings.TrimPrefix(r.words(), "?timeout "); got != "active inactive" {
					t.Errorf("gated %v, lost %v: saw %q", gated, lost, got)
				}
				s.Heal()
				advance(time.Minute)
				if s.Buses() != 1 {
					t.Errorf("gated %v, lost %v: %d buses after healing", gated, lost, s.Buses())
				}
			})
		}
	}
}

func TestBusDownIsUnknownNeverInactive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		s.Unit(redisUnit.Name)
		c := s.Client()
		r := watch(t, c)
		s.Break(func(f *hosttest.Faults) { f.NoBus = true })
		advance(time.Minute)
		synctest.Wait()
		if got := r.words(); got != "active ?command" {
			t.Errorf("saw %q", got)
		}
		if read := c.ReadUnit(t.Context(), redisUnit); read.Class != health.ClassCommand || read.Unit.ActiveState != "" {
			t.Errorf("read %+v", read)
		}
		s.Heal()
		advance(30 * time.Second)
		synctest.Wait()
		if got := r.words(); got != "active ?command active" || s.Buses() != 1 {
			t.Errorf("after healing: %q, %d buses", got, s.Buses())
		}
	})
}

func TestHungSystemdIsUnknownAndStartsNoProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		s.Unit(redisUnit.Name)
		c := s.Client()
		r := watch(t, c)
		s.Break(func(f *hosttest.Faults) { f.HungSystemd = true })
		start := time.Now()
		if read := c.ReadUnit(t.Context(), redisUnit); read.Class != health.ClassTimeout || time.Since(start) != host.DefaultCommandTimeout {
			t.Errorf("read %+v after %v", read, time.Since(start))
		}
		advance(10 * time.Minute)
		synctest.Wait()
		if got := r.words(); got != "active ?timeout" {
			t.Errorf("saw %q", got)
		}
		if n := len(s.Commands()); n > host.DefaultMaxSessions {
			t.Errorf("%d commands piled up on a host whose systemd hangs", n)
		}
	})
}

func TestTwoWatchersShareTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		s.Unit(redisUnit.Name)
		c := s.Client()
		a, b := watch(t, c), watch(t, c)
		s.Unit(redisUnit.Name).Stop()
		synctest.Wait()
		if a.words() != "active inactive" || b.words() != "active inactive" || s.Buses() != 1 {
			t.Errorf("%q, %q, %d buses", a.words(), b.words(), s.Buses())
		}
	})
}

func TestMaliciousBusMessagesDoNoHarm(t *testing.T) {
	message := func(kind dbus.Type, member string, body ...any) *dbus.Message {
		m := &dbus.Message{Type: kind, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath:      dbus.MakeVariant(dbus.ObjectPath("/org/freedesktop/DBus")),
			dbus.FieldInterface: dbus.MakeVariant("org.freedesktop.DBus"),
			dbus.FieldMember:    dbus.MakeVariant(member),
			dbus.FieldSender:    dbus.MakeVariant("org.freedesktop.DBus"),
		}}
		if len(body) > 0 {
			m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
		}
		return m
	}
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		u := s.Unit(redisUnit.Name)
		r := watch(t, s.Client())
		for _, m := range []*dbus.Message{
			message(dbus.TypeSignal, "NameLost"),
			message(dbus.TypeSignal, "NameAcquired", uint32(7)),
			message(dbus.TypeSignal, "NameOwnerChanged"),
			message(dbus.TypeSignal, "NameOwnerChanged", "org.freedesktop.systemd1", "", ":1.7"),
			message(dbus.TypeMethodCall, "Introspect"),
		} {
			s.Signal(m)
			synctest.Wait()
		}
		u.Stop()
		synctest.Wait()
		if got := r.words(); got != "active inactive" || s.Buses() != 1 {
			t.Errorf("saw %q over %d buses", got, s.Buses())
		}
		dials := s.Dials()
		s.Signal(message(dbus.TypeSignal, "Huge", strings.Repeat("x", 2<<20)))
		advance(host.DefaultPollInterval)
		u.Set(func(u *health.Unit) { u.ActiveState = "failed" })
		advance(time.Minute)
		synctest.Wait()
		if got := r.words(); got != "active inactive failed" || s.Dials() != dials {
			t.Errorf("after an oversized message: %q, %d more dials", got, s.Dials()-dials)
		}
	})
}
