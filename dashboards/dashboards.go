// Package dashboards owns the Grafana dashboards: built in Go with Grafana's own SDK, generated into JSON files that Grafana
// provisions. It refuses to know how metrics come about; it only uses their names.
package dashboards

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
)

//go:generate go run ./cmd/gen -out .

// OverviewUID is the identifier of the overview in Grafana's URLs; the annotation dashboard_url of the alerts points to it.
const OverviewUID = "redis-medic-overview"

// Query is one PromQL expression of a dashboard.
type Query struct {
	Panel string // its title
	Expr  string // with Grafana's variables in it
}

// Files builds every dashboard and returns its JSON by file name.
func Files() (map[string][]byte, error) {
	out := map[string][]byte{}
	d, err := overview()
	if err != nil {
		return nil, fmt.Errorf("build the overview: %w", err)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(d); err != nil {
		return nil, fmt.Errorf("encode the overview: %w", err)
	}
	out[OverviewUID+".json"] = b.Bytes()
	return out, nil
}

// Write builds every dashboard into dir, which must exist.
func Write(dir string) error {
	files, err := Files()
	if err != nil {
		return err
	}
	for name, body := range files {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o644); err != nil {
			return fmt.Errorf("write dashboard: %w", err)
		}
	}
	return nil
}

// Queries lists every expression of the dashboards, annotations included.
func Queries() ([]Query, error) {
	d, err := overview()
	if err != nil {
		return nil, fmt.Errorf("build the overview: %w", err)
	}
	var out []Query
	for _, p := range d.Panels {
		panels := []*dashboard.Panel{p.Panel}
		if p.RowPanel != nil {
			panels = nil
			for i := range p.RowPanel.Panels {
				panels = append(panels, &p.RowPanel.Panels[i])
			}
		}
		for _, panel := range panels {
			for _, target := range panel.Targets {
				q, ok := target.(prometheus.Dataquery)
				if !ok {
					return nil, fmt.Errorf("panel %q: a target is not a Prometheus query but %T", *panel.Title, target)
				}
				out = append(out, Query{Panel: *panel.Title, Expr: q.Expr})
			}
		}
	}
	for _, a := range d.Annotations.List {
		if a.Expr != nil {
			out = append(out, Query{Panel: "annotation " + a.Name, Expr: *a.Expr})
		}
	}
	return slices.Clip(out), nil
}
