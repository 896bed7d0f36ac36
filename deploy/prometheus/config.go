// Package prometheus holds the Prometheus configuration of redis-medic and puts other addresses into it. The file itself works
// as it stands with the default ports; this is for stacks that cannot have those.
package prometheus

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed prometheus.yml
var file string

// The values in the file that a Settings replaces.
const (
	DefaultSelf         = "127.0.0.1:9090"
	DefaultAlertmanager = "127.0.0.1:9093"
	DefaultExporter     = "127.0.0.1:9121"
	DefaultRules        = "../../alerts/rules/*.yml"
)

// Settings are the values to put in; an empty one keeps the default.
type Settings struct {
	Self         string // host:port where this Prometheus listens
	Alertmanager string // host:port
	Exporter     string // host:port of redis-medic's metrics
	Rules        string // glob of rule files, absolute or relative to the configuration file
}

// Render returns the configuration with the settings in place.
func Render(s Settings) ([]byte, error) {
	var pairs []string
	for _, v := range [][2]string{
		{DefaultSelf, s.Self}, {DefaultAlertmanager, s.Alertmanager}, {DefaultExporter, s.Exporter}, {DefaultRules, s.Rules},
	} {
		if !strings.Contains(file, v[0]) {
			return nil, fmt.Errorf("prometheus.yml: %q is not in the file", v[0])
		}
		if strings.ContainsAny(v[1], "\"\n") {
			return nil, fmt.Errorf("prometheus.yml: %q cannot stand in a quoted value", v[1])
		}
		if v[1] != "" {
			pairs = append(pairs, v[0], v[1])
		}
	}
	return []byte(strings.NewReplacer(pairs...).Replace(file)), nil
}
