package host

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable makes text of a host safe to store and show: terminal sequences are removed, tabs and line ends become spaces, other control characters and bytes
// that are not UTF-8 become the replacement character, invisible direction marks are dropped, and at most limit bytes are kept.
func Printable(s string, limit int) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		if n := escapeLength(s[i:]); n > 0 {
			i += n
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		switch {
		case r == '\t', r == '\n', r == '\r':
			r = ' '
		case unicode.Is(unicode.Cf, r), r == 0x2028, r == 0x2029:
			continue
		case unicode.IsControl(r):
			r = utf8.RuneError
		}
		if b.Len()+utf8.RuneLen(r) > limit {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}

// escapeLength returns the length of the terminal sequence at the beginning of s, or 0.
func escapeLength(s string) int {
	if len(s) < 2 || s[0] != 0x1b {
		return 0
	}
	switch s[1] {
	case '[': // CSI: parameters, then one final byte
		for i := 2; i < len(s); i++ {
			if s[i] >= 0x40 && s[i] <= 0x7e {
				return i + 1
			}
			if s[i] < 0x20 {
				return i
			}
		}
		return len(s)
	case ']', 'P', '_', '^', 'X': // OSC and the like: up to BEL or ST
		for i := 2; i < len(s); i++ {
			if s[i] == 0x07 {
				return i + 1
			}
			if s[i] == 0x1b && i+1 < len(s) && s[i+1] == '\\' {
				return i + 2
			}
		}
		return len(s)
	default:
		return 2
	}
}
