package controlapi

import (
	"maps"
	"slices"
)

// logMemory knows what of a log was seen, so that of overlapping readings only the new lines are shown. It needs no positions of the
// host: a reading is the newest lines of each source in their order, and so overlaps the one before by its end.
type logMemory struct {
	seen  map[string][]LogEntry // by source, oldest first
	notes []string              // what the reader said about the log at the last reading
}

// next returns the lines of a reading that the memory does not have, in the reading's order. gap says that a source does not continue
// where the memory ends: lines in between may be missing. It changes nothing.
func (m *logMemory) next(reading []LogEntry) (fresh []LogEntry, gap bool) {
	sources := bySource(reading)
	skip := map[string]int{}
	for source, lines := range sources {
		skip[source] = overlap(m.seen[source], lines)
		gap = gap || (skip[source] == 0 && len(m.seen[source]) > 0)
	}
	known := map[string]bool{}
	for _, n := range m.notes {
		known[n] = true
	}
	for _, e := range reading {
		switch {
		case e.Note:
			if known[e.Source+e.Message] {
				continue
			}
		case e.Time.IsZero() && m.seen != nil:
			continue // the head of a reading that begins inside a multi-line message: older than what is known
		case skip[e.Source] > 0 && !e.Time.IsZero():
			skip[e.Source]--
			continue
		}
		fresh = append(fresh, e)
	}
	return fresh, gap
}

// take remembers a reading. A source of which the reading has nothing is remembered as it was.
func (m *logMemory) take(reading []LogEntry) {
	if m.seen == nil {
		m.seen = map[string][]LogEntry{}
	}
	maps.Copy(m.seen, bySource(reading))
	m.notes = nil
	for _, e := range reading {
		if e.Note {
			m.notes = append(m.notes, e.Source+e.Message)
		}
	}
}

// bySource divides the timed lines of a reading.
func bySource(reading []LogEntry) map[string][]LogEntry {
	out := map[string][]LogEntry{}
	for _, e := range reading {
		if !e.Note && !e.Time.IsZero() {
			out[e.Source] = append(out[e.Source], e)
		}
	}
	return out
}

// overlap returns how many lines at the beginning of a reading are not newer than the end of what was seen; 0: they have nothing in
// common. Of several possibilities the longest overlap counts, then the one that shows more.
func overlap(seen, reading []LogEntry) int {
	best, length := 0, 0
	for end := 1; end <= len(reading); end++ {
		n := min(end, len(seen))
		if n > length && sameLines(reading[end-n:end], seen[len(seen)-n:]) {
			best, length = end, n
		}
	}
	return best
}

func sameLines(a, b []LogEntry) bool {
	for i, line := range slices.Backward(a) { // the newest differ most often
		if !line.Time.Equal(b[i].Time) || line.Message != b[i].Message || line.Level != b[i].Level {
			return false
		}
	}
	return true
}
