package host

import (
	"encoding/hex"
	"errors"
	"math"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/redis-medic/redis-medic/exporter/health"
)

var errNotUnit = errors.New("no unit state in the properties")

// busProps are the properties of a unit as they came over the bus. A property that is missing or has another type than expected
// reads as the zero value.
type busProps map[string]dbus.Variant

func prop[T any](p busProps, name string) T {
	v, _ := p[name].Value().(T)
	return v
}

// unitOf builds a unit from its properties. As with ParseShow, no LoadState or ActiveState is an error.
func unitOf(p busProps) (health.Unit, error) {
	u := health.Unit{
		Name:               prop[string](p, "Id"),
		Type:               prop[string](p, "Type"),
		LoadState:          prop[string](p, "LoadState"),
		UnitFileState:      prop[string](p, "UnitFileState"),
		ActiveState:        prop[string](p, "ActiveState"),
		SubState:           prop[string](p, "SubState"),
		Result:             prop[string](p, "Result"),
		StatusText:         Printable(prop[string](p, "StatusText"), maxStatusText),
		MainPID:            int(prop[uint32](p, "MainPID")),
		ExecMainCode:       int(prop[int32](p, "ExecMainCode")),
		ExecMainStatus:     int(prop[int32](p, "ExecMainStatus")),
		NRestarts:          prop[uint32](p, "NRestarts"),
		JobID:              jobOf(p),
		CanReload:          prop[bool](p, "CanReload"),
		InvocationID:       hex.EncodeToString(prop[[]byte](p, "InvocationID")),
		Restart:            prop[string](p, "Restart"),
		RestartDelay:       busSpan(p, "RestartUSec"),
		TimeoutStart:       busSpan(p, "TimeoutStartUSec"),
		TimeoutStop:        busSpan(p, "TimeoutStopUSec"),
		StartLimitBurst:    int(prop[uint32](p, "StartLimitBurst")),
		StartLimitInterval: busSpan(p, "StartLimitIntervalUSec"),
		ActiveEnter:        usecTime(prop[uint64](p, "ActiveEnterTimestamp")),
		InactiveEnter:      usecTime(prop[uint64](p, "InactiveEnterTimestamp")),
		StateChange:        usecTime(prop[uint64](p, "StateChangeTimestamp")),
		ActiveExit:         usecTime(prop[uint64](p, "ActiveExitTimestamp")),
		InactiveExit:       usecTime(prop[uint64](p, "InactiveExitTimestamp")),
		Watchdog:           watchdog(busSpan(p, "WatchdogUSec")),
		WatchdogPing:       usecTime(prop[uint64](p, "WatchdogTimestamp")),
		MemoryBytes:        busCounter(p, "MemoryCurrent"),
		Tasks:              busCounter(p, "TasksCurrent"),
		TasksMax:           busCounter(p, "TasksMax"),
		IP: ipTraffic(busCounter(p, "IPIngressBytes"), busCounter(p, "IPIngressPackets"),
			busCounter(p, "IPEgressBytes"), busCounter(p, "IPEgressPackets")),
	}
	if ns := busCounter(p, "CPUUsageNSec"); ns != nil && *ns <= math.MaxInt64 {
		u.CPUTime = time.Duration(*ns)
	}
	if u.LoadState == "" || u.ActiveState == "" {
		return health.Unit{}, errNotUnit
	}
	return u, nil
}

// watchdog reads WatchdogUSec, where systemd writes "none" as 0 or as infinity.
func watchdog(d time.Duration) time.Duration {
	if d == health.Infinite {
		return 0
	}
	return d
}

func ipTraffic(inBytes, inPackets, outBytes, outPackets *uint64) *health.IPTraffic {
	if inBytes == nil || inPackets == nil || outBytes == nil || outPackets == nil {
		return nil
	}
	return &health.IPTraffic{InBytes: *inBytes, InPackets: *inPackets, OutBytes: *outBytes, OutPackets: *outPackets}
}

// jobOf reads the job property, a pair of its number and its path.
func jobOf(p busProps) uint32 {
	if pair := prop[[]any](p, "Job"); len(pair) == 2 {
		id, _ := pair[0].(uint32)
		return id
	}
	return 0
}

func busSpan(p busProps, name string) time.Duration { return microseconds(prop[uint64](p, name)) }

func busCounter(p busProps, name string) *uint64 {
	n, ok := p[name].Value().(uint64)
	if !ok || n == math.MaxUint64 {
		return nil
	}
	return &n
}
