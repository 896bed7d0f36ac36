package exporter

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/rs/zerolog"
)

// respond encodes what gather returns in the format that the client asks for: text, OpenMetrics or protobuf.
func (e *Exporter) respond(w http.ResponseWriter, r *http.Request, gather prometheus.GathererFunc) {
	open := expfmt.NegotiateAccept(r.Header, expfmt.DefaultOpenMetricsAcceptedFormats()...).FormatType() == expfmt.TypeOpenMetrics
	w, done := compress(w, r)
	defer done()
	promhttp.HandlerFor(prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		fams, err := gather()
		if open {
			keepNames(fams)
		}
		return fams, err
	}), promhttp.HandlerOpts{
		EnableOpenMetrics: true, DisableCompression: true, ErrorHandling: promhttp.ContinueOnError, ErrorLog: errorLog{e.opt.Logger},
	}).ServeHTTP(w, r)
}

// keepNames keeps OpenMetrics from renaming counters: it appends "_total" to every counter, also to those that redis_exporter
// named without it and that rules and dashboards know by that name. Where the format is spoken they have no type.
func keepNames(fams []*dto.MetricFamily) {
	for _, mf := range fams {
		if mf.GetType() != dto.MetricType_COUNTER || strings.HasSuffix(mf.GetName(), "_total") {
			continue
		}
		mf.Type = dto.MetricType_UNTYPED.Enum()
		for _, m := range mf.GetMetric() {
			m.Untyped, m.Counter = &dto.Untyped{Value: m.GetCounter().Value}, nil
		}
	}
}

// zippers are kept because each holds some hundred kilobytes. The fastest level is used: the slower ones cost more than the whole
// rest of a scrape and save little on text as repetitive as this.
var zippers = sync.Pool{New: func() any {
	z, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return z
}}

type zipped struct {
	http.ResponseWriter
	z *gzip.Writer
}

// Write implements io.Writer.
func (w zipped) Write(b []byte) (int, error) { return w.z.Write(b) }

// compress wraps w where the client takes gzip; the function that it returns must be called at the end.
func compress(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, func()) {
	w.Header().Add("Vary", "Accept-Encoding")
	if !acceptsGzip(r.Header.Get("Accept-Encoding")) {
		return w, func() {}
	}
	z, _ := zippers.Get().(*gzip.Writer)
	z.Reset(w)
	w.Header().Set("Content-Encoding", "gzip")
	return zipped{w, z}, func() {
		_ = z.Close() // the client is gone: nobody is left to tell
		zippers.Put(z)
	}
}

// acceptsGzip reads an Accept-Encoding header as far as it concerns gzip.
func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(part, ";")
		if n := strings.TrimSpace(name); n != "gzip" && n != "*" {
			continue
		}
		q := strings.ReplaceAll(params, " ", "")
		return q != "q=0" && q != "q=0.0" && q != "q=0.00" && q != "q=0.000"
	}
	return false
}

// errorLog lets promhttp report what it could not encode.
type errorLog struct{ zerolog.Logger }

// Println implements promhttp.Logger.
func (l errorLog) Println(v ...any) { l.Error().Msg(fmt.Sprint(v...)) }
