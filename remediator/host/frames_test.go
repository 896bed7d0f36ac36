package host

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
)

// chunked gives what it holds in pieces of a few bytes.
type chunked struct {
	io.Reader
	size int
}

func (c chunked) Read(p []byte) (int, error)  { return c.Reader.Read(p[:min(len(p), c.size)]) }
func (c chunked) Write(p []byte) (int, error) { return len(p), nil }
func (c chunked) Close() error                { return nil }
func stream(content []byte, size int) *frames {
	return &frames{rw: chunked{bytes.NewReader(content), size}}
}
func begin(t *testing.T, f *frames)              { t.Helper(); write(t, f, "BEGIN\r\n") }
func write(t *testing.T, f *frames, line string) { t.Helper(); must(t, second(f.Write([]byte(line)))) }

func second(_ int, err error) error { return err }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// signal encodes one D-Bus signal with a body of that many bytes.
func signal(t testing.TB, order binary.ByteOrder, size int) []byte {
	body := strings.Repeat("x", size)
	m := &dbus.Message{Type: dbus.TypeSignal, Body: []any{body}, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:      dbus.MakeVariant(dbus.ObjectPath("/a")),
		dbus.FieldInterface: dbus.MakeVariant("a.b"),
		dbus.FieldMember:    dbus.MakeVariant("C"),
		dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(body)),
	}}
	var b bytes.Buffer
	if err := m.EncodeTo(&b, order); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFramesPassMessagesOn(t *testing.T) {
	content := []byte("OK 0123\r\n")
	greeting := len(content)
	for i, size := range []int{0, 1, 7, 8, 100000} {
		order := binary.ByteOrder(binary.LittleEndian)
		if i%2 == 1 {
			order = binary.BigEndian
		}
		content = append(content, signal(t, order, size)...)
	}
	for _, size := range []int{1, 3, 16, 4096} {
		f := stream(content, size)
		if _, err := io.ReadFull(f, make([]byte, greeting)); err != nil {
			t.Fatal(err)
		}
		begin(t, f)
		got, err := io.ReadAll(f)
		if err != nil || !bytes.Equal(got, content[greeting:]) {
			t.Errorf("in pieces of %d: %d of %d bytes, %v", size, len(got), len(content)-greeting, err)
		}
	}
}

func TestFramesRefuseWhatIsTooLong(t *testing.T) {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		f := stream(append(signal(t, order, 10), signal(t, order, maxFrame)...), 1000)
		begin(t, f)
		got, err := io.ReadAll(f)
		if !errors.Is(err, errFrameTooLong) || len(got) > 2000 {
			t.Errorf("%v: %d bytes passed, %v", order, len(got), err)
		}
	}
	f := stream(bytes.Repeat([]byte("x"), 1<<20), 1000)
	write(t, f, "AUTH\r\n")
	if got, err := io.ReadAll(f); !errors.Is(err, errGreetingTooLong) || len(got) > maxGreeting {
		t.Errorf("a greeting without an end: %d bytes, %v", len(got), err)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(signal(f, binary.LittleEndian, 9), 5)
	f.Add([]byte("l\x04\x01\x01\xff\xff\xff\xff\x01\x00\x00\x00\xff\xff\xff\xff"), 16)
	f.Fuzz(func(t *testing.T, content []byte, size int) {
		s := stream(content, 1+abs(size)%64)
		begin(t, s)
		for {
			if _, err := dbus.DecodeMessage(s); err != nil {
				if s.left > maxFrame {
					t.Errorf("%d bytes announced", s.left)
				}
				return
			}
		}
	})
}

func abs(n int) int {
	if n < 0 {
		return -(n + 1)
	}
	return n
}
