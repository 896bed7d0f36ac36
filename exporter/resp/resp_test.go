package resp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// answering dials a server that writes answer to each connection after it has read something.
func answering(t *testing.T, answer string, o Options) *Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, answer)
		_ = c.Close()
	}()
	o.Addr = l.Addr().String()
	c, err := Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestReplies(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100_000)
	for _, c := range []struct {
		name, wire string
		want       Reply
		err        error
	}{
		{"status", "+PONG\r\n", Reply{Kind: Simple, Str: "PONG"}, nil},
		{"error", "-ERR no\r\n", Reply{Kind: Error, Str: "ERR no"}, nil},
		{"integer", ":-42\r\n", Reply{Kind: Integer, Str: "-42", Int: -42}, nil},
		{"bulk", "$3\r\na\nb\r\n", Reply{Kind: Bulk, Str: "a\nb"}, nil},
		{"empty bulk", "$0\r\n\r\n", Reply{Kind: Bulk}, nil},
		{"long bulk", fmt.Sprintf("$%d\r\n%s\r\n", len(long), long), Reply{Kind: Bulk, Str: long}, nil},
		{"nil bulk", "$-1\r\n", Reply{Kind: Nil}, nil},
		{"nil array", "*-1\r\n", Reply{Kind: Nil}, nil},
		{"array", "*2\r\n:1\r\n*1\r\n+a\r\n", Reply{Kind: Array, Elems: []Reply{
			{Kind: Integer, Str: "1", Int: 1}, {Kind: Array, Elems: []Reply{{Kind: Simple, Str: "a"}}},
		}}, nil},
		{"no RESP", "HTTP/1.1 400\r\n", Reply{}, ErrProtocol},
		{"empty line", "\r\n", Reply{}, ErrProtocol},
		{"no CR", "+PONG\n", Reply{}, ErrProtocol},
		{"bad integer", ":x\r\n", Reply{}, ErrProtocol},
		{"bad length", "$x\r\n", Reply{}, ErrProtocol},
		{"bad array length", "*x\r\n", Reply{}, ErrProtocol},
		{"length out of bounds", "$99999999999\r\n", Reply{}, ErrProtocol},
		{"bulk without end", "$1\r\nabc", Reply{}, ErrProtocol},
		{"endless line", "+" + strings.Repeat("a", 2*readSize), Reply{}, ErrProtocol},
		{"too deep", strings.Repeat("*1\r\n", 20), Reply{}, ErrProtocol},
		{"cut off in a bulk", "$10\r\nab", Reply{}, io.ErrUnexpectedEOF},
		{"cut off before the end of a bulk", "$2\r\nab", Reply{}, io.ErrUnexpectedEOF},
		{"cut off in an array", "*2\r\n:1\r\n", Reply{}, io.ErrUnexpectedEOF},
		{"nothing", "", Reply{}, io.EOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := answering(t, c.wire, Options{}).Do(t.Context(), []string{"X"})
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if c.err == nil && !reflect.DeepEqual(got[0], c.want) {
				t.Errorf("%+v, want %+v", got[0], c.want)
			}
			if (c.want.Kind == Error) != (c.err == nil && got[0].Err() != nil) {
				t.Error("Err")
			}
		})
	}
}

func TestRepliesBeforeTheBreakAreKept(t *testing.T) {
	t.Parallel()
	got, err := answering(t, "+a\r\n+b\r\n", Options{}).Do(t.Context(), []string{"1"}, []string{"2"}, []string{"3"})
	if err == nil || len(got) != 2 || got[1].Str != "b" {
		t.Errorf("%+v %v", got, err)
	}
}

func TestAuth(t *testing.T) {
	t.Parallel()
	c := answering(t, "-WRONGPASS no\r\n-NOAUTH first\r\n", Options{User: "u", Password: "p"})
	got, err := c.Do(t.Context(), []string{"PING"})
	if err != nil || len(got) != 1 || got[0].Str != "NOAUTH first" || c.AuthError() != "WRONGPASS no" {
		t.Errorf("%+v %v %q", got, err, c.AuthError())
	}
	c = answering(t, "", Options{Password: "p"})
	if _, err := c.Do(t.Context(), []string{"PING"}); err == nil || c.AuthError() != "" {
		t.Errorf("%v %q", err, c.AuthError())
	}
}

func TestCommandOnTheWire(t *testing.T) {
	t.Parallel()
	if got := string(appendCommand(nil, []string{"SET", "k", "a\r\nb"})); got != "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\na\r\nb\r\n" {
		t.Errorf("%q", got)
	}
}

func TestSilenceEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer func() { _ = theirs.Close() }()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		c := &Conn{nc: ours, r: bufio.NewReader(ours)}
		defer func() { _ = c.Close() }()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		started := time.Now()
		if _, err := c.Do(ctx, []string{"PING"}); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if took := time.Since(started); took != 5*time.Second {
			t.Errorf("took %s", took)
		}
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, stop)
		if _, err := c.Do(ctx, []string{"PING"}); err == nil {
			t.Error("a cancelled exchange succeeded")
		}
	})
}

func TestDialFails(t *testing.T) {
	t.Parallel()
	if _, err := Dial(t.Context(), Options{Addr: "unix:/nonexistent/redis.sock"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// FuzzRead feeds anything to the reader: it must end, and must not take more memory than it was sent.
func FuzzRead(f *testing.F) {
	for _, s := range []string{"+PONG\r\n", "$3\r\nabc\r\n", "*2\r\n:1\r\n$-1\r\n", "*1000000\r\n", "$60000000\r\nx", "-ERR\r\n", strings.Repeat("*1\r\n", 40)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		c := &Conn{r: bufio.NewReaderSize(bytes.NewReader(wire), readSize)}
		for {
			r, err := c.read(0)
			if err != nil {
				return
			}
			if r.Kind == 0 {
				t.Fatal("a reply without a kind")
			}
		}
	})
}
