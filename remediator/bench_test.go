package remediator

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/store"
)

// The flood of DESIGN section 13.
const (
	floodRate    = 1000 // alerts each second
	floodMessage = 10   // alerts in one message
	floodFor     = 30 * time.Second
	floodSenders = 8
)

// BenchmarkWebhookFlood sends 1,000 new alerts each second for 30 s (3 s with -short) to a real listener on a real store, and fails
// when one is lost. The targets of time and memory are those of make bench: a busy machine may miss them.
func BenchmarkWebhookFlood(b *testing.B) {
	length := floodFor
	if testing.Short() {
		length = 3 * time.Second
	}
	for range b.N {
		f := flood(b, length)
		b.ReportMetric(float64(f.alerts)/f.took.Seconds(), "alerts/s")
		b.ReportMetric(float64(f.lost), "lost")
		b.ReportMetric(f.p99.Seconds()*1000, "p99-ms")
		b.ReportMetric(float64(f.heap)/(1<<20), "heap-MiB")
		if f.lost > 0 {
			b.Errorf("%d of %d alerts were lost", f.lost, f.alerts)
		}
	}
}

// flooded is what came of a flood.
type flooded struct {
	alerts, lost int
	took, p99    time.Duration
	heap         uint64 // in use afterwards, in bytes
}

func flood(b testing.TB, length time.Duration) flooded {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	dir := b.TempDir()
	st, err := store.Open(ctx, store.Options{Dir: dir, Logger: zerolog.Nop()})
	if err != nil {
		b.Fatal(err)
	}
	log, err := audit.New(ctx, audit.Options{Store: st, Key: []byte(strings.Repeat("k", 32)), Chain: "bench",
		File: audit.FileOptions{Path: filepath.Join(dir, "audit.log")}, Logger: zerolog.Nop()})
	if err != nil {
		b.Fatal(err)
	}
	w := newWorld()
	r, err := New(ctx, Options{Services: []Service{service("redis")}, Prober: w, Host: w, Scripts: w, Events: &sink{}, Store: st, Audit: log,
		Listen: "127.0.0.1:0", WebhookToken: func() string { return secret }, Logger: zerolog.Nop()})
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	f := send(b, "http://"+r.Addr().String()+"/webhook", length)
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f.heap = m.HeapInuse
	f.lost = f.alerts - countDeliveries(b, st)
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
	if err := log.Close(); err != nil {
		b.Error(err)
	}
	if err := st.Close(); err != nil {
		b.Error(err)
	}
	return f
}

// send posts messages at the rate of the flood. A message that is due is sent even when the ones before are late.
func send(b testing.TB, url string, length time.Duration) flooded {
	b.Helper()
	due := make(chan int)
	var mu sync.Mutex
	var took []time.Duration
	var wg sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: floodSenders}}
	defer client.CloseIdleConnections()
	for range floodSenders {
		wg.Go(func() {
			for n := range due {
				began := time.Now()
				code, err := postMessage(client, url, floodText(n))
				d := time.Since(began)
				mu.Lock()
				took = append(took, d)
				mu.Unlock()
				if err != nil || code != http.StatusAccepted {
					b.Errorf("message %d: %d %v", n, code, err)
				}
			}
		})
	}
	began := time.Now()
	messages := int(length.Seconds()) * floodRate / floodMessage
	tick := time.NewTicker(time.Second * floodMessage / floodRate)
	defer tick.Stop()
	for n := range messages {
		<-tick.C
		due <- n
	}
	close(due)
	wg.Wait()
	slices.Sort(took)
	return flooded{alerts: messages * floodMessage, took: time.Since(began), p99: took[len(took)*99/100]}
}

func floodText(n int) []byte {
	var t bytes.Buffer
	t.WriteString(`{"version":"4","status":"firing","alerts":[`)
	for i := range floodMessage {
		if i > 0 {
			t.WriteByte(',')
		}
		fmt.Fprintf(&t, `{"status":"firing","labels":{"alertname":"RedisDown","service":"redis","remediation":"ladder","n":"%d-%d"},"startsAt":"2026-11-23T03:00:00Z","endsAt":"0001-01-01T00:00:00Z","fingerprint":"%d-%d"}`, n, i, n, i)
	}
	t.WriteString(`]}`)
	return t.Bytes()
}

func postMessage(c *http.Client, url string, body []byte) (int, error) {
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	res, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	return res.StatusCode, nil
}

func countDeliveries(b testing.TB, st *store.SQLite) int {
	b.Helper()
	n, cursor := 0, ""
	for {
		docs, next, err := st.ListDocuments(context.Background(), store.DocumentQuery{Kind: kindDelivery, Cursor: cursor, Limit: 1000})
		if err != nil {
			b.Fatal(err)
		}
		n += len(docs)
		if next == "" {
			return n
		}
		cursor = next
	}
}

// TestAFloodLosesNothing is the same for a moment, without a limit on time: the benchmark has that.
func TestAFloodLosesNothing(t *testing.T) {
	if f := flood(t, time.Second); f.lost != 0 || f.alerts != floodRate {
		t.Errorf("%d of %d lost", f.lost, f.alerts)
	}
}
