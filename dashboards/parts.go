package dashboards

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// Heights and widths on Grafana's grid of 24 columns.
const (
	full, third, sixth = 24, 8, 4
	low, medium, high  = 4, 6, 8
)

// The colours of good and bad, the same in every panel.
const (
	good, bad, worse, off, busy = "green", "orange", "red", "text", "blue"
)

// selected restricts a query to the services chosen on the dashboard.
const selected = `service=~"$service"`

// The classic dashboard model, which every Grafana since version 7 reads from provisioning files. The SDK calls it deprecated in
// favour of the resources that Grafana 12 has begun to introduce.
type (
	board = dashboard.DashboardBuilder //nolint:staticcheck // see above
	model = dashboard.Dashboard        //nolint:staticcheck // see above
)

func newBoard(title string) *board {
	return dashboard.NewDashboardBuilder(title) //nolint:staticcheck // see above
}

var source = common.DataSourceRef{Type: new("prometheus"), Uid: new("${datasource}")}

// text is what every panel needs to say.
type text struct{ title, description string }

// line is one query and the name of its series.
type line struct{ expr, legend string }

// state is one value of a state code, as panels show it.
type state struct{ name, color string }

// stateCode turns a state set into one number per service: the index of the state that is 1. A state set is many series of
// which one is 1; a timeline wants one series that changes its value. Codes are of the order of states.
func stateCode(metricName, label string, states []state) string {
	parts := make([]string, 0, len(states))
	for i, s := range states {
		parts = append(parts, fmt.Sprintf("%d * max by (service, %s) (%s{%s, %s=%q})", i, label, metricName, selected, label, s.name))
	}
	return "sum by (service) (\n  " + strings.Join(parts, "\n  or\n  ") + "\n)"
}

func mappings(states []state) []dashboard.ValueMapping {
	m := dashboard.NewValueMap()
	for i, s := range states {
		m.Options[strconv.Itoa(i)] = dashboard.ValueMappingResult{
			Text: new(strings.ReplaceAll(s.name, "_", " ")), Color: new(s.color), Index: new(int32(i)),
		}
	}
	return []dashboard.ValueMapping{{ValueMap: m}}
}

// steps are the colours of a value: the first below the first limit, and so on.
func steps(colors []string, limits ...float64) cog.Builder[dashboard.ThresholdsConfig] {
	out := []dashboard.Threshold{{Color: colors[0]}}
	for i, l := range limits {
		out = append(out, dashboard.Threshold{Color: colors[i+1], Value: new(l)})
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(out)
}

func query(l line) *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().Expr(l.expr).LegendFormat(l.legend).Datasource(source).EditorMode(prometheus.QueryEditorModeCode)
}

// number is a panel that shows the latest value.
func number(t text, width uint32, unit string, l line) *stat.PanelBuilder {
	return stat.NewPanelBuilder().Title(t.title).Description(t.description).Datasource(source).
		Height(low).Span(width).Unit(unit).
		WithTarget(query(l).Instant()).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})).
		ColorMode(common.BigValueColorModeValue).GraphMode(common.BigValueGraphModeNone)
}

// timeline is a panel that shows what state each series was in.
func timeline(t text, height uint32, states []state, lines ...line) *statetimeline.PanelBuilder {
	p := statetimeline.NewPanelBuilder().Title(t.title).Description(t.description).Datasource(source).
		Height(height).Span(full).Mappings(mappings(states)).
		MergeValues(true).ShowValue(common.VisibilityModeAuto).RowHeight(0.9).FillOpacity(80).
		Legend(common.NewVizLegendOptionsBuilder().ShowLegend(false)).
		ColorScheme(dashboard.NewFieldColorBuilder().Mode(dashboard.FieldColorModeIdThresholds))
	for i, l := range lines {
		p = p.WithTarget(query(l).RefId(refID(i)))
	}
	return p
}

// graph is a panel with curves over time.
func graph(t text, width uint32, unit string, lines ...line) *timeseries.PanelBuilder {
	p := timeseries.NewPanelBuilder().Title(t.title).Description(t.description).Datasource(source).
		Height(high).Span(width).Unit(unit).Min(0).LineWidth(1).FillOpacity(8).ShowPoints(common.VisibilityModeNever).
		Legend(common.NewVizLegendOptionsBuilder().DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom).ShowLegend(true)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending))
	for i, l := range lines {
		p = p.WithTarget(query(l).RefId(refID(i)))
	}
	return p
}

// bars is a graph of events: bars that stand on each other.
func bars(t text, width uint32, lines ...line) *timeseries.PanelBuilder {
	return graph(t, width, "short", lines...).DrawStyle(common.GraphDrawStyleBars).FillOpacity(80).Decimals(0).
		Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal))
}

// limits draws the thresholds of a signal into a graph: dashed, in the colour of their severity.
func limits(p *timeseries.PanelBuilder) *timeseries.PanelBuilder {
	for _, s := range []state{{"warning", bad}, {"critical", worse}, {"limit", off}} {
		p = p.OverrideByRegexp(".* "+s.name+"$", []dashboard.DynamicConfigValue{
			{Id: "color", Value: map[string]any{"mode": "fixed", "fixedColor": s.color}},
			{Id: "custom.lineStyle", Value: map[string]any{"fill": "dash", "dash": []int{8, 8}}},
			{Id: "custom.fillOpacity", Value: 0},
		})
	}
	return p
}

// threshold is the curve of a signal's configured limits.
func threshold(signal string) line {
	return line{
		fmt.Sprintf("max by (service, severity) (redis_health_threshold{%s, signal=%q})", selected, signal), "{{service}} {{severity}}",
	}
}

func refID(i int) string { return string(rune('A' + i)) }
