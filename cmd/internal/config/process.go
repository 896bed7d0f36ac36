package config

import (
	"fmt"
	"time"
)

// Config is the whole file, merged, with every default filled in. It holds no secret and may be printed.
type Config struct {
	// File is where it was read from.
	File string
	// Services has the service `redis` first.
	Services   []Service
	SSH        SSH
	Dependents []string
	Exporter   Exporter
	Remediator Remediator
	ControlAPI ControlAPI
	Storage    Storage
	// Warnings are things that load, but can hardly be meant.
	Warnings []string
}

// SSH says how hosts are reached.
type SSH struct {
	// By the name that `service.host` uses.
	Hosts map[string]SSHHost `key:"hosts" check:"id"`
}

// SSHHost is one machine.
type SSHHost struct {
	// Host and port of its sshd.
	Address string `key:"address" required:"true" check:"hostport"`
	// The account that the host package or the document's section 6.3 set up.
	User string `key:"user" required:"true" check:"user"`
	// Private key: ed25519, or RSA with 4096 bits or more.
	IdentityFile string `key:"identity_file" required:"true" file:"secret"`
	// The host's public keys. A key that is not here, or that changed, is a hard stop.
	KnownHostsFile string `key:"known_hosts_file" required:"true" file:"trusted"`
	// On: the host package's forced-command gate is installed.
	Gate bool `key:"gate"`
	// For the TCP connection, the handshake and the authentication together.
	DialTimeout time.Duration `key:"dial_timeout_seconds"`
	// For a command that only reads.
	CommandTimeout time.Duration `key:"command_timeout_seconds"`
	// How often a kept connection is tested.
	Keepalive time.Duration `key:"keepalive_seconds"`
	// How long the answer to such a test may take.
	KeepaliveTimeout time.Duration `key:"keepalive_timeout_seconds"`
	// How often a unit is read while its D-Bus events cannot be had.
	PollInterval time.Duration `key:"poll_interval_seconds"`
	// Commands at the same time.
	MaxSessions int `key:"max_sessions" min:"2" max:"64"`
}

// Exporter is the component that measures.
type Exporter struct {
	// Where /metrics, /probe and /sd are served.
	Listen string `key:"listen" required:"true" check:"listen"`
	// TLS and basic auth of the listener, in Prometheus's web configuration format.
	WebConfigFile string `key:"web_config_file" file:"read"`
	// Scrapes that may be under way at the same time; one more is answered with 503.
	MaxRequests int `key:"max_requests" min:"1" max:"10000"`
	// How long a scrape may take where Prometheus does not say so in its request.
	ScrapeTimeout time.Duration `key:"scrape_timeout_seconds"`
}

// Remediator is the component that acts.
type Remediator struct {
	// Where the webhook is served.
	Listen string `key:"listen" required:"true" check:"listen"`
	// TLS and basic auth of the listener, in Prometheus's web configuration format.
	WebConfigFile string       `key:"web_config_file" file:"read"`
	Webhook       Webhook      `key:"webhook"`
	Alertmanager  Alertmanager `key:"alertmanager"`
	// How often Alertmanager and the own probes are compared with what is in hand.
	ReconcileInterval time.Duration `key:"reconcile_interval_seconds"`
	StormGuard        StormGuard    `key:"storm_guard"`
	OwnDetection      OwnDetection  `key:"own_detection"`
}

// OwnDetection lets the own probe open an incident when an outage that it has confirmed reaches the remediator by no alert: the rule is
// missing, or Prometheus or Alertmanager is dead. Silences that were known, holds and maintenance count as for an alert.
type OwnDetection struct {
	// Off: without an alert nothing is done.
	Enabled bool `key:"enabled"`
	// How long Alertmanager must have been unreadable, with the outage confirmed.
	AlertmanagerSilent time.Duration `key:"alertmanager_silent_seconds"`
	// How long the outage must have been confirmed while Alertmanager can be read and shows no alert.
	NoAlert time.Duration `key:"no_alert_seconds"`
}

// Webhook is the door for Alertmanager.
type Webhook struct {
	// File with the bearer token that Alertmanager sends.
	CredentialsFile string `key:"credentials_file" required:"true" file:"secret"`
}

// Alertmanager is where alerts are read, posted and silenced.
type Alertmanager struct {
	// Its base URL; empty: no reconciliation, no own alerts, no silences.
	URL string `key:"url" check:"url"`
	// Base URLs of the other members of the same Alertmanager cluster: one that answers is enough.
	FurtherURLs []string `key:"further_urls" check:"url"`
	// File with a bearer token for it; empty: none.
	CredentialsFile string `key:"credentials_file" file:"secret"`
}

// StormGuard stops acting when so many services fail at once that the fault is more likely ours or the network's.
type StormGuard struct {
	// At least so many failing services.
	Min int `key:"min" min:"2" max:"10000"`
	// And at least this share of all.
	Ratio float64 `key:"ratio" min:"0.01" max:"1"`
}

// ControlAPI is the component that people and programs ask.
type ControlAPI struct {
	// Where the API and the panel are served.
	Listen string `key:"listen" required:"true" check:"listen"`
	// TLS and basic auth of the listener, in Prometheus's web configuration format.
	WebConfigFile   string           `key:"web_config_file" file:"read"`
	JWT             JWT              `key:"jwt"`
	OIDC            OIDC             `key:"oidc"`
	Users           []User           `key:"users"`
	ServiceAccounts []ServiceAccount `key:"service_accounts"`
	// Networks whose X-Forwarded-For is believed, in CIDR form.
	TrustedProxies []string `key:"trusted_proxies" check:"cidr"`
	// Further origins, like https://panel.example, whose pages may use the session cookie and the WebSocket.
	AllowedOrigins []string   `key:"allowed_origins" check:"origin"`
	RateLimits     RateLimits `key:"rate_limits"`
	Session        Session    `key:"session"`
}

