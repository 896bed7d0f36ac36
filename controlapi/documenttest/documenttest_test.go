package documenttest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/redis-medic/redis-medic/controlapi/documenttest"
)

func TestDifferences(t *testing.T) {
	good := documenttest.Text("status-running")
	for name, c := range map[string]struct {
		body  string
		extra []string
		want  string
	}{
		"the same":             {good, nil, ""},
		"null where not known": {strings.Replace(good, "12345", "null", 1), nil, ""},
		"a member is missing":  {strings.Replace(good, `"pid": 12345,`, "", 1), nil, "has no member pid"},
		"another name":         {strings.Replace(good, `"ssh_accessible"`, `"ssh"`, 1), nil, "vm_info: has no member ssh_accessible; vm_info: has the member ssh, which the document has not"},
		"one more":             {strings.Replace(good, "{", `{"seq": 1,`, 1), nil, "has the member seq, which the document has not"},
		"one more that we say": {strings.Replace(good, "{", `{"seq": 1,`, 1), []string{"seq"}, ""},
		"another kind":         {strings.Replace(good, "12345", `"12345"`, 1), nil, "pid: is string, the document has float64"},
		"no object":            {`{"status":"running","vm_info":[]}`, nil, "vm_info: is []interface {}, not an object"},
		"no JSON":              {`nothing`, nil, "the body is not JSON"},
	} {
		got := documenttest.Differences("status-running", []byte(c.body), c.extra...)
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], ": ")
		}
		if text := strings.Join(got, "; "); (c.want == "") != (text == "") || !strings.Contains(text, c.want) {
			t.Errorf("%s: %q, want %q", name, text, c.want)
		}
	}
	if got := documenttest.Differences("logs", []byte(`{"logs":[{"timestamp":null,"level":"info"}],"total_lines":1,"service":"","vm":""}`)); !slices.Equal(got, []string{"logs: has no member message"}) {
		t.Errorf("a list: %v", got)
	}
	if got := documenttest.Differences("logs", []byte(`{"logs":{},"total_lines":1,"service":"","vm":""}`)); len(got) != 1 {
		t.Errorf("no list: %v", got)
	}
	if len(documenttest.Names()) != 17 || len(documenttest.Endpoints()) != 7 {
		t.Errorf("%v %v", documenttest.Names(), documenttest.Endpoints())
	}
}
