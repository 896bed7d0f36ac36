package exporter

import (
	"strings"
	"time"

	"github.com/redis-medic/redis-medic/exporter/info"
	"github.com/redis-medic/redis-medic/exporter/metric"
)

// maxClientSeries bounds how many clients are published: each has a dozen series under an id that never comes again.
const maxClientSeries = 1000

var (
	famClient    = familyOf(metric.ClientInfo)
	famModule    = familyOf(metric.ModuleInfo)
	clientFields = valueFields(metric.Clients)
)

// publishClients adds CLIENT LIST: a line of "id=3 addr=127.0.0.1:5000 name= age=7 ..." for each client.
func publishClients(p *page, list string, ports bool, now time.Time) {
	for n := 0; list != "" && n < maxClientSeries; n++ {
		line, rest, _ := strings.Cut(list, "\n")
		list = rest
		f := map[string]string{}
		for pair := range strings.FieldsSeq(line) {
			if k, v, ok := strings.Cut(pair, "="); ok {
				f[k] = v
			}
		}
		id, name := f["id"], f["name"]
		if id == "" {
			continue
		}
		host, port := f["addr"], ""
		if i := strings.LastIndexByte(host, ':'); i >= 0 {
			host, port = host[:i], host[i+1:]
		}
		labels := []string{id, name, f["flags"], f["db"], host, f["user"], f["resp"], port}
		if !ports {
			labels = labels[:len(labels)-1]
		}
		p.gauge(famClient, 1, labels...)
		for key, field := range clientFields {
			v, ok := parseValue(f[key])
			if !ok || v < 0 {
				continue
			}
			if key == "age" || key == "idle" {
				v = float64(now.Unix()) - v
			}
			p.gauge(field.fam, v*field.scale, id, name)
		}
	}
}

// module reads "name=search,ver=21005,api=1,filters=0,usedby=[],using=[],options=[]".
func (r *infoReader) module(value string) {
	var labels [6]string
	info.Pairs(value, func(k, v string) {
		for i, name := range []string{"name", "ver", "api", "filters", "usedby", "using"} {
			if k == name {
				labels[i] = v
			}
		}
	})
	r.p.gauge(famModule, 1, labels[:]...)
}
