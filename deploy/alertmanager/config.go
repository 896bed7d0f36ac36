// Package alertmanager holds the Alertmanager configuration of redis-medic and puts other addresses into it. The file itself
// works as it stands with the default ports; this is for stacks that cannot have those.
package alertmanager

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed alertmanager.yml
var file string

// The values in the file that a Settings replaces.
const (
	DefaultRemediator = "127.0.0.1:9122"
	DefaultSMTP       = "127.0.0.1:1025"
	DefaultTokenFile  = "/etc/redis-medic/webhook_token"
	DefaultAdmin      = "admin@autobot.local"
	DefaultOperator   = "operator@autobot.local"
)

// Settings are the values to put in; an empty one keeps the default.
type Settings struct {
	Remediator string // host:port of the webhook
	SMTP       string // host:port of the mail server
	TokenFile  string // absolute path of the file with the webhook's bearer token
	Admin      string // e-mail address for critical alerts and warnings
	Operator   string // e-mail address for warnings
}

// Render returns the configuration with the settings in place.
func Render(s Settings) ([]byte, error) {
	var pairs []string
	for _, v := range [][2]string{
		{DefaultRemediator, s.Remediator}, {DefaultSMTP, s.SMTP}, {DefaultTokenFile, s.TokenFile},
		{DefaultAdmin, s.Admin}, {DefaultOperator, s.Operator},
	} {
		if !strings.Contains(file, v[0]) {
			return nil, fmt.Errorf("alertmanager.yml: %q is not in the file", v[0])
		}
		if strings.ContainsAny(v[1], "\"\n") {
			return nil, fmt.Errorf("alertmanager.yml: %q cannot stand in a quoted value", v[1])
		}
		if v[1] != "" {
			pairs = append(pairs, v[0], v[1])
		}
	}
	return []byte(strings.NewReplacer(pairs...).Replace(file)), nil
}
