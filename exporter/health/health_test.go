package health

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestClassifyReply(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]Reply{
		"PONG": ReplyPong, "+PONG": ReplyPong, "-LOADING Redis is loading the dataset in memory": ReplyLoading,
		"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.": ReplyBusy,
		"BUSYKEY Target key name already exists.":                                                ReplyProtocol, "MISCONF Redis is configured to save RDB snapshots": ReplyMisconf,
		"MASTERDOWN Link with MASTER is down": ReplyMasterDown, "NOAUTH Authentication required.": ReplyNoAuth,
		"WRONGPASS invalid username-password pair or user is disabled.": ReplyNoAuth, "ERR invalid password": ReplyNoAuth,
		"ERR operation not permitted": ReplyNoAuth, "NOPERM User x has no permissions": ReplyNoPerm,
		"DENIED Redis is running in protected mode": ReplyNoPerm, "ERR max number of clients reached": ReplyMaxClients,
		"ERR max number of clients + cluster connections reached": ReplyMaxClients,
		"HTTP/1.1 400 Bad Request":                                ReplyProtocol, "": ReplyProtocol, "ERR unknown command 'PING'": ReplyProtocol,
	} {
		if got := ClassifyReply(line); got != want {
			t.Errorf("%q is %s, want %s", line, got, want)
		}
	}
}

type timeoutError struct{}

func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }
func (timeoutError) Error() string   { return "slow" }

func TestClassifyError(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want Reply
	}{
		{nil, NoReplyYet},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, ReplyRefused},
		{&net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.ENOENT)}, ReplyRefused},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsTimeout: true}}, ReplyDNS},
		{fmt.Errorf("read: %w", os.ErrDeadlineExceeded), ReplyTimeout}, {context.DeadlineExceeded, ReplyTimeout},
		{&net.OpError{Op: "dial", Err: timeoutError{}}, ReplyTimeout}, {os.NewSyscallError("connect", syscall.ETIMEDOUT), ReplyTimeout},
		{syscall.EHOSTUNREACH, ReplyUnreachable}, {io.EOF, ReplyUnreachable}, {syscall.ECONNRESET, ReplyUnreachable}, {errors.New("odd"), ReplyUnreachable},
		{tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, ReplyTLS}, {tls.AlertError(42), ReplyTLS},
		{&tls.CertificateVerificationError{Err: errors.New("bad")}, ReplyTLS}, {x509.HostnameError{Certificate: &x509.Certificate{}, Host: "a"}, ReplyTLS},
		{x509.UnknownAuthorityError{}, ReplyTLS}, {x509.CertificateInvalidError{}, ReplyTLS},
	} {
		if got := ClassifyError(c.err); got != c.want {
			t.Errorf("%v is %s, want %s", c.err, got, c.want)
		}
	}
}

func TestCPUPercent(t *testing.T) {
	t.Parallel()
	at := time.Unix(1000, 0)
	before := &Info{At: at, RunID: "a", CPU: 10 * time.Second}
	for _, c := range []struct {
		name     string
		previous *Info
		current  *Info
		want     float64
		known    bool
	}{
		{"half a core", before, &Info{At: at.Add(10 * time.Second), RunID: "a", CPU: 15 * time.Second}, 50, true},
		{"no sample before", nil, before, 0, false},
		{"no sample now", before, nil, 0, false},
		{"another process", before, &Info{At: at.Add(time.Minute), RunID: "b", CPU: 15 * time.Second}, 0, false},
		{"too close", before, &Info{At: at.Add(time.Millisecond), RunID: "a", CPU: 11 * time.Second}, 0, false},
		{"counted backwards", before, &Info{At: at.Add(time.Minute), RunID: "a", CPU: 9 * time.Second}, 0, false},
	} {
		if got, known := CPUPercent(c.previous, c.current); got != c.want || known != c.known {
			t.Errorf("%s: %v %v, want %v %v", c.name, got, known, c.want, c.known)
		}
	}
}

func TestClosedLists(t *testing.T) {
	t.Parallel()
	for c, causes := range hiddenBy {
		for _, x := range append(causes, c) {
			if _, ok := rank[x]; !ok {
				t.Errorf("code %s is not in the list of codes", x)
			}
		}
	}
	if len(rank) != len(Codes()) {
		t.Error("a code is listed twice")
	}
	for _, s := range Statuses() {
		if _, ok := severity[s]; !ok {
			t.Errorf("status %s has no severity", s)
		}
	}
	for _, class := range ErrorClasses() {
		if _, ok := hostReasons[class]; !ok {
			t.Errorf("class %s has no reason", class)
		}
	}
	for _, r := range Replies() {
		if _, ok := pingOutcomes[r]; !ok && r != ReplyPong && r != NoReplyYet {
			t.Errorf("reply %s has no outcome", r)
		}
		if r.Alive() && r.NoConnectivity() {
			t.Errorf("reply %s is both", r)
		}
	}
	if len(CheckNames()) != 4 {
		t.Error("layers")
	}
}

func TestUnit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                        string
		unit                        Unit
		running, transient, down, l bool
	}{
		{"running", Unit{ActiveState: "active", SubState: "running", MainPID: 1}, true, false, false, false},
		{"reloading", Unit{ActiveState: "reloading"}, false, true, false, false},
		{"job queued", Unit{ActiveState: "inactive", JobID: 7}, false, true, false, false},
		{"stopped", Unit{ActiveState: "inactive"}, false, false, true, false},
		{"start limit in words", Unit{ActiveState: "failed", Result: "start-limit-hit"}, false, false, true, true},
		{"start limit by count", Unit{ActiveState: "failed", Result: "exit-code", StartLimitBurst: 5, NRestarts: 4}, false, false, true, true},
		{"failed once", Unit{ActiveState: "failed", StartLimitBurst: 5}, false, false, true, false},
	} {
		u := c.unit
		if u.Running() != c.running || u.Transient() != c.transient || u.Down() != c.down || u.StartLimited() != c.l {
			t.Errorf("%s: %v %v %v %v", c.name, u.Running(), u.Transient(), u.Down(), u.StartLimited())
		}
	}
}

func TestServingAndPersistent(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for _, c := range []struct {
		i                 Info
		persistent, known bool
	}{{Info{AOFOn: true}, true, true}, {Info{}, false, false}, {Info{RDBConfigured: &yes}, true, true}, {Info{RDBConfigured: &no}, false, true}} {
		if p, k := c.i.Persistent(); p != c.persistent || k != c.known {
			t.Errorf("%+v: %v %v", c.i, p, k)
		}
	}
	o := Observation{Ping: Ping{Reply: ReplyPong}}
	if !o.Serving() {
		t.Error("a PONG without systemd's word is serving")
	}
	o.Unit = UnitRead{At: testNow, Unit: Unit{ActiveState: "inactive"}}
	if o.Serving() {
		t.Error("a stopped unit is not serving")
	}
}

func TestRecommendations(t *testing.T) {
	t.Parallel()
	v := Verdict{Reasons: []Reason{
		{Advice: "a", Further: []string{"b", "a"}}, {Advice: "b"}, {Advice: ""}, {Advice: "hidden", Hidden: true}, {Advice: "c"},
	}}
	if got := strings.Join(v.Recommendations(), " "); got != "a b c" {
		t.Errorf("%q", got)
	}
}
