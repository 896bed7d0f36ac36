package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// The environment of the client commands.
const (
	envURL       = "REDIS_MEDIC_URL"
	envToken     = "REDIS_MEDIC_TOKEN"
	envTokenFile = "REDIS_MEDIC_TOKEN_FILE"
	defaultURL   = "http://127.0.0.1:8001"
)

// The exit codes, beside 0.
const (
	exitFailed      = 1 // the operation failed
	exitUsage       = 2 // wrong arguments
	exitRefused     = 3 // 401, 403: not signed in, or not allowed
	exitConflict    = 4 // 409, 429: somebody else is at work, or too often
	exitUnavailable = 5 // the API or the host cannot be reached
)

// exitCoder is an error that wants an exit code of its own.
type exitCoder interface {
	error
	ExitCode() int
}

func exitCode(err error) int {
	if e, ok := errors.AsType[exitCoder](err); ok {
		return e.ExitCode()
	}
	return exitFailed
}

// clientTimeout is longer than the longest operation.
const clientTimeout = 150 * time.Second

// apiError is an answer that is not a success.
type apiError struct {
	status int
	text   string
}

// Error implements error.
func (e *apiError) Error() string { return fmt.Sprintf("%s (HTTP %d)", e.text, e.status) }

// ExitCode implements exitCoder.
func (e *apiError) ExitCode() int {
	switch e.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitRefused
	case http.StatusConflict, http.StatusTooManyRequests:
		return exitConflict
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return exitUnavailable
	default:
		return exitFailed
	}
}

// unreachableError means that the API did not answer.
type unreachableError struct{ error }

// ExitCode implements exitCoder.
func (unreachableError) ExitCode() int { return exitUnavailable }

// Unwrap returns the cause.
func (e unreachableError) Unwrap() error { return e.error }

// client speaks to the control API.
type client struct {
	base, token string
	http        *http.Client
	asJSON      bool
	out         screen
	watch       every
}

// clientFlags adds the flags that all client commands have. The function it returns makes the client after parsing.
func clientFlags(f *flag.FlagSet, c console) func() (*client, error) {
	base := f.String("url", envOr(envURL, defaultURL), "the control API's `URL`; also $"+envURL)
	file := f.String("token-file", os.Getenv(envTokenFile), "`FILE` with a bearer token; also $"+envTokenFile+", or the token itself in $"+envToken)
	format := f.String("o", "text", "the `FORMAT` of the output: text or json")
	var watch every
	f.Var(&watch, "watch", "show it again every `TIME` (2s when none is given) until it is interrupted; only of what is shown")
	return func() (*client, error) {
		if *format != "text" && *format != "json" {
			fmt.Fprintf(c.err, "redis-medic %s: -o %q is not text or json\n", f.Name(), *format)
			return nil, errUsage
		}
		u, err := url.Parse(*base)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			fmt.Fprintf(c.err, "redis-medic %s: --url %q is not an http or https URL\n", f.Name(), *base)
			return nil, errUsage
		}
		token := os.Getenv(envToken)
		if *file != "" {
			data, err := os.ReadFile(*file)
			if err != nil {
				return nil, fmt.Errorf("read token: %w", err)
			}
			token = strings.TrimSpace(string(data))
		}
		return &client{
			base: strings.TrimSuffix(*base, "/"), token: token, asJSON: *format == "json", out: screen{Writer: c.out, colour: colourful(c.out)}, watch: watch,
			// A redirect would carry the token to another host.
			http: &http.Client{Timeout: clientTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		}, nil
	}
}

func envOr(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// call asks the API. The answer is decoded into a value of JSON's own types. An *apiError holds the API's words.
func (c *client) call(ctx context.Context, method, path string, body any) (any, error) {
	var payload io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", method, path, err)
		}
		payload = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, payload)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unreachableError{fmt.Errorf("the control API cannot be reached: %w", err)}
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return nil, unreachableError{fmt.Errorf("read the answer of %s: %w", path, err)}
	}
	var answer any
	decodeErr := json.Unmarshal(data, &answer)
	if resp.StatusCode >= 300 {
		return answer, &apiError{status: resp.StatusCode, text: words(answer, resp.Status)}
	}
	if decodeErr != nil {
		return nil, fmt.Errorf("%s is no JSON; is %s the control API?", path, c.base)
	}
	return answer, nil
}

// words are the API's own words for a failure.
func words(answer any, otherwise string) string {
	m, _ := answer.(map[string]any)
	var parts []string
	for _, key := range []string{"message", "detail", "error"} {
		if s, ok := m[key].(string); ok && s != "" && !strings.Contains(strings.Join(parts, ": "), s) {
			parts = append(parts, s)
		}
	}
	if len(parts) == 0 {
		return otherwise
	}
	return strings.Join(parts, ": ")
}

// show asks the API and shows the answer, as it came or as text, and again where it is to be watched.
func (c *client) show(ctx context.Context, method, path string, body any, text func(screen, any)) error {
	if c.watch > 0 && method == http.MethodGet {
		return c.showAgain(ctx, path, text)
	}
	return c.showOnce(ctx, method, path, body, text)
}

func (c *client) showOnce(ctx context.Context, method, path string, body any, text func(screen, any)) error {
	answer, err := c.call(ctx, method, path, body)
	if c.asJSON && answer != nil {
		e := json.NewEncoder(c.out)
		e.SetIndent("", "  ")
		if encodeErr := e.Encode(answer); encodeErr != nil {
			return errors.Join(err, encodeErr)
		}
		return err
	}
	if err != nil {
		return err
	}
	text(c.out, answer)
	return nil
}
