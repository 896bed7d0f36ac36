package controlapi

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/store"
)

// TestWithTheRealStoreAndAuditLog runs sessions and audit on SQLite: a session outlives the API, and the log can be verified.
func TestWithTheRealStoreAndAuditLog(t *testing.T) {
	ctx := context.Background()
	db, err := store.Open(ctx, store.Options{Dir: t.TempDir(), Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	log, err := audit.New(ctx, audit.Options{Store: db, Key: bytes.Repeat([]byte("k"), 32), File: audit.FileOptions{Path: t.TempDir() + "/audit.log"}})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	real := func(o *Options) { o.Sessions, o.Auditor, o.Audits = db, log, log }
	first := newRig(t, real)
	cookie, _ := signIn(first, "admin@autobot.local")
	first.do("POST", "/api/services/redis/stop", "{}", asOperator)

	second := newRig(t, real)
	m := second.do("GET", "/api/audit?operation=stop&result=denied", "", withCookie(cookie)).json(t)
	records := m["records"].([]any)
	if len(records) != 1 || records[0].(map[string]any)["user"].(map[string]any)["id"] != "backend" {
		t.Errorf("%v", m)
	}
	export := second.do("GET", "/api/audit/export?format=csv", "", withCookie(cookie))
	if lines := strings.Count(string(export.raw), "\n"); export.code != 200 || lines != 5 { // header, login, stop, read, export
		t.Errorf("%d lines:\n%s", lines, export.raw)
	}
	if report, err := log.Verify(ctx); err != nil || !report.OK {
		t.Errorf("%+v %v", report, err)
	}
	second.do("POST", "/api/auth/logout", "", withCookie(cookie))
	if a := newRig(t, real).do("GET", "/api/auth/me", "", withCookie(cookie)); a.code != 401 {
		t.Errorf("after the logout, in another process: %d", a.code)
	}
}
