package remediator

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/exporter-toolkit/web"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/redis-medic/redis-medic/remediator/store"
)

// Limits of the webhook. Alertmanager gives a receiver ten seconds and sends again after a timeout.
const (
	maxWebhookBody   = 4 << 20
	maxWebhookAlerts = 10000
	persistTimeout   = 5 * time.Second
	headerTimeout    = 5 * time.Second
	bodyTimeout      = 10 * time.Second
)

// serveWebhook serves the listener until ctx ends.
func (r *Remediator) serveWebhook(ctx context.Context) error {
	srv := &http.Server{
		Handler: r.Handler(), ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, WriteTimeout: 2 * bodyTimeout,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
	}
	failed := make(chan error, 1)
	go func() {
		if r.o.WebConfigFile == "" {
			failed <- srv.Serve(r.listener)
			return
		}
		file, systemd := r.o.WebConfigFile, false
		flags := &web.FlagConfig{WebConfigFile: &file, WebSystemdSocket: &systemd}
		failed <- web.Serve(r.listener, srv, flags, slog.New(zerolog.NewSlogHandler(r.o.Logger)))
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("webhook listener: %w", err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), bodyTimeout)
	defer cancel()
	if err := srv.Shutdown(end); err != nil {
		_ = srv.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("webhook listener: %w", err)
	}
	return nil
}

// Handler serves POST /webhook, /-/healthy and /-/ready.
func (r *Remediator) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /webhook", r.webhook)
	for _, path := range []string{"GET /-/healthy", "GET /-/ready"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "redis-medic remediator is up.\n")
		})
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "redis-medic remediator: Alertmanager posts to /webhook.\n")
	})
	return mux
}

// delivery is Alertmanager's webhook message, read leniently: newer versions add fields.
type delivery struct {
	template.Data
	TruncatedAlerts uint64 `json:"truncatedAlerts"`
}

// webhook authenticates, persists and answers; the work is done elsewhere. 202: something new; 200: nothing new; 400 garbage;
// 401; 413 too large; 503 only when it could not be persisted, as Alertmanager repeats after a 5xx at once.
func (r *Remediator) webhook(w http.ResponseWriter, req *http.Request) {
	began := time.Now()
	code, text := r.receive(w, req)
	r.metrics.webhooks.WithLabelValues(fmt.Sprint(code)).Inc()
	r.metrics.webhookTime.Observe(time.Since(began).Seconds())
	if code >= 400 {
		r.o.Logger.Warn().Int("code", code).Str("from", req.RemoteAddr).Msg("webhook: " + text)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text+"\n")
	_ = http.NewResponseController(w).Flush() // Alertmanager does not wait for the record
	r.auditDelivery(req, code, text, time.Since(began))
}

