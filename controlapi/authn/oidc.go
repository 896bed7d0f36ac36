package authn

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// The limits on the way to an identity provider and on what is believed of it.
const (
	oidcTimeout     = 10 * time.Second
	maxOIDCBody     = 1 << 20
	maxIDToken      = 32 << 10
	maxOIDCSubject  = 255 // OpenID Connect Core, section 2
	maxOIDCGroups   = 200
	maxOIDCGroup    = 256
	oidcConcurrency = 8
	oidcRetry       = 2 * time.Second // how soon a provider that failed is asked again, however many wait
	// OIDCLoginTTL is how long a person may take at the identity provider.
	OIDCLoginTTL = 10 * time.Minute
	// OIDCPrefix begins the ids of users whom an identity provider vouches for: they can never be mistaken for configured ones.
	OIDCPrefix = "oidc:"
)

// DefaultOIDCClaim is where the groups of a user are looked for.
const DefaultOIDCClaim = "groups"

// OIDCSettings says which identity provider vouches for people, and for which roles. Without an issuer none does.
type OIDCSettings struct {
	Name         string // what the sign-in page calls it; empty: "Single sign-on"
	Issuer       string // https; exactly as its discovery document says
	ClientID     string
	ClientSecret string // empty: a public client, protected by PKCE alone
	RedirectURL  string // our callback as browsers see it
	Scopes       []string
	RolesClaim   string              // where the groups stand, "realm_access.roles" for a nested one; empty: DefaultOIDCClaim
	Roles        map[string][]string // role to the groups that have it; of several the first of admin, operator, viewer counts
	DefaultRole  string              // of users in none of the groups; empty: they are refused
}

// OIDCFault is what went wrong with a login at an identity provider. Public may be shown; Cause is for the log.
type OIDCFault struct {
	Kind   OIDCFaultKind
	Public string
	Cause  error
}

// OIDCFaultKind names a fault; the values are stable.
type OIDCFaultKind string

// The closed list of faults.
const (
	OIDCOff         OIDCFaultKind = "oidc_off"         // no provider is configured
	OIDCUnreachable OIDCFaultKind = "oidc_unreachable" // the provider does not answer, or not as one
	OIDCExpired     OIDCFaultKind = "oidc_expired"     // begun too long ago, in another browser, or never
	OIDCRefused     OIDCFaultKind = "oidc_refused"     // the provider, or the person there, said no
	OIDCInvalid     OIDCFaultKind = "oidc_invalid"     // what the provider sent is not valid
	OIDCNoRole      OIDCFaultKind = "oidc_no_role"     // the person has no role here
)

// Error implements error.
func (f *OIDCFault) Error() string {
	if f.Cause != nil {
		return fmt.Sprintf("%s: %v", f.Kind, f.Cause)
	}
	return string(f.Kind)
}

// Unwrap returns the private cause.
func (f *OIDCFault) Unwrap() error { return f.Cause }

func oidcFault(kind OIDCFaultKind, public string, cause error) error {
	return &OIDCFault{Kind: kind, Public: public, Cause: cause}
}

// OIDCLogin is a login that has begun. The browser keeps it in a cookie until it comes back; nothing is kept here.
type OIDCLogin struct {
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"` // of PKCE
	Next     string    `json:"x"` // where the person wanted to go
	Expires  time.Time `json:"e"`
}

// OIDCAnswer is what the browser brings back from the provider.
type OIDCAnswer struct{ State, Code, Issuer, Error string }

// provider is an identity provider. Its discovery document is read at the first login, so that we start without it.
type provider struct {
	settings OIDCSettings
	client   *http.Client
	busy     chan struct{}

	// mu guards the fields below, and is held while the discovery document is read so that it is read once.
	mu     sync.Mutex
	found  *discovered
	fault  error // of the last attempt
	failed time.Time
}

type discovered struct {
	provider *oidc.Provider
	verifier *oidc.IDTokenVerifier
	oauth    oauth2.Config
}

// newProvider checks the settings; nil without an issuer.
func newProvider(s OIDCSettings) (*provider, error) {
	if s.Issuer == "" {
		return nil, nil
	}
	issuer, err := url.Parse(s.Issuer)
	switch {
	case err != nil || !secureURL(issuer):
		return nil, errors.New("oidc: issuer must be an https address")
	case s.ClientID == "":
		return nil, errors.New("oidc: client_id is required")
	case len(s.Roles) == 0 && s.DefaultRole == "":
		return nil, errors.New("oidc: roles or default_role is required, or nobody could do anything")
	}
	if redirect, err := url.Parse(s.RedirectURL); err != nil || !secureURL(redirect) {
		return nil, errors.New("oidc: redirect_url must be an https address")
	}
	if s.RolesClaim == "" {
		s.RolesClaim = DefaultOIDCClaim
	}
	if s.Name == "" {
		s.Name = "Single sign-on"
	}
	return &provider{settings: s, busy: make(chan struct{}, oidcConcurrency), client: &http.Client{
		Timeout: oidcTimeout, Transport: boundedTransport{http.DefaultTransport},
		// The addresses are pinned: a redirect would hand codes and secrets to another host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// secureURL allows plain http only to the same machine.
func secureURL(u *url.URL) bool {
	return u.Host != "" && u.User == nil && (u.Scheme == "https" || isLoopback(u))
}

// boundedTransport bounds every answer of the provider.
type boundedTransport struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxOIDCBody), resp.Body}
	}
	return resp, err
}

