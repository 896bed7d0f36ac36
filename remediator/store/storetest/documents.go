package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redis-medic/redis-medic/remediator/store"
)

func document(id string, minute int) store.Document {
	return store.Document{
		Kind: "incident", ID: id, Service: "redis", At: epoch.Add(time.Duration(minute) * time.Minute), JSON: []byte(`{"z":1, "a":2}`),
	}
}

func documentRoundTrip(t *testing.T, s store.Store) {
	d := document("one", 1)
	d.Open = true
	other := document("one", 2)
	other.Kind, other.At = "state", time.Time{}
	check(t, s.PutDocuments(t.Context(), d, other))
	check(t, s.PutDocuments(t.Context()))
	got, err := s.Document(t.Context(), "incident", "one")
	check(t, err)
	if diff := cmp.Diff(d, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got, err = s.Document(t.Context(), "state", "one")
	check(t, err)
	if diff := cmp.Diff(other, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	d.Open, d.Service, d.At, d.JSON = false, "cache", d.At.Add(time.Hour), []byte(`{}`)
	check(t, s.PutDocuments(t.Context(), d))
	got, err = s.Document(t.Context(), "incident", "one")
	check(t, err)
	if diff := cmp.Diff(d, got); diff != "" {
		t.Errorf("replaced (-want +got):\n%s", diff)
	}
	if _, err := s.Document(t.Context(), "incident", "two"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a missing document: %v, want ErrNotFound", err)
	}
}

func documentInsertNew(t *testing.T, s store.Store) {
	d := document("one", 1)
	inserted, err := s.InsertNew(t.Context(), d)
	check(t, err)
	if !inserted {
		t.Error("a new document was not inserted")
	}
	second := d
	second.JSON = []byte(`{"other":true}`)
	inserted, err = s.InsertNew(t.Context(), second)
	check(t, err)
	if inserted {
		t.Error("a document was inserted twice")
	}
	got, err := s.Document(t.Context(), d.Kind, d.ID)
	check(t, err)
	if diff := cmp.Diff(d, got); diff != "" {
		t.Errorf("the second insert changed the first (-want +got):\n%s", diff)
	}
}

// Of many that insert the same, exactly one is told that it did: a webhook delivery is worked on once.
func documentInsertRace(t *testing.T, s store.Store) {
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			inserted, err := s.InsertNew(t.Context(), document("same", 1))
			if err != nil {
				t.Error(err)
			}
			if inserted {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d callers inserted the same document", won.Load())
	}
}

// pages reads a list to its end.
func pages(t *testing.T, s store.Store, q store.DocumentQuery) []string {
	t.Helper()
	var ids []string
	for range 100 {
		docs, next, err := s.ListDocuments(t.Context(), q)
		check(t, err)
		if len(docs) > q.Limit && q.Limit > 0 {
			t.Fatalf("a page of %d has %d documents", q.Limit, len(docs))
		}
		for _, d := range docs {
			ids = append(ids, d.ID)
		}
		if next == "" {
			return ids
		}
		q.Cursor = next
	}
	t.Fatal("the list does not end")
	return nil
}

func documentList(t *testing.T, s store.Store) {
	for i := range 12 {
		d := document(fmt.Sprintf("d%02d", i), i/3) // three share a time
		d.Open = i%4 == 0
		if i%2 == 1 {
			d.Service = "cache"
		}
		check(t, s.PutDocuments(t.Context(), d))
	}
	other := document("other", 100)
	other.Kind = "state"
	check(t, s.PutDocuments(t.Context(), other))
	for name, test := range map[string]struct {
		q    store.DocumentQuery
		want []string
	}{
		"all":     {store.DocumentQuery{}, []string{"d11", "d10", "d09", "d08", "d07", "d06", "d05", "d04", "d03", "d02", "d01", "d00"}},
		"service": {store.DocumentQuery{Service: "cache"}, []string{"d11", "d09", "d07", "d05", "d03", "d01"}},
		"open":    {store.DocumentQuery{OpenOnly: true}, []string{"d08", "d04", "d00"}},
		"both":    {store.DocumentQuery{OpenOnly: true, Service: "cache"}, nil},
	} {
		for _, limit := range []int{0, 1, 2, 3, 4, 12, 13} {
			t.Run(fmt.Sprint(name, " by ", limit), func(t *testing.T) {
				q := test.q
				q.Kind, q.Limit = "incident", limit
				if diff := cmp.Diff(test.want, pages(t, s, q)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
	if docs, next, err := s.ListDocuments(t.Context(), store.DocumentQuery{Kind: "none"}); err != nil || next != "" || len(docs) != 0 {
		t.Errorf("list of an unknown kind: %v %q %v", docs, next, err)
	}
}

// Documents that come or go between two pages neither repeat nor hide others.
func documentStablePages(t *testing.T, s store.Store) {
	for i := range 6 { // names run against time
		check(t, s.PutDocuments(t.Context(), document(fmt.Sprint("d", 9-i), i)))
	}
	docs, next, err := s.ListDocuments(t.Context(), store.DocumentQuery{Kind: "incident", Limit: 3})
	check(t, err)
	if len(docs) != 3 || docs[2].ID != "d6" {
		t.Fatalf("first page: %v", docs)
	}
	check(t, s.PutDocuments(t.Context(), document("new", 99)))
	n, err := s.PruneDocuments(t.Context(), "incident", epoch.Add(time.Minute), 1)
	check(t, err)
	if n != 1 {
		t.Fatalf("pruned %d", n)
	}
	ids := pages(t, s, store.DocumentQuery{Kind: "incident", Limit: 3, Cursor: next})
	if diff := cmp.Diff([]string{"d7", "d8"}, ids); diff != "" {
		t.Errorf("second page (-want +got):\n%s", diff)
	}
}

func documentBadCursor(t *testing.T, s store.Store) {
	for _, c := range []string{"x", "!!", "e30", "bnVsbA", "'--"} {
		if _, _, err := s.ListDocuments(t.Context(), store.DocumentQuery{Kind: "incident", Cursor: c}); !errors.Is(err, store.ErrBadCursor) {
			t.Errorf("cursor %q: %v, want ErrBadCursor", c, err)
		}
	}
}

func documentPrune(t *testing.T, s store.Store) {
	for i := range 6 {
		d := document(fmt.Sprint("d", i), i)
		d.Open = i == 1
		check(t, s.PutDocuments(t.Context(), d))
	}
	other := document("other", 0)
	other.Kind = "state"
	check(t, s.PutDocuments(t.Context(), other))
	before := epoch.Add(4 * time.Minute)
	for _, step := range []struct {
		limit, want int
		left        []string
	}{
		{0, 0, []string{"d5", "d4", "d3", "d2", "d1", "d0"}},
		{2, 2, []string{"d5", "d4", "d3", "d1"}},
		{100, 1, []string{"d5", "d4", "d1"}},
		{100, 0, []string{"d5", "d4", "d1"}},
	} {
		n, err := s.PruneDocuments(t.Context(), "incident", before, step.limit)
		check(t, err)
		left := pages(t, s, store.DocumentQuery{Kind: "incident"})
		if diff := cmp.Diff(step.left, left); diff != "" || n != step.want {
			t.Errorf("limit %d removed %d, want %d (-want +got):\n%s", step.limit, n, step.want, diff)
		}
	}
	if _, err := s.Document(t.Context(), "state", "other"); err != nil {
		t.Errorf("another kind was pruned: %v", err)
	}
}

func sessionLife(t *testing.T, s store.Store) {
	v := store.Session{
		IDHash: "h1", UserID: "u1", Created: epoch, LastUsed: epoch.Add(time.Minute), Expires: epoch.Add(time.Hour), SourceIP: "192.0.2.1",
		Identity: `{"email":"ann@example.com"}`,
	}
	check(t, s.PutSession(t.Context(), v))
	v.LastUsed = v.LastUsed.Add(time.Minute)
	check(t, s.PutSession(t.Context(), v))
	got, err := s.Session(t.Context(), "h1")
	check(t, err)
	if diff := cmp.Diff(v, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	check(t, s.DeleteSession(t.Context(), "h1"))
	check(t, s.DeleteSession(t.Context(), "h1"))
	if _, err := s.Session(t.Context(), "h1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a deleted session: %v, want ErrNotFound", err)
	}
	for _, id := range []string{"a", "b", "c"} {
		w := v
		w.IDHash = id
		if id == "c" {
			w.UserID = "u2"
		}
		check(t, s.PutSession(t.Context(), w))
	}
	n, err := s.DeleteUserSessions(t.Context(), "u1")
	check(t, err)
	if _, err := s.Session(t.Context(), "c"); err != nil || n != 2 {
		t.Errorf("deleted %d sessions of one user, want 2; the other user's: %v", n, err)
	}
}

func sessionPrune(t *testing.T, s store.Store) {
	now := epoch.Add(time.Hour)
	put := func(id string, used, expires time.Duration) {
		check(t, s.PutSession(t.Context(), store.Session{IDHash: id, LastUsed: now.Add(used), Expires: now.Add(expires)}))
	}
	put("good", -time.Minute, time.Minute)
	put("expired", -time.Minute, 0)
	put("idle", -time.Hour, time.Minute)
	put("just not idle", -30*time.Minute, time.Minute)
	n, err := s.PruneSessions(t.Context(), now, 0)
	check(t, err)
	if n != 1 {
		t.Errorf("without an idle limit %d went, want only the expired one", n)
	}
	n, err = s.PruneSessions(t.Context(), now, 30*time.Minute)
	check(t, err)
	if n != 1 {
		t.Errorf("with an idle limit %d went, want 1", n)
	}
	for _, id := range []string{"good", "just not idle"} {
		if _, err := s.Session(t.Context(), id); err != nil {
			t.Errorf("session %q: %v", id, err)
		}
	}
}

// A context that has ended means that nothing was written.
func contextEnded(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range everyCall(ctx, s) {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", name, err)
		}
	}
	if _, err := s.LastAudit(t.Context()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a cancelled append was stored: %v", err)
	}
}

func closed(t *testing.T, s store.Store) {
	check(t, s.AppendAudit(t.Context(), auditRow(7)))
	check(t, s.Close())
	check(t, s.Close())
	for name, call := range everyCall(t.Context(), s) {
		if err := call(); !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s after Close: %v, want ErrClosed", name, err)
		}
	}
}
