package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// client has no keep-alive: programs come and go.
var client = &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// get returns the code and the body of a URL.
func get(ctx context.Context, url string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	return do(req)
}

func do(req *http.Request) (int, string, error) {
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return 0, "", fmt.Errorf("read %s: %w", req.URL, err)
	}
	return resp.StatusCode, strings.TrimSpace(string(body)), nil
}

// getJSON decodes the answer of a URL.
func getJSON(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	return doJSON(req, into)
}

func doJSON(req *http.Request, into any) error {
	code, body, err := do(req)
	if err != nil {
		return err
	}
	if code != http.StatusOK {
		return fmt.Errorf("%s answered %d: %s", req.URL, code, body)
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		return fmt.Errorf("%s: %w", req.URL, err)
	}
	return nil
}

// Call asks the control API as a role; role "" is nobody. body nil sends none. The answer is decoded into the second result where
// it is JSON.
func (s *Stack) Call(ctx context.Context, role, method, path string, body any) (code int, answer map[string]any, err error) {
	var payload io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return 0, nil, fmt.Errorf("%s %s: %w", method, path, err)
		}
		payload = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.ControlAPI+path, payload)
	if err != nil {
		return 0, nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if role != "" {
		token, err := s.Token(role)
		if err != nil {
			return 0, nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	code, text, err := do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if json.Unmarshal([]byte(text), &answer) != nil {
		answer = map[string]any{"text": text}
	}
	return code, answer, nil
}

// Sample is one series of an instant query.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Query asks Prometheus for the value of an expression now.
func (s *Stack) Query(ctx context.Context, expr string) ([]Sample, error) {
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := getJSON(ctx, s.Prometheus+"/api/v1/query?query="+url.QueryEscape(expr), &answer); err != nil {
		return nil, fmt.Errorf("query %s: %w", expr, err)
	}
	var out []Sample
	for _, r := range answer.Data.Result {
		text, _ := r.Value[1].(string)
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("query %s: value %v: %w", expr, r.Value, err)
		}
		out = append(out, Sample{Labels: r.Metric, Value: value})
	}
	return out, nil
}

// Alert is one alert as Prometheus knows it.
type Alert struct {
	Labels      map[string]string
	Annotations map[string]string
	State       string // pending, firing
	ActiveAt    time.Time
}

// Alerts lists the pending and firing alerts of Prometheus.
func (s *Stack) Alerts(ctx context.Context) ([]Alert, error) {
	var answer struct {
		Data struct{ Alerts []Alert }
	}
	if err := getJSON(ctx, s.Prometheus+"/api/v1/alerts", &answer); err != nil {
		return nil, err
	}
	return answer.Data.Alerts, nil
}

// waitForChain waits until Prometheus has good samples of every service, its rules were evaluated, and no alert that calls for a
// recovery is firing.
func (s *Stack) waitForChain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	last := ""
	err := poll(ctx, 100*time.Millisecond, func() (bool, error) {
		up, err := s.Query(ctx, `min(redis_up{job="redis-medic"})`)
		if err != nil || len(up) == 0 || up[0].Value != 1 {
			last = fmt.Sprintf("redis_up is %v, %v", up, err)
			return false, nil
		}
		waiting, err := s.unevaluated(ctx)
		if err != nil || len(waiting) > 0 {
			last = fmt.Sprintf("rule groups not yet evaluated: %v, %v", waiting, err)
			return false, nil
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("the chain of redis-medic and Prometheus does not work: %w; %s", err, last)
	}
	s.say("Prometheus scrapes redis-medic and evaluates its rules")
	return nil
}

// unevaluated lists the fast rule groups that have not run yet; the slow ones are not waited for.
func (s *Stack) unevaluated(ctx context.Context) ([]string, error) {
	var answer struct {
		Data struct {
			Groups []struct {
				Name           string
				Interval       float64
				LastEvaluation time.Time
			}
		}
	}
	if err := getJSON(ctx, s.Prometheus+"/api/v1/rules?type=alert", &answer); err != nil {
		return nil, err
	}
	out := []string{}
	fast := 0
	for _, g := range answer.Data.Groups {
		if g.Interval > 1 {
			continue
		}
		fast++
		if g.LastEvaluation.IsZero() {
			out = append(out, g.Name)
		}
	}
	if fast == 0 {
		return nil, fmt.Errorf("no rule group is evaluated every second")
	}
	return out, nil
}
