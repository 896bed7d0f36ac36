package controlapi

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator"
)

// benchAPI runs an API on fakes until the benchmark ends.
func benchAPI(b *testing.B, change func(*Options)) *API {
	b.Helper()
	r := &rig{
		prober: &fakeProber{views: map[string]health.View{"redis": runningView()}}, audit: &fakeAudit{}, sessions: newMemSessions(),
		logs: &fakeLogs{}, log: &syncBuffer{}, remediator: &fakeRemediator{states: map[string]remediator.State{"redis": {}}},
	}
	o := testOptions(r)
	o.Logger = zerolog.New(io.Discard).Level(zerolog.InfoLevel) // the level that is shipped
	change(&o)
	a, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	b.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	return a
}

// BenchmarkStatus asks for the status over 64 kept connections, with the client on the same processors as the server. The target
// is 10,000 requests/s with a p99 below 5 ms on two processors.
func BenchmarkStatus(b *testing.B) {
	const connections = 64
	a := benchAPI(b, func(*Options) {})
	request := []byte("GET /api/services/redis/status HTTP/1.1\r\nHost: bench\r\n\r\n")
	var left atomic.Int64
	left.Store(int64(b.N))
	took := make([][]time.Duration, connections)
	var wg sync.WaitGroup
	b.ResetTimer()
	for i := range connections {
		wg.Go(func() {
			conn, err := net.Dial("tcp", a.Addr().String())
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close()
			in := bufio.NewReader(conn)
			for left.Add(-1) >= 0 {
				began := time.Now()
				if _, err := conn.Write(request); err != nil {
					b.Error(err)
					return
				}
				if err := skipResponse(in); err != nil {
					b.Error(err)
					return
				}
				took[i] = append(took[i], time.Since(began))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Concat(took...)
	slices.Sort(all)
	b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "requests/s")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
}

// skipResponse reads one 200 answer as cheaply as possible.
func skipResponse(in *bufio.Reader) error {
	length := 0
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		text := string(line)
		if first && !strings.HasPrefix(text, "HTTP/1.1 200") {
			return errors.New(text)
		}
		if v, ok := strings.CutPrefix(text, "Content-Length: "); ok {
			if length, err = strconv.Atoi(strings.TrimSpace(v)); err != nil {
				return err
			}
		}
		if text == "\r\n" {
			_, err := in.Discard(length)
			return err
		}
	}
}

// BenchmarkStreams connects 10,000 event stream clients, of which 100 never read, from another process, and publishes events. The
// targets are 40 KB of memory per client and one event at all of them within a second.
func BenchmarkStreams(b *testing.B) {
	clients := 10000
	if n, err := strconv.Atoi(os.Getenv("BENCH_STREAMS")); err == nil {
		clients = n
	}
	a := benchAPI(b, func(o *Options) {
		o.Websocket.MaxPerUser, o.Websocket.MaxPerAddress, o.WatchEvery = clients+1, clients+1, time.Hour
	})
	before := memory()
	child := exec.Command(os.Args[0], "-test.run=^TestStreamClients$", "-test.timeout=5m")
	child.Env = append(os.Environ(), "STREAM_CLIENTS="+strconv.Itoa(clients), "STREAM_ADDRESS="+a.Addr().String())
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _, _ = stdin.Close(), child.Wait() }()
	lines := bufio.NewScanner(stdout)
	expect := func(word string) string {
		for lines.Scan() {
			if rest, ok := strings.CutPrefix(lines.Text(), word+" "); ok {
				return rest
			}
		}
		b.Fatalf("the clients did not say %q: %v", word, lines.Err())
		return ""
	}
	expect("connected")
	perClient := float64(memory()-before) / float64(clients)
	slowest := 0.0
	b.ResetTimer()
	for range b.N {
		a.Hub().Publish(remediator.Event{Type: remediator.EventService, Service: "redis", Event: "bench", Message: strconv.FormatInt(time.Now().UnixNano(), 10)})
		ms, err := strconv.ParseFloat(expect("slowest"), 64)
		if err != nil {
			b.Fatal(err)
		}
		slowest = max(slowest, ms)
	}
	b.StopTimer()
	b.ReportMetric(perClient/1024, "KB/client")
	b.ReportMetric(slowest, "slowest-ms")
}

// memory is what the process holds from the system for heap and stacks.
func memory() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// TestStreamClients is the other process of BenchmarkStreams.
func TestStreamClients(t *testing.T) {
	count, err := strconv.Atoi(os.Getenv("STREAM_CLIENTS"))
	if err != nil {
		t.Skip("part of BenchmarkStreams")
	}
	const silent = 100
	arrived := make(chan time.Duration, count)
	var connected sync.WaitGroup
	slots := make(chan struct{}, 100)
	for i := range count {
		connected.Add(1)
		slots <- struct{}{}
		go func() {
			in, conn, err := rawStream(os.Getenv("STREAM_ADDRESS"))
			<-slots
			connected.Done()
			if err != nil {
				t.Error(err)
				return
			}
			if i < silent {
				_, _ = io.Copy(io.Discard, &neverRead{conn})
				return
			}
			readEvents(in, arrived)
		}()
	}
	connected.Wait()
	fmt.Fprintln(os.Stdout, "connected", count)
	over := make(chan struct{})
	go func() { // the benchmark closes our input when it ends
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(over)
	}()
	for {
		slowest := time.Duration(0)
		for range count - silent {
			select {
			case took := <-arrived:
				slowest = max(slowest, took)
			case <-over:
				return
			}
		}
		fmt.Fprintln(os.Stdout, "slowest", float64(slowest.Microseconds())/1000)
	}
}

// neverRead blocks for ever and keeps the connection open.
type neverRead struct{ net.Conn }

func (neverRead) Read([]byte) (int, error) { select {} }

// rawStream opens an event stream with as little memory as possible.
func rawStream(address string) (*bufio.Reader, net.Conn, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, nil, err
	}
	key := base64.StdEncoding.EncodeToString(make([]byte, 16))
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: %s\r\nAuthorization: Bearer %s\r\n\r\n", streamPath, key, viewToken)
	if err != nil {
		return nil, nil, err
	}
	in := bufio.NewReaderSize(conn, 512)
	for first := true; ; first = false {
		line, err := in.ReadString('\n')
		if err != nil || (first && !strings.Contains(line, " 101 ")) {
			return nil, nil, errors.Join(errors.New(line), err)
		}
		if line == "\r\n" {
			return in, conn, nil
		}
	}
}

// readEvents reports how long each benchmark event was under way.
func readEvents(in *bufio.Reader, arrived chan<- time.Duration) {
	var head [4]byte
	payload := make([]byte, 0, 512)
	for {
		if _, err := io.ReadFull(in, head[:2]); err != nil {
			return
		}
		length := int(head[1] & 0x7f)
		if length == 126 {
			if _, err := io.ReadFull(in, head[2:4]); err != nil {
				return
			}
			length = int(binary.BigEndian.Uint16(head[2:4]))
		}
		payload = slices.Grow(payload[:0], length)[:length]
		if _, err := io.ReadFull(in, payload); err != nil {
			return
		}
		if head[0]&0x0f != 1 {
			continue
		}
		var m struct {
			Event   string `json:"event"`
			Message string `json:"message"`
		}
		if json.Unmarshal(payload, &m) == nil && m.Event == "bench" {
			sent, _ := strconv.ParseInt(m.Message, 10, 64)
			arrived <- time.Since(time.Unix(0, sent))
		}
	}
}
