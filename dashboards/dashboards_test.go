package dashboards_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis-medic/redis-medic/dashboards"
)

func TestGeneratedFilesAreCurrent(t *testing.T) {
	want, err := dashboards.Files()
	if err != nil {
		t.Fatal(err)
	}
	onDisk, err := filepath.Glob("*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(onDisk) != len(want) {
		t.Errorf("%d dashboards are committed, %d are generated", len(onDisk), len(want))
	}
	for name, body := range want {
		got, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
		} else if string(got) != string(body) {
			t.Errorf("%s is not what the Go source says: run go generate ./dashboards", name)
		}
	}
}

// panel is the part of Grafana's model that the tests below look at.
type panel struct {
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Targets                  []struct {
		Expr       string
		Datasource struct{ Type, UID string }
	}
}

func load(t *testing.T) (panels []panel, document map[string]any) {
	t.Helper()
	files, err := dashboards.Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range files {
		var d struct{ Panels []panel }
		if err := json.Unmarshal(body, &d); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(body, &document); err != nil {
			t.Fatal(err)
		}
		panels = append(panels, d.Panels...)
	}
	return panels, document
}

func TestPanelsExplainThemselvesAndAskTheChosenSource(t *testing.T) {
	panels, _ := load(t)
	for _, p := range panels {
		if p.Type == "row" {
			continue
		}
		if p.Title == "" || !strings.HasSuffix(p.Description, ".") {
			t.Errorf("panel %q: title and description are for a person who has just been woken up", p.Title)
		}
		if len(p.Targets) == 0 {
			t.Errorf("panel %q asks nothing", p.Title)
		}
		for _, target := range p.Targets {
			if target.Datasource.UID != "${datasource}" {
				t.Errorf("panel %q asks %q instead of the chosen data source", p.Title, target.Datasource.UID)
			}
		}
	}
}

func TestPanelsDoNotOverlapAndFillTheirLines(t *testing.T) {
	panels, _ := load(t)
	taken := map[[2]int]string{}
	bottom := 0
	for _, p := range panels {
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("panel %q is on top of %q or beyond the edge at column %d", p.Title, other, x)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		bottom = max(bottom, p.GridPos.Y+p.GridPos.H)
	}
	if len(taken) != 24*bottom {
		t.Errorf("%d of %d cells are empty", 24*bottom-len(taken), 24*bottom)
	}
}

func TestTheUIDIsTheOneThatAlertsLinkTo(t *testing.T) {
	_, document := load(t)
	if document["uid"] != dashboards.OverviewUID {
		t.Errorf("uid is %v", document["uid"])
	}
}

func TestQueriesCoverEveryTarget(t *testing.T) {
	panels, _ := load(t)
	targets := 0
	for _, p := range panels {
		targets += len(p.Targets)
	}
	queries, err := dashboards.Queries()
	if err != nil {
		t.Fatal(err)
	}
	annotations := 0
	for _, q := range queries {
		if strings.HasPrefix(q.Panel, "annotation ") {
			annotations++
		}
		if q.Expr == "" {
			t.Errorf("%s: an empty query", q.Panel)
		}
	}
	if len(queries) != targets+annotations || annotations != 2 {
		t.Errorf("%d queries for %d targets and %d annotations", len(queries), targets, annotations)
	}
}

func TestWriteSaysWhenItCannot(t *testing.T) {
	if err := dashboards.Write(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("writing into a folder that does not exist succeeded")
	}
	dir := t.TempDir()
	if err := dashboards.Write(dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, dashboards.OverviewUID+".json")); err != nil {
		t.Error(err)
	}
}
