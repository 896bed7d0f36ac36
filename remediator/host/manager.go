package host

import (
	"context"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
)

// managerEvery is how old systemd's word on itself may be: little of it ever changes.
const managerEvery = time.Minute

// bootStages are systemd's names for the moments of a boot.
var bootStages = []string{
	"Firmware", "Loader", "Kernel", "InitRD", "InitRDSecurityStart", "InitRDSecurityFinish", "InitRDGeneratorsStart", "InitRDGeneratorsFinish",
	"InitRDUnitsLoadStart", "InitRDUnitsLoadFinish", "Userspace", "SecurityStart", "SecurityFinish", "GeneratorsStart", "GeneratorsFinish",
	"UnitsLoadStart", "UnitsLoadFinish", "Finish",
}

// manager returns what systemd last said of itself, and has it asked again in the background when that is old: a change of a unit never
// waits for it. nil before the first answer, and where systemd refuses.
func (b *bus) manager() *health.Manager {
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Since(b.managerAsked) >= managerEvery {
		b.managerAsked = time.Now()
		b.c.wg.Go(b.askManager)
	}
	return b.managerSaid
}

// askManager asks systemd of itself. A failure leaves what was known: whether systemd answers at all is told by the reads of units.
func (b *bus) askManager() {
	ctx, cancel := context.WithTimeoutCause(b.c.ctx, b.c.o.CommandTimeout, errCommandDeadline)
	defer cancel()
	var props busProps
	if err := b.systemd.CallWithContext(ctx, propsIface+".GetAll", 0, managerIface).Store(&props); err != nil {
		b.c.log.Debug().Err(err).Msg("read systemd's properties")
		return
	}
	said := managerOf(props)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.managerSaid = said
}

// managerOf leaves out the stages that a boot did not have: a container has no firmware.
func managerOf(p busProps) *health.Manager {
	m := &health.Manager{
		Version:         Printable(prop[string](p, "Version"), maxStatusText),
		WatchdogDevice:  Printable(prop[string](p, "WatchdogDevice"), maxStatusText),
		WatchdogRuntime: watchdog(busSpan(p, "RuntimeWatchdogUSec")),
		WatchdogPing:    usecTime(prop[uint64](p, "WatchdogLastPingTimestamp")),
		WatchdogUptime:  watchdog(busSpan(p, "WatchdogLastPingTimestampMonotonic")),
	}
	for _, name := range bootStages {
		if at := usecTime(prop[uint64](p, name+"Timestamp")); !at.IsZero() {
			m.Boot = append(m.Boot, health.BootStage{Name: name, At: at, Monotonic: busSpan(p, name+"TimestampMonotonic")})
		}
	}
	return m
}
