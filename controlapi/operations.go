package controlapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/redis-medic/redis-medic/remediator"
)

// operationRequest is the body of start, stop, restart and reload. All members are optional.
type operationRequest struct {
	Confirmation      bool    `json:"confirmation"`
	ConfirmationToken *string `json:"confirmation_token"`
	Reason            string  `json:"reason"`
}

// operationBody is the document's answer to an operation, of a success as of a failure.
type operationBody struct {
	Success         bool    `json:"success"`
	Operation       string  `json:"operation"`
	Message         string  `json:"message"`
	Error           string  `json:"error,omitempty"`
	DurationSeconds float64 `json:"duration_seconds"`
	Timestamp       string  `json:"timestamp"`
	NewStatus       string  `json:"new_status"`
	Warning         string  `json:"warning,omitempty"`
	OutcomeUnknown  bool    `json:"outcome_unknown,omitempty"`
	*restartExtras
}

// restartExtras are the members that only a successful restart has; null: not known.
type restartExtras struct {
	PreviousUptimeSeconds *int64 `json:"previous_uptime_seconds"`
	ConnectionsTerminated *int   `json:"connections_terminated"`
}

// newOperationBody turns a result into the document's words. It is pure.
func newOperationBody(r remediator.Result) operationBody {
	b := operationBody{
		Success: r.Success, Operation: string(r.Operation), Message: r.Message, Error: r.Error,
		DurationSeconds: round(r.Duration.Seconds(), 2), Timestamp: stamp(r.Timestamp), NewStatus: r.NewStatus,
		OutcomeUnknown: r.OutcomeUnknown,
	}
	if b.NewStatus == "" {
		b.NewStatus = statusUnknown
	}
	if !r.Success {
		if b.Error == "" {
			b.Error = r.Message
		}
		return b
	}
	switch r.Operation {
	case remediator.OpStop:
		if !r.AlreadyDone {
			b.Warning = "All Redis-dependent services may be affected"
		}
	case remediator.OpRestart:
		b.restartExtras = &restartExtras{}
		if r.PreviousUptime >= 0 {
			b.PreviousUptimeSeconds = new(int64(r.PreviousUptime / time.Second))
		}
		if r.ConnectionsTerminated >= 0 {
			b.ConnectionsTerminated = new(r.ConnectionsTerminated)
		}
	}
	return b
}

func postStart(a *API, w http.ResponseWriter, c *call) error {
	return a.operate(w, c, remediator.OpStart)
}

func postStop(a *API, w http.ResponseWriter, c *call) error {
	return a.operate(w, c, remediator.OpStop)
}

func postRestart(a *API, w http.ResponseWriter, c *call) error {
	return a.operate(w, c, remediator.OpRestart)
}

func postReload(a *API, w http.ResponseWriter, c *call) error {
	return a.operate(w, c, remediator.OpReload)
}

var idempotencyPattern = regexp.MustCompile(`^[\x21-\x7e]{1,128}$`)

