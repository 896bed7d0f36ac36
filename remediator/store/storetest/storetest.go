// Package storetest owns the contract of store.Store as tests: every implementation must pass Run. It refuses to know any
// implementation.
package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/remediator/store"
)

// Run checks the whole contract. open returns a new, empty store each time and closes it when its test ends.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, store.Store){
		"audit/append and read":         auditRoundTrip,
		"audit/empty":                   auditEmpty,
		"audit/conflict":                auditConflict,
		"audit/filters":                 auditFilters,
		"audit/pages":                   auditPages,
		"audit/clock goes back":         auditClockBack,
		"audit/failed write":            auditFailedWrite,
		"audit/any query":               auditAnyQuery,
		"audit/walk":                    auditWalk,
		"audit/prune":                   auditPrune,
		"audit/concurrent":              auditConcurrent,
		"audit/survives changed slices": auditOwnsRows,
		"documents/put and read":        documentRoundTrip,
		"documents/insert new":          documentInsertNew,
		"documents/insert race":         documentInsertRace,
		"documents/list":                documentList,
		"documents/stable pages":        documentStablePages,
		"documents/bad cursor":          documentBadCursor,
		"documents/prune":               documentPrune,
		"sessions/life":                 sessionLife,
		"sessions/prune":                sessionPrune,
		"context ended":                 contextEnded,
		"closed":                        closed,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// epoch has a fraction that every store must keep.
var epoch = time.Date(2025, 10, 10, 14, 30, 0, 123456000, time.UTC)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// everyCall is one call of each method that can fail.
func everyCall(ctx context.Context, s store.Store) map[string]func() error {
	return map[string]func() error{
		"AppendAudit":        func() error { return s.AppendAudit(ctx, store.AuditRow{Seq: 1}) },
		"LastAudit":          func() error { _, err := s.LastAudit(ctx); return err },
		"QueryAudit":         func() error { _, err := s.QueryAudit(ctx, store.AuditQuery{}); return err },
		"WalkAudit":          func() error { return s.WalkAudit(ctx, 1, func(store.AuditRow) error { return nil }) },
		"PruneAudit":         func() error { return s.PruneAudit(ctx, 1) },
		"PutDocuments":       func() error { return s.PutDocuments(ctx, store.Document{Kind: "k", ID: "i"}) },
		"Document":           func() error { _, err := s.Document(ctx, "k", "i"); return err },
		"ListDocuments":      func() error { _, _, err := s.ListDocuments(ctx, store.DocumentQuery{Kind: "k"}); return err },
		"InsertNew":          func() error { _, err := s.InsertNew(ctx, store.Document{Kind: "k", ID: "j"}); return err },
		"PruneDocuments":     func() error { _, err := s.PruneDocuments(ctx, "k", epoch, 10); return err },
		"PutSession":         func() error { return s.PutSession(ctx, store.Session{IDHash: "h"}) },
		"Session":            func() error { _, err := s.Session(ctx, "h"); return err },
		"DeleteSession":      func() error { return s.DeleteSession(ctx, "h") },
		"DeleteUserSessions": func() error { _, err := s.DeleteUserSessions(ctx, "u"); return err },
		"PruneSessions":      func() error { _, err := s.PruneSessions(ctx, epoch, time.Hour); return err },
	}
}
