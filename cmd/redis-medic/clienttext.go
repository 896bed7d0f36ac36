package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
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
func table(columns ...string) func(io.Writer, any) {
	return func(w io.Writer, answer any) {
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		heads := make([]string, len(columns))
		for i, c := range columns {
			name := c[strings.LastIndexByte(c, '.')+1:]
			heads[i] = strings.ToUpper(strings.ReplaceAll(name, "_", " "))
		}
		fmt.Fprintln(tw, strings.Join(heads, "\t"))
		for _, r := range list(answer, "records") {
			cells := make([]string, len(columns))
			for i, c := range columns {
				cells[i] = cell(field(r, c))
			}
			fmt.Fprintln(tw, strings.Join(cells, "\t"))
		}
		_ = tw.Flush() // the writer below reports its own failures to nobody, as fmt.Fprint's does
	}
}

// facts writes a line per key that the answer has.
func facts(keys ...string) func(io.Writer, any) {
	return func(w io.Writer, answer any) {
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, k := range keys {
			fmt.Fprintf(tw, "%s\t%s\n", strings.ReplaceAll(k, "_", " "), cell(field(answer, k)))
		}
		_ = tw.Flush()
	}
}

func healthText(w io.Writer, answer any) {
	facts("overall_status", "service_running", "connectivity", "response_time_ms", "last_successful_command", "error_count_last_hour")(w, answer)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, name := range []string{"connectivity", "systemd", "performance", "connection_pool"} {
		if check := field(answer, "health_checks."+name); check != nil {
			fmt.Fprintf(tw, "check %s\t%s\t%s\n", strings.ReplaceAll(name, "_", " "), cell(field(check, "status")), cell(field(check, "message")))
		}
	}
	_ = tw.Flush()
	for _, r := range list(answer, "recommendations") {
		fmt.Fprintf(w, "- %s\n", cell(r))
	}
}

func logsText(w io.Writer, answer any) {
	lines := list(answer, "logs")
	for _, l := range slices.Backward(lines) { // newest first from the API, newest last on a terminal
		fmt.Fprintf(w, "%s %-7s %s\n", cell(field(l, "timestamp")), cell(field(l, "level")), cell(field(l, "message")))
	}
}

func incidentText(w io.Writer, answer any) {
	facts("id", "service", "status", "alert", "cause", "cause_text", "opened_at", "recovered_at", "closed_at", "attempts", "level")(w, answer)
	for _, s := range list(answer, "steps") {
		fmt.Fprintf(w, "%s  %-10s %s\n", cell(field(s, "at")), cell(field(s, "kind")), cell(field(s, "text")))
	}
}

func recoveryText(w io.Writer, answer any) {
	facts("enabled", "desired.running", "breaker.phase", "recent_recoveries", "last_recovery", "recovery_status", "manual_intervention", "manual_reason",
		"incident.id", "degraded_since")(w, answer)
	for _, h := range list(answer, "holds") {
		fmt.Fprintf(w, "hold: %s: %s\n", cell(field(h, "code")), cell(field(h, "text")))
	}
}

func operationText(w io.Writer, answer any) {
	fmt.Fprintf(w, "%s (%s s, now %s)\n", cell(field(answer, "message")), cell(field(answer, "duration_seconds")), cell(field(answer, "new_status")))
	if warning := field(answer, "warning"); warning != nil {
		fmt.Fprintf(w, "warning: %s\n", cell(warning))
	}
}
