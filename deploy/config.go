// Package deploy holds the configuration that redis-medic is shipped with and puts other addresses and paths into it. The file
// itself is what a user starts from; this is for stacks on another network.
package deploy

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed redis-medic.yml
var file string

// The values in the file that a Settings replaces.
const (
	DefaultSSHAddress   = "172.16.168.23:22"
	DefaultRedisIP      = "172.16.168.23"
	DefaultSSHUser      = `user: "autobot"`
	DefaultEtc          = "/etc/redis-medic"
	DefaultState        = "/var/lib/redis-medic"
	DefaultExporter     = `":9121"`
	DefaultRemediator   = `":9122"`
	DefaultControlAPI   = `":8001"`
	DefaultAlertmanager = "127.0.0.1:9093"
	DefaultGate         = "gate: true"
	DefaultServices     = "services: []\n"
)

// Settings are the values to put in; an empty one keeps the default.
type Settings struct {
	SSHAddress   string // host:port
	SSHUser      string
	RedisIP      string
	Etc          string // folder of the keys and secrets
	State        string // folder of the durable state
	Exporter     string // listen address
	Remediator   string // listen address
	ControlAPI   string // listen address
	Alertmanager string // host:port
	NoGate       bool   // the host has no gate
	Services     string // the block "services:" as YAML
}

// Render returns the configuration with the settings in place.
func Render(s Settings) ([]byte, error) {
	listen := func(addr string) string {
		if addr == "" {
			return ""
		}
		return `"` + addr + `"`
	}
	user, gate := "", ""
	if s.SSHUser != "" {
		user = `user: "` + s.SSHUser + `"`
	}
	if s.NoGate {
		gate = "gate: false"
	}
	var pairs []string
	for _, v := range [][2]string{
		{DefaultSSHAddress, s.SSHAddress}, {DefaultRedisIP, s.RedisIP}, {DefaultSSHUser, user}, {DefaultEtc, s.Etc}, {DefaultState, s.State},
		{DefaultExporter, listen(s.Exporter)}, {DefaultRemediator, listen(s.Remediator)}, {DefaultControlAPI, listen(s.ControlAPI)},
		{DefaultAlertmanager, s.Alertmanager}, {DefaultGate, gate}, {DefaultServices, s.Services},
	} {
		if !strings.Contains(file, v[0]) {
			return nil, fmt.Errorf("redis-medic.yml: %q is not in the file", v[0])
		}
		if v[1] != "" {
			pairs = append(pairs, v[0], v[1])
		}
	}
	return []byte(strings.NewReplacer(pairs...).Replace(file)), nil
}
