package controlapi

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/redis-medic/redis-medic/remediator/audit"
)

func getAudit(a *API, w http.ResponseWriter, c *call) error {
	values := c.r.URL.Query()
	filter, err := parseAuditFilter(values)
	if err != nil {
		return err
	}
	c.validated = true
	details := map[string]string{}
	for name := range values {
		if auditParams[name] {
			details[name] = plain(values.Get(name), 128)
		}
	}
	if err := a.granted(c, details); err != nil {
		return err
	}
	records, next, err := a.opts.Audits.Query(c.r.Context(), filter)
	if err != nil {
		return err
	}
	if records == nil {
		records = []audit.Record{}
	}
	out := page{Records: records}
	if next > 0 {
		out.NextCursor = ptr(strconv.FormatInt(next, 10))
	}
	return writeJSON(w, http.StatusOK, out)
}

// auditParams are the parameters of GET /api/audit; any other is refused, so that a misspelt filter does not show everything.
var auditParams = map[string]bool{
	"service": true, "user": true, "operation": true, "phase": true, "result": true, "since": true, "until": true, "cursor": true, "limit": true,
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
	if f.Limit, err = intParam(values.Get("limit"), 50, 1, 1000, "limit"); err != nil {
		return audit.Filter{}, err
	}
	switch values.Get("result") {
	case "":
	case "success", "failure":
		f.Success = ptr(values.Get("result") == "success")
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
