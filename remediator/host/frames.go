package host

import (
	"encoding/binary"
	"errors"
	"io"
	"sync/atomic"
)

// maxFrame bounds one D-Bus message, in bytes. All properties of a unit are about 30 KB; the protocol would allow 128 MB, which a
// compromised host could make us allocate.
const maxFrame = 1 << 20

// maxGreeting bounds what the far side may say before the messages begin, in bytes.
const maxGreeting = 4 << 10

var (
	errFrameTooLong    = errors.New("D-Bus message is too long")
	errGreetingTooLong = errors.New("D-Bus greeting is too long")
)

// frames is the stream to a bus. It passes everything on, and fails the reader when a message announces more than maxFrame.
type frames struct {
	rw    io.ReadWriteCloser
	begun atomic.Bool // BEGIN was sent: from here on the far side sends messages only

	// The rest belongs to the reader.
	greeted int
	header  []byte // the fixed part of the message that is being read
	left    int    // what is still to come of it
}

// Write implements io.Writer. The client's BEGIN, a line of its own, ends the greeting.
func (f *frames) Write(p []byte) (int, error) {
	if string(p) == "BEGIN\r\n" {
		f.begun.Store(true)
	}
	return f.rw.Write(p)
}

// Close implements io.Closer.
func (f *frames) Close() error { return f.rw.Close() }

// Read implements io.Reader.
func (f *frames) Read(p []byte) (int, error) {
	n, err := f.rw.Read(p)
	if !f.begun.Load() {
		if f.greeted += n; f.greeted > maxGreeting {
			return 0, errGreetingTooLong
		}
		return n, err
	}
	for rest := p[:n]; len(rest) > 0; {
		if f.left > 0 {
			skip := min(f.left, len(rest))
			f.left -= skip
			rest = rest[skip:]
			continue
		}
		take := min(16-len(f.header), len(rest))
		f.header = append(f.header, rest[:take]...)
		rest = rest[take:]
		if len(f.header) == 16 {
			size, ok := frameRest(f.header)
			if !ok {
				return 0, errFrameTooLong
			}
			f.header, f.left = f.header[:0], size
		}
	}
	return n, err
}

// frameRest returns how many bytes follow the 16 fixed bytes of a message: the header fields, padded to eight, and the body.
func frameRest(fixed []byte) (int, bool) {
	var order binary.ByteOrder = binary.LittleEndian
	if fixed[0] == 'B' {
		order = binary.BigEndian
	}
	body, fields := order.Uint32(fixed[4:]), order.Uint32(fixed[12:])
	if body > maxFrame || fields > maxFrame {
		return 0, false
	}
	size := int(fields+7)&^7 + int(body)
	return size, size <= maxFrame
}
