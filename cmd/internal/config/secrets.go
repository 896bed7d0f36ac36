package config

import (
	"bytes"
	"fmt"
	"os"
)

// Secret is the content of a secret file. It prints as ***, whatever the verb.
type Secret struct{ value []byte }

// Format implements fmt.Formatter, so that no verb shows the value.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.masked()) }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.masked()), nil }

func (s Secret) masked() string {
	if len(s.value) == 0 {
		return ""
	}
	return "***"
}

// Bytes returns the value. The caller must not change it.
func (s Secret) Bytes() []byte { return s.value }

// Text returns the value.
func (s Secret) Text() string { return string(s.value) }

// Set reports whether there is a value.
func (s Secret) Set() bool { return len(s.value) > 0 }

// Secrets are the contents of the secret files that a Config names, by who needs them.
type Secrets struct {
	RedisPasswords  map[string]Secret // by service id
	WebhookToken    Secret
	Alertmanager    Secret
	JWTHMAC         Secret
	PostgresDSN     Secret
	OIDCClient      Secret
	PasswordHashes  map[string]Secret // by user id
	ServiceAccounts map[string]Secret // by name
}

const minSecret = 32 // bytes: RFC 8725 asks for a key as long as the hash

// LoadSecrets reads the secret files. Its error is Problems, with every fault.
func LoadSecrets(c *Config) (*Secrets, error) {
	r := secretReader{config: c.File}
	s := &Secrets{RedisPasswords: map[string]Secret{}, PasswordHashes: map[string]Secret{}, ServiceAccounts: map[string]Secret{}}
	for _, svc := range c.Services {
		s.RedisPasswords[svc.ID] = r.read("redis.password_file of service "+svc.ID, svc.Redis.PasswordFile, 1)
	}
	s.WebhookToken = r.read("remediator.webhook.credentials_file", c.Remediator.Webhook.CredentialsFile, 16)
	s.Alertmanager = r.read("remediator.alertmanager.credentials_file", c.Remediator.Alertmanager.CredentialsFile, 1)
	s.JWTHMAC = r.read("controlapi.jwt.hmac_secret_file", c.ControlAPI.JWT.HMACSecretFile, minSecret)
	s.PostgresDSN = r.read("storage.postgres.dsn_file", c.Storage.Postgres.DSNFile, 1)
	s.OIDCClient = r.read("controlapi.oidc.client_secret_file", c.ControlAPI.OIDC.ClientSecretFile, 1)
	for _, u := range c.ControlAPI.Users {
		if u.PasswordHashFile == "" {
			s.PasswordHashes[u.ID] = Secret{[]byte(u.PasswordHash.Reveal())}
			continue
		}
		hash := r.read("password_hash_file of user "+u.ID, u.PasswordHashFile, 1)
		if hash.Set() && !hashPattern.Match(hash.value) {
			r.fault("password_hash_file of user "+u.ID, u.PasswordHashFile+" has no bcrypt or argon2id hash; make one with: redis-medic hash-password")
		}
		s.PasswordHashes[u.ID] = hash
	}
	for _, a := range c.ControlAPI.ServiceAccounts {
		s.ServiceAccounts[a.Name] = r.read("token_file of service account "+a.Name, a.TokenFile, minSecret)
	}
	if len(r.problems) > 0 {
		return nil, r.problems
	}
	return s, nil
}

type secretReader struct {
	config   string
	problems Problems
}

func (r *secretReader) fault(what, text string) {
	r.problems = append(r.problems, Problem{File: r.config, Path: what, Text: text})
}

// read returns a file's content without the line break at its end. An empty name is no secret.
func (r *secretReader) read(what, name string, least int) Secret {
	if name == "" {
		return Secret{}
	}
	if why := fileFault(name, "secret"); why != "" {
		r.fault(what, why)
		return Secret{}
	}
	data, err := os.ReadFile(name)
	if err != nil {
		r.fault(what, fmt.Sprintf("%s cannot be read (%v)", name, errnoText(err)))
		return Secret{}
	}
	data = bytes.TrimRight(data, "\r\n")
	if len(data) < least {
		r.fault(what, fmt.Sprintf("%s has %d bytes, but needs %d or more; make one with: openssl rand -base64 48", name, len(data), least))
		return Secret{}
	}
	return Secret{data}
}
