package host

import (
	"context"
	"errors"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
)

// ReadUnit reads the state of a unit: over the bus when a watch has it open, else by systemctl show. It never returns a state
// that systemd did not say; the class of the result tells why there is none.
func (c *Client) ReadUnit(ctx context.Context, unit Unit) health.UnitRead {
	start := time.Now()
	if err := ValidateUnit(unit); err != nil {
		return c.unread(start, c.fail(health.ClassCommand, "the unit is not a plain systemd service", err))
	}
	if failure := c.enter(); failure != nil {
		return c.unread(start, failure)
	}
	defer c.leave()
	ctx, cancel := c.bound(ctx, VerbShow)
	defer cancel()
	if b := c.openBus(); b != nil {
		r, err := c.readBus(ctx, b, unit)
		// A bus that went away leaves systemctl; a systemd that does not answer would not answer systemctl either.
		if err == nil || r.Class == health.ClassTimeout {
			return r
		}
	}
	res, err := c.Run(ctx, Command{Verb: VerbShow, Unit: unit})
	if err != nil {
		return c.unread(start, err)
	}
	u, err := ParseShow(res.Stdout)
	if err != nil {
		return c.unread(start, c.fail(health.ClassCommand, "systemd on the host gave no unit state", err))
	}
	return read(start, u)
}

func read(start time.Time, u health.Unit) health.UnitRead {
	now := time.Now()
	u.At = now
	return health.UnitRead{At: now, Took: now.Sub(start), Unit: u}
}

// unread makes the result of a read that failed.
func (c *Client) unread(start time.Time, err error) health.UnitRead {
	now := time.Now()
	r := health.UnitRead{At: now, Took: now.Sub(start), Class: health.ClassCommand, Err: "the unit could not be read"}
	if e, ok := errors.AsType[*Error](err); ok {
		r.Class, r.Err = e.Class, e.Public
	}
	c.log.Debug().Err(err).Msg("read unit")
	return r
}
