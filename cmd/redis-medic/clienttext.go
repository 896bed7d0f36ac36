package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// field follows keys into an answer; nil when there is nothing.
func field(v any, path string) any {
	for key := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

// list is the list at a path, empty when there is none.
func list(v any, path string) []any {
	l, _ := field(v, path).([]any)
	return l
}

// cell shows a value as people read it.
func cell(v any) string {
	switch x := v.(type) {
	case nil:
		return "-"
	case string:
		if x == "" {
			return "-"
		}
		if t, err := time.Parse(time.RFC3339Nano, x); err == nil {
			return t.Local().Format("2006-01-02 15:04:05")
		}
		return x
	case bool:
		if x {
			return "yes"
		}
		return "no"
	case float64:
		return fmt.Sprintf("%.6g", x)
	default:
		return fmt.Sprint(x)
	}
}

// table writes a line per record, with a headline.
func table(columns ...string) func(screen, any) {
	return func(w screen, answer any) {
		heads := make([]string, len(columns))
		for i, c := range columns {
			name := c[strings.LastIndexByte(c, '.')+1:]
			heads[i] = strings.ToUpper(strings.ReplaceAll(name, "_", " "))
		}
		rows := [][]string{heads}
		for _, r := range list(answer, "records") {
			cells := make([]string, len(columns))
			for i, c := range columns {
				cells[i] = cell(field(r, c))
			}
			rows = append(rows, cells)
		}
		w.grid(true, rows)
	}
}

// facts writes a line per key that the answer has.
func facts(keys ...string) func(screen, any) {
	return func(w screen, answer any) {
		var rows [][]string
		for _, k := range keys {
			rows = append(rows, []string{strings.ReplaceAll(k, "_", " "), cell(field(answer, k))})
		}
		w.grid(false, rows)
	}
}

func healthText(w screen, answer any) {
	facts("overall_status", "service_running", "connectivity", "response_time_ms", "last_successful_command", "error_count_last_hour")(w, answer)
	var rows [][]string
	for _, name := range []string{"connectivity", "systemd", "performance", "connection_pool"} {
		if check := field(answer, "health_checks."+name); check != nil {
			rows = append(rows, []string{"check " + strings.ReplaceAll(name, "_", " "), cell(field(check, "status")), cell(field(check, "message"))})
		}
	}
	w.grid(false, rows)
	for _, r := range list(answer, "recommendations") {
		fmt.Fprintf(w, "- %s\n", cell(r))
	}
}

func logsText(w screen, answer any) {
	lines := list(answer, "logs")
	for _, l := range slices.Backward(lines) { // newest first from the API, newest last on a terminal
		logLine(w, l)
	}
}

func logLine(w screen, l any) {
	level := cell(field(l, "level"))
	fmt.Fprintf(w, "%s %s%s %s\n", cell(field(l, "timestamp")), w.paint(level), strings.Repeat(" ", max(0, 7-len(level))), cell(field(l, "message")))
}

func incidentText(w screen, answer any) {
	facts("id", "service", "status", "alert", "cause", "cause_text", "opened_at", "recovered_at", "closed_at", "attempts", "level")(w, answer)
	for _, s := range list(answer, "steps") {
		fmt.Fprintf(w, "%s  %-10s %s\n", cell(field(s, "at")), cell(field(s, "kind")), cell(field(s, "text")))
	}
}

func recoveryText(w screen, answer any) {
	facts("enabled", "desired.running", "breaker.phase", "recent_recoveries", "last_recovery", "recovery_status", "manual_intervention", "manual_reason",
		"incident.id", "degraded_since")(w, answer)
	explanationText(w, field(answer, "explanation"))
	for _, h := range list(answer, "holds") {
		fmt.Fprintf(w, "hold: %s: %s\n", cell(field(h, "code")), cell(field(h, "text")))
	}
}

func operationText(w screen, answer any) {
	fmt.Fprintf(w, "%s (%s s, now %s)\n", cell(field(answer, "message")), cell(field(answer, "duration_seconds")), cell(field(answer, "new_status")))
	if warning := field(answer, "warning"); warning != nil {
		fmt.Fprintf(w, "warning: %s\n", cell(warning))
	}
}

// explanationText says what automatic recovery would do now, and why; nothing where it was not asked for.
func explanationText(w screen, e any) {
	if e == nil {
		return
	}
	var acts []string
	for _, act := range list(e, "acts") {
		acts = append(acts, cell(act))
	}
	rows := [][]string{
		{"it would now", cell(field(e, "decision"))}, {"level", cell(field(e, "recovery_level"))}, {"acts", cell(strings.Join(acts, ", "))},
		{"because", cell(field(e, "text"))}, {"advice", cell(field(e, "advice"))},
	}
	for _, s := range list(e, "skipped") {
		rows = append(rows, []string{"skipped " + cell(field(s, "recovery_level")), cell(field(s, "text"))})
	}
	seen, _ := field(e, "seen").(map[string]any)
	for _, what := range slices.Sorted(maps.Keys(seen)) {
		rows = append(rows, []string{"seen " + what, cell(seen[what])})
	}
	w.grid(false, rows)
}
