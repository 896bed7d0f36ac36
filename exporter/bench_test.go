package exporter

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/exporter/resp"
)

// widen makes commandstats of a server count about n different commands, the scrape's own included.
func widen(t testing.TB, r *testRedis, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := resp.Dial(ctx, resp.Options{Addr: r.addr})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	count := func() int {
		replies, err := c.Do(ctx, []string{"INFO", "commandstats"})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(replies[0].Str, "cmdstat_")
	}
	replies, err := c.Do(ctx, []string{"COMMAND", "LIST"})
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 0, len(replies[0].Elems))
	for _, e := range replies[0].Elems {
		switch e.Str {
		case "shutdown", "debug", "monitor", "subscribe", "psubscribe", "ssubscribe", "sync", "psync", "quit", "reset", "replicaof", "slaveof",
			"failover", "multi", "exec", "discard", "wait", "replconf", "client", "config", "latency", "slowlog", "flushall", "hello", "auth",
			"bgsave", "save", "bgrewriteaof", "swapdb", "script", "function", "acl", "cluster", "memory", "module", "object", "command", "pubsub",
			"xgroup", "xinfo", "asking", "restore-asking", "readonly", "readwrite", "unsubscribe", "punsubscribe", "sunsubscribe", "pfselftest":
		default:
			names = append(names, e.Str)
		}
	}
	slices.Sort(names)
	args := [][]string{nil, {"k"}, {"k", "1"}, {"k", "1", "1"}, {"k", "1", "1", "1"}}
	for _, name := range names {
		if count() >= n {
			return
		}
		for _, a := range args { // the wrong number of arguments is refused before it is counted: one of these runs or fails
			if _, err := c.Do(ctx, append([]string{name}, a...)); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Fatalf("only %d commands", count())
}

// cpuOf is the CPU time that a process has used.
func cpuOf(t testing.TB, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "schedstat"))
	if err != nil {
		t.Fatal(err)
	}
	total := time.Duration(0)
	tasks, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "schedstat"))
	if err != nil || len(tasks) == 0 {
		f := strings.Fields(string(b))
		ns, _ := strconv.ParseInt(f[0], 10, 64)
		return time.Duration(ns)
	}
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		ns, _ := strconv.ParseInt(strings.Fields(string(b))[0], 10, 64)
		total += time.Duration(ns)
	}
	return total
}

// child is an exporter in a process of its own, so that its CPU time and memory can be told from the test's.
type child struct {
	url string
	pid int
}

