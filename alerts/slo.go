package alerts

import (
	"fmt"
	"time"
)

// errorBudget is what 99.9 % availability leaves.
const errorBudget = 0.001

// notOurs are the routes that answer for Redis and its host: when those fail, the API has told the truth and is available.
const notOurs = `.+/(start|stop|restart|reload|logs|maintenance)`

// sloWindows are the windows that the burn rate alerts look at.
var sloWindows = []string{"5m", "30m", "1h", "2h", "6h", "1d", "3d"}

func ratioName(window string) string {
	return "component:redis_medic_http_requests:error_ratio_rate" + window
}

// sloRecordGroup records the share of failed requests of the control API per window.
func sloRecordGroup() Group {
	g := Group{Name: "redis_medic_slo_record", Interval: 30 * time.Second}
	for _, w := range sloWindows {
		const requests = `sum by (component) (rate(redis_medic_http_requests_total{component="controlapi", route!~"` + notOurs + `"%s}[%s]))`
		g.Records = append(g.Records, Record{
			Name: ratioName(w),
			Expr: "(\n  " + fmt.Sprintf(requests, `, code=~"5.."`, w) + "\n    or\n  " + fmt.Sprintf("0 * "+requests, "", w) + "\n)\n  /\n" +
				fmt.Sprintf(requests, "", w),
		})
	}
	return g
}

// sloAlertGroup fires when the error budget of 30 days burns too fast, in a long window and still now. The factors are the usual
// ones: 2 % of the budget in an hour, 5 % in six hours, 10 % in three days.
func sloAlertGroup() Group {
	g := Group{Name: "redis_medic_slo", Interval: 30 * time.Second}
	for _, b := range []struct {
		severity    Severity
		factor      float64
		long, short string
		spent       string
	}{
		{Critical, 14.4, "1h", "5m", "in two days"},
		{Critical, 6, "6h", "30m", "in five days"},
		{Warning, 3, "1d", "2h", "in ten days"},
		{Warning, 1, "3d", "6h", "before the month ends"},
	} {
		limit := fmt.Sprintf("%.4f", b.factor*errorBudget)
		g.Alerts = append(g.Alerts, Alert{
			Name: "RedisMedicAPIErrorBudgetBurn", Severity: b.severity, Self: true, Window: b.long,
			Expr: fmt.Sprintf("max by (component) (%s) > %s\nand on (component)\n  (max by (component) (%s) > %s)",
				ratioName(b.long), limit, ratioName(b.short), limit),
			Summary: "The control API of redis-medic fails too many requests",
			Description: fmt.Sprintf(`{{ $value | humanizePercentage }} of the requests of the last %s failed. At this rate the error budget of
				99.9 %% is spent %s.`, b.long, b.spent),
		})
	}
	return g
}
