package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// idleFor is long enough for two rounds of the usual probes, and for the work of the start to be a small part.
const idleFor = 15 * time.Second

// BenchmarkIdle runs the whole program with one service, a real Redis, and reports what it costs when nothing happens. The service's
// host is not there: what a living SSH connection costs is not in it.
func BenchmarkIdle(b *testing.B) {
	redis := freePorts(b, 1)[0]
	_, port, err := net.SplitHostPort(redis)
	if err != nil {
		b.Fatal(err)
	}
	server := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", b.TempDir())
	if err := server.Start(); err != nil {
		b.Skip(err)
	}
	defer func() { _, _ = server.Process.Kill(), server.Wait() }()
	addrs := freePorts(b, 3)
	file := writeConfig(b, func(s string) string {
		for _, a := range addrs {
			s = strings.Replace(s, "127.0.0.1:0", a, 1)
		}
		return strings.Replace(s, "{ip: 127.0.0.1}", "{ip: 127.0.0.1, port: "+port+"}", 1)
	})
	program := exec.Command(os.Args[0], "run", "--config", file)
	program.Env = append(os.Environ(), asProgram+"=1")
	if err := program.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _, _ = program.Process.Signal(os.Interrupt), program.Wait() }()
	deadline := time.Now().Add(30 * time.Second)
	for {
		resp, err := http.Get("http://" + addrs[2] + "/-/ready")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Now().After(deadline) {
			b.Fatal("the program is not ready in time")
		}
		<-time.After(50 * time.Millisecond)
	}
	<-time.After(2 * time.Second) // the start is over
	for b.Loop() {
		before, began := cpuOf(b, program.Process.Pid), time.Now()
		<-time.After(idleFor)
		b.ReportMetric(float64(cpuOf(b, program.Process.Pid)-before)/float64(time.Since(began))*100, "cpu-%")
	}
	b.ReportMetric(rssOf(b, program.Process.Pid), "rss-MB")
}

// cpuOf is the time that a process has used.
func cpuOf(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	var user, system int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		b.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100 on every Linux that matters
}

// rssOf is the resident memory of a process in megabytes.
func rssOf(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm"))
	if err != nil {
		b.Fatal(err)
	}
	pages, err := strconv.ParseFloat(strings.Fields(string(text))[1], 64)
	if err != nil {
		b.Fatal(err)
	}
	return pages * float64(os.Getpagesize()) / (1 << 20)
}
