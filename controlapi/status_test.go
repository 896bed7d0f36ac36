package controlapi

import (
	"testing"

	"golang.org/x/crypto/bcrypt"
)

func mustHash() string {
	raw, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func TestSmoke(t *testing.T) {
	r := newRig(t, nil)
	for _, p := range []string{"/api/services/redis/status", "/api/services/sessions/status", "/api/services/redis/health", "/api/services/sessions/health", "/api/services", "/api/auth/me", "/", "/nope", "/api/nope"} {
		a := r.do("GET", p, "")
		t.Logf("%s %d %s", p, a.code, a.raw[:min(len(a.raw), 900)])
	}
	for _, p := range []string{"start", "stop", "restart", "reload", "auto-recovery/reset"} {
		a := r.do("POST", "/api/services/redis/"+p, "{}", asAdmin)
		t.Logf("%s %d %s", p, a.code, a.raw)
		a = r.do("POST", "/api/services/redis/"+p, "{}", asViewer)
		t.Logf("%s %d %s", p, a.code, a.raw)
		a = r.do("POST", "/api/services/redis/"+p, "{}")
		t.Logf("%s %d %s", p, a.code, a.raw)
	}
	t.Log(r.log.String())
}
