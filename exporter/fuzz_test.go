package exporter

import (
	"os"
	"path/filepath"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/redis-medic/redis-medic/exporter/info"
)

// FuzzInfoPage lays out any text as INFO: it must neither panic nor make a page that Prometheus refuses.
func FuzzInfoPage(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "servers", "*", "info"))
	if err != nil || len(files) == 0 {
		f.Fatal(err, "no seeds")
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("# Replication\nrole:slave\nmaster_1_host:a\nmaster_link_status:up\nmaster_link_status:up\nslave0:ip=a,port=1,state=x,offset=1\nslave1:ip=a,port=1,state=x,offset=1\n")
	f.Add("# Errorstats\nerrorstat_\xff:count=1,count=2\n# Keyspace\ndb0:keys=1,keys=2\ndb0:keys=3\n# Commandstats\ncmdstat_a:calls=1,usec=NaN\ncmdstat_a:calls=-1,usec=1e999\n")
	f.Fuzz(func(t *testing.T, text string) {
		p := newPage("redis")
		r := readInfo(p, text, time.Unix(1700000000, 0), nil)
		r.emptyDatabases(16)
		publishCluster(p, text)
		publishHistograms(p, nil, r.commands)
		if !utf8.ValidString(text) {
			return // what is in a label was made valid; two names may have become one
		}
		fams := merge([]*page{p})
		gather := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return fams, nil })
		if _, err := (prometheus.Gatherers{gather}).Gather(); err != nil {
			t.Fatal(err)
		}
		info.Health(text, time.Unix(1700000000, 0), 0)
	})
}
