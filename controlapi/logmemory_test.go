package controlapi

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// logOf writes entries as "j1 r2": source, then the number that is time and message. "j?" has no time, "jN" followed by ! is a note.
func logOf(text string) []LogEntry {
	var out []LogEntry
	for word := range strings.FieldsSeq(text) {
		e := LogEntry{Level: "info", Source: map[byte]string{'j': "journal", 'r': "redis"}[word[0]], Message: word}
		var n int
		switch {
		case strings.HasSuffix(word, "!"):
			e.Note = true
		case strings.HasSuffix(word, "?"):
		default:
			_, _ = fmt.Sscanf(word[1:], "%d", &n)
			e.Time = at.Add(time.Duration(n) * time.Second)
		}
		out = append(out, e)
	}
	return out
}

func wordsOf(entries []LogEntry) string {
	words := []string{}
	for _, e := range entries {
		words = append(words, e.Message)
	}
	return strings.Join(words, " ")
}

func TestOnlyNewLinesAreShown(t *testing.T) {
	for _, c := range []struct {
		name, before, reading, want string
		gap                         bool
	}{
		{"nothing before", "", "j1 r2", "j1 r2", false},
		{"nothing new", "j1 r2", "j1 r2", "", false},
		{"one new line each", "j1 r2", "j1 r2 r3 j4", "r3 j4", false},
		{"the window moved on", "j1 j2 j3 r4", "j3 r4 j5 r6", "j5 r6", false},
		{"a wider window shows the past again", "j3 j4", "j1 j2 j3 j4 j5", "j5", false},
		{"a flood", "j1 j2", "j7 j8", "j7 j8", true},
		{"one source pushed out by the other", "j1 r2", "r2 r3 r4", "r3 r4", false},
		{"the first line of a source", "j1", "j1 r2", "r2", false},
		{"a late line of the other source", "j1 j5", "j1 r3 j5", "r3", false},
		{"the head of a crash report without its time", "r1 r2", "r? r2 r3", "r3", false},
		{"a note once", "j1", "j1 r9!", "r9!", false},
		{"a note again", "j1 r9!", "j1 r9!", "", false},
		{"a source that was away", "j1 r9!", "j1 r2", "r2", false},
		{"the log is empty", "j1 r2", "", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m logMemory
			if c.before != "" {
				m.take(logOf(c.before))
			}
			fresh, gap := m.next(logOf(c.reading))
			if wordsOf(fresh) != c.want || gap != c.gap {
				t.Errorf("%q gap %v, want %q gap %v", wordsOf(fresh), gap, c.want, c.gap)
			}
		})
	}
}

// TestARotatedSourceIsRememberedWhileItIsSilent: nothing of it is shown twice when it comes back.
func TestASourceIsRememberedWhileItIsNotInTheWindow(t *testing.T) {
	var m logMemory
	m.take(logOf("j1 r2"))
	m.take(logOf("r2 r3"))
	if fresh, gap := m.next(logOf("j1 r2 r3 j4")); wordsOf(fresh) != "j4" || gap {
		t.Errorf("%q %v", wordsOf(fresh), gap)
	}
}

// TestEveryLineIsShownOnceInItsOrder: whatever is written between readings, as long as less than a window of each source is.
func TestEveryLineIsShownOnceInItsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m logMemory
		var log, shown []LogEntry
		for range rapid.IntRange(1, 12).Draw(t, "readings") {
			for range rapid.IntRange(0, 6).Draw(t, "lines") {
				source := rapid.SampledFrom([]string{"journal", "redis"}).Draw(t, "source")
				// Several lines may have the same time and the same text.
				text := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "text")
				log = append(log, LogEntry{Time: at.Add(time.Duration(len(log)/2) * time.Second), Level: "info", Source: source, Message: fmt.Sprint(text, len(log)/2)})
			}
			reading := log[max(0, len(log)-20):]
			fresh, gap := m.next(reading)
			if gap {
				t.Fatalf("a gap although nothing was missed")
			}
			m.take(reading)
			shown = append(shown, fresh...)
		}
		if len(shown) < len(log) {
			t.Fatalf("%d lines shown of %d", len(shown), len(log))
		}
		if !slices.Equal(shown, log) {
			// A repeated line at the edge of the window may be shown again; none may be lost.
			i := 0
			for _, e := range shown {
				if i < len(log) && e == log[i] {
					i++
				}
			}
			if i < len(log) {
				t.Fatalf("line %d of %d is lost", i, len(log))
			}
		}
	})
}
