package exporter

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// text lays families out as text, byte for byte as package expfmt does (a test holds one against the other). That package checks every
// name and label of every sample and writes them through three layers, which costs more than all the rest of a scrape.
type text struct {
	open bool // OpenMetrics; else Prometheus's own format
}

// family appends one family.
func (t text) family(b []byte, mf *dto.MetricFamily) ([]byte, error) {
	if !t.simple(mf) {
		return t.other(b, mf)
	}
	name := mf.GetName()
	shown, kind := name, strings.ToLower(mf.GetType().String())
	if t.open {
		switch stem, ok := strings.CutSuffix(name, "_total"); {
		case mf.GetType() == dto.MetricType_COUNTER && ok:
			shown = stem
		case mf.GetType() == dto.MetricType_COUNTER, mf.GetType() == dto.MetricType_UNTYPED:
			kind = "unknown" // it keeps its name: rules and dashboards know it by that
		}
	}
	if mf.Help != nil {
		b = append(append(append(b, "# HELP "...), shown...), ' ')
		b = append(escaped(b, mf.GetHelp(), t.open), '\n')
	}
	b = append(append(append(b, "# TYPE "...), shown...), ' ')
	b = append(append(b, kind...), '\n')
	for _, m := range mf.GetMetric() {
		b = t.metric(b, name, mf.GetType(), m)
	}
	return b, nil
}

// simple reports whether a family has nothing but what metric can write.
func (t text) simple(mf *dto.MetricFamily) bool {
	if mf.Unit != nil || !simpleName(mf.GetName()) || len(mf.GetMetric()) == 0 {
		return false
	}
	for _, m := range mf.GetMetric() {
		if m.TimestampMs != nil || m.GetCounter().GetExemplar() != nil {
			return false
		}
		if h := m.GetHistogram(); h != nil {
			if h.GetSampleCountFloat() > 0 {
				return false
			}
			for _, bucket := range h.GetBucket() {
				if bucket.GetExemplar() != nil || bucket.GetCumulativeCountFloat() > 0 {
					return false
				}
			}
		}
	}
	return mf.GetType() != dto.MetricType_GAUGE_HISTOGRAM
}

func simpleName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9' || i == 0) {
			return false
		}
	}
	return s != ""
}

// other leaves what is rare to package expfmt.
func (t text) other(b []byte, mf *dto.MetricFamily) ([]byte, error) {
	var w bytes.Buffer
	var err error
	if t.open {
		_, err = expfmt.MetricFamilyToOpenMetrics(&w, mf)
	} else {
		_, err = expfmt.MetricFamilyToText(&w, mf)
	}
	if err != nil {
		return b, fmt.Errorf("encode %s: %w", mf.GetName(), err)
	}
	return append(b, w.Bytes()...), nil
}

// metric appends the samples of one metric.
func (t text) metric(b []byte, name string, kind dto.MetricType, m *dto.Metric) []byte {
	sample := func(suffix, label string, at, v float64) {
		b = append(t.float(t.head(b, name, suffix, m.GetLabel(), label, at), v), '\n')
	}
	count := func(suffix, label string, at float64, n uint64) {
		b = t.head(b, name, suffix, m.GetLabel(), label, at)
		if t.open {
			b = strconv.AppendUint(b, n, 10)
		} else {
			b = t.float(b, float64(n))
		}
		b = append(b, '\n')
	}
	switch kind {
	case dto.MetricType_COUNTER:
		sample("", "", 0, m.GetCounter().GetValue())
	case dto.MetricType_GAUGE:
		sample("", "", 0, m.GetGauge().GetValue())
	case dto.MetricType_SUMMARY:
		for _, q := range m.GetSummary().GetQuantile() {
			sample("", "quantile", q.GetQuantile(), q.GetValue())
		}
		sample("_sum", "", 0, m.GetSummary().GetSampleSum())
		count("_count", "", 0, m.GetSummary().GetSampleCount())
	case dto.MetricType_HISTOGRAM:
		h := m.GetHistogram()
		complete := false
		for _, bucket := range h.GetBucket() {
			count("_bucket", "le", bucket.GetUpperBound(), bucket.GetCumulativeCount())
			complete = math.IsInf(bucket.GetUpperBound(), +1)
		}
		if !complete {
			count("_bucket", "le", math.Inf(+1), h.GetSampleCount())
		}
		sample("_sum", "", 0, h.GetSampleSum())
		count("_count", "", 0, h.GetSampleCount())
	default:
		sample("", "", 0, m.GetUntyped().GetValue())
	}
	return b
}

// head appends the name, the labels, one more label with a number unless its name is empty, and the space before the value.
func (t text) head(b []byte, name, suffix string, labels []*dto.LabelPair, label string, at float64) []byte {
	b = append(append(b, name...), suffix...)
	separator := byte('{')
	for _, l := range labels {
		b = append(append(append(b, separator), l.GetName()...), `="`...)
		b = append(escaped(b, l.GetValue(), true), '"')
		separator = ','
	}
	if label != "" {
		b = append(append(append(b, separator), label...), `="`...)
		b = append(t.float(b, at), '"')
		separator = ','
	}
	if separator == ',' {
		b = append(b, '}')
	}
	return append(b, ' ')
}

// escaped appends a text with what would end it escaped.
func escaped(b []byte, s string, quotes bool) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\\':
			b = append(b, `\\`...)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '"' && quotes:
			b = append(b, `\"`...)
		default:
			b = append(b, c)
		}
	}
	return b
}

// float appends a number; OpenMetrics wants a point or an exponent in it.
func (t text) float(b []byte, v float64) []byte {
	switch {
	case math.IsInf(v, +1):
		return append(b, "+Inf"...)
	case v == math.Trunc(v) && math.Abs(v) < 1e6: // what the general way writes, sooner; beyond this it writes exponents
		if b = strconv.AppendInt(b, int64(v), 10); t.open {
			b = append(b, ".0"...)
		}
		return b
	}
	start := len(b)
	b = strconv.AppendFloat(b, v, 'g', -1, 64)
	if t.open && !bytes.ContainsAny(b[start:], "e.NI") {
		b = append(b, ".0"...)
	}
	return b
}
