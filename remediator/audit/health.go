package audit

import "time"

// Health says whether the log records where it should.
type Health struct {
	OK        bool         `json:"ok"`        // store and file work and no fault of the chain is known
	Recording bool         `json:"recording"` // at least one sink works: Append succeeds
	LastSeq   int64        `json:"last_seq"`
	Problem   string       `json:"problem,omitempty"` // a fault of the chain that was come across; Verify looks for all
	Sinks     []SinkHealth `json:"sinks"`
}

// SinkHealth is the state of one sink.
type SinkHealth struct {
	Name  string    `json:"name"` // store, file; forward for the log daemon, on which nothing depends
	OK    bool      `json:"ok"`
	Error string    `json:"error,omitempty"`
	Since time.Time `json:"since,omitzero"` // when it failed
}

// Health returns the state after the last write or, while Run runs, of the last second.
func (l *Log) Health() Health {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.view
}

// publish shows the state to Health and to the metrics.
func (l *Log) publish() {
	h := Health{LastSeq: l.head.seq, Problem: l.problem, OK: l.problem == ""}
	add := func(name string, s *sinkState) {
		v := SinkHealth{Name: name, OK: s.level}
		if s.err != nil {
			v.Error, v.Since = s.err.Error(), s.since
		}
		h.OK = h.OK && v.OK
		h.Recording = h.Recording || v.OK
		h.Sinks = append(h.Sinks, v)
	}
	if l.forward != nil {
		l.metrics.forwardLag.Set(float64(l.head.seq - l.forward.sent.Load()))
		h.Sinks = append(h.Sinks, l.forward.health())
		l.forward.notify()
	}
	add(sinkStore, &l.store.sinkState)
	if l.file != nil {
		add(sinkFile, &l.file.sinkState)
	}
	l.metrics.lastSeq.Set(float64(h.LastSeq))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.view = h
}
