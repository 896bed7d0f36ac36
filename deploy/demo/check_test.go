package main

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTheSummaryHoldsEveryActAgainstItsTarget(t *testing.T) {
	seconds := func(values ...float64) []time.Duration {
		var out []time.Duration
		for _, v := range values {
			out = append(out, time.Duration(v*float64(time.Second)))
		}
		return out
	}
	fast := result{act: act{name: "fast", p50: 3 * time.Second, max: 6 * time.Second}, times: seconds(1, 2, 5.9)}
	for _, c := range []struct {
		name    string
		results []result
		missed  bool
		line    string
	}{
		{"all in time", []result{fast}, false, "2.00 s   5.90 s   p50 < 3 s, max < 6 s: reached"},
		{"slow in the middle", []result{fast, {act: act{name: "slow", p50: 3 * time.Second}, times: seconds(3, 3)}}, true, "p50 < 3 s: MISSED"},
		{"one too slow", []result{{act: act{name: "slow", p50: 3 * time.Second, max: 6 * time.Second}, times: seconds(1, 1, 6)}}, true, "MISSED"},
		{"one that failed", []result{fast, {act: act{name: "bad", p50: time.Second}, fault: errors.New("no recovery")}}, true, "FAILED, no recovery"},
		{"none done", []result{{act: act{name: "none", p50: time.Second}}}, true, "FAILED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			err := summary(&out, c.results)
			if (err != nil) != c.missed || !strings.Contains(out.String(), c.line) {
				t.Errorf("error %v, want one: %t; no %q in\n%s", err, c.missed, c.line, &out)
			}
		})
	}
}

func TestTheMedianOfAnEvenNumberIsBetweenTheTwo(t *testing.T) {
	d := []time.Duration{4, 1, 3, 2}
	if got := median(d); got != 2 {
		t.Errorf("got %d", got)
	}
	if !slices.Equal(d, []time.Duration{4, 1, 3, 2}) {
		t.Error("the times were reordered")
	}
	if got := median([]time.Duration{7}); got != 7 {
		t.Errorf("got %d", got)
	}
}
