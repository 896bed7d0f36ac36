package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/redis-medic/redis-medic/remediator/store"
)

func auditRow(seq int64) store.AuditRow {
	return store.AuditRow{
		Seq: seq, Chain: "main", Time: epoch.Add(time.Duration(seq) * time.Second), Service: "redis", UserID: "u-1",
		UserEmail: "u@example.com", Operation: "restart", Phase: "outcome", Success: true, Hash: fmt.Sprint("h", seq),
		JSON: fmt.Appendf(nil, `{"b":%d, "a":"é\u202e  "}`, seq),
	}
}

func auditRoundTrip(t *testing.T, s store.Store) {
	first, second := auditRow(1), auditRow(2)
	second.Success, second.Service, second.UserEmail = false, "", ""
	second.Time = second.Time.In(time.FixedZone("east", 7200))
	check(t, s.AppendAudit(t.Context(), first, second))
	check(t, s.AppendAudit(t.Context()))
	last, err := s.LastAudit(t.Context())
	check(t, err)
	second.Time = second.Time.UTC()
	if diff := cmp.Diff(second, last); diff != "" {
		t.Errorf("last row (-want +got):\n%s", diff)
	}
	rows, err := s.QueryAudit(t.Context(), store.AuditQuery{})
	check(t, err)
	if diff := cmp.Diff([]store.AuditRow{second, first}, rows); diff != "" {
		t.Errorf("rows, newest first (-want +got):\n%s", diff)
	}
}

func auditEmpty(t *testing.T, s store.Store) {
	if _, err := s.LastAudit(t.Context()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("LastAudit of an empty store: %v, want ErrNotFound", err)
	}
	for _, q := range []store.AuditQuery{{}, {User: "u"}, {Since: epoch}, {Until: epoch}, {Since: epoch, Until: epoch, Before: 7}} {
		if rows, err := s.QueryAudit(t.Context(), q); err != nil || len(rows) != 0 {
			t.Errorf("QueryAudit(%+v) of an empty store: %v, %v", q, rows, err)
		}
	}
	if err := s.AppendAudit(t.Context(), store.AuditRow{}); err == nil {
		t.Error("a row without a sequence number was stored")
	}
}

// A taken number refuses the whole call: half a batch would break the caller's chain.
func auditConflict(t *testing.T, s store.Store) {
	check(t, s.AppendAudit(t.Context(), auditRow(1), auditRow(2)))
	if err := s.AppendAudit(t.Context(), auditRow(3), auditRow(2)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("append of a taken number: %v, want ErrConflict", err)
	}
	last, err := s.LastAudit(t.Context())
	check(t, err)
	if last.Seq != 2 {
		t.Errorf("record %d of a refused call was stored", last.Seq)
	}
	check(t, s.AppendAudit(t.Context(), auditRow(3)))
}

