package remediator

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Alertmanager speaks to an Alertmanager's API v2: it lists active alerts, posts short ones and manages silences. It is safe for concurrent use.
type Alertmanager struct {
	base   string
	list   string // the path and query that list alerts
	token  func() string
	client *http.Client
}

// maxAlertsBody bounds an answer of Alertmanager's API.
const maxAlertsBody = 16 << 20

// NewAlertmanager returns a reader of the Alertmanager at base, "http://127.0.0.1:9093". token may be nil.
func NewAlertmanager(base string, token func() string) (*Alertmanager, error) {
	u, err := url.Parse(base)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("alertmanager url %q: want http://host:port", base)
	}
	q := url.Values{"filter": {labelRemediation + `="` + remediationLadder + `"`}, "active": {"true"}, "silenced": {"true"}, "inhibited": {"true"}}
	base = strings.TrimSuffix(base, "/")
	return &Alertmanager{
		base: base, list: "/api/v2/alerts?" + q.Encode(), token: token,
		// The endpoint is ours by configuration; a redirect would carry the token elsewhere.
		client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil
}

// gettable is the part of Alertmanager's gettableAlert that we read.
type gettable struct {
	Fingerprint string            `json:"fingerprint"`
	Labels      map[string]string `json:"labels"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
	Status      struct {
		State       string   `json:"state"`
		SilencedBy  []string `json:"silencedBy"`
		InhibitedBy []string `json:"inhibitedBy"`
	} `json:"status"`
}

// Alerts implements AlertSource. The error says what Alertmanager answered.
func (a *Alertmanager) Alerts(ctx context.Context) ([]Alert, error) {
	var list []gettable
	if err := a.call(ctx, http.MethodGet, a.list, nil, &list); err != nil {
		return nil, err
	}
	out := make([]Alert, 0, len(list))
	for _, g := range list {
		al := Alert{Fingerprint: g.Fingerprint, Name: g.Labels["alertname"], Service: g.Labels[labelService], Labels: g.Labels,
			StartsAt: g.StartsAt, EndsAt: g.EndsAt, Firing: true}
		switch {
		case len(g.Status.SilencedBy) > 0:
			al.Suppressed = "silenced"
		case len(g.Status.InhibitedBy) > 0 || g.Status.State == "suppressed":
			al.Suppressed = "inhibited"
		}
		out = append(out, al)
	}
	return out, nil
}

// Silences implements SilenceSource: the silences in force.
func (a *Alertmanager) Silences(ctx context.Context) ([]Silence, error) {
	var list []struct {
		ID        string    `json:"id"`
		CreatedBy string    `json:"createdBy"`
		Comment   string    `json:"comment"`
		EndsAt    time.Time `json:"endsAt"`
		Matchers  []Matcher `json:"matchers"`
		Status    struct {
			State string `json:"state"`
		} `json:"status"`
	}
	if err := a.call(ctx, http.MethodGet, "/api/v2/silences", nil, &list); err != nil {
		return nil, err
	}
	var out []Silence
	for _, s := range list {
		if s.Status.State == "active" {
			out = append(out, Silence{ID: s.ID, By: s.CreatedBy, Comment: s.Comment, Until: s.EndsAt, Matchers: s.Matchers})
		}
	}
	return out, nil
}

// noticeNames are the alert names of the moments.
var noticeNames = map[NoticeKind]string{
	NoticeStarted: "RedisMedicRecoveryStarted", NoticeRecovered: "RedisMedicRecovered",
	NoticeFailed: "RedisMedicRecoveryFailed", NoticeManual: "RedisMedicManualIntervention",
}

// Notify implements Notifier: it posts a short alert, which ends by itself, to API v2. The label remediation="none" keeps it
// away from our own webhook.
func (a *Alertmanager) Notify(ctx context.Context, n Notice) error {
	labels := map[string]string{"alertname": noticeNames[n.Kind], labelService: n.Service, "severity": n.Severity, labelRemediation: "none"}
	for k, v := range map[string]string{"level": n.Level, "incident": n.Incident} {
		if v != "" {
			labels[k] = v
		}
	}
	return a.call(ctx, http.MethodPost, "/api/v2/alerts", []map[string]any{{
		"labels": labels, "annotations": map[string]string{"summary": n.Summary, "description": n.Text},
		"startsAt": n.At, "endsAt": n.At.Add(noticeLife),
	}}, nil)
}

// Silencer mutes the alerts of a service in Alertmanager for a time.
type Silencer interface {
	Silence(ctx context.Context, service string, until time.Time, by, comment string) (id string, err error)
	Expire(ctx context.Context, id string) error
}

// Silence implements Silencer: every alert with the service's label is muted until then.
func (a *Alertmanager) Silence(ctx context.Context, service string, until time.Time, by, comment string) (string, error) {
	var answer struct {
		ID string `json:"silenceID"`
	}
	err := a.call(ctx, http.MethodPost, "/api/v2/silences", map[string]any{
		"matchers": []map[string]any{{"name": labelService, "value": service, "isRegex": false, "isEqual": true}},
		"startsAt": time.Now().UTC(), "endsAt": until.UTC(), "createdBy": by, "comment": comment,
	}, &answer)
	return answer.ID, err
}

// Expire implements Silencer.
func (a *Alertmanager) Expire(ctx context.Context, id string) error {
	return a.call(ctx, http.MethodDelete, "/api/v2/silence/"+url.PathEscape(id), nil, nil)
}

// callTimeout bounds one request to Alertmanager.
const callTimeout = 5 * time.Second

// call sends body, where there is one, and reads the answer into result, where there is one.
func (a *Alertmanager) call(ctx context.Context, method, path string, body, result any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var payload io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("tell alertmanager: %w", err)
		}
		payload = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, payload)
	if err != nil {
		return fmt.Errorf("tell alertmanager: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if a.token != nil && a.token() != "" {
		req.Header.Set("Authorization", "Bearer "+a.token())
	}
	res, err := a.client.Do(req)
	if err != nil {
		return fmt.Errorf("tell alertmanager: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("alertmanager answered %s to %s %s", res.Status, method, path)
	}
	if result == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 4<<10))
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAlertsBody)).Decode(result); err != nil {
		return fmt.Errorf("read alertmanager's answer to %s %s: %w", method, path, err)
	}
	return nil
}
