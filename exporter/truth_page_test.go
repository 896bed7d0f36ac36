package exporter

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/exporter/resp"
)

// troubled starts a Redis in every kind of trouble and returns a target of each, by the reply that is expected of it.
func troubled(t *testing.T) map[health.Reply]Target {
	t.Helper()
	at := func(r *testRedis) Target {
		tg := target(r)
		tg.Timings.PingTimeout = 5 * time.Second // a loading server answers between two pieces of its file only
		return tg
	}
	out := map[health.Reply]Target{}
	healthy := startRedis(t)
	out[health.ReplyPong] = at(healthy)

	refused := startRedis(t)
	refused.kill()
	out[health.ReplyRefused] = at(refused)

	for reply, addr := range map[health.Reply]string{
		health.ReplyDNS: "no-such-host.invalid:6379", health.ReplyUnreachable: "255.255.255.255:6379",
		health.ReplyProtocol: serve(t, func(c net.Conn) { _, _ = fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }),
	} {
		tg := at(healthy)
		tg.Addr = addr
		out[reply] = tg
	}
	cert, key, _ := certificate(t)
	_, port, _ := net.SplitHostPort(freeAddr(t))
	secure := at(startRedis(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert, "--tls-auth-clients", "no"))
	secure.Addr, secure.TLS = "127.0.0.1:"+port, &tls.Config{MinVersion: tls.VersionTLS12} // it does not trust that certificate
	out[health.ReplyTLS] = secure

	locked := startRedis(t, "--requirepass", "right", "--user", "mute", "on", ">pw", "~*", "-@all")
	out[health.ReplyNoAuth] = at(locked)
	mute := at(locked)
	mute.Credentials = func() (string, string) { return "mute", "pw" }
	out[health.ReplyNoPerm] = mute

	loading := startRedis(t, "--enable-debug-command", "yes")
	loading.do("DEBUG", "POPULATE", "50000")
	loading.do("SAVE")
	loading.kill()
	loading.args = append(loading.args, "--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
	loading.start()
	out[health.ReplyLoading] = at(loading)

	_, nobody, _ := net.SplitHostPort(freeAddr(t))
	out[health.ReplyMasterDown] = at(startRedis(t, "--replicaof", "127.0.0.1 "+nobody, "--replica-serve-stale-data", "no"))
	out[health.ReplyMisconf] = at(misconf(t))
	out[health.ReplyBusy] = at(busy(t))
	out[health.ReplyMaxClients] = at(full(t))
	return out
}

func misconf(t *testing.T) *testRedis {
	t.Helper()
	r := startRedis(t)
	r.do("CONFIG", "SET", "save", "3600 1")
	if err := os.Mkdir(filepath.Join(r.dir, "dump.rdb"), 0o700); err != nil { // nothing can be renamed over it
		t.Fatal(err)
	}
	r.do("SET", "a", "b")
	r.do("BGSAVE")
	until(t, "the snapshot failed", func() bool { return strings.Contains(r.do("INFO", "persistence").Str, "rdb_last_bgsave_status:err") })
	return r
}

func busy(t *testing.T) *testRedis {
	t.Helper()
	r := startRedis(t, "--busy-reply-threshold", "50")
	c, err := resp.Dial(t.Context(), resp.Options{Addr: r.addr})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = c.Do(t.Context(), []string{"EVAL", "while true do end", "0"})
		_ = c.Close()
	}()
	t.Cleanup(func() {
		r.kill()
		<-ended
	})
	until(t, "busy", func() bool { return strings.HasPrefix(r.do("PING").Str, "BUSY") })
	return r
}

func full(t *testing.T) *testRedis {
	t.Helper()
	r := startRedis(t, "--maxclients", "1")
	until(t, "we hold the only place", func() bool {
		c, err := resp.Dial(t.Context(), resp.Options{Addr: r.addr})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		replies, err := c.Do(t.Context(), []string{"PING"})
		return err == nil && replies[0].Str == "PONG"
	})
	return r
}

// TestEveryReasonIsOnThePage puts every kind of trouble on one page: every service has its redis_up, exactly one reason, and nothing of
// one service reaches another.
func TestEveryReasonIsOnThePage(t *testing.T) {
	t.Parallel()
	trouble := troubled(t)
	frozen := startRedis(t)
	trouble[health.ReplyTimeout] = target(frozen)
	var targets []Target
	for reply, tg := range trouble {
		tg.ID = string(reply)
		targets = append(targets, tg)
	}
	for _, reply := range health.Replies() {
		if _, ok := trouble[reply]; !ok && reply != health.NoReplyYet {
			t.Errorf("no server answers with %s here", reply)
		}
	}
	_, base := runExporter(t, Options{Targets: targets})
	frozen.signal(syscall.SIGSTOP)
	code, body := get(t, base+"/metrics", "X-Prometheus-Scrape-Timeout-Seconds", "10")
	if code != http.StatusOK {
		t.Fatalf("%d %s", code, body)
	}
	s := scrapePage(t, base+"/metrics", "X-Prometheus-Scrape-Timeout-Seconds", "10")
	for reply := range trouble {
		service := string(reply)
		up := 0.0
		if reply.Alive() {
			up = 1
		}
		s.want(t, up, "redis_up", "service", service)
		for _, other := range health.Replies() {
			want := 0.0
			if other == reply {
				want = 1
			}
			s.want(t, want, "redis_ping_reply", "service", service, "reply", string(other))
		}
		if reply == health.ReplyPong {
			s.want(t, 0, "redis_exporter_last_scrape_error", "service", service, "err", "")
		} else {
			s.want(t, 1, "redis_exporter_last_scrape_error", "service", service, "err", service)
		}
		if reply != health.ReplyPong && reply != health.ReplyMisconf && reply != health.ReplyMasterDown && reply != health.ReplyLoading {
			s.want(t, 0, "redis_collector_success", "service", service, "collector", "info")
		}
		if _, leaked := s.value("redis_memory_used_bytes", "service", service); leaked && !reply.Alive() {
			t.Errorf("%s: samples of a Redis that does not answer", service)
		}
	}
	if n := len(s["redis_up"].GetMetric()); n != len(targets) {
		t.Errorf("%d services on the page, want %d", n, len(targets))
	}
}
