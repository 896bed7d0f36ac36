package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/redis-medic/redis-medic/cmd/internal/config"
	"github.com/redis-medic/redis-medic/deploy/alertmanager"
)

// peopleOf says whom Alertmanager tells: alerts.channels and alerts.recipients of the configuration.
func peopleOf(cfg *config.Config) alertmanager.Settings {
	a := cfg.Services[0].Alerts
	s := alertmanager.Settings{
		TokenFile: cfg.Remediator.Webhook.CredentialsFile, NoEmail: !a.Channels.Email || !a.Enabled,
		Critical: a.Recipients.Critical, Warning: a.Recipients.Warning, Info: a.Recipients.Info,
	}
	if _, port, err := net.SplitHostPort(cfg.Remediator.Listen); err == nil {
		s.WebhookURL = "http://127.0.0.1:" + port + "/webhook"
	}
	if a.Channels.SMS && a.Enabled {
		s.SMSURL = "http://127.0.0.1:9125/sms"
	}
	return s
}

// alertmanagerConfig prints the configuration that makes Alertmanager tell the remediator and the people of a configuration.
func alertmanagerConfig(_ context.Context, c console, args []string) error {
	f := newFlags(c, "alertmanager-config", "[--config FILE] [flags]")
	file := f.String("config", defaultConfig, "the configuration `FILE` with alerts.channels and alerts.recipients")
	smtp := f.String("smtp", "", "the mail server, as `HOST:PORT`")
	from := f.String("from", "", "the sender `ADDRESS` of the mails")
	webhook := f.String("webhook-url", "", "the `URL` of the remediator's webhook, as Alertmanager reaches it")
	sms := f.String("sms-url", "", "the `URL` of the gateway for text messages; needs alerts.channels.sms")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	cfg, err := config.Load(*file)
	if err != nil {
		return faults(*file, err)
	}
	s := peopleOf(cfg)
	if *sms != "" && s.SMSURL == "" {
		fmt.Fprintln(c.err, "redis-medic alertmanager-config: --sms-url needs alerts.channels.sms: true in the configuration")
		return errUsage
	}
	s.SMTP, s.From = *smtp, *from
	if *webhook != "" {
		s.WebhookURL = *webhook
	}
	if *sms != "" {
		s.SMSURL = *sms
	}
	if err := errors.Join(plainURL(s.WebhookURL), plainURL(s.SMSURL), hostPort(s.SMTP)); err != nil {
		fmt.Fprintf(c.err, "redis-medic alertmanager-config: %v\n", err)
		return errUsage
	}
	text, err := alertmanager.Render(s)
	if err != nil {
		return err
	}
	_, err = c.out.Write(text)
	return err
}

func plainURL(s string) error {
	if u, err := url.Parse(s); s != "" && (err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https")) {
		return fmt.Errorf("%q is no http or https URL", s)
	}
	return nil
}

func hostPort(s string) error {
	if _, _, err := net.SplitHostPort(s); s != "" && err != nil {
		return fmt.Errorf("%q is no HOST:PORT", s)
	}
	return nil
}
