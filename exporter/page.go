package exporter

import (
	"sort"
	"strings"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/redis-medic/redis-medic/exporter/metric"
)

// family is the number of a metric family: its place in the table of all, sorted by name.
type family int

// families is the table of package metric, sorted by name, so that a page comes out sorted without sorting.
var families = func() []metric.Desc {
	all := metric.All()
	sort.Slice(all, func(a, b int) bool { return all[a].Name < all[b].Name })
	return all
}()

// familyOf finds a family by name at start-up. A name that is not in the table is a mistake in this program.
func familyOf(name string) family {
	i := sort.Search(len(families), func(i int) bool { return families[i].Name >= name })
	if i == len(families) || families[i].Name != name {
		panic("exporter: metric " + name + " is not in the table")
	}
	return family(i)
}

// page collects the samples of one service. The registry and its collectors are not used for these: their checks at every scrape
// (each name and label against each other) cost many times what producing the samples costs, and a test does them once.
type page struct {
	fams    []*dto.MetricFamily // by family; nil: no sample so far
	service *dto.LabelPair
	alone   []*dto.LabelPair // the labels of a sample that has only the service

	created *timestamppb.Timestamp // when the counters that are added now began; nil: not known

	spare []*dto.MetricFamily // by family: of an earlier scrape, with room for samples

	metrics    arena[dto.Metric]
	gauges     arena[dto.Gauge]
	counters   arena[dto.Counter]
	histograms arena[dto.Histogram]
	summaries  arena[dto.Summary]
	buckets    arena[dto.Bucket]
	bucketRefs arena[*dto.Bucket]
	quantiles  arena[dto.Quantile]
	quantRefs  arena[*dto.Quantile]
	floats     arena[float64]
	counts     arena[uint64]
	texts      arena[string]
	pairs      arena[dto.LabelPair]
	refs       arena[*dto.LabelPair]
}

var (
	labelService = metric.LabelService
	gaugeType    = dto.MetricType_GAUGE
	counterType  = dto.MetricType_COUNTER
	summaryType  = dto.MetricType_SUMMARY
	histoType    = dto.MetricType_HISTOGRAM
)

// newPage returns an empty page. It is given back by release.
func newPage(service string) *page {
	p, _ := pages.Get().(*page)
	p.service = &dto.LabelPair{Name: &labelService, Value: &service}
	p.alone = []*dto.LabelPair{p.service}
	return p
}

// reset empties the page.
func (p *page) reset() {
	for f, mf := range p.fams {
		if mf != nil {
			mf.Metric = mf.Metric[:0]
			p.fams[f], p.spare[f] = nil, mf
		}
	}
	p.service, p.alone, p.created = nil, nil, nil
	p.metrics.reset()
	p.gauges.reset()
	p.counters.reset()
	p.histograms.reset()
	p.summaries.reset()
	p.buckets.reset()
	p.bucketRefs.reset()
	p.quantiles.reset()
	p.quantRefs.reset()
	p.floats.reset()
	p.counts.reset()
	p.texts.reset()
	p.pairs.reset()
	p.refs.reset()
}

// gauge adds a sample. values are those of the family's labels, in their order.
func (p *page) gauge(f family, v float64, values ...string) {
	m := p.sample(f, values)
	g := p.gauges.next()
	g.Value = p.float(v)
	m.Gauge = g
}

// counter adds a sample of a counter.
func (p *page) counter(f family, v float64, values ...string) {
	m := p.sample(f, values)
	c := p.counters.next()
	c.Value, c.CreatedTimestamp = p.float(v), p.created
	m.Counter = c
}

// add adds a sample of the family's own type.
func (p *page) add(f family, v float64, values ...string) {
	if families[f].Type == metric.Counter {
		p.counter(f, v, values...)
		return
	}
	p.gauge(f, v, values...)
}

// flag adds a gauge of 1 or 0.
func (p *page) flag(f family, on bool, values ...string) {
	v := 0.0
	if on {
		v = 1
	}
	p.gauge(f, v, values...)
}

func (p *page) float(v float64) *float64 {
	f := p.floats.next()
	*f = v
	return f
}

// sample appends an empty sample with its labels.
func (p *page) sample(f family, values []string) *dto.Metric {
	d := &families[f]
	mf := p.fams[f]
	if mf == nil {
		if mf = p.spare[f]; mf == nil {
			mf = &dto.MetricFamily{Name: &d.Name, Help: &d.Help, Type: protoType(d.Type)}
		}
		p.fams[f] = mf
	}
	m := p.metrics.next()
	m.Label = p.labels(d.Labels, values)
	mf.Metric = append(mf.Metric, m)
	return m
}

func protoType(t metric.Type) *dto.MetricType {
	switch t {
	case metric.Counter:
		return &counterType
	case metric.Summary:
		return &summaryType
	case metric.Histogram:
		return &histoType
	default:
		return &gaugeType
	}
}

func (p *page) labels(names, values []string) []*dto.LabelPair {
	if len(values) == 0 {
		return p.alone
	}
	refs := p.refs.take(len(values) + 1)
	refs[0] = p.service
	for i := range values {
		lp, value := p.pairs.next(), p.texts.next()
		if *value = values[i]; !utf8.ValidString(*value) { // one such label would make Prometheus refuse the whole page
			*value = strings.ToValidUTF8(*value, "\uFFFD")
		}
		lp.Name, lp.Value = &names[i], value
		refs[i+1] = lp
	}
	return refs
}

// merge joins the pages of several services, in their order, into sorted families.
func merge(pages []*page) []*dto.MetricFamily {
	out := make([]*dto.MetricFamily, 0, len(families))
	for f := range families {
		var mf *dto.MetricFamily
		for _, p := range pages {
			switch {
			case p == nil || p.fams[f] == nil:
			case mf == nil:
				mf = p.fams[f]
			default:
				mf.Metric = append(mf.Metric, p.fams[f].Metric...)
			}
		}
		if mf != nil {
			out = append(out, mf)
		}
	}
	return out
}

// join merges two sorted lists of families; samples of a family that is in both are put together.
func join(a, b []*dto.MetricFamily) []*dto.MetricFamily {
	out := make([]*dto.MetricFamily, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].GetName() < b[0].GetName():
			out, a = append(out, a[0]), a[1:]
		case a[0].GetName() > b[0].GetName():
			out, b = append(out, b[0]), b[1:]
		default:
			a[0].Metric = append(a[0].Metric, b[0].Metric...)
			out, a, b = append(out, a[0]), a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}
