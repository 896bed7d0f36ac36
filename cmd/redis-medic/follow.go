package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/coder/websocket"

	stream "github.com/redis-medic/redis-medic/controlapi/live"
)

// logMessage is a message of the API's log stream.
type logMessage struct {
	Lines    []map[string]any `json:"lines"`
	Snapshot bool             `json:"snapshot"`
	Gap      bool             `json:"gap"`
	Error    *string          `json:"error"`
}

const (
	followPause   = time.Second
	followTimeout = 10 * time.Second
	maxFollowed   = 8 << 20
)

// follow shows a log as it is written, until ctx ends. A connection that breaks is made again, and goes on where it ended; one
// that is refused is an error.
func (c *client) follow(ctx context.Context, service string, q url.Values, notes io.Writer) error {
	seen := &lastLines{at: q.Get("since")}
	for first := true; ; first = false {
		err := c.followOnce(ctx, service, q, seen, notes)
		if ctx.Err() != nil {
			return nil
		}
		if code := exitCode(err); first && !seen.any || code != exitUnavailable {
			return err
		}
		fmt.Fprintln(notes, err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followPause):
		}
		q.Set("lines", "1000")
		if seen.at != "" {
			q.Set("since", seen.at)
		}
	}
}

// lastLines remembers the newest time that was shown and what was shown of it, because a new connection begins with that time.
type lastLines struct {
	any   bool
	at    string
	texts map[string]bool
}

// fresh says whether a line is not the repetition of one that was shown, and remembers it.
func (l *lastLines) fresh(line map[string]any) bool {
	l.any = true
	at, _ := line["timestamp"].(string)
	text := fmt.Sprint(line["source"], line["message"])
	switch {
	case at == "":
		return true
	case at != l.at:
		l.at, l.texts = at, map[string]bool{}
	case l.texts[text]:
		return false
	}
	l.texts[text] = true
	return true
}

// followOnce shows what comes over one connection. It never returns nil.
func (c *client) followOnce(ctx context.Context, service string, q url.Values, seen *lastLines, notes io.Writer) error {
	conn, err := c.dial(ctx, "/ws/services/"+url.PathEscape(service)+"/logs?"+q.Encode())
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(maxFollowed)
	for again := seen.any; ; {
		_, text, err := conn.Read(ctx)
		if err != nil {
			return streamError(err)
		}
		var m logMessage
		if err := json.Unmarshal(text, &m); err != nil {
			return fmt.Errorf("the log stream is no JSON: %w", err)
		}
		if m.Error != nil {
			fmt.Fprintln(notes, "the log cannot be read at the moment:", *m.Error)
		}
		if m.Gap && !m.Snapshot {
			fmt.Fprintln(notes, "lines may be missing here")
		}
		for _, line := range m.Lines {
			if !seen.fresh(line) && again && m.Snapshot {
				continue
			}
			if err := c.logLine(line); err != nil {
				return err
			}
		}
	}
}

func (c *client) logLine(line map[string]any) error {
	if c.asJSON {
		return json.NewEncoder(c.out).Encode(line)
	}
	logLine(c.out, line)
	return nil
}

// dial opens a WebSocket of the API. A refusal is an *apiError with the API's words.
func (c *client) dial(ctx context.Context, path string) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	h := http.Header{}
	if c.token != "" {
		h.Set("Authorization", "Bearer "+c.token)
	}
	conn, resp, err := websocket.Dial(ctx, c.base+path, &websocket.DialOptions{HTTPClient: c.http, HTTPHeader: h})
	switch {
	case err != nil && resp != nil:
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body) // the library keeps its first kilobyte
		var answer any
		_ = json.Unmarshal(text, &answer) // what is no JSON has no words
		return nil, &apiError{status: resp.StatusCode, text: words(answer, resp.Status)}
	case err != nil:
		return nil, unreachableError{fmt.Errorf("the control API cannot be reached: %w", err)}
	}
	return conn, nil
}

// streamError says why a stream ended: for good, or so that it may be opened again.
func streamError(err error) error {
	if closed, ok := errors.AsType[websocket.CloseError](err); ok {
		switch closed.Code {
		case stream.StatusSignedOut:
			return &apiError{status: http.StatusUnauthorized, text: "signed out: " + closed.Reason}
		case stream.StatusForbidden:
			return &apiError{status: http.StatusForbidden, text: closed.Reason}
		}
	}
	return unreachableError{fmt.Errorf("the log stream ended: %w", err)}
}
