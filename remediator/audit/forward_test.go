package audit_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/store"
)

// daemon is a log daemon on a socket of one kind.
type daemon struct {
	tb    testing.TB
	mu    sync.Mutex
	texts []string
	stop  func()
	ended sync.WaitGroup
}

func (d *daemon) took(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.texts = append(d.texts, text)
}

func (d *daemon) got() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.texts)
}

func (d *daemon) seqs() (out []int64) {
	for _, text := range d.got() {
		var r audit.Record
		if json.Unmarshal([]byte(payload(text)), &r) == nil && r.Seq > 0 && r.EventType != "" {
			out = append(out, r.Seq)
		}
	}
	return out
}

// payload is the JSON of a message.
func payload(text string) string {
	return strings.TrimSuffix(text[max(0, strings.IndexByte(text, '{')):], "\n")
}

// packets listens for datagrams.
func packets(tb testing.TB, network, address string) (*daemon, string) {
	tb.Helper()
	conn, err := net.ListenPacket(network, address)
	if err != nil {
		tb.Fatal(err)
	}
	d := &daemon{tb: tb, stop: sync.OnceFunc(func() { conn.Close() })}
	d.ended.Go(func() {
		buf := make([]byte, 1<<18)
		for {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			d.took(string(buf[:n]))
		}
	})
	tb.Cleanup(func() { d.end() })
	return d, conn.LocalAddr().String()
}

func (d *daemon) end() {
	d.stop()
	d.ended.Wait()
}

// stream listens for RFC 6587 frames.
func stream(tb testing.TB, address string) (*daemon, string) {
	tb.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	d := &daemon{tb: tb}
	var mu sync.Mutex
	conns := []net.Conn{}
	d.stop = func() {
		l.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			c.Close()
		}
	}
	d.ended.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			d.ended.Go(func() { d.frames(c) })
		}
	})
	tb.Cleanup(d.end)
	return d, l.Addr().String()
}

func (d *daemon) frames(c net.Conn) {
	in := bufio.NewReader(c)
	for {
		length, err := in.ReadString(' ')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSpace(length))
		if err != nil {
			d.tb.Errorf("frame %q: %v", length, err)
			return
		}
		text := make([]byte, n)
		if _, err := io.ReadFull(in, text); err != nil {
			return
		}
		d.took(string(text))
	}
}

// Every kind of daemon gets every record as it was sealed, in order, and the checkpoints.
func TestForwardToEveryKindOfDaemon(t *testing.T) {
	for name, test := range map[string]struct {
		start func(*testing.T) (*daemon, string)
		form  string
	}{
		"journald": {func(t *testing.T) (*daemon, string) {
			d, at := packets(t, "unixgram", filepath.Join(t.TempDir(), "socket"))
			return d, "journald:" + at
		}, `^PRIORITY=6\nSYSLOG_FACILITY=10\nSYSLOG_IDENTIFIER=redis-medic-audit\nREDIS_MEDIC_AUDIT_SEQ=1\nMESSAGE=\{.*\}\n$`},
		"syslog": {func(t *testing.T) (*daemon, string) {
			d, at := packets(t, "unixgram", filepath.Join(t.TempDir(), "log"))
			return d, "syslog:" + at
		}, `^<86>[A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d redis-medic-audit\[\d+\]: \{.*\}$`},
		"udp": {func(t *testing.T) (*daemon, string) {
			d, at := packets(t, "udp", "127.0.0.1:0")
			return d, "udp://" + at
		}, `^<86>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \S+ redis-medic-audit \d+ audit - \{.*\}$`},
		"tcp": {func(t *testing.T) (*daemon, string) {
			d, at := stream(t, "127.0.0.1:0")
			return d, "tcp://" + at
		}, `^<86>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \S+ redis-medic-audit \d+ audit - \{.*\}$`},
	} {
		t.Run(name, func(t *testing.T) {
			d, target := test.start(t)
			b := newBench(t, func(o *audit.Options) { o.Forward = target })
			stop := runLog(t, b.log)
			for range 5 {
				b.append(sample())
			}
			waitUntil(t, "all records are there", func() bool { return len(d.seqs()) == 5 })
			stop()
			b.close()
			if got := d.seqs(); !slices.Equal(got, []int64{1, 2, 3, 4, 5}) {
				t.Errorf("records %v", got)
			}
			if first := d.got()[0]; !regexp.MustCompile(`(?s)` + test.form).MatchString(first) {
				t.Errorf("form of a message: %q", first)
			}
			file := filepath.Join(t.TempDir(), "kept")
			var lines strings.Builder
			waitUntil(t, "the checkpoint is there", func() bool { return len(d.got()) > 5 })
			for _, text := range d.got() {
				lines.WriteString(payload(text) + "\n")
			}
			if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			if stored, _ := b.verifyAgainst(testKeys, file); !stored.OK || stored.Checkpoints == 0 {
				t.Errorf("the chain against the forwarded checkpoints: %+v", stored)
			}
		})
	}
}