func startChild(b *testing.B, page, listen string, cmd *exec.Cmd) child {
	b.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	until(b, "the exporter listens", func() bool {
		c, err := net.Dial("tcp", listen)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return child{page, cmd.Process.Pid}
}

// allocs is how many objects the exporter has allocated so far; 0 when it does not say.
func (c child) allocs(b *testing.B) float64 {
	b.Helper()
	address, err := url.Parse(c.url)
	if err != nil {
		b.Fatal(err)
	}
	n, _ := scrapePage(b, "http://"+address.Host+"/metrics").value("go_memstats_mallocs_total")
	return n
}

// startOurs runs this test binary as an exporter; see TestMain.
func startOurs(b *testing.B, redis string) child {
	b.Helper()
	listen := freeAddr(b)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "EXPORTER_CHILD_LISTEN="+listen, "EXPORTER_CHILD_REDIS="+redis)
	return startChild(b, "http://"+listen+"/probe?target=redis", listen, cmd)
}

// startTheirs runs redis_exporter.
func startTheirs(b *testing.B, redis string) child {
	b.Helper()
	listen := freeAddr(b)
	args := []string{"-redis.addr", "redis://" + redis, "-web.listen-address", listen}
	if os.Getenv("REDIS_EXPORTER") != "" { // Debian's does not know this flag; it publishes its allocations unasked
		args = append(args, "-include-go-runtime-metrics")
	}
	return startChild(b, "http://"+listen+"/metrics", listen, exec.Command(peer(b), args...))
}

// TestMain turns the test binary into an exporter where a benchmark asks for one.
func TestMain(m *testing.M) {
	listen := os.Getenv("EXPORTER_CHILD_LISTEN")
	if listen == "" {
		os.Exit(m.Run())
	}
	e, err := New(Options{Listen: listen, Logger: zerolog.Nop(), Targets: childTargets()})
	if err == nil {
		err = e.Run(context.Background())
	}
	_, _ = fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// childTargets makes a target of each address in EXPORTER_CHILD_REDIS; more targets than addresses share them.
func childTargets() []Target {
	addrs := strings.Split(os.Getenv("EXPORTER_CHILD_REDIS"), ",")
	n, _ := strconv.Atoi(os.Getenv("EXPORTER_CHILD_TARGETS"))
	var out []Target
	for i := range max(n, 1) {
		t := Target{ID: "redis", Addr: addrs[i%len(addrs)], Timings: Timings{PingTimeout: 5 * time.Second}}
		if n > 1 {
			t.ID = fmt.Sprintf("redis%d", i)
		}
		out = append(out, t)
	}
	return out
}

// timesOf scrapes once and returns how long it took and how many bytes came.
func timesOf(b *testing.B, client *http.Client, url, encoding string) (time.Duration, int64) {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", encoding)
	req.Header.Set("Accept", "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2")
	started := time.Now()
	res, err := client.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	n, err := io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if err != nil || res.StatusCode != http.StatusOK {
		b.Fatal(err, res.StatusCode)
	}
	return time.Since(started), n
}

func percentile(d []time.Duration, p float64) float64 {
	slices.Sort(d)
	return float64(d[int(p*float64(len(d)-1))].Microseconds()) / 1e3
}

// BenchmarkAgainstRedisExporter scrapes ours and redis_exporter in turns, on the same Redis, and reports milliseconds of both.
func BenchmarkAgainstRedisExporter(b *testing.B) {
	for _, n := range []int{18, 98} {
		for _, encoding := range []string{"identity", "gzip"} {
			b.Run(fmt.Sprintf("%d-commands-%s", n, encoding), func(b *testing.B) { against(b, n, encoding, 0) })
		}
	}
	b.Run("18-commands-gzip-20ms-away", func(b *testing.B) { against(b, 18, "gzip", 20*time.Millisecond) })
}

func against(b *testing.B, commands int, encoding string, delay time.Duration) {
	r := startRedis(b)
	widen(b, r, commands)
	addr := r.addr
	if delay > 0 {
		addr = delayed(b, r.addr, delay/2)
	}
	both := []child{startOurs(b, addr), startTheirs(b, addr)}
	client := &http.Client{}
	for _, c := range both {
		for range 5 {
			timesOf(b, client, c.url, encoding)
		}
	}
	took := make([][]time.Duration, len(both))
	cpu := make([]time.Duration, len(both))
	bytes := make([]int64, len(both))
	allocs := make([]float64, len(both))
	for i, c := range both {
		allocs[i], cpu[i] = c.allocs(b), cpuOf(b, c.pid)
	}
	b.ResetTimer()
	for range b.N {
		for i, c := range both {
			d, n := timesOf(b, client, c.url, encoding)
			took[i], bytes[i] = append(took[i], d), n
		}
	}
	b.StopTimer()
	for i, name := range []string{"our", "their"} {
		used := float64((cpuOf(b, both[i].pid) - cpu[i]).Microseconds()) / 1e3 / float64(b.N)
		b.ReportMetric(percentile(took[i], 0.5), name+"-p50-ms")
		b.ReportMetric(percentile(took[i], 0.99), name+"-p99-ms")
		b.ReportMetric(used, name+"-cpu-ms")
		b.ReportMetric(float64(bytes[i]), name+"-bytes")
		if n := both[i].allocs(b); n > 0 {
			b.ReportMetric((n-allocs[i])/float64(b.N), name+"-allocs")
		}
	}
	b.ReportMetric(0, "ns/op") // the sum of both says nothing
}

// BenchmarkScrape is one scrape inside this process, without HTTP's own part: what it allocates, and what a profile should show.
func BenchmarkScrape(b *testing.B) {
	for _, n := range []int{18, 98} {
		b.Run(fmt.Sprintf("%d-commands", n), func(b *testing.B) {
			r := startRedis(b)
			widen(b, r, n)
			tg := target(r)
			tg.Timings = Timings{PingInterval: time.Hour, PingTimeout: 5 * time.Second, InfoInterval: time.Hour, PoolInterval: time.Hour}
			e, _ := runExporter(b, Options{Targets: []Target{tg}, Units: &fakeUnits{read: running()}})
			s, _ := e.prober.find("redis")
			request := httptest.NewRequest(http.MethodGet, "/probe?target=redis", nil)
			scrape := func() {
				var made []*page
				e.respond(httptest.NewRecorder(), request, func() ([]*dto.MetricFamily, error) {
					made = []*page{e.scrape(b.Context(), s, selection{redis: true}, nil)}
					return merge(made), nil
				})
				release(made)
			}
			scrape()
			b.ReportAllocs()
			for b.Loop() {
				scrape()
			}
		})
	}
}

// delayed forwards to addr and holds every byte back for d, each way.
func delayed(b *testing.B, addr string, d time.Duration) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", addr)
			if err != nil {
				_ = c.Close()
				continue
			}
			go hold(c, up, d)
			go hold(up, c, d)
		}
	}()
	return l.Addr().String()
}

