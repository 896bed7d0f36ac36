// Package authntest is an OpenID Connect provider for tests: the authorization code flow with PKCE on a real listener, as strict as
// the specifications ask of a provider, with hooks to misbehave. It signs people in without asking them.
package authntest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// The registration of the one client.
const (
	ClientID     = "redis-medic"
	ClientSecret = "canary-client-secret-0123456789abc"
)

// Provider is an identity provider that listens on loopback. It is safe for concurrent use.
type Provider struct {
	server *httptest.Server

	// mu guards the fields below.
	mu        sync.Mutex
	redirect  string
	user      map[string]any // the claims of who signs in
	userInfo  map[string]any // nil: the provider has no userinfo endpoint
	misbehave func(claims map[string]any)
	deny      string
	down      bool
	issuer    bool // name the issuer in the answer (RFC 9207)
	key       *rsa.PrivateKey
	kid       int
	codes     map[string]grant
}

type grant struct {
	challenge, nonce, redirect string
	expires                    time.Time
}

// New starts a provider that knows one client with one redirect address. The caller must call Close.
func New(redirect string) *Provider {
	p := &Provider{redirect: redirect, codes: map[string]grant{}, issuer: true}
	p.Rotate()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("GET /keys", p.keys)
	mux.HandleFunc("GET /userinfo", p.info)
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		down := p.down
		p.mu.Unlock()
		if down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	return p
}

// Issuer is the provider's address.
func (p *Provider) Issuer() string { return p.server.URL }

// Close stops it.
func (p *Provider) Close() { p.server.Close() }

func (p *Provider) with(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// SignIn sets who signs in from now on, by the claims of the ID token; "sub" is required.
func (p *Provider) SignIn(claims map[string]any) { p.with(func() { p.user = claims }) }

// UserInfo sets what the userinfo endpoint says; nil: there is none.
func (p *Provider) UserInfo(claims map[string]any) { p.with(func() { p.userInfo = claims }) }

// Misbehave changes the claims of ID tokens before they are signed; nil: no change.
func (p *Provider) Misbehave(change func(claims map[string]any)) {
	p.with(func() { p.misbehave = change })
}

// Deny makes the provider answer with an error instead of a code; "" lets people in again.
func (p *Provider) Deny(code string) { p.with(func() { p.deny = code }) }

// Down makes the provider answer nothing but 503, or work again.
func (p *Provider) Down(down bool) { p.with(func() { p.down = down }) }

// Rotate makes a new signing key; the old one is not published any more.
func (p *Provider) Rotate() {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	p.with(func() { p.key, p.kid = key, p.kid+1 })
}

func send(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	at := p.Issuer()
	doc := map[string]any{
		"issuer": at, "authorization_endpoint": at + "/authorize", "token_endpoint": at + "/token", "jwks_uri": at + "/keys",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256"},
		"code_challenge_methods_supported": []string{"S256"}, "token_endpoint_auth_methods_supported": []string{"client_secret_basic"},
		"authorization_response_iss_parameter_supported": true,
	}
	p.mu.Lock()
	if p.userInfo != nil {
		doc["userinfo_endpoint"] = at + "/userinfo"
	}
	p.mu.Unlock()
	send(w, http.StatusOK, doc)
}

// authorize is RFC 6749 section 4.1.1 with PKCE required (RFC 9700). Faults of the client are shown, not sent to its address.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := r.URL.Query()
	if q.Get("client_id") != ClientID || q.Get("redirect_uri") != p.redirect {
		send(w, http.StatusBadRequest, map[string]string{"error": "invalid_client", "error_description": "client_id or redirect_uri is not registered"})
		return
	}
	answer := url.Values{"state": {q.Get("state")}}
	if p.issuer {
		answer.Set("iss", p.Issuer())
	}
	challenge, _ := base64.RawURLEncoding.DecodeString(q.Get("code_challenge"))
	switch {
	case p.deny != "":
		answer.Set("error", p.deny)
	case q.Get("response_type") != "code" || !slices.Contains(strings.Fields(q.Get("scope")), "openid") || q.Get("state") == "" || q.Get("nonce") == "",
		q.Get("code_challenge_method") != "S256" || len(challenge) != sha256.Size:
		answer.Set("error", "invalid_request")
	default:
		code := rand.Text()
		p.codes[code] = grant{challenge: q.Get("code_challenge"), nonce: q.Get("nonce"), redirect: p.redirect, expires: time.Now().Add(time.Minute)}
		answer.Set("code", code)
	}
	http.Redirect(w, r, p.redirect+"?"+answer.Encode(), http.StatusFound)
}

// token is RFC 6749 section 4.1.3: a code is good once, for its client, its redirect address and its verifier.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id, secret, ok := r.BasicAuth()
	if !ok || id != ClientID || subtle.ConstantTimeCompare([]byte(secret), []byte(ClientSecret)) != 1 {
		w.Header().Set("WWW-Authenticate", `Basic realm="token"`)
		send(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
		return
	}
	g, known := p.codes[r.PostFormValue("code")]
	delete(p.codes, r.PostFormValue("code"))
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !known || time.Now().After(g.expires) || r.PostFormValue("grant_type") != "authorization_code" || r.PostFormValue("redirect_uri") != g.redirect ||
		base64.RawURLEncoding.EncodeToString(sum[:]) != g.challenge {
		send(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant", "error_description": "canary-description"})
		return
	}
	access := rand.Text()
	hash := sha256.Sum256([]byte(access))
	claims := map[string]any{
		"iss": p.Issuer(), "aud": ClientID, "exp": time.Now().Add(5 * time.Minute).Unix(), "iat": time.Now().Unix(), "nonce": g.nonce,
		"at_hash": base64.RawURLEncoding.EncodeToString(hash[:sha256.Size/2]),
	}
	maps.Copy(claims, p.user)
	if p.misbehave != nil {
		p.misbehave(claims)
	}
	signed, err := p.sign(claims)
	if err != nil {
		send(w, http.StatusInternalServerError, map[string]string{"error": "server_error"})
		return
	}
	send(w, http.StatusOK, map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": signed})
}

// sign signs the claims. "alg" among them chooses another way: none, or HMAC with the client's secret.
func (p *Provider) sign(claims map[string]any) (string, error) {
	alg, _ := claims["alg"].(string)
	delete(claims, "alg")
	switch alg {
	case "none":
		return jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims(claims)).SignedString(jwt.UnsafeAllowNoneSignatureType)
	case "HS256":
		return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims(claims)).SignedString([]byte(ClientSecret))
	}
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims(claims))
	t.Header["kid"] = fmt.Sprint(p.kid)
	key := p.key
	if alg == "another key" {
		var err error
		if key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return "", err
		}
	}
	return t.SignedString(key)
}

func (p *Provider) keys(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	enc := base64.RawURLEncoding
	send(w, http.StatusOK, map[string]any{"keys": []map[string]string{{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": fmt.Sprint(p.kid), "n": enc.EncodeToString(p.key.N.Bytes()),
		"e": enc.EncodeToString(big.NewInt(int64(p.key.E)).Bytes()),
	}}})
}

func (p *Provider) info(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") || p.userInfo == nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	send(w, http.StatusOK, p.userInfo)
}
