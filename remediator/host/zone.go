package host

import (
	"context"
	"time"

	"github.com/godbus/dbus/v5"
)

// zone returns the host's time zone, asked over the bus once for each bus connection; UTC when it cannot be told.
func (c *Client) zone(ctx context.Context) *time.Location {
	b := c.openBus()
	if b == nil {
		return time.UTC
	}
	if loc := b.zone.Load(); loc != nil {
		return loc
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.CommandTimeout, errCommandDeadline)
	defer cancel()
	var v dbus.Variant
	err := b.conn.Object("org.freedesktop.timedate1", "/org/freedesktop/timedate1").
		CallWithContext(ctx, propsIface+".Get", 0, "org.freedesktop.timedate1", "Timezone").Store(&v)
	name, _ := v.Value().(string)
	if err != nil || name == "" {
		return time.UTC
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	b.zone.Store(loc)
	return loc
}
