package stack

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/redis-medic/redis-medic/controlapi/authn"
	"github.com/redis-medic/redis-medic/deploy"
	"github.com/redis-medic/redis-medic/deploy/alertmanager"
	"github.com/redis-medic/redis-medic/deploy/prometheus"
)

type secrets struct{ webhook, jwt, backend string }

func random() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}

// writeFiles writes the configurations as shipped, with our addresses, and the secrets that they name.
func (s *Stack) writeFiles() error {
	s.secrets = secrets{webhook: random(), jwt: random(), backend: random()}
	s.ConfigFile = filepath.Join(s.Dir, "etc", "redis-medic.yml")
	h := s.opts.Host
	files := map[string][]byte{
		"etc/webhook_token": []byte(s.secrets.webhook + "\n"),
		"etc/jwt_secret":    []byte(s.secrets.jwt + "\n"),
		"etc/backend_token": []byte(s.secrets.backend + "\n"),
	}
	var errs []error
	put := func(name string, data []byte, err error) {
		files[name] = data
		errs = append(errs, err)
	}
	for name, from := range map[string]string{
		"etc/autobot_key": h.IdentityFile, "etc/known_hosts": h.KnownHostsFile, "etc/redis_password": h.PasswordFile,
	} {
		data, err := os.ReadFile(from)
		put(name, data, err)
	}
	for _, role := range []string{"admin", "operator", "viewer"} {
		u := User{ID: role, Email: role + "@autobot.local", Role: role, Password: random()[:12]}
		s.Users = append(s.Users, u)
		hash, err := authn.HashPassword(u.Password)
		put("etc/"+role+"_password", []byte(hash+"\n"), err)
	}
	config, err := deploy.Render(s.settings())
	if s.opts.Edit != nil {
		config = []byte(s.opts.Edit(string(config)))
	}
	put("etc/redis-medic.yml", config, err)
	rules, err := s.rules()
	errs = append(errs, err)
	prom, err := prometheus.Render(prometheus.Settings{
		Self: loopback(s.ports.Prometheus), Alertmanager: loopback(s.ports.Alertmanager), Exporter: loopback(s.ports.Exporter),
		Rules: filepath.Join(rules, "*.yml"),
	})
	put("prometheus.yml", prom, err)
	to := alertmanager.Defaults()
	to.WebhookURL, to.SMTP = "http://"+loopback(s.ports.Remediator)+"/webhook", loopback(s.ports.SMTP)
	to.TokenFile = filepath.Join(s.Dir, "etc", "webhook_token")
	am, err := alertmanager.Render(to)
	put("alertmanager.yml", am, err)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stack: %w", err)
	}
	return write(s.Dir, files)
}

func write(dir string, files map[string][]byte) error {
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("stack: %w", err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return fmt.Errorf("stack: %w", err)
		}
	}
	return nil
}

// rules is the folder of the rule files: the given one, or that of this module's sources.
func (s *Stack) rules() (string, error) {
	dir := s.opts.Rules
	if dir == "" {
		_, here, _, _ := runtime.Caller(0)
		dir = filepath.Join(filepath.Dir(here), "..", "..", "..", "alerts", "rules")
	}
	if found, err := filepath.Glob(filepath.Join(dir, "*.yml")); err != nil || len(found) == 0 {
		return "", fmt.Errorf("no rule files in %s", dir)
	}
	return filepath.Abs(dir)
}

// Token makes a bearer token for a role, as the customer's own issuer would.
func (s *Stack) Token(role string) (string, error) {
	now := time.Now()
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": "redis-medic", "aud": "redis-medic", "sub": role, "email": role + "@autobot.local", "role": role,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	})
	signed, err := t.SignedString([]byte(s.secrets.jwt))
	if err != nil {
		return "", fmt.Errorf("make token: %w", err)
	}
	return signed, nil
}

// WebhookToken is what Alertmanager sends.
func (s *Stack) WebhookToken() string { return s.secrets.webhook }
