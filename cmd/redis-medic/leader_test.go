package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis-medic/redis-medic/remediator/store/storetest"
)

// replicaOn is a program on a database that others may use too.
func replicaOn(t *testing.T, dsn string) *program {
	t.Helper()
	return startChanged(t, func(s string) string {
		before, rest, _ := strings.Cut(s, "storage: {path: ")
		dir := strings.TrimSuffix(strings.TrimSpace(rest), "/data}")
		if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		// The same key for all, as the documentation asks for.
		for name, content := range map[string]string{"dsn": dsn, "data/audit.key": strings.Repeat("5a", 32)} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return before + "storage: {path: " + dir + "/data, postgres: {dsn_file: dsn, lease_seconds: 5}}\n"
	})
}

func (p *program) exporterReady(t *testing.T) bool {
	code, _ := ask(t, http.MethodGet, "http://"+p.addrs[0]+"/-/ready")
	return code == http.StatusOK
}

func (p *program) audit(t *testing.T, args ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	code := dispatch(t.Context(), console{in: strings.NewReader(""), out: &out, err: &out}, append(append([]string{"audit"}, args...), "--config", p.file))
	return code, out.String()
}

func TestOneOfSeveralLeads(t *testing.T) {
	dsn, _ := storetest.StartPostgres(t)
	one := replicaOn(t, dsn)
	until(t, "the first one leads", func() bool { return one.ready(t) })
	two := replicaOn(t, dsn)
	until(t, "the second one measures", func() bool { return two.exporterReady(t) })
	if one.metric(t, "redis_medic_leader") != "1" || two.metric(t, "redis_medic_leader") != "0" {
		t.Errorf("leading: %s and %s", one.metric(t, "redis_medic_leader"), two.metric(t, "redis_medic_leader"))
	}
	for _, a := range two.addrs[1:] {
		if code, _ := ask(t, http.MethodGet, "http://"+a+"/-/ready"); code != 0 {
			t.Errorf("what does not lead answers %d on %s", code, a)
		}
	}
	resp, err := http.Post("http://"+one.addrs[2]+"/api/services/redis/start", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close() // 401, and so an audit record

	if code := one.end(t); code != 0 {
		t.Errorf("the leader ended with %d", code)
	}
	until(t, "the second one leads", func() bool { return two.ready(t) })
	if v := two.metric(t, "redis_medic_leader"); v != "1" {
		t.Errorf("the metric is %s", v)
	}
	if code, out := two.audit(t, "export"); code != 0 || !strings.Contains(out, `"operation":"start"`) {
		t.Errorf("the first one's records: %d %s", code, out)
	}
	if code := two.end(t); code != 0 {
		t.Errorf("ended with %d", code)
	}
}