// keep takes over what an equal provider has found already.
func (p *provider) keep(before *provider) *provider {
	if p != nil && before != nil && reflect.DeepEqual(p.settings, before.settings) {
		return before
	}
	return p
}

// discover reads the provider's document, until that has worked once.
func (p *provider) discover(ctx context.Context) (*discovered, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil {
		return p.found, nil
	}
	if time.Since(p.failed) < oidcRetry {
		return nil, p.fault
	}
	if p.found, p.fault = p.read(ctx); p.fault != nil {
		p.failed = time.Now()
	}
	return p.found, p.fault
}

// read reads the provider's document.
func (p *provider) read(ctx context.Context) (*discovered, error) {
	// One impatient browser must not keep the document from everybody else; the client has a deadline of its own.
	ctx = oidc.ClientContext(context.WithoutCancel(ctx), p.client)
	found, err := oidc.NewProvider(ctx, p.settings.Issuer)
	if err != nil {
		return nil, oidcFault(OIDCUnreachable, "The identity provider cannot be asked", err)
	}
	var doc struct {
		Methods []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := found.Claims(&doc); err != nil {
		return nil, oidcFault(OIDCUnreachable, "The identity provider cannot be asked", err)
	}
	endpoint := found.Endpoint()
	for _, address := range []string{endpoint.AuthURL, endpoint.TokenURL} {
		if u, err := url.Parse(address); err != nil || !secureURL(u) {
			return nil, oidcFault(OIDCUnreachable, "The identity provider cannot be asked", errors.New("an endpoint of the provider is no https address"))
		}
	}
	endpoint.AuthStyle = oauth2.AuthStyleInHeader // the default of OpenID Connect; trying both would spend the code
	if p.settings.ClientSecret == "" || (slices.Contains(doc.Methods, "client_secret_post") && !slices.Contains(doc.Methods, "client_secret_basic")) {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	scopes := p.settings.Scopes
	if scopes == nil {
		scopes = []string{"email", "profile"}
	}
	return &discovered{
		provider: found,
		// The algorithms are ours, not the token's or the provider's: public keys only.
		verifier: found.Verifier(&oidc.Config{ClientID: p.settings.ClientID, SupportedSigningAlgs: []string{
			oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA,
		}}),
		oauth: oauth2.Config{
			ClientID: p.settings.ClientID, ClientSecret: p.settings.ClientSecret, RedirectURL: p.settings.RedirectURL, Endpoint: endpoint,
			Scopes: append([]string{oidc.ScopeOpenID}, scopes...),
		},
	}, nil
}

// OIDC returns the name of the identity provider; ok is false when none is configured.
func (a *Authenticator) OIDC() (name string, ok bool) {
	p := a.oidc.Load()
	if p == nil {
		return "", false
	}
	return p.settings.Name, true
}

// BeginOIDC returns the address at the provider to send a browser to, and what the browser has to bring back. Errors are *OIDCFault.
func (a *Authenticator) BeginOIDC(ctx context.Context, next string) (address string, login OIDCLogin, err error) {
	p := a.oidc.Load()
	if p == nil {
		return "", OIDCLogin{}, oidcFault(OIDCOff, "No identity provider is configured", nil)
	}
	d, err := p.discover(ctx)
	if err != nil {
		return "", OIDCLogin{}, err
	}
	login = OIDCLogin{
		State: rand.Text() + rand.Text(), Nonce: rand.Text() + rand.Text(), Verifier: oauth2.GenerateVerifier(), Next: next,
		Expires: time.Now().Add(OIDCLoginTTL).UTC().Truncate(time.Second),
	}
	return d.oauth.AuthCodeURL(login.State, oidc.Nonce(login.Nonce), oauth2.S256ChallengeOption(login.Verifier)), login, nil
}

// FinishOIDC checks what a browser brought back and returns who it is. Errors are *OIDCFault or ErrHashingBusy.
func (a *Authenticator) FinishOIDC(ctx context.Context, login OIDCLogin, answer OIDCAnswer) (Principal, error) {
	p := a.oidc.Load()
	switch {
	case p == nil:
		return Principal{}, oidcFault(OIDCOff, "No identity provider is configured", nil)
	case login.State == "" || subtle.ConstantTimeCompare([]byte(login.State), []byte(answer.State)) != 1 || !time.Now().Before(login.Expires):
		return Principal{}, oidcFault(OIDCExpired, "This sign-in has expired or was begun in another browser; begin again", nil)
	case answer.Issuer != "" && answer.Issuer != p.settings.Issuer: // RFC 9207
		return Principal{}, oidcFault(OIDCInvalid, "The answer is of another identity provider", nil)
	case answer.Error != "":
		return Principal{}, oidcFault(OIDCRefused, "The identity provider refused the sign-in", errors.New(answer.Error))
	case answer.Code == "":
		return Principal{}, oidcFault(OIDCInvalid, "The answer of the identity provider has no code", nil)
	}
	select {
	case p.busy <- struct{}{}:
		defer func() { <-p.busy }()
	default:
		return Principal{}, ErrHashingBusy
	}
	id, err := p.redeem(ctx, login, answer.Code)
	if err != nil {
		return Principal{}, err
	}
	who, ok := p.principal(id)
	if !ok {
		return Principal{ID: OIDCPrefix + id.Subject, Email: id.Email}, oidcFault(OIDCNoRole, "This account has no role in redis-medic; ask an administrator for one", nil)
	}
	return who, nil
}
