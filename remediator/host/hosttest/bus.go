package hosttest

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/redis-medic/redis-medic/exporter/health"
)

const unitPrefix = "/org/freedesktop/systemd1/unit/"

// busConn is one client of the scripted bus.
type busConn struct {
	rw io.ReadWriteCloser
	mu sync.Mutex // one message at a time is written
}

func (b *busConn) send(m *dbus.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	_ = m.EncodeTo(b.rw, binary.LittleEndian)
}

// serveBus speaks D-Bus on a stream until it ends.
func (s *Server) serveBus(rw io.ReadWriteCloser) {
	b := &busConn{rw: rw}
	s.mu.Lock()
	s.buses[b] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.buses, b)
		s.mu.Unlock()
		_ = rw.Close()
	}()
	in := bufio.NewReader(rw)
	if s.broken().SilentBus {
		_, _ = io.Copy(io.Discard, in)
		return
	}
	if !authenticate(in, rw) {
		return
	}
	for {
		m, err := dbus.DecodeMessage(in)
		if err != nil {
			return
		}
		if m.Type != dbus.TypeMethodCall {
			continue
		}
		if s.broken().HungSystemd && text(m, dbus.FieldDestination) != "org.freedesktop.DBus" {
			continue
		}
		b.send(s.answer(m))
	}
}

// authenticate plays the server's part of the greeting: EXTERNAL, with the identity left to the credentials.
func authenticate(in *bufio.Reader, out io.Writer) bool {
	if zero, err := in.ReadByte(); err != nil || zero != 0 {
		return false
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return false
		}
		reply := "ERROR\r\n"
		switch strings.TrimSpace(line) {
		case "AUTH":
			reply = "REJECTED EXTERNAL ANONYMOUS\r\n"
		case "AUTH EXTERNAL":
			reply = "DATA\r\n"
		case "DATA":
			reply = "OK 0123456789abcdef0123456789abcdef\r\n"
		case "BEGIN":
			return true
		}
		if _, err := io.WriteString(out, reply); err != nil {
			return false
		}
	}
}

// answer answers one method call.
func (s *Server) answer(m *dbus.Message) *dbus.Message {
	switch member := text(m, dbus.FieldMember); member {
	case "Hello":
		return reply(m, ":1.1")
	case "LoadUnit":
		name, _ := m.Body[0].(string)
		return reply(m, unitPath(name))
	case "GetAll":
		return reply(m, s.properties(m))
	case "Get":
		return reply(m, dbus.MakeVariant("Europe/Berlin"))
	case "AddMatch":
		rule, _ := m.Body[0].(string)
		s.mu.Lock()
		s.matches = append(s.matches, rule)
		s.mu.Unlock()
		return reply(m)
	default: // Subscribe, RemoveMatch
		return reply(m)
	}
}

func (s *Server) properties(m *dbus.Message) map[string]dbus.Variant {
	path, _ := m.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	if path == "/org/freedesktop/systemd1" {
		return manager
	}
	s.mu.Lock()
	var unit *Unit
	for name, u := range s.units {
		if unitPath(name) == path {
			unit = u
		}
	}
	s.mu.Unlock()
	if unit == nil {
		return map[string]dbus.Variant{"LoadState": dbus.MakeVariant("not-found"), "ActiveState": dbus.MakeVariant("inactive")}
	}
	return Properties(unit.State())
}

// manager is what systemd says of itself.
var manager = map[string]dbus.Variant{
	"Version": dbus.MakeVariant("252.39-1~deb12u1"), "WatchdogDevice": dbus.MakeVariant("/dev/watchdog0"),
	"KernelTimestamp": dbus.MakeVariant(uint64(1795450000000000)), "KernelTimestampMonotonic": dbus.MakeVariant(uint64(0)),
	"UserspaceTimestamp": dbus.MakeVariant(uint64(1795450002500000)), "UserspaceTimestampMonotonic": dbus.MakeVariant(uint64(2500000)),
	"FirmwareTimestamp": dbus.MakeVariant(uint64(0)), "FirmwareTimestampMonotonic": dbus.MakeVariant(uint64(0)),
	"RuntimeWatchdogUSec": dbus.MakeVariant(uint64(20000000)), "WatchdogLastPingTimestamp": dbus.MakeVariant(uint64(1795450100000000)),
	"WatchdogLastPingTimestampMonotonic": dbus.MakeVariant(uint64(100000000)),
}

func reply(to *dbus.Message, body ...any) *dbus.Message {
	m := &dbus.Message{Type: dbus.TypeMethodReply, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(to.Serial()),
		dbus.FieldSender:      dbus.MakeVariant("org.freedesktop.systemd1"),
	}}
	if len(body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	return m
}