func hold(from, to net.Conn, d time.Duration) {
	type chunk struct {
		b   []byte
		due time.Time
	}
	queue := make(chan chunk, 1024)
	go func() {
		defer close(queue)
		for {
			b := make([]byte, 32<<10)
			n, err := from.Read(b)
			if n > 0 {
				queue <- chunk{b[:n], time.Now().Add(d)}
			}
			if err != nil {
				return
			}
		}
	}()
	for c := range queue {
		<-time.After(time.Until(c.due))
		_, _ = to.Write(c.b)
	}
	_ = to.Close()
}

// BenchmarkFleet scrapes every service of a fleet once, as Prometheus does with /sd, and reports what that and idling cost.
func BenchmarkFleet(b *testing.B) {
	var addrs []string
	for range 10 {
		addrs = append(addrs, startRedis(b).addr)
	}
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("%d-services", n), func(b *testing.B) {
			listen := freeAddr(b)
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "EXPORTER_CHILD_LISTEN="+listen, "EXPORTER_CHILD_REDIS="+strings.Join(addrs, ","), fmt.Sprintf("EXPORTER_CHILD_TARGETS=%d", n))
			c := startChild(b, "http://"+listen+"/probe?target=redis", listen, cmd)
			client := &http.Client{}
			round := func() {
				for i := range n {
					url := c.url
					if n > 1 {
						url = fmt.Sprintf("%s%d", c.url, i)
					}
					timesOf(b, client, url, "gzip")
				}
			}
			round()
			idle := cpuOf(b, c.pid)
			<-time.After(10 * time.Second) // two rounds of PINGs
			idle = cpuOf(b, c.pid) - idle
			busy := cpuOf(b, c.pid)
			b.ResetTimer()
			for range b.N {
				round()
			}
			b.StopTimer()
			busy = cpuOf(b, c.pid) - busy
			b.ReportMetric(float64(idle)/float64(10*time.Second)*100, "idle-cpu-%")
			b.ReportMetric(float64(busy.Microseconds())/1e3/float64(b.N*n), "cpu-ms/scrape")
			b.ReportMetric(float64(rssOf(b, c.pid))/(1<<20), "rss-MB")
		})
	}
}

// rssOf is the resident memory of a process in bytes.
func rssOf(b *testing.B, pid int) int64 {
	b.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			kb, _ := strconv.ParseInt(f[1], 10, 64)
			return kb << 10
		}
	}
	b.Fatal("no VmRSS")
	return 0
}
