package remediator

import (
	"errors"
	"fmt"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
)

// The refusals of an operation that carry no details.
var (
	// ErrUnknownService says that no configured service has this id.
	ErrUnknownService = errors.New("unknown service")
	// ErrUnknownIncident says that no incident has this id.
	ErrUnknownIncident = errors.New("unknown incident")
	// ErrNotAllowed says that the configuration does not allow this operation on this service.
	ErrNotAllowed = errors.New("operation not allowed")
	// ErrAudit says that no durable intent could be written, so nothing was done.
	ErrAudit = errors.New("audit log is not writable")
	// ErrUnkillable says that a script has written data: Redis refuses to end it.
	ErrUnkillable = errors.New("the script has written data and cannot be ended")
	// ErrNoScript says that no script is running.
	ErrNoScript = errors.New("no script is running")
	// ErrPast says that the end of a maintenance is not in the future.
	ErrPast = errors.New("the end is not in the future")
)

// BusyError refuses an operation because another act on the same unit is in hand.
type BusyError struct{ Busy Busy }

// Error implements error.
func (e *BusyError) Error() string {
	return fmt.Sprintf("busy: %s by %s", e.Busy.Operation, e.Busy.By)
}

// UnavailableError refuses an operation because the host cannot be reached or does not let us act. Public is safe to show.
type UnavailableError struct {
	Class  health.ErrorClass
	Public string
}

// Error implements error.
func (e *UnavailableError) Error() string {
	return fmt.Sprintf("unavailable (%s): %s", e.Class, e.Public)
}

// BreakerOpenError refuses an operation because the circuit breaker is open.
type BreakerOpenError struct{ RetryAfter time.Duration }

// Error implements error.
func (e *BreakerOpenError) Error() string {
	return fmt.Sprintf("circuit breaker is open for another %s", e.RetryAfter.Round(time.Second))
}

// RateError refuses an operation because the unit was acted on too often just now.
type RateError struct{ RetryAfter time.Duration }

// Error implements error.
func (e *RateError) Error() string {
	return fmt.Sprintf("too many acts on this unit: wait %s", e.RetryAfter.Round(time.Second))
}
