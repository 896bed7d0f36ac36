package degradation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// body is the API's schema Degradation.
type body struct {
	Service   string     `json:"service"`
	Degraded  bool       `json:"degraded"`
	Since     *time.Time `json:"since"`
	Fallbacks Fallbacks  `json:"fallbacks"`
	Message   string     `json:"message"`
}

// event is what is read of the API's schema Event.
type event struct {
	Seq         int64  `json:"seq"`
	Type        string `json:"type"`
	Degradation *body  `json:"degradation"`
}

const (
	maxBody    = 64 << 10
	maxMessage = 4 << 20 // an incident with its evidence may be long
	pingEvery  = 15 * time.Second
)

// refusedError is an answer that will be the same next time: 4xx.
type refusedError struct {
	what   string
	status int
}

// Error implements error.
func (e *refusedError) Error() string { return fmt.Sprintf("%s: HTTP status %d", e.what, e.status) }

// session asks once and follows the stream until it breaks. It never returns nil.
func (f *Follower) session(ctx context.Context) error {
	if err := f.ask(ctx); err != nil {
		return err
	}
	conn, err := f.dial(ctx)
	if err != nil {
		return err
	}
	f.connected(true) // what was asked a moment ago holds, and what changed since is on the stream
	ctx, stop := context.WithCancel(ctx)
	messages := make(chan event)
	failed := make(chan error, 2) // the reader's and the pinger's
	var both sync.WaitGroup
	both.Go(func() { failed <- f.read(ctx, conn, messages) })
	both.Go(func() { failed <- keepAlive(ctx, conn, f.opts.Timeout) })
	err = f.listen(ctx, messages, failed)
	stop()
	_ = conn.CloseNow() // ends the reader, if it still reads
	both.Wait()
	return err
}

// listen takes messages over, and asks every now and then: the configuration of the API may keep the mode off the stream. All
// callbacks happen here. It takes one error out of failed, which the end of ctx brings too.
func (f *Follower) listen(ctx context.Context, messages <-chan event, failed chan error) error {
	tick := time.NewTicker(f.opts.Poll)
	defer tick.Stop()
	for {
		select {
		case err := <-failed:
			return err
		case <-tick.C:
			if err := f.ask(ctx); err != nil && f.opts.Failed != nil {
				f.opts.Failed(err) // the stream says when the API is gone
			}
		case e := <-messages:
			if e.Type == "degradation" && e.Degradation != nil {
				f.heard(*e.Degradation)
			}
		}
	}
}

// read hands messages on until the connection ends.
func (f *Follower) read(ctx context.Context, conn *websocket.Conn, messages chan<- event) error {
	for {
		_, text, err := conn.Read(ctx)
		if err != nil {
			return fmt.Errorf("event stream: %w", err)
		}
		var e event
		if err := json.Unmarshal(text, &e); err != nil {
			return fmt.Errorf("event stream: %w", err)
		}
		if e.Seq > 0 {
			f.after = e.Seq
		}
		select {
		case messages <- e:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// keepAlive finds a connection whose other side has vanished without a word.
func keepAlive(ctx context.Context, conn *websocket.Conn, timeout time.Duration) error {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			pingCtx, cancel := context.WithTimeout(ctx, timeout)
			err := conn.Ping(pingCtx)
			cancel()
			if err != nil {
				return fmt.Errorf("event stream does not answer: %w", err)
			}
		}
	}
}

// ask asks for the present state.
func (f *Follower) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, f.opts.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.rest, nil)
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	req.Header = f.header()
	resp, err := f.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return statusError("ask", resp.StatusCode)
	}
	var b body
	if err := json.Unmarshal(text, &b); err != nil || b.Service != f.opts.Service {
		return errors.New("ask: the answer is not the degraded mode of this service; is the URL that of the control API?")
	}
	f.heard(b)
	return nil
}

// dial opens the event stream behind the last event that was seen.
func (f *Follower) dial(ctx context.Context) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, f.opts.Timeout)
	defer cancel()
	url := f.stream
	if f.after > 0 {
		url += "?after=" + strconv.FormatInt(f.after, 10)
	}
	conn, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: f.client, HTTPHeader: f.header()})
	if err != nil && resp != nil {
		_ = resp.Body.Close() // the library has read what there is
		return nil, statusError("event stream", resp.StatusCode)
	}
	if err != nil {
		return nil, fmt.Errorf("event stream: %w", err)
	}
	conn.SetReadLimit(maxMessage)
	return conn, nil
}

func (f *Follower) header() http.Header {
	h := http.Header{"Accept": {"application/json"}, "User-Agent": {"redis-medic-degradation"}}
	if f.opts.Token != nil {
		if token := f.opts.Token(); token != "" {
			h.Set("Authorization", "Bearer "+token)
		}
	}
	return h
}

func statusError(what string, status int) error {
	if status >= 400 && status < 500 && status != http.StatusTooManyRequests {
		return &refusedError{what: what, status: status}
	}
	return fmt.Errorf("%s: HTTP status %d", what, status)
}