func text(m *dbus.Message, field dbus.HeaderField) string {
	s, _ := m.Headers[field].Value().(string)
	return s
}

// unitPath escapes a unit's name as systemd does.
func unitPath(name string) dbus.ObjectPath {
	var b strings.Builder
	b.WriteString(unitPrefix)
	for i := range len(name) {
		c := name[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' && i > 0 {
			b.WriteByte(c)
		} else {
			b.WriteString("_" + hex.EncodeToString([]byte{c}))
		}
	}
	return dbus.ObjectPath(b.String())
}

// announce sends PropertiesChanged of a unit to all clients.
func (s *Server) announce(name string) {
	body := []any{"org.freedesktop.systemd1.Unit", map[string]dbus.Variant{}, []string{"ActiveState"}}
	m := &dbus.Message{Type: dbus.TypeSignal, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:      dbus.MakeVariant(unitPath(name)),
		dbus.FieldInterface: dbus.MakeVariant("org.freedesktop.DBus.Properties"),
		dbus.FieldMember:    dbus.MakeVariant("PropertiesChanged"),
		dbus.FieldSender:    dbus.MakeVariant("org.freedesktop.systemd1"),
		dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(body...)),
	}}
	s.Signal(m)
}

// Signal sends any message to all clients of the bus.
func (s *Server) Signal(m *dbus.Message) {
	s.mu.Lock()
	buses := make([]*busConn, 0, len(s.buses))
	for b := range s.buses {
		buses = append(buses, b)
	}
	s.mu.Unlock()
	for _, b := range buses {
		b.send(m)
	}
}

// Matches returns the match rules that clients asked for, in order. Signals are sent to all, whatever they asked for.
func (s *Server) Matches() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.matches)
}

// Buses returns how many bus connections stand.
func (s *Server) Buses() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.buses)
}

func (s *Server) dropBuses() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for b := range s.buses {
		_ = b.rw.Close()
	}
}

// Properties returns a unit's D-Bus properties.
func Properties(u health.Unit) map[string]dbus.Variant {
	invocation, _ := hex.DecodeString(u.InvocationID)
	props := map[string]any{
		"Id": u.Name, "Type": u.Type, "LoadState": u.LoadState, "UnitFileState": u.UnitFileState, "ActiveState": u.ActiveState,
		"SubState": u.SubState, "Result": u.Result, "StatusText": u.StatusText, "MainPID": uint32(u.MainPID),
		"ExecMainCode": int32(u.ExecMainCode), "ExecMainStatus": int32(u.ExecMainStatus), "NRestarts": u.NRestarts,
		"CanReload": u.CanReload, "InvocationID": invocation, "Restart": u.Restart, "StartLimitBurst": uint32(u.StartLimitBurst),
		"Job": struct {
			ID   uint32
			Path dbus.ObjectPath
		}{u.JobID, "/"},
		"RestartUSec": usec(u.RestartDelay), "TimeoutStartUSec": usec(u.TimeoutStart), "TimeoutStopUSec": usec(u.TimeoutStop),
		"StartLimitIntervalUSec": usec(u.StartLimitInterval), "ActiveEnterTimestamp": epoch(u.ActiveEnter),
		"InactiveEnterTimestamp": epoch(u.InactiveEnter), "StateChangeTimestamp": epoch(u.StateChange),
		"ActiveExitTimestamp": epoch(u.ActiveExit), "InactiveExitTimestamp": epoch(u.InactiveExit),
		"WatchdogUSec": usec(u.Watchdog), "WatchdogTimestamp": epoch(u.WatchdogPing),
		"MemoryCurrent": number(u.MemoryBytes), "TasksCurrent": number(u.Tasks), "TasksMax": number(u.TasksMax),
		"CPUUsageNSec": uint64(math.MaxUint64),
	}
	if u.CPUTime > 0 {
		props["CPUUsageNSec"] = uint64(u.CPUTime.Nanoseconds())
	}
	for _, t := range traffic {
		props[t.key] = number(t.of(u.IP))
	}
	out := make(map[string]dbus.Variant, len(props))
	for name, value := range props {
		out[name] = dbus.MakeVariant(value)
	}
	return out
}

func usec(d time.Duration) uint64 {
	if d == health.Infinite {
		return math.MaxUint64
	}
	return uint64(d.Microseconds())
}

func epoch(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixMicro())
}

func number(n *uint64) uint64 {
	if n == nil {
		return math.MaxUint64
	}
	return *n
}