// operate asks for an operation and waits for its end. The operation has its own life: when the client goes away it goes on, and
// a repeated request with the same Idempotency-Key gets its answer.
func (a *API) operate(w http.ResponseWriter, c *call, op remediator.Operation) error {
	var body operationRequest
	if err := c.decode(w, &body); err != nil {
		return err
	}
	if q := c.r.URL.Query(); q.Has("confirmation") {
		given, err := strconv.ParseBool(q.Get("confirmation"))
		if err != nil {
			return badRequest("confirmation must be true or false")
		}
		body.Confirmation = body.Confirmation || given
	}
	c.validated = true
	key := c.r.Header.Get("Idempotency-Key")
	if key != "" && !idempotencyPattern.MatchString(key) {
		return badRequest("Idempotency-Key must be 1 to 128 visible ASCII characters")
	}
	run, first, err := a.operations.begin(key, c, op)
	if err != nil {
		return err
	}
	if first {
		if op == remediator.OpStop {
			token := ""
			if body.ConfirmationToken != nil {
				token = *body.ConfirmationToken
			}
			if err := a.confirmed(c, string(op), body.Confirmation, body.ConfirmationToken != nil, token); err != nil {
				a.operations.abandon(run, err)
				return err
			}
		}
		a.launch(run, c, op, plain(body.Reason, maxReason))
	} else {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	return a.await(w, c, run)
}

// launch runs the operation on its own goroutine.
func (a *API) launch(run *operationRun, c *call, op remediator.Operation, reason string) {
	request := remediator.Request{
		Service: c.service.ID, Operation: op, Actor: c.actor(), SourceIP: c.sourceIP, RequestID: c.requestID, Reason: reason,
	}
	ctx, cancel := c.detached(a.conf().OperationTimeout)
	s := c.service
	s.invalidateFor(a.conf().Cache)
	a.running.Go(func() {
		defer cancel()
		result, err := a.conf().Remediator.Operate(ctx, request)
		s.invalidateFor(a.conf().Cache)
		if err != nil {
			a.operations.abandon(run, err)
			return
		}
		a.operations.finish(run, result)
	})
}

func (s *service) invalidateFor(settings CacheSettings) {
	if settings.InvalidateOnOperation {
		s.invalidate()
	}
}

// await sends the answer when it is there.
func (a *API) await(w http.ResponseWriter, c *call, run *operationRun) error {
	// The operation may take longer than any other answer.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(a.conf().OperationTimeout + writeTimeout))
	select {
	case <-run.done:
	case <-c.r.Context().Done():
		c.audited = true // the operation has its own records
		return newProblem(statusClientGone, "client_gone", "The operation goes on")
	}
	if run.err != nil {
		// The remediator records its own refusals; of a service that it does not know, and of ours, it knows nothing.
		var ours *problem
		c.audited = c.audited || !errors.As(run.err, &ours) && !errors.Is(run.err, remediator.ErrUnknownService)
		if errors.Is(run.err, context.DeadlineExceeded) {
			p := newProblem(http.StatusGatewayTimeout, "still_running", "The operation has not ended yet. Look at the status before repeating it.")
			p.extra = map[string]any{"outcome_unknown": true}
			return p
		}
		return run.err
	}
	c.audited = true
	sendJSON(w, run.status, run.body)
	return nil
}

// statusClientGone is what proxies log when a client does not wait for its answer. Nobody sees it, but it must not count as a
// failure of ours.
const statusClientGone = 499

const (
	// keepResults is how long an answer can be had again with its Idempotency-Key.
	keepResults = 10 * time.Minute
	maxResults  = 1000
)

// operations remembers running and finished operations by idempotency key, and counts them. Safe for concurrent use.
type operations struct {
	// mu guards the fields below.
	mu      sync.Mutex
	byKey   map[operationKey]*operationRun
	history []time.Time // accepted operations of the last hour
}

type operationKey struct{ user, key string }

// operationRun is one operation. Its last four fields are set before done is closed.
type operationRun struct {
	key   operationKey
	what  string // service and operation: a key must not be used for something else
	began time.Time

	done   chan struct{} // closed by finish or abandon
	status int
	body   []byte
	err    error
}

func newOperations() *operations {
	return &operations{byKey: map[operationKey]*operationRun{}}
}

// begin finds the run of a key or makes a new one; without a key every request is a new one.
func (o *operations) begin(key string, c *call, op remediator.Operation) (run *operationRun, first bool, err error) {
	now := time.Now()
	run = &operationRun{
		key: operationKey{user: c.who.ID, key: key}, what: c.service.ID + " " + string(op), began: now, done: make(chan struct{}),
	}
	if key == "" {
		return run, true, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forget(now)
	if old, known := o.byKey[run.key]; known {
		if old.what != run.what {
			return nil, false, newProblem(http.StatusUnprocessableEntity, "idempotency_key_reused",
				"This Idempotency-Key belongs to another operation")
		}
		return old, false, nil
	}
	if len(o.byKey) >= maxResults {
		p := newProblem(http.StatusTooManyRequests, "too_many", "Too many remembered operations")
		p.retryAfter = time.Minute
		return nil, false, p
	}
	o.byKey[run.key] = run
	return run, true, nil
}

// finish keeps the answer for those who ask again.
func (o *operations) finish(run *operationRun, result remediator.Result) {
	status := http.StatusOK
	if !result.Success {
		status = http.StatusInternalServerError
	}
	raw, err := json.Marshal(newOperationBody(result))
	o.mu.Lock()
	o.history = append(o.history, time.Now())
	o.mu.Unlock()
	run.status, run.body, run.err = status, raw, err
	close(run.done)
}

// abandon ends a run that did nothing: the same key may be tried again.
func (o *operations) abandon(run *operationRun, err error) {
	o.mu.Lock()
	if o.byKey[run.key] == run && !errors.Is(err, context.DeadlineExceeded) {
		delete(o.byKey, run.key)
	}
	o.mu.Unlock()
	run.err = err
	close(run.done)
}

// forget drops what is too old; the caller holds mu.
func (o *operations) forget(now time.Time) {
	for key, run := range o.byKey {
		if now.Sub(run.began) > keepResults {
			delete(o.byKey, key)
		}
	}
	for len(o.history) > 0 && now.Sub(o.history[0]) > time.Hour {
		o.history = o.history[1:]
	}
}

// recent counts the operations of the last hour.
func (o *operations) recent(now time.Time) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forget(now)
	return len(o.history)
}
