package controlapi

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/redis-medic/redis-medic/remediator/audit"
)

func getAudit(a *API, w http.ResponseWriter, c *call) error {
	filter, err := parseAuditFilter(c.r.URL.Query())
	if err != nil {
		return err
	}
	if filter.Limit, err = intParam(c.r.URL.Query().Get("limit"), 50, 1, 1000, "limit"); err != nil {
		return err
	}
	if err := a.auditAudit(c); err != nil {
		return err
	}
	records, next, err := a.conf().Audits.Query(c.r.Context(), filter)
	if err != nil {
		return err
	}
	if records == nil {
		records = []audit.Record{}
	}
	out := page{Records: records}
	if next > 0 {
		out.NextCursor = new(strconv.FormatInt(next, 10))
	}
	return writeJSON(w, http.StatusOK, out)
}

// auditAudit records who looks at the audit log, and for what.
func (a *API) auditAudit(c *call) error {
	c.validated = true
	details := map[string]string{}
	for name, values := range c.r.URL.Query() {
		details[name] = plain(values[0], 128)
	}
	return a.granted(c, details)
}

// exportTypes are the media types of the export formats.
var exportTypes = map[audit.Format]string{audit.JSONL: "application/jsonl", audit.CSV: "text/csv; charset=utf-8"}

// exportTimeout bounds a download.
const exportTimeout = 10 * time.Minute

func getAuditExport(a *API, w http.ResponseWriter, c *call) error {
	values := c.r.URL.Query()
	format := audit.Format(values.Get("format"))
	if format == "" {
		format = audit.JSONL
	}
	mediaType, known := exportTypes[format]
	if !known {
		return badRequest("format must be jsonl or csv")
	}
	filter, err := parseAuditFilter(values)
	if err != nil {
		return err
	}
	if filter.Limit, err = intParam(values.Get("limit"), 0, 1, 10_000_000, "limit"); err != nil {
		return err
	}
	if err := a.auditAudit(c); err != nil {
		return err
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(exportTimeout))
	ctx, cancel := context.WithTimeout(c.r.Context(), exportTimeout)
	defer cancel()
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Disposition", `attachment; filename="redis-medic-audit.`+string(format)+`"`)
	h.Set("Cache-Control", "no-store")
	out := &lazyWriter{w: w}
	if err := a.conf().Audits.Export(ctx, out, filter, format); err != nil {
		if !out.begun {
			h.Del("Content-Disposition")
			return err
		}
		// The status is sent: only a broken connection tells the client that the file is not complete.
		a.log.Error().Err(err).Str("request_id", c.requestID).Msg("audit export broke off")
		panic(http.ErrAbortHandler)
	}
	if !out.begun {
		w.WriteHeader(http.StatusOK)
	}
	return nil
}

// lazyWriter notes whether anything was written.
type lazyWriter struct {
	w     io.Writer
	begun bool
}

// Write implements io.Writer.
func (l *lazyWriter) Write(b []byte) (int, error) {
	l.begun = true
	return l.w.Write(b)
}

// auditParams are the parameters of GET /api/audit; any other is refused, so that a misspelt filter does not show everything.
var auditParams = map[string]bool{
	"service": true, "user": true, "operation": true, "phase": true, "result": true, "since": true, "until": true, "cursor": true, "limit": true, "format": true,
}

func parseAuditFilter(values url.Values) (audit.Filter, error) {
	for name := range values {
		if !auditParams[name] {
			return audit.Filter{}, badRequest("unknown parameter %s", plain(name, 64))
		}
	}
	f := audit.Filter{
		Service: values.Get("service"), User: values.Get("user"), Operation: values.Get("operation"), Phase: audit.Phase(values.Get("phase")),
	}
	switch f.Phase {
	case "", audit.PhaseIntent, audit.PhaseOutcome, audit.PhaseDenied, audit.PhaseSystem:
	default:
		return audit.Filter{}, badRequest("phase must be intent, outcome, denied or system")
	}
	var err error
	switch values.Get("result") {
	case "":
	case "success", "failure":
		f.Success = new(values.Get("result") == "success")
	case "denied":
		f.Phase = audit.PhaseDenied
	default:
		return audit.Filter{}, badRequest("result must be success, failure or denied")
	}
	if f.Since, err = timeParam(values.Get("since"), "since"); err != nil {
		return audit.Filter{}, err
	}
	if f.Until, err = timeParam(values.Get("until"), "until"); err != nil {
		return audit.Filter{}, err
	}
	if text := values.Get("cursor"); text != "" {
		if f.Before, err = strconv.ParseInt(text, 10, 64); err != nil || f.Before < 1 {
			return audit.Filter{}, badRequest("cursor is not one of ours")
		}
	}
	return f, nil
}

func timeParam(text, name string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, badRequest("%s must be an ISO 8601 time with a zone, such as 2025-10-10T14:30:00Z", name)
	}
	return t, nil
}
