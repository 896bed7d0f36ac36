package remediator

import (
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/redis-medic/redis-medic/remediator/audit"
)

// refusedPerSecond is how many refused deliveries have a record of their own. The rest of a flood by somebody without the token is
// counted in the next one: it must not fill the disk.
const refusedPerSecond = 10

// refusals counts refused deliveries. The zero value is ready; it is safe for concurrent use.
type refusals struct {
	mu      sync.Mutex // guards the fields below
	second  int64
	n       int
	skipped int // since the last one that was recorded
}

// admit says whether a refusal gets its record, and how many before it did not.
func (f *refusals) admit(now time.Time) (skipped int, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := now.Unix(); s != f.second {
		f.second, f.n = s, 0
	}
	if f.n++; f.n > refusedPerSecond {
		f.skipped++
		return 0, false
	}
	skipped, f.skipped = f.skipped, 0
	return skipped, true
}

// auditDelivery records a delivery that was refused or that brought something new. What Alertmanager repeats every minute, and what
// brings nothing new, has no record.
func (r *Remediator) auditDelivery(req *http.Request, code int, text string, took time.Duration) {
	if code == http.StatusOK {
		return
	}
	rec := audit.Record{
		EventType: "webhook", Operation: "webhook", Phase: audit.PhaseSystem, SourceIP: req.RemoteAddr, Reason: text,
		User:     audit.User{ID: "alertmanager", Role: "system", Auth: "webhook_token"},
		Result:   audit.Result{Success: code < 400, Status: code, Duration: took.Seconds()},
		Security: audit.Security{CommandValidated: code < 400, RiskLevel: "low"},
	}
	if ip, _, err := net.SplitHostPort(req.RemoteAddr); err == nil {
		rec.SourceIP = ip
	}
	if code >= 400 {
		skipped, ok := r.strangers.admit(time.Now())
		if !ok {
			return
		}
		rec.Phase, rec.Reason, rec.Result.Error = audit.PhaseDenied, "", text
		if skipped > 0 {
			rec.Details = map[string]string{"refused_before_without_record": strconv.Itoa(skipped)}
		}
		if code == http.StatusUnauthorized {
			rec.User = audit.User{ID: "anonymous", Role: "anonymous"}
		}
	}
	r.auditQuietly(req.Context(), rec)
}
