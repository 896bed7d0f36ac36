package audit

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of what one record holds, in bytes before escaping. They keep a record below 128 KB whatever a client sends.
const (
	maxName    = 256  // ids, names, addresses
	maxText    = 1024 // reasons, errors, values of details
	maxKey     = 64
	maxDetails = 32
)

const redacted = "[redacted]"

// clean makes a record safe to keep and to show: strings are redacted, capped and escaped, details are bounded.
func clean(r Record) Record {
	for _, s := range []*string{&r.EventType, &r.Service, &r.Operation, &r.User.ID, &r.User.Email, &r.User.Role, &r.User.Auth,
		&r.SourceIP, &r.Security.RiskLevel, &r.RequestID, &r.Incident, &r.Level} {
		*s = cleanText(*s, maxName)
	}
	r.Phase = Phase(cleanText(string(r.Phase), maxName))
	r.Reason = cleanText(r.Reason, maxText)
	r.Result.Error = cleanText(r.Result.Error, maxText)
	r.Result.Duration = cleanSeconds(r.Result.Duration)
	r.Details = cleanDetails(r.Details)
	return r
}

// cleanSeconds rounds to milliseconds; JSON has no word for NaN and infinity.
func cleanSeconds(s float64) float64 {
	if math.IsNaN(s) || math.IsInf(s, 0) {
		return 0
	}
	return math.Round(s*1000) / 1000
}

func cleanDetails(in map[string]string) map[string]string {
	if len(in) == 0 {
		return nil
	}
	out := make(map[string]string, min(len(in), maxDetails))
	for _, k := range slices.Sorted(maps.Keys(in)) {
		if len(out) == maxDetails-1 && len(in) > maxDetails {
			out["truncated"] = fmt.Sprintf("%d more", len(in)-len(out))
			break
		}
		v := cleanText(in[k], maxText)
		if secretKey.MatchString(k) {
			v = redacted
		}
		out[cleanText(k, maxKey)] = v
	}
	return out
}

func cleanText(s string, limit int) string {
	// Far beyond the limit nothing can be kept, and the patterns need not see it. The margin lets them see a secret that
	// begins before the limit as a whole.
	if len(s) > 2*limit+4096 {
		s = s[:2*limit+4096]
	}
	s = Redact(s)
	short := s
	if len(s) > limit {
		cut := limit
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		short = s[:cut] + "…"
	}
	return escape(short)
}

// escape writes control characters, bidirectional and invisible ones as \u sequences in plain sight, so that no record can
// repaint a terminal or read differently from what it is. Bytes that are no UTF-8 become \x sequences.
func escape(s string) string {
	if !slices.ContainsFunc([]rune(s), hidden) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		c, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case c == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !hidden(c):
			b.WriteString(s[i : i+n])
		case c > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, c)
		default:
			fmt.Fprintf(&b, `\u%04x`, c)
		}
		i += n
	}
	return b.String()
}

// hidden is true for controls (Cc), formats (Cf: bidirectional, zero width), line and paragraph separators, and for the
// replacement character, which may stand for a byte that is no UTF-8.
func hidden(c rune) bool {
	return c == utf8.RuneError || unicode.In(c, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co)
}

// secretKey finds names of members whose value must not be kept.
var secretKey = regexp.MustCompile(`(?i)(pass(word|wd|phrase)?|secret|token|authori[sz]ation|cookie|api[-_]?key|private[-_]?key|credential)s?$`)

// secretText finds secrets inside a text and says what to write instead.
var secretText = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)`), redacted},
	{regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`), redacted},
	{regexp.MustCompile(`(?i)\b((?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{6,}`), "${1}" + redacted},
	{regexp.MustCompile(`([a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+@`), "${1}" + redacted + "@"},
	{regexp.MustCompile(`(?i)((?:pass(?:word|wd|phrase)?|secret|token|api[-_]?key)["']?\s*[:=]\s*["']?)[^\s"'&,;]+`), "${1}" + redacted},
	{regexp.MustCompile(`(?i)(\b(?:masterauth|requirepass)["']?[\s:=]+["']?)[^\s"']+`), "${1}" + redacted},
	{regexp.MustCompile(`(\bAUTH\s+)\S+(?:\s+\S+)?`), "${1}" + redacted},
}

// Redact replaces what looks like a secret (tokens, passwords, private keys, credentials in URLs) and every one of the given
// literal secrets. The log applies it to all strings of all records; it is a net under callers, who must not pass secrets.
func Redact(s string, secrets ...string) string {
	for _, secret := range secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, redacted)
		}
	}
	// Most strings are ids and names, in which only a JWT could hide.
	if !strings.ContainsAny(s, " \t\r\n:=") && !strings.Contains(s, "eyJ") {
		return s
	}
	for _, p := range secretText {
		s = p.re.ReplaceAllString(s, p.with)
	}
	return s
}
