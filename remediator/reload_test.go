package remediator

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/remediator/host"
)

func (b *bench) services(list ...Service) {
	b.t.Helper()
	if err := b.r.SetServices(bg, list); err != nil {
		b.t.Fatal(err)
	}
}

func TestAReloadKeepsWhatIsKnown(t *testing.T) {
	run(t, nil, func(b *bench) {
		if _, err := b.r.AddMaintenance(bg, "redis", ann, time.Now().Add(time.Hour), "work"); err != nil {
			t.Fatal(err)
		}
		changed := service("redis")
		changed.AutoRecovery = false
		b.services(changed, service("sessions"))
		s, _ := b.r.State("redis")
		if s.AutoRecoveryEnabled || !slices.ContainsFunc(s.Holds, func(h Hold) bool { return h.Code == HoldMaintenance }) {
			t.Errorf("%+v", s)
		}
		b.w.set(func(w *world) { w.down("inactive", "success") })
		b.fire("sessions")
		b.after(3 * time.Second)
		if got := b.w.did(); !slices.Equal(got, []string{"start"}) {
			t.Errorf("for a service that was added: %v", got)
		}
	})
}

func TestAServiceThatIsTakenOutIsLeftAlone(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.w.set(func(w *world) { w.down("inactive", "success") })
		u, _ := b.r.unit("redis")
		b.services(service("sessions"))
		u.hear(Alert{Fingerprint: "x", Service: "redis", StartsAt: time.Now(), Firing: true})
		u.poke()
		b.after(time.Minute)
		if got := b.w.did(); len(got) != 0 {
			t.Errorf("after it was taken out: %v", got)
		}
		if _, err := ask(b, OpStart); !errors.Is(err, ErrUnknownService) {
			t.Errorf("start: %v", err)
		}
		b.services(service("redis"))
		b.after(3 * time.Second)
		if got := b.w.did(); !slices.Equal(got, []string{"start"}) {
			t.Errorf("after its return: %v", got)
		}
	})
}

func TestAServiceThatReturnsStillHasItsActInHand(t *testing.T) {
	run(t, nil, func(b *bench) {
		gate := make(chan struct{})
		b.w.set(func(w *world) {
			w.down("inactive", "success")
			w.block = gate
		})
		b.fire("redis")
		b.after(2 * time.Second)
		b.services()
		b.services(service("redis"))
		var busy *BusyError
		if _, err := ask(b, OpStart); !errors.As(err, &busy) {
			t.Errorf("a second act was let in: %v", err)
		}
		close(gate)
		b.after(time.Minute)
		if got := b.w.did(); !slices.Equal(got, []string{string(host.VerbStart)}) {
			t.Errorf("%v", got)
		}
		if i := b.incidents(); len(i) != 1 || i[0].Status != IncidentRecovered {
			t.Errorf("%+v", i)
		}
	})
}
