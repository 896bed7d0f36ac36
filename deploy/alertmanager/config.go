// Package alertmanager makes the Alertmanager configuration of redis-medic: the way of every alert to the remediator and to people.
// The shipped alertmanager.yml is what it makes of the defaults.
package alertmanager

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"text/template"
)

//go:generate go run ./gen

//go:embed alertmanager.yml.tmpl
var source string

// Settings are the values that differ from one installation to the next; an empty one means the default.
type Settings struct {
	WebhookURL string   // of the remediator
	TokenFile  string   // absolute path of the file with the webhook's bearer token, as Alertmanager sees it
	SMTP       string   // host:port of the mail server
	From       string   // sender of the mails
	NoEmail    bool     // nobody gets mail
	SMSURL     string   // webhook of an SMS gateway; empty: no text messages
	Critical   []string // addresses for critical alerts
	Warning    []string // addresses for warnings
	Info       []string // addresses for information; empty: it is shown on the panel only
}

// Defaults are those of Appendix A of the architecture document and of the default ports.
func Defaults() Settings {
	return Settings{
		WebhookURL: "http://127.0.0.1:9122/webhook", TokenFile: "/etc/redis-medic/webhook_token",
		SMTP: "127.0.0.1:1025", From: "redis-medic@autobot.local",
		Critical: []string{"admin@autobot.local"}, Warning: []string{"operator@autobot.local", "admin@autobot.local"},
	}
}

// mail is one severity's route and receiver.
type mail struct{ Severity, To, Wait, Interval, Repeat string }

// Mail lists the severities that somebody gets mail for.
func (s Settings) Mail() []mail {
	var out []mail
	for _, m := range []struct {
		mail
		to []string
	}{
		{mail{"critical", "", "5s", "30s", "1h"}, s.Critical},
		{mail{"warning", "", "30s", "5m", "12h"}, s.Warning},
		{mail{"info", "", "5m", "1h", "24h"}, s.Info},
	} {
		if len(m.to) > 0 && !s.NoEmail {
			m.To = strings.Join(m.to, ", ")
			out = append(out, m.mail)
		}
	}
	return out
}

// RequireTLS reports whether mail must travel encrypted: everywhere but to a mail server on this machine.
func (s Settings) RequireTLS() bool {
	host, _, err := net.SplitHostPort(s.SMTP)
	if err != nil {
		return true
	}
	ip := net.ParseIP(host)
	return host != "localhost" && (ip == nil || !ip.IsLoopback())
}

// Render returns the configuration.
func Render(s Settings) ([]byte, error) {
	d := Defaults()
	for _, v := range []struct{ value, otherwise *string }{
		{&s.WebhookURL, &d.WebhookURL}, {&s.TokenFile, &d.TokenFile}, {&s.SMTP, &d.SMTP}, {&s.From, &d.From},
	} {
		if *v.value == "" {
			*v.value = *v.otherwise
		}
	}
	t, err := template.New("alertmanager.yml").Delims("<<", ">>").Funcs(template.FuncMap{"quote": quote}).Parse(source)
	if err != nil {
		return nil, fmt.Errorf("alertmanager.yml: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, s); err != nil {
		return nil, fmt.Errorf("alertmanager.yml: %w", err)
	}
	return out.Bytes(), nil
}

// quote writes a value as a double-quoted YAML scalar, of which JSON's strings are a part.
func quote(s string) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(s)
	return strings.TrimSuffix(b.String(), "\n"), err
}