func (r *Remediator) receive(w http.ResponseWriter, req *http.Request) (code int, text string) {
	if !r.authentic(req) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="redis-medic webhook"`)
		return http.StatusUnauthorized, "missing or wrong bearer token"
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxWebhookBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge, "the message is larger than 4 MiB"
	case err != nil:
		return http.StatusBadRequest, "the message could not be read"
	}
	var d delivery
	if err := json.Unmarshal(body, &d); err != nil {
		return http.StatusBadRequest, "the message is not Alertmanager's JSON"
	}
	if len(d.Alerts) == 0 || len(d.Alerts) > maxWebhookAlerts {
		return http.StatusBadRequest, fmt.Sprintf("a message has 1 to %d alerts, not %d", maxWebhookAlerts, len(d.Alerts))
	}
	r.heard.Store(time.Now().UnixNano())
	if d.TruncatedAlerts > 0 {
		r.metrics.truncated.Inc() // the reconcile loop reads the rest
	}
	fresh, err := r.accept(req.Context(), d.Alerts)
	if err != nil {
		r.o.Logger.Error().Err(err).Msg("persist a webhook")
		return http.StatusServiceUnavailable, "the message could not be stored; send it again"
	}
	if fresh == 0 {
		return http.StatusOK, "nothing new"
	}
	return http.StatusAccepted, fmt.Sprintf("%d alerts accepted", fresh)
}

func (r *Remediator) authentic(req *http.Request) bool {
	token := r.o.WebhookToken()
	given, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	want, got := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(given))
	return ok && token != "" && subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// insertAtOnce is how many alerts of one message are stored side by side: they share a commit, so the message waits for a few and not
// for one after the other.
const insertAtOnce = 64

// accept persists the alerts that are ours and new, and wakes their services. A repeat of a firing alert stores nothing but
// wakes too: it says "still broken".
func (r *Remediator) accept(ctx context.Context, alerts template.Alerts) (fresh int, err error) {
	ctx, cancel := context.WithTimeout(ctx, persistTimeout)
	defer cancel()
	ours := make([]Alert, 0, len(alerts))
	for _, ta := range alerts {
		a := fromWebhook(ta)
		if _, ok := r.unit(a.Service); !ok || a.Labels[labelRemediation] != remediationLadder {
			r.metrics.alerts.WithLabelValues("ignored").Inc()
			continue
		}
		ours = append(ours, a)
	}
	inserted := make([]bool, len(ours))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(insertAtOnce)
	for i, a := range ours {
		g.Go(func() error {
			body, err := json.Marshal(a)
			if err != nil {
				return fmt.Errorf("encode an alert: %w", err)
			}
			inserted[i], err = r.o.Store.InsertNew(gctx, store.Document{Kind: kindDelivery, ID: deliveryID(a), Service: a.Service, At: time.Now(), JSON: body})
			if err != nil {
				return fmt.Errorf("store an alert: %w", err)
			}
			return nil
		})
	}
	err = g.Wait()
	// Also after a failure: what is stored is known, and its repetition would count as a duplicate.
	wake := map[*unit]bool{}
	for i, a := range ours {
		u, ok := r.unit(a.Service)
		if !ok || (err != nil && !inserted[i]) {
			continue
		}
		result := "duplicate"
		if inserted[i] {
			fresh++
			result = "accepted"
			r.publish(Event{Type: EventAlert, Service: a.Service, Status: map[bool]string{true: "firing", false: "resolved"}[a.Firing], Message: a.Name})
		}
		r.metrics.alerts.WithLabelValues(result).Inc()
		if u.hear(a) {
			wake[u] = true
		}
	}
	for u := range wake {
		u.poke()
	}
	return fresh, err
}

// Labels by which an alert says whom it concerns and whether the ladder may act on it.
const (
	labelService      = "service"
	labelRemediation  = "remediation"
	remediationLadder = "ladder"
)

func fromWebhook(ta template.Alert) Alert {
	return Alert{
		Fingerprint: ta.Fingerprint, Name: ta.Labels["alertname"], Service: ta.Labels[labelService], Labels: ta.Labels,
		StartsAt: ta.StartsAt, EndsAt: ta.EndsAt, Firing: ta.Status == "firing",
	}
}

// deliveryID names one state of one episode of an alert.
func deliveryID(a Alert) string {
	end := ""
	if !a.Firing {
		end = a.EndsAt.UTC().Format(time.RFC3339Nano)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%t|%s|%s", a.Fingerprint, a.Firing, a.StartsAt.UTC().Format(time.RFC3339Nano), end))
	return hex.EncodeToString(sum[:])
}

// maxHeard bounds the alerts of one service that are kept in mind: one is enough to act, and a flood must not fill the memory.
const maxHeard = 1000

// forgetOldest makes room for another alert. The caller holds u.mu.
func (u *unit) forgetOldest() {
	oldest, found := "", false
	for fp, a := range u.alerts {
		if !found || a.StartsAt.Before(u.alerts[oldest].StartsAt) {
			oldest, found = fp, true
		}
	}
	delete(u.alerts, oldest)
}

// hear takes an alert's state into account and reports whether the service should look. A resolved alert is a hint only: it may
// be older than the episode that fires now.
func (u *unit) hear(a Alert) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	known, ok := u.alerts[a.Fingerprint]
	switch {
	case a.Firing:
		if ok && known.Suppressed != "" {
			a.Suppressed = "" // Alertmanager does not deliver what is suppressed
		}
		if !ok && len(u.alerts) >= maxHeard {
			u.forgetOldest()
		}
		u.alerts[a.Fingerprint] = a
		return true
	case ok && !a.EndsAt.Before(known.StartsAt):
		delete(u.alerts, a.Fingerprint)
		return true
	}
	return false
}