// A daemon that is away refuses nothing and misses nothing, not even over a restart of ours.
func TestForwardCatchesUp(t *testing.T) {
	d, at := stream(t, "127.0.0.1:0")
	b := newBench(t, func(o *audit.Options) { o.Forward = "tcp://" + at })
	stop := runLog(t, b.log)
	b.append(sample())
	waitUntil(t, "the first record is there", func() bool { return len(d.seqs()) == 1 })
	d.end()
	for range 3 {
		b.append(sample())
	}
	waitUntil(t, "the failure is known", func() bool { return !sink(b.log.Health(), "forward").OK })
	if h := b.log.Health(); !h.OK || !h.Recording {
		t.Errorf("the log fails with its daemon: %+v", h)
	}
	again, _ := stream(t, at)
	waitUntil(t, "what was missed is there", func() bool { return slices.Contains(again.seqs(), 4) })
	waitUntil(t, "the daemon works again", func() bool { return sink(b.log.Health(), "forward").OK })
	again.end()
	stop()
	b.append(sample())
	b.close()
	last, _ := stream(t, at)
	b.open()
	stop = runLog(t, b.log)
	waitUntil(t, "the record of before the restart is there", func() bool { return slices.Contains(last.seqs(), 5) })
	stop()
	if got := last.seqs(); got[0] < 4 {
		t.Errorf("after the restart it began with %d", got[0])
	}
}

// A record that is too long for a datagram is named, and holds nothing up.
func TestForwardOfALongRecord(t *testing.T) {
	d, at := packets(t, "udp", "127.0.0.1:0")
	b := newBench(t, func(o *audit.Options) { o.Forward = "udp://" + at })
	stop := runLog(t, b.log)
	long := sample()
	long.Details = map[string]string{}
	for i := range 32 {
		long.Details[fmt.Sprint("k", i)] = strings.Repeat("\x01", 1024) // six bytes each when it is escaped
	}
	line := b.append(long)
	b.append(sample())
	waitUntil(t, "the next record is there", func() bool { return slices.Contains(d.seqs(), 2) })
	stop()
	if first := d.got()[0]; !strings.Contains(first, line.Hash) || !strings.Contains(first, `"truncated":true`) || len(first) > 1000 {
		t.Errorf("instead of the long record: %q", first)
	}
}

func TestForwardTargets(t *testing.T) {
	for target, good := range map[string]bool{
		"journald": true, "syslog": true, "journald:/run/systemd/journal.x/socket": true, "udp://10.0.0.1:514": true, "tcp://[::1]:601": true,
		"": false, "tcp": false, "tcp://host": false, "tcp:host:1": false, "udp://:514": false, "tcp://h:99999": false, "http://h:1": false, "syslog:log": false,
	} {
		if err := audit.CheckForward(target); (err == nil) != good {
			t.Errorf("%q: %v", target, err)
		}
	}
	s, err := store.Open(t.Context(), store.Options{Dir: t.TempDir() + "/d"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if _, err := audit.New(t.Context(), audit.Options{Store: s, Key: testKey, Forward: "nowhere"}); err == nil {
		t.Error("a log with an impossible target was opened")
	}
}
