package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.yaml.in/yaml/v3"

	"github.com/redis-medic/redis-medic/exporter/metric"
)

// certificates says when the certificates of the listeners end. The files are read at each scrape, because the listeners take new
// ones without a reload; an expired one is served on, and people are warned before.
type certificates struct {
	plan func() *plan
	log  zerolog.Logger
	desc *prometheus.Desc
	said sync.Map // by component, the last fault: it is not repeated at each scrape
}

func newCertificates(plan func() *plan, log zerolog.Logger) *certificates {
	return &certificates{plan: plan, log: log, desc: prometheus.NewDesc(metric.CertificateEnd, metric.Help(metric.CertificateEnd), []string{"component"}, nil)}
}

// Describe implements prometheus.Collector.
func (c *certificates) Describe(out chan<- *prometheus.Desc) { out <- c.desc }

// Collect implements prometheus.Collector. A listener without TLS has no sample.
func (c *certificates) Collect(out chan<- prometheus.Metric) {
	p := c.plan()
	for component, file := range map[string]string{
		componentExporter: p.Exporter.WebConfigFile, componentRemediator: p.Remediator.WebConfigFile, componentControlAPI: p.API.WebConfigFile,
	} {
		end, err := certificateEnd(file)
		fault := ""
		if err != nil {
			fault = err.Error()
		}
		if before, _ := c.said.Swap(component, fault); fault != "" && before != fault {
			c.log.Warn().Err(err).Str("listener", component).Msg("the end of the certificate is not known")
		}
		if !end.IsZero() {
			out <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(end.Unix()), component)
		}
	}
}

// certificateEnd reads when the certificate of a web configuration ends; the zero time without TLS.
func certificateEnd(file string) (time.Time, error) {
	if file == "" {
		return time.Time{}, nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return time.Time{}, fmt.Errorf("read web configuration: %w", err)
	}
	var web struct {
		TLS struct {
			CertFile string `yaml:"cert_file"`
			Cert     string `yaml:"cert"` // instead of a file
		} `yaml:"tls_server_config"`
	}
	if err := yaml.Unmarshal(raw, &web); err != nil {
		return time.Time{}, fmt.Errorf("read web configuration: %w", err)
	}
	text := []byte(web.TLS.Cert)
	if name := web.TLS.CertFile; name != "" {
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(file), name)
		}
		if text, err = os.ReadFile(name); err != nil {
			return time.Time{}, fmt.Errorf("read certificate: %w", err)
		}
	}
	if len(text) == 0 {
		return time.Time{}, nil
	}
	block, _ := pem.Decode(text) // the first is the listener's own
	if block == nil {
		return time.Time{}, errors.New("read certificate: it is not in PEM form")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}, fmt.Errorf("read certificate: %w", err)
	}
	return cert.NotAfter, nil
}
