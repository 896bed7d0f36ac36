package authn

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// claimsNow are good claims.
func claimsNow() map[string]any {
	return map[string]any{
		"iss": "iss", "aud": "aud", "sub": "ext-1", "role": "viewer", "email": "ext@example.org",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
}

// forge signs any header over any claims.
func forge(t *testing.T, header string, c map[string]any, method jwt.SigningMethod, key any) string {
	t.Helper()
	payload, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	sig, err := method.Sign(text, key)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

const plainHeader = `{"alg":"HS256","typ":"JWT"}`

func TestTokensThatAreBelieved(t *testing.T) {
	a, _ := newAuth(t, nil)
	for name, header := range map[string]string{
		"plain": plainHeader, "access token type": `{"alg":"HS256","typ":"at+jwt"}`, "key id": `{"alg":"HS256","typ":"jwt","kid":"k1"}`,
		"unknown member": `{"alg":"HS256","typ":"JWT","x":"y"}`,
	} {
		p, err := a.Bearer(t.Context(), forge(t, header, claimsNow(), jwt.SigningMethodHS256, []byte(secret)))
		if err != nil || p.ID != "ext-1" || p.Email != "ext@example.org" || p.Role != "viewer" || p.Method != MethodJWT || p.Expires.IsZero() {
			t.Errorf("%s: %+v %v", name, p, err)
		}
	}
	c := claimsNow()
	c["aud"] = []string{"other", "aud"}
	if _, err := a.Bearer(t.Context(), forge(t, plainHeader, c, jwt.SigningMethodHS256, []byte(secret))); err != nil {
		t.Errorf("one of several audiences: %v", err)
	}
	c = claimsNow()
	c["sub"], c["role"] = "u-1", "viewer"
	delete(c, "email")
	if p, err := a.Bearer(t.Context(), forge(t, plainHeader, c, jwt.SigningMethodHS256, []byte(secret))); err != nil || p.Role != "admin" || p.Email != "Ann@autobot.local" {
		t.Errorf("a local user has the role of the configuration: %+v %v", p, err)
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	a, _ := newAuth(t, nil)
	hs := func(header string, change map[string]any) string {
		c := claimsNow()
		maps.Copy(c, change)
		maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
		return forge(t, header, c, jwt.SigningMethodHS256, []byte(secret))
	}
	now := time.Now().Unix()
	good := hs(plainHeader, nil)
	for name, token := range map[string]string{
		"no algorithm":          forge(t, `{"alg":"none","typ":"JWT"}`, claimsNow(), jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType),
		"other algorithm":       forge(t, `{"alg":"HS512","typ":"JWT"}`, claimsNow(), jwt.SigningMethodHS512, []byte(secret)),
		"missing algorithm":     hs(`{"typ":"JWT"}`, nil),
		"two algorithms":        hs(`{"alg":"none","alg":"HS256","typ":"JWT"}`, nil),
		"number as algorithm":   hs(`{"alg":1,"typ":"JWT"}`, nil),
		"no type":               hs(`{"alg":"HS256"}`, nil),
		"other type":            hs(`{"alg":"HS256","typ":"secevent+jwt"}`, nil),
		"nested":                hs(`{"alg":"HS256","typ":"JWT","cty":"JWT"}`, nil),
		"own rules":             hs(`{"alg":"HS256","typ":"JWT","crit":"exp"}`, nil),
		"own key":               hs(`{"alg":"HS256","typ":"JWT","jwk":"x"}`, nil),
		"own key, as an object": hs(`{"alg":"HS256","typ":"JWT","jwk":{"kty":"oct"}}`, nil),
		"own address":           hs(`{"alg":"HS256","typ":"JWT","jku":"https://evil.example"}`, nil),
		"long key id":           hs(`{"alg":"HS256","typ":"JWT","kid":"`+strings.Repeat("k", 65)+`"}`, nil),
		"header is a list":      hs(`["HS256"]`, nil),
		"header is broken":      hs(`{"alg":"HS256","typ":"JWT"`, nil),
		"header ends early":     hs(`{"alg"`, nil),
		"header is no JSON":     hs(`x`, nil),
		"no subject":            hs(plainHeader, map[string]any{"sub": nil}),
		"no role":               hs(plainHeader, map[string]any{"role": nil}),
		"anonymous role":        hs(plainHeader, map[string]any{"role": "anonymous"}),
		"no end":                hs(plainHeader, map[string]any{"exp": nil}),
		"no issuer":             hs(plainHeader, map[string]any{"iss": nil}),
		"other issuer":          hs(plainHeader, map[string]any{"iss": "evil"}),
		"no audience":           hs(plainHeader, map[string]any{"aud": nil}),
		"other audience":        hs(plainHeader, map[string]any{"aud": "other"}),
		"from the future":       hs(plainHeader, map[string]any{"iat": now + 3600}),
		"not yet":               hs(plainHeader, map[string]any{"nbf": now + 3600}),
		"other secret":          forge(t, plainHeader, claimsNow(), jwt.SigningMethodHS256, []byte(secret+"x")),
		"cut signature":         good[:len(good)-2],
		"more dots":             good + ".x",
		"thousands of dots":     strings.Repeat(".", 8000),
		"too long":              good + strings.Repeat("x", maxTokenBytes),
		"padded":                strings.Replace(good, ".", "=.", 1),
		"empty":                 "",
		"stamp of no account":   hs(plainHeader, map[string]any{"redis_medic_stamp": "x", "redis_medic_local": true}),
		"wrong stamp":           hs(plainHeader, map[string]any{"sub": "u-1", "redis_medic_stamp": "x", "redis_medic_local": true}),
	} {
		if _, err := a.Bearer(t.Context(), token); !errors.Is(err, ErrInvalidToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := a.Bearer(t.Context(), hs(plainHeader, map[string]any{"exp": now - 3600})); !errors.Is(err, ErrExpired) {
		t.Errorf("expired: %v", err)
	}
	if _, err := a.Bearer(t.Context(), hs(plainHeader, map[string]any{"exp": now - 10})); err != nil {
		t.Errorf("expired within the leeway: %v", err)
	}
	none, _ := newAuth(t, func(o *Options) { o.JWT = JWTSettings{} })
	if _, err := none.Bearer(t.Context(), good); !errors.Is(err, ErrInvalidToken) {
		t.Errorf("without a key: %v", err)
	}
}

func TestOurOwnTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newAuth(t, nil)
		issue := func(p Principal) (string, Principal) {
			token, expires, err := a.IssueToken(p)
			if err != nil || expires.After(time.Now().Add(MaxTokenTTL)) {
				t.Fatal(expires, err)
			}
			got, err := a.Bearer(t.Context(), token)
			if err != nil {
				t.Fatal(err)
			}
			return token, got
		}
		dead := func(name, token string, p Principal) {
			t.Helper()
			for what, err := range map[string]error{"token": second(a.Bearer(t.Context(), token)), "stream": second(a.Refresh(t.Context(), p))} {
				if !errors.Is(err, ErrInvalidToken) {
					t.Errorf("%s, %s: %v", name, what, err)
				}
			}
		}
		token, p := issue(mustLogin(t, a))
		if p.ID != "u-1" || p.Role != "admin" {
			t.Errorf("%+v", p)
		}
		_ = a.Logout(t.Context(), p, false)
		dead("logged out", token, p)
		pass(MaxTokenTTL + 2*MaxLeeway)
		_ = a.Prune(t.Context())
		if len(a.revoked) != 0 {
			t.Error("an ended token is remembered")
		}

		// A logout everywhere ends every token of the user that was made until then, no later one and nobody else's.
		token, p = issue(mustLogin(t, a))
		outside := forge(t, plainHeader, claimsNow(), jwt.SigningMethodHS256, []byte(secret))
		undated := claimsNow()
		undated["sub"] = "u-1"
		delete(undated, "iat")
		_ = a.Logout(t.Context(), mustLogin(t, a), true)
		dead("logged out everywhere", token, p)
		if _, err := a.Bearer(t.Context(), outside); err != nil {
			t.Errorf("somebody else's token: %v", err)
		}
		if _, err := a.Bearer(t.Context(), forge(t, plainHeader, undated, jwt.SigningMethodHS256, []byte(secret))); !errors.Is(err, ErrInvalidToken) {
			t.Errorf("a token that does not say when it was made: %v", err)
		}
		pass(time.Second)
		_, _ = issue(mustLogin(t, a))
		pass(rememberEnd + time.Second)
		_ = a.Prune(t.Context())
		if len(a.ended) != 0 {
			t.Error("a logout everywhere is remembered for ever")
		}

		token, p = issue(mustLogin(t, a))
		changed := ann
		changed.PasswordHash, _ = HashPassword("new")
		_ = update(t.Context(), a, []User{changed}, []ServiceAccount{bot})
		dead("the password changed", token, p)

		service, _ := a.Bearer(t.Context(), "canary-service-token-0123456789abc")
		token, p = issue(service)
		_ = update(t.Context(), a, []User{ann}, nil)
		dead("the account is gone", token, p)

		if _, _, err := a.IssueToken(Principal{ID: "ext-1"}); !errors.Is(err, ErrCannotSign) {
			t.Errorf("for a stranger: %v", err)
		}
		token, p = issue(mustLogin(t, a))
		pass(MaxTokenTTL)
		if _, err := a.Refresh(t.Context(), p); !errors.Is(err, ErrExpired) {
			t.Errorf("expired stream: %v", err)
		}
		pass(MaxLeeway)
		if _, err := a.Bearer(t.Context(), token); !errors.Is(err, ErrExpired) {
			t.Errorf("expired token: %v", err)
		}
	})
}

func pemOf(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func newKeys(t *testing.T) (*rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey) {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, d, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return r, e, d
}

func TestPublicKeys(t *testing.T) {
	r, e, d := newKeys(t)
	for name, c := range map[string]struct {
		public crypto.PublicKey
		method jwt.SigningMethod
		key    any
	}{
		"RSA": {&r.PublicKey, jwt.SigningMethodRS256, r}, "ECDSA": {&e.PublicKey, jwt.SigningMethodES256, e}, "Ed25519": {d.Public(), jwt.SigningMethodEdDSA, d},
	} {
		raw := pemOf(t, c.public)
		a, _ := newAuth(t, func(o *Options) { o.JWT = JWTSettings{Issuer: "iss", Audience: "aud", PublicKeyPEM: raw} })
		header := `{"alg":"` + c.method.Alg() + `","typ":"JWT"}`
		if _, err := a.Bearer(t.Context(), forge(t, header, claimsNow(), c.method, c.key)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		// The classic: the public key, which everybody knows, taken for an HMAC secret.
		if _, err := a.Bearer(t.Context(), forge(t, plainHeader, claimsNow(), jwt.SigningMethodHS256, raw)); !errors.Is(err, ErrInvalidToken) {
			t.Errorf("%s, HMAC with the public key: %v", name, err)
		}
		if _, _, err := a.IssueToken(mustLogin(t, a)); !errors.Is(err, ErrCannotSign) {
			t.Errorf("%s: we sign: %v", name, err)
		}
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	r, _, _ := newKeys(t)
	big384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	ecdh, _ := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	base := JWTSettings{Issuer: "iss", Audience: "aud"}
	with := func(change func(*JWTSettings)) JWTSettings {
		s := base
		change(&s)
		return s
	}
	for name, s := range map[string]JWTSettings{
		"two sources":          with(func(s *JWTSettings) { s.HMACSecret, s.JWKSURL = []byte(secret), "https://x" }),
		"short secret":         with(func(s *JWTSettings) { s.HMACSecret = []byte("canary\n") }),
		"no issuer":            {Audience: "aud", HMACSecret: []byte(secret)},
		"leeway":               with(func(s *JWTSettings) { s.HMACSecret, s.Leeway = []byte(secret), time.Minute }),
		"token life":           with(func(s *JWTSettings) { s.HMACSecret, s.TokenTTL = []byte(secret), time.Hour }),
		"not PEM":              with(func(s *JWTSettings) { s.PublicKeyPEM = []byte("canary") }),
		"not a key":            with(func(s *JWTSettings) { s.PublicKeyPEM = pem.EncodeToMemory(&pem.Block{Bytes: []byte("canary")}) }),
		"algorithm of another": with(func(s *JWTSettings) { s.PublicKeyPEM, s.Algorithms = pemOf(t, &r.PublicKey), []string{"HS256"} }),
		"none":                 with(func(s *JWTSettings) { s.HMACSecret, s.Algorithms = []byte(secret), []string{"none"} }),
		"plain address":        with(func(s *JWTSettings) { s.JWKSURL = "http://issuer.example/jwks" }),
		"no address":           with(func(s *JWTSettings) { s.JWKSURL = "::" }),
		"small RSA": with(func(s *JWTSettings) {
			s.PublicKeyPEM = pemOf(t, &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537})
		}),
	} {
		if _, err := newVerifier(s); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, c := range []struct {
		key  any
		want string
	}{{&big384.PublicKey, "ES384"}, {&ecdh.PublicKey, "ES512"}} {
		if got := algorithmsOf(c.key); got[0] != c.want {
			t.Errorf("%v", got)
		}
	}
	if err := usableKey("text"); err == nil {
		t.Error("a text is no key")
	}
}

// jwkOf writes a public key as a JSON web key.
func jwkOf(t *testing.T, kid string, key any) map[string]string {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	switch k := key.(type) {
	case *rsa.PublicKey:
		return map[string]string{"kty": "RSA", "kid": kid, "use": "sig", "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		half := (len(point) - 1) / 2
		return map[string]string{"kty": "EC", "kid": kid, "crv": k.Curve.Params().Name, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:])}
	case ed25519.PublicKey:
		return map[string]string{"kty": "OKP", "kid": kid, "crv": "Ed25519", "x": b64(k)}
	}
	t.Fatal("unknown key")
	return nil
}

func TestKeySets(t *testing.T) {
	r, e, d := newKeys(t)
	var set atomic.Value
	var fetches atomic.Int64
	publish := func(keys ...map[string]string) {
		raw, _ := json.Marshal(map[string]any{"keys": keys})
		set.Store(raw)
	}
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		raw := set.Load().([]byte)
		if raw == nil {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		_, _ = w.Write(raw)
	}))
	defer issuer.Close()
	a, _ := newAuth(t, func(o *Options) {
		o.JWT = JWTSettings{Issuer: "iss", Audience: "aud", JWKSURL: issuer.URL, Algorithms: []string{"RS256", "ES256", "EdDSA"}}
	})
	clock := time.Now()
	a.jwt.Load().keys.now = func() time.Time { return clock }
	token := func(kid string, method jwt.SigningMethod, key any) string {
		return forge(t, `{"alg":"`+method.Alg()+`","typ":"JWT","kid":"`+kid+`"}`, claimsNow(), method, key)
	}
	check := func(name, token string, want error) {
		t.Helper()
		if _, err := a.Bearer(t.Context(), token); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	publish(jwkOf(t, "r", &r.PublicKey), jwkOf(t, "e", &e.PublicKey), jwkOf(t, "d", d.Public()))
	check("RSA", token("r", jwt.SigningMethodRS256, r), nil)
	check("ECDSA", token("e", jwt.SigningMethodES256, e), nil)
	check("Ed25519", token("d", jwt.SigningMethodEdDSA, d), nil)
	check("the key of another", token("r", jwt.SigningMethodES256, e), ErrInvalidToken)
	if got := fetches.Load(); got != 1 {
		t.Errorf("%d fetches", got)
	}
	for range 50 {
		check("an unknown key", token("../../etc/passwd", jwt.SigningMethodES256, e), ErrInvalidToken)
	}
	if got := fetches.Load(); got != 1 {
		t.Errorf("unknown keys caused %d fetches", got)
	}

	// Rotation: the new key is fetched, the removed one is refused.
	next, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	publish(jwkOf(t, "next", &next.PublicKey))
	clock = clock.Add(refetchAfter + time.Second)
	check("the new key", token("next", jwt.SigningMethodES256, next), nil)
	check("the removed key", token("r", jwt.SigningMethodRS256, r), ErrInvalidToken)
	check("no key id, no choice", forge(t, `{"alg":"ES256","typ":"JWT"}`, claimsNow(), jwt.SigningMethodES256, next), nil)

	// The issuer is away: the last good set is used, but not for ever.
	set.Store([]byte(nil))
	clock = clock.Add(refreshAfter + time.Minute)
	check("the issuer is away", token("next", jwt.SigningMethodES256, next), nil)
	clock = clock.Add(maxKeySetAge)
	check("away for too long", token("next", jwt.SigningMethodES256, next), ErrInvalidToken)
}

func TestKeySetsThatAreRefused(t *testing.T) {
	_, e, _ := newKeys(t)
	good := jwkOf(t, "k", &e.PublicKey)
	change := func(field, value string) map[string]string {
		c := maps.Clone(good)
		c[field] = value
		return c
	}
	for name, key := range map[string]map[string]string{
		"encryption": change("use", "enc"), "long id": change("kid", strings.Repeat("k", 65)), "curve": change("crv", "P-224"), "point": change("x", "AAAA"),
		"long point": change("x", strings.Repeat("A", 100)), "type": change("kty", "oct"),
		"RSA exponent": {"kty": "RSA", "n": "AQAB", "e": "AQ"}, "small RSA": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}, "OKP": {"kty": "OKP", "crv": "X25519", "x": "AA"},
	} {
		raw, _ := json.Marshal(map[string]any{"keys": []any{key}})
		if keys, err := parseKeySet(raw); err == nil {
			t.Errorf("%s: %v", name, keys)
		}
	}
	if _, err := parseKeySet([]byte("{")); err == nil {
		t.Error("broken JSON was taken")
	}
	many := make([]any, maxKeySetKeys+1)
	for i := range many {
		many[i] = map[string]string{"kty": "none"}
	}
	many[maxKeySetKeys] = good
	raw, _ := json.Marshal(map[string]any{"keys": many})
	if _, err := parseKeySet(raw); err == nil {
		t.Error("the set has no end")
	}
}

func TestIssuersThatMisbehave(t *testing.T) {
	_, e, _ := newKeys(t)
	raw, _ := json.Marshal(map[string]any{"keys": []any{jwkOf(t, "k", &e.PublicKey)}})
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(raw) }))
	defer elsewhere.Close()
	for name, handler := range map[string]http.HandlerFunc{
		"redirect":  func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) },
		"too large": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxKeySetBytes+2)) },
		"cut": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("{"))
		},
	} {
		issuer := httptest.NewServer(handler)
		c, err := newKeyCache(issuer.URL)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.key(t.Context(), "k"); !errors.Is(err, ErrInvalidToken) {
			t.Errorf("%s: %v", name, err)
		}
		issuer.Close()
		if _, err := c.fetch(t.Context()); err == nil {
			t.Errorf("%s: the issuer is gone, but no error", name)
		}
	}
	c := &keyCache{address: "https://\x7f", client: http.DefaultClient, now: time.Now}
	if _, err := c.fetch(t.Context()); err == nil {
		t.Error("a broken address was asked")
	}
}

// FuzzBearer: no input panics or is believed.
func FuzzBearer(f *testing.F) {
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.e30.")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(plainHeader)) + ".e30.AAAA")
	v, err := newVerifier(JWTSettings{Issuer: "iss", Audience: "aud", HMACSecret: []byte(secret)})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if c, err := v.verify(t.Context(), token); err == nil {
			t.Errorf("%q is believed: %+v", token, c)
		}
	})
}
