package remediator

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/remediator/audit"
)

// Deliveries that bring something new and those that are refused have a record; a flood of strangers does not fill the disk.
func TestDeliveriesAreRecorded(t *testing.T) {
	run(t, func(o *Options) { o.WebhookToken = func() string { return "secret" } }, func(b *bench) {
		post := func(token, body string) int {
			req := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(body))
			req.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			b.r.Handler().ServeHTTP(w, req)
			return w.Code
		}
		message := fmt.Sprintf(`{"alerts":[{"status":"firing","fingerprint":"f","startsAt":%q,"labels":{"service":"redis","remediation":"ladder"}}]}`,
			time.Now().UTC().Format(time.RFC3339))
		for _, step := range []struct {
			token, body string
			want        int
		}{{"secret", message, 202}, {"secret", message, 200}, {"secret", "garbage", 400}, {"wrong", message, 401}} {
			if got := post(step.token, step.body); got != step.want {
				t.Errorf("answer %d, want %d", got, step.want)
			}
		}
		for range 50 {
			post("wrong", message)
		}
		b.after(2 * time.Second)
		post("wrong", message)
		var got []string
		records, _, err := b.audit.Query(bg, audit.Filter{Operation: "webhook", Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			got = append(got, fmt.Sprint(r.Phase, r.Result.Status, r.User.ID, r.SourceIP))
		}
		if len(got) != 1+10+1 { // of the refused ones, ten in the first second and one in the last
			t.Errorf("%d records: %v", len(got), got)
		}
		oldest := got[len(got)-3:]
		if strings.Join(oldest, " ") != "denied401anonymous192.0.2.1 denied400alertmanager192.0.2.1 system202alertmanager192.0.2.1" {
			t.Errorf("first records: %v", oldest)
		}
		if n := records[0].Details["refused_before_without_record"]; n != "42" {
			t.Errorf("the last record speaks of %q refusals without one", n)
		}
	})
}
