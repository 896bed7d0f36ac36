package controlapi

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis-medic/redis-medic/remediator/host"
)

const defaultLogLines = 50

type logLine struct {
	Timestamp *string `json:"timestamp"` // null: the line carries none
	Level     string  `json:"level"`
	Message   string  `json:"message"`
	Source    string  `json:"source"`
}

// logsBody is the document's answer; source is ours.
type logsBody struct {
	Logs       []logLine `json:"logs"`
	TotalLines int       `json:"total_lines"`
	Service    string    `json:"service"`
	VM         string    `json:"vm"`
}

// logQuery is what the query string asks for.
type logQuery struct {
	lines int
	since time.Time
	level string // empty: all
}

// logLevels maps the accepted names to the least severity that is shown.
var logLevels = map[string]int{"": 0, "debug": 0, "info": 1, "warning": 2, "error": 3}

func getLogs(a *API, w http.ResponseWriter, c *call) error {
	q, err := parseLogQuery(c)
	if err != nil {
		return err
	}
	if a.conf().Logs == nil {
		return newProblem(http.StatusServiceUnavailable, "logs_unavailable", "Logs cannot be read by this process")
	}
	c.validated = true
	details := map[string]string{"lines": strconv.Itoa(q.lines)}
	if err := a.granted(c, details); err != nil {
		return err
	}
	// A filter looks through all that can be had, so that "50 errors" does not mean "the errors among 50 lines".
	fetch := q.lines
	if q.level != "" || !q.since.IsZero() {
		fetch = host.MaxLines
	}
	entries, err := a.conf().Logs.Logs(c.r.Context(), c.service.ID, fetch)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, newLogsBody(c.service.ServiceInfo, q, entries))
}

func parseLogQuery(c *call) (logQuery, error) {
	values := c.r.URL.Query()
	lines, err := intParam(values.Get("lines"), defaultLogLines, 1, host.MaxLines, "lines")
	if err != nil {
		return logQuery{}, err
	}
	q, err := parseLogFilter(values)
	q.lines = lines
	return q, err
}

// parseLogFilter reads which lines are wanted.
func parseLogFilter(values url.Values) (q logQuery, err error) {
	q.level = strings.ToLower(values.Get("level"))
	if _, known := logLevels[q.level]; !known {
		return q, badRequest("level must be error, warning, info or debug")
	}
	q.since, err = timeParam(values.Get("since"), "since")
	return q, err
}

// shows reports whether a line is wanted. A line without a time is: it may belong to one that is.
func (q logQuery) shows(e LogEntry) bool {
	return logLevels[e.Level] >= logLevels[q.level] && (e.Time.IsZero() || !e.Time.Before(q.since))
}

func newLogLine(e LogEntry) logLine {
	return logLine{Timestamp: stampOrNil(e.Time), Level: e.Level, Message: e.Message, Source: e.Source}
}

// newLogsBody filters the entries and shows the newest first, as the document does. It is pure.
func newLogsBody(info ServiceInfo, q logQuery, entries []LogEntry) logsBody {
	b := logsBody{Logs: []logLine{}, Service: strings.TrimSuffix(info.Unit, ".service"), VM: info.IP}
	for _, e := range slices.Backward(entries) {
		if len(b.Logs) == q.lines {
			break
		}
		if q.shows(e) {
			b.Logs = append(b.Logs, newLogLine(e))
		}
	}
	b.TotalLines = len(b.Logs)
	return b
}