// JWT says which tokens are accepted. Exactly one source of keys; none: no tokens.
type JWT struct {
	// The `iss` claim.
	Issuer string `key:"issuer"`
	// The `aud` claim.
	Audience string `key:"audience"`
	// File with the HMAC secret, 32 bytes or more.
	HMACSecretFile string `key:"hmac_secret_file" file:"secret"`
	// File with a public key in PEM.
	PublicKeyFile string `key:"public_key_file" file:"read"`
	// Where the issuer publishes its keys.
	JWKSURL string `key:"jwks_url" check:"url"`
}

// On reports whether tokens are accepted.
func (j JWT) On() bool { return j.HMACSecretFile != "" || j.PublicKeyFile != "" || j.JWKSURL != "" }

// OIDC is an OpenID Connect provider at which people sign in to the panel, beside or instead of users; none: passwords only.
type OIDC struct {
	// The provider's address, exactly as its discovery document says; https.
	Issuer string `key:"issuer" check:"url"`
	// The id under which redis-medic is registered there.
	ClientID string `key:"client_id"`
	// File with the client's secret; empty: a public client.
	ClientSecretFile string `key:"client_secret_file" file:"secret"`
	// The panel's address as browsers see it, with /api/auth/oidc/callback; registered at the provider.
	RedirectURL string `key:"redirect_url" check:"url"`
	// What the sign-in page calls the provider.
	Name string `key:"name"`
	// What is asked for beside openid.
	Scopes []string `key:"scopes"`
	// The claim with the groups of a user; realm_access.roles for one inside another.
	RolesClaim string    `key:"roles_claim"`
	Roles      OIDCRoles `key:"roles"`
	// The role of users in none of the groups; empty: they are refused.
	DefaultRole string `key:"default_role" oneof:"operator|viewer"`
}

// OIDCRoles are the groups of each role. Who is in groups of several has the mightiest.
type OIDCRoles struct {
	// Groups of the role admin.
	Admin []string `key:"admin"`
	// Groups of the role operator.
	Operator []string `key:"operator"`
	// Groups of the role viewer.
	Viewer []string `key:"viewer"`
}

// User may sign in to the panel.
type User struct {
	// Stable id; part of every audit record.
	ID string `key:"id" required:"true"`
	// What the user signs in with.
	Email string `key:"email" required:"true" check:"email"`
	// admin, operator or viewer.
	Role string `key:"role" required:"true" oneof:"admin|operator|viewer"`
	// bcrypt or argon2id; `redis-medic hash-password` makes one.
	PasswordHash Redacted `key:"password_hash" check:"hash"`
	// File with the hash, instead of `password_hash`.
	PasswordHashFile string `key:"password_hash_file" file:"secret"`
}

// ServiceAccount is a program that may use the API.
type ServiceAccount struct {
	// Its name; part of every audit record.
	Name string `key:"name" required:"true" check:"id"`
	// admin, operator or viewer.
	Role string `key:"role" required:"true" oneof:"admin|operator|viewer"`
	// File with its bearer token, 32 bytes or more.
	TokenFile string `key:"token_file" required:"true" file:"secret"`
}

// RateLimits are per user and minute.
type RateLimits struct {
	// POST start.
	Start int `key:"start" min:"1" max:"100000"`
	// POST stop.
	Stop int `key:"stop" min:"1" max:"100000"`
	// POST restart and reload.
	Restart int `key:"restart" min:"1" max:"100000"`
	// GET logs.
	Logs int `key:"logs" min:"1" max:"100000"`
}

// Session is how long a panel session lasts.
type Session struct {
	// Without a request.
	Idle time.Duration `key:"idle_seconds"`
	// At most.
	Max time.Duration `key:"max_seconds"`
}

// Storage is where durable state lives.
type Storage struct {
	// A folder of our own, created with mode 0700: the database, unless there is one in `postgres`, and the key of the audit log.
	Path     string   `key:"path" required:"true" check:"abs"`
	Postgres Postgres `key:"postgres"`
}

// Postgres is a database that several processes share. One of them leads: it watches, acts and serves the API. The others only
// measure, and take over when it falls silent. All need the same `audit.key` in storage.path.
type Postgres struct {
	// File with how to reach the database, as a URL or as words ("host=... dbname=... user=... password=..."). None: SQLite.
	DSNFile string `key:"dsn_file" file:"secret"`
	// How long the leader may be silent before another process takes over.
	Lease time.Duration `key:"lease_seconds" min:"3" max:"300"`
}

// Redacted is text that is never printed.
type Redacted struct{ text string }

// Format implements fmt.Formatter, so that no verb shows the text.
func (r Redacted) Format(f fmt.State, _ rune) { fmt.Fprint(f, r.masked()) }

func (r Redacted) masked() string {
	if r.text == "" {
		return ""
	}
	return "***"
}

// MarshalText implements encoding.TextMarshaler.
func (r Redacted) MarshalText() ([]byte, error) { return []byte(r.masked()), nil }

// Reveal returns the text.
func (r Redacted) Reveal() string { return r.text }