func auditFilters(t *testing.T, s store.Store) {
	yes, no := true, false
	a, b, c := auditRow(1), auditRow(2), auditRow(3)
	b.Service, b.UserID, b.UserEmail, b.Operation, b.Phase, b.Success = "cache", "u-2", "v@example.com", "stop", "denied", false
	c.UserID, c.UserEmail = "u@example.com", "" // an id that is another's e-mail address
	check(t, s.AppendAudit(t.Context(), a, b, c))
	for name, test := range map[string]struct {
		q    store.AuditQuery
		want []int64
	}{
		"service":           {store.AuditQuery{Service: "cache"}, []int64{2}},
		"user id":           {store.AuditQuery{User: "u-2"}, []int64{2}},
		"user e-mail":       {store.AuditQuery{User: "v@example.com"}, []int64{2}},
		"user as either":    {store.AuditQuery{User: "u@example.com"}, []int64{3, 1}},
		"user either, one":  {store.AuditQuery{User: "u@example.com", Limit: 1}, []int64{3}},
		"user, second page": {store.AuditQuery{User: "u@example.com", Before: 3}, []int64{1}},
		"operation":         {store.AuditQuery{Operation: "stop"}, []int64{2}},
		"phase":             {store.AuditQuery{Phase: "denied"}, []int64{2}},
		"success":           {store.AuditQuery{Success: &yes}, []int64{3, 1}},
		"failure":           {store.AuditQuery{Success: &no}, []int64{2}},
		"since includes":    {store.AuditQuery{Since: b.Time}, []int64{3, 2}},
		"until excludes":    {store.AuditQuery{Until: b.Time}, []int64{1}},
		"window":            {store.AuditQuery{Since: b.Time, Until: c.Time}, []int64{2}},
		"window and user":   {store.AuditQuery{Since: b.Time, User: "u-1"}, nil},
		"all together": {store.AuditQuery{Service: "redis", User: "u-1", Operation: "restart", Phase: "outcome", Success: &yes,
			Since: a.Time, Until: b.Time, Before: 2, Limit: 1}, []int64{1}},
		"nothing":      {store.AuditQuery{Service: "nobody"}, nil},
		"quote":        {store.AuditQuery{Service: "' OR 1=1 --"}, nil},
		"before first": {store.AuditQuery{Before: 1}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			rows, err := s.QueryAudit(t.Context(), test.q)
			check(t, err)
			if diff := cmp.Diff(test.want, seqs(rows)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func seqs(rows []store.AuditRow) []int64 {
	var out []int64
	for _, r := range rows {
		out = append(out, r.Seq)
	}
	return out
}

func auditPages(t *testing.T, s store.Store) {
	var all []store.AuditRow
	for seq := range int64(120) {
		all = append(all, auditRow(seq+1))
	}
	check(t, s.AppendAudit(t.Context(), all...))
	rows, err := s.QueryAudit(t.Context(), store.AuditQuery{})
	check(t, err)
	if len(rows) != 50 {
		t.Errorf("a page without a limit has %d rows, want 50", len(rows))
	}
	var got []int64
	var before int64
	for {
		rows, err := s.QueryAudit(t.Context(), store.AuditQuery{Before: before, Limit: 7})
		check(t, err)
		if len(rows) == 0 {
			break
		}
		got = append(got, seqs(rows)...)
		before = rows[len(rows)-1].Seq
	}
	slices.Reverse(got)
	if diff := cmp.Diff(seqs(all), got); diff != "" {
		t.Errorf("pages together (-want +got):\n%s", diff)
	}
}

// Order is by number and never by time; a window of time is exact even while the wall clock jumps.
func auditClockBack(t *testing.T, s store.Store) {
	for i, minute := range []int{0, 10, 20, 5, 6, 21, 7, 30} {
		r := auditRow(int64(i + 1))
		r.Time = epoch.Add(time.Duration(minute) * time.Minute)
		check(t, s.AppendAudit(t.Context(), r))
	}
	for _, test := range []struct {
		since, until int // minutes; 0: none
		want         []int64
	}{
		{since: 10, want: []int64{8, 6, 3, 2}},
		{until: 10, want: []int64{7, 5, 4, 1}},
		{since: 5, until: 8, want: []int64{7, 5, 4}},
		{since: 21, until: 22, want: []int64{6}},
		{since: 31},
	} {
		q := store.AuditQuery{}
		if test.since > 0 {
			q.Since = epoch.Add(time.Duration(test.since) * time.Minute)
		}
		if test.until > 0 {
			q.Until = epoch.Add(time.Duration(test.until) * time.Minute)
		}
		rows, err := s.QueryAudit(t.Context(), q)
		check(t, err)
		if diff := cmp.Diff(test.want, seqs(rows)); diff != "" {
			t.Errorf("since %d until %d (-want +got):\n%s", test.since, test.until, diff)
		}
	}
}

// What a refused write said of time leaves no trace.
func auditFailedWrite(t *testing.T, s store.Store) {
	check(t, s.AppendAudit(t.Context(), auditRow(1)))
	late := auditRow(2)
	late.Time = epoch.Add(time.Hour)
	if err := s.AppendAudit(t.Context(), late, auditRow(1)); !errors.Is(err, store.ErrConflict) {
		t.Fatal(err)
	}
	check(t, s.AppendAudit(t.Context(), auditRow(2)))
	rows, err := s.QueryAudit(t.Context(), store.AuditQuery{Since: auditRow(2).Time})
	check(t, err)
	if diff := cmp.Diff([]int64{2}, seqs(rows)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Any query over any rows gives what a plain filter over a slice gives.
func auditAnyQuery(t *testing.T, s store.Store) {
	words := []string{"", "a", "b"}
	var all []store.AuditRow
	rng := rapid.Custom(func(t *rapid.T) store.AuditRow {
		return store.AuditRow{
			Service: rapid.SampledFrom(words).Draw(t, "service"), UserID: rapid.SampledFrom(words).Draw(t, "id"),
			UserEmail: rapid.SampledFrom(words).Draw(t, "email"), Operation: rapid.SampledFrom(words).Draw(t, "operation"),
			Phase: rapid.SampledFrom(words).Draw(t, "phase"), Success: rapid.Bool().Draw(t, "success"),
			Time: epoch.Add(time.Duration(rapid.IntRange(-3, 9).Draw(t, "jump")) * time.Second),
			JSON: []byte("{}"),
		}
	})
	for i := range 300 {
		r := rng.Example(i)
		r.Seq = int64(i + 1)
		r.Time = r.Time.Add(time.Duration(i) * time.Second) // forward, with jumps back
		all = append(all, r)
	}
	check(t, s.AppendAudit(t.Context(), all...))
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "none") {
			return time.Time{}
		}
		return epoch.Add(time.Duration(rapid.IntRange(-5, 320).Draw(t, "at")) * time.Second)
	})
	rapid.Check(t, func(rt *rapid.T) {
		q := store.AuditQuery{
			Service: rapid.SampledFrom(words).Draw(rt, "service"), User: rapid.SampledFrom(words).Draw(rt, "user"),
			Operation: rapid.SampledFrom(words).Draw(rt, "operation"), Phase: rapid.SampledFrom(words).Draw(rt, "phase"),
			Success: rapid.Ptr(rapid.Bool(), true).Draw(rt, "success"), Since: moment.Draw(rt, "since"), Until: moment.Draw(rt, "until"),
			Before: rapid.Int64Range(0, 305).Draw(rt, "before"), Limit: rapid.IntRange(1, 20).Draw(rt, "limit"),
		}
		rows, err := s.QueryAudit(context.Background(), q)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(seqs(filter(all, q)), seqs(rows)); diff != "" {
			rt.Fatalf("%+v (-want +got):\n%s", q, diff)
		}
	})
}

// filter is the meaning of a query.
func filter(all []store.AuditRow, q store.AuditQuery) []store.AuditRow {
	var out []store.AuditRow
	for _, r := range slices.Backward(all) {
		if (q.Service == "" || r.Service == q.Service) && (q.User == "" || r.UserID == q.User || r.UserEmail == q.User) &&
			(q.Operation == "" || r.Operation == q.Operation) && (q.Phase == "" || r.Phase == q.Phase) &&
			(q.Success == nil || r.Success == *q.Success) && (q.Since.IsZero() || !r.Time.Before(q.Since)) &&
			(q.Until.IsZero() || r.Time.Before(q.Until)) && (q.Before == 0 || r.Seq < q.Before) && len(out) < q.Limit {
			out = append(out, r)
		}
	}
	return out
}

func auditWalk(t *testing.T, s store.Store) {
	var all []store.AuditRow
	for seq := range int64(1100) { // more than an implementation reads at a time
		all = append(all, auditRow(seq+1))
	}
	check(t, s.AppendAudit(t.Context(), all...))
	var got []int64
	check(t, s.WalkAudit(t.Context(), 3, func(r store.AuditRow) error {
		got = append(got, r.Seq)
		return nil
	}))
	if diff := cmp.Diff(seqs(all[2:]), got); diff != "" {
		t.Errorf("walk from 3 (-want +got):\n%s", diff)
	}
	stop := errors.New("enough")
	n := 0
	err := s.WalkAudit(t.Context(), 1, func(store.AuditRow) error {
		n++
		return stop
	})
	if !errors.Is(err, stop) || n != 1 {
		t.Errorf("walk went on to %d rows after an error and returned %v", n, err)
	}
	// The walker may write: no read transaction may be open around it.
	check(t, s.WalkAudit(t.Context(), 1100, func(r store.AuditRow) error {
		if r.Seq > 1100 {
			return nil
		}
		return s.AppendAudit(t.Context(), auditRow(1101))
	}))
}

// The old end goes, whole; what stays is found as before, and numbers are not given out again.
func auditPrune(t *testing.T, s store.Store) {
	check(t, s.PruneAudit(t.Context(), 5))
	var all []store.AuditRow
	for seq := range int64(2500) { // more than an implementation removes at a time
		all = append(all, auditRow(seq+1))
	}
	check(t, s.AppendAudit(t.Context(), all...))
	check(t, s.PruneAudit(t.Context(), 0))
	check(t, s.PruneAudit(t.Context(), 2490))
	var got []int64
	check(t, s.WalkAudit(t.Context(), 1, func(r store.AuditRow) error {
		got = append(got, r.Seq)
		return nil
	}))
	if diff := cmp.Diff(seqs(all[2490:]), got); diff != "" {
		t.Errorf("kept rows (-want +got):\n%s", diff)
	}
	rows, err := s.QueryAudit(t.Context(), store.AuditQuery{Since: auditRow(2499).Time, Service: "redis"})
	check(t, err)
	if diff := cmp.Diff([]int64{2500, 2499}, seqs(rows)); diff != "" {
		t.Errorf("query of kept rows (-want +got):\n%s", diff)
	}
	check(t, s.AppendAudit(t.Context(), auditRow(2501)))
}

func auditConcurrent(t *testing.T, s store.Store) {
	const writers, each = 16, 10
	var wg sync.WaitGroup
	for w := range int64(writers) {
		wg.Go(func() {
			for i := range int64(each) {
				if err := s.AppendAudit(t.Context(), auditRow(w*each+i+1)); err != nil {
					t.Error(err)
				}
				if _, err := s.QueryAudit(t.Context(), store.AuditQuery{Service: "redis", Limit: 5}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	n := int64(0)
	check(t, s.WalkAudit(t.Context(), 1, func(r store.AuditRow) error {
		n++
		if r.Seq != n {
			return fmt.Errorf("row %d where %d should be", r.Seq, n)
		}
		return nil
	}))
	if n != writers*each {
		t.Errorf("%d rows, want %d", n, writers*each)
	}
}

func auditOwnsRows(t *testing.T, s store.Store) {
	rows := []store.AuditRow{auditRow(1)}
	check(t, s.AppendAudit(t.Context(), rows...))
	rows[0].Service = "changed"
	last, err := s.LastAudit(t.Context())
	check(t, err)
	if last.Service != "redis" {
		t.Errorf("a change of the caller's slice reached the store")
	}
}
