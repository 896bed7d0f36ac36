package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/deploy/lab"
)

// fleet is what the program is pointed at: real Redis servers on loopback, each under many addresses, and real hosts with many units.
type fleet struct {
	dir    string
	binary string
	addrs  []string // one for each service
	hosts  []*lab.Host
}

const (
	fleetHosts   = 2
	fleetServers = 10
)

// BenchmarkFleetOverSSH runs the built program as an exporter of 1 to 1,000 services, each with a Redis that answers and a unit that is
// watched over SSH, and reports what idling and a scrape of all cost.
func BenchmarkFleetOverSSH(b *testing.B) {
	if err := lab.Require(); err != nil {
		b.Skip(err)
	}
	if _, err := exec.LookPath("redis-server"); err != nil {
		b.Skip("redis-server is not installed")
	}
	sizes := []int{1, 10, 100, 1000}
	f := makeFleet(b, sizes[len(sizes)-1])
	for _, n := range sizes {
		b.Run(fmt.Sprintf("%d-services", n), func(b *testing.B) { f.run(b, n) })
	}
}

func makeFleet(b *testing.B, n int) *fleet {
	b.Helper()
	f := &fleet{dir: b.TempDir()}
	f.binary = filepath.Join(f.dir, "redis-medic")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", f.binary, module+"cmd/redis-medic").CombinedOutput(); err != nil {
		b.Fatalf("build: %v %s", err, out)
	}
	for range fleetHosts {
		h, err := lab.Up(b.Context(), lab.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := h.Down(); err != nil {
				b.Error(err)
			}
		})
		f.hosts = append(f.hosts, h)
	}
	var servers []string
	for range fleetServers {
		servers = append(servers, startServer(b, b.TempDir()))
	}
	for i := range n {
		f.addrs = append(f.addrs, forward(b, servers[i%len(servers)]))
	}
	return f
}

func listen(b *testing.B) net.Listener {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	return l
}

func startServer(b *testing.B, dir string) string {
	b.Helper()
	l := listen(b)
	addr := l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(addr)
	start(b, exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", dir))
	reach(b, addr)
	return addr
}

// start starts a program that ends with the benchmark.
func start(b *testing.B, cmd *exec.Cmd) int {
	b.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

func reach(b *testing.B, addr string) {
	b.Helper()
	eventually(b, addr+" listens", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func eventually(b *testing.B, what string, yes func() bool) {
	b.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for !yes() {
		if time.Now().After(deadline) {
			b.Fatalf("never happened: %s", what)
		}
		<-tick.C
	}
}

// forward gives a server one more address: the configuration refuses two services with the same.
func forward(b *testing.B, server string) string {
	b.Helper()
	l := listen(b)
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = near.Close() }()
				far, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				defer func() { _ = far.Close() }()
				go func() { _, _ = io.Copy(far, near); _ = far.Close() }()
				_, _ = io.Copy(near, far)
			}()
		}
	}()
	return l.Addr().String()
}

// config writes the configuration of n services and returns its file and the exporter's address.
func (f *fleet) config(b *testing.B, n int) (file, exporter string) {
	b.Helper()
	l := listen(b)
	exporter = l.Addr().String()
	_ = l.Close()
	var y strings.Builder
	for i, addr := range f.addrs[:n] {
		_, port, _ := net.SplitHostPort(addr)
		service := fmt.Sprintf("service: {ip: 127.0.0.1, port: %s, host: h%d, systemd_unit: redis-server@b%d.service}\n", port, i%len(f.hosts), i)
		switch i {
		case 0:
			y.WriteString("redis_service_management:\n  " + service + "services:\n")
		default:
			fmt.Fprintf(&y, "- id: s%d\n  %s", i, service)
		}
	}
	if n == 1 {
		y.WriteString("  []\n")
	}
	y.WriteString("ssh:\n  hosts:\n")
	for i, h := range f.hosts {
		fmt.Fprintf(&y, "    h%d: {address: %q, user: %s, identity_file: %s, known_hosts_file: %s}\n", i, h.SSHAddress, h.User, h.IdentityFile, h.KnownHostsFile)
	}
	dir := b.TempDir()
	fmt.Fprintf(&y, "exporter: {listen: %q}\nremediator: {webhook: {credentials_file: token}}\nstorage: {path: %s/data}\n", exporter, dir)
	file = filepath.Join(dir, "redis-medic.yml")
	for name, text := range map[string]string{"token": strings.Repeat("x", 40), "redis-medic.yml": y.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return file, exporter
}

func (f *fleet) run(b *testing.B, n int) {
	file, addr := f.config(b, n)
	cmd := exec.Command(f.binary, "run", "--config", file, "--component", "exporter", "--log.level", "error")
	cmd.Stderr = os.Stderr
	pid := start(b, cmd)
	reach(b, addr)
	page := func() string { return get(b, "http://"+addr+"/metrics") }
	eventually(b, "all units are read", func() bool {
		p := get(b, "http://"+addr+"/metrics?collect[]=health")
		up, read := count(p, "redis_up{", "1"), count(p, "systemd_unit_read_success{", "1")
		return up == n && read == n
	})
	idle := cpuOf(b, pid)
	pause(10 * time.Second) // two rounds of PINGs
	idle = cpuOf(b, pid) - idle
	resident := rssOf(b, pid)
	size := 0
	busy, took := cpuOf(b, pid), time.Now()
	b.ResetTimer()
	for range b.N {
		size = len(page())
	}
	b.StopTimer()
	busy, lasted := cpuOf(b, pid)-busy, time.Since(took)
	b.ReportMetric(float64(idle)/float64(10*time.Second)*100, "idle-cpu-%")
	b.ReportMetric(float64(resident)/(1<<20), "rss-MB")
	b.ReportMetric(float64(resident)/1024/float64(n), "rss-KB/service")
	b.ReportMetric(float64(rssOf(b, pid))/(1<<20), "page-rss-MB") // after pages of all services at once
	b.ReportMetric(float64(busy.Microseconds())/1e3/float64(b.N*n), "cpu-ms/scrape")
	b.ReportMetric(float64(lasted.Milliseconds())/float64(b.N), "page-ms")
	b.ReportMetric(float64(size)/1024, "page-KB")
	b.ReportMetric(0, "ns/op")
}

// pause lets the program idle; what is measured is the idling.
func pause(d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	<-ctx.Done()
}

func get(b *testing.B, url string) string {
	b.Helper()
	res, err := http.Get(url) //nolint:gosec,noctx // an address of our own
	if err != nil {
		return ""
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return ""
	}
	return string(body)
}

// count counts the samples of a family that have a value.
func count(page, family, value string) int {
	n := 0
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, family) && strings.HasSuffix(line, "} "+value+"\n") {
			n++
		}
	}
	return n
}

// cpuOf is the CPU time that a process has used.
func cpuOf(b *testing.B, pid int) time.Duration {
	b.Helper()
	tasks, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "schedstat"))
	if err != nil || len(tasks) == 0 {
		b.Fatal("no schedstat", err)
	}
	total := time.Duration(0)
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		ns, _ := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		total += time.Duration(ns)
	}
	return total
}

// rssOf is the resident memory of a process in bytes.
func rssOf(b *testing.B, pid int) int64 {
	b.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm"))
	if err != nil {
		b.Fatal(err)
	}
	n, _ := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	return n * int64(os.Getpagesize())
}
