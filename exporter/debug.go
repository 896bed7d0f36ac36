package exporter

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
)

// serveDebug shows a person what one probe did and found, with the metrics it would have published.
func (e *Exporter) serveDebug(w http.ResponseWriter, r *http.Request, s *service, want selection) {
	var b strings.Builder
	started := time.Now()
	t := s.current()
	fmt.Fprintf(&b, "Probe of service %s at %s, unit %s\n\nLog:\n", t.ID, t.Addr, t.Unit)
	p := e.scrape(r.Context(), s, want, func(format string, args ...any) {
		fmt.Fprintf(&b, "%8s  %s\n", time.Since(started).Round(time.Microsecond), fmt.Sprintf(format, args...))
	})
	defer release([]*page{p})
	v, _ := s.view()
	fmt.Fprintf(&b, "%8s  done\n\nVerdict: %s\n", time.Since(started).Round(time.Microsecond), v.Verdict.Status)
	for _, x := range v.Verdict.Reasons {
		fmt.Fprintf(&b, "  %s (%s, hidden: %v): %s %v\n", x.Code, x.Status, x.Hidden, x.Text, x.Evidence)
	}
	for _, c := range v.Verdict.Checks {
		fmt.Fprintf(&b, "  check %s: %s, %s %s\n", c.Name, c.Status, c.Message, c.Error)
	}
	u := v.Samples.Unit
	fmt.Fprintf(&b, "  unit: %s %s (%s), read %s, class %q %s\n\nMetrics:\n", u.Unit.LoadState, u.Unit.ActiveState, u.Unit.SubState,
		u.At.Format(time.RFC3339), u.Class, u.Err)
	for _, mf := range merge([]*page{p}) {
		if _, err := expfmt.MetricFamilyToText(&b, mf); err != nil {
			fmt.Fprintf(&b, "# %v\n", err)
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write([]byte(b.String()))
}
