package authn

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// The limits on tokens (RFC 8725 and what parsers have been hurt by).
const (
	maxTokenBytes  = 8 << 10
	maxKeyIDLength = 64
	minSecretBytes = 32
	// MaxLeeway is the largest clock difference that is forgiven.
	MaxLeeway = 30 * time.Second
	// MaxTokenTTL is the longest life of a token that we issue.
	MaxTokenTTL = 15 * time.Minute
)

// JWTSettings says which bearer tokens are believed. Without any key none is.
type JWTSettings struct {
	Issuer     string
	Audience   string
	Algorithms []string // empty: what the key is made for; a token's own header never decides

	HMACSecret   []byte // from a file; at least 32 bytes
	PublicKeyPEM []byte // RSA >= 2048, ECDSA or Ed25519, PKIX form
	JWKSURL      string // https; the keys are fetched and kept

	Leeway   time.Duration // 0: MaxLeeway
	TokenTTL time.Duration // of tokens that we issue; 0: MaxTokenTTL
}

// claims are what we read of a token. Local and Stamp mark tokens that we issued: they end with the account.
type claims struct {
	jwt.RegisteredClaims
	Email string `json:"email"`
	Role  string `json:"role"`
	Local bool   `json:"redis_medic_local,omitempty"`
	Stamp string `json:"redis_medic_stamp,omitempty"`
}

// verifier checks tokens. It is immutable and safe for concurrent use.
type verifier struct {
	settings JWTSettings
	parser   *jwt.Parser
	key      any       // fixed key, or nil
	keys     *keyCache // JWKS, or nil
}

// newVerifier checks the settings. A nil verifier, which believes no token, is returned when no key is configured.
func newVerifier(s JWTSettings) (*verifier, error) {
	sources := 0
	for _, have := range []bool{len(s.HMACSecret) > 0, len(s.PublicKeyPEM) > 0, s.JWKSURL != ""} {
		if have {
			sources++
		}
	}
	switch {
	case sources == 0:
		return nil, nil
	case sources > 1:
		return nil, errors.New("jwt: give one of hmac_secret_file, public_key_file and jwks_url")
	case s.Issuer == "" || s.Audience == "":
		return nil, errors.New("jwt: issuer and audience are required")
	case s.Leeway < 0 || s.Leeway > MaxLeeway:
		return nil, fmt.Errorf("jwt: leeway must be 0 to %s", MaxLeeway)
	case s.TokenTTL < 0 || s.TokenTTL > MaxTokenTTL:
		return nil, fmt.Errorf("jwt: token_ttl must be 0 to %s", MaxTokenTTL)
	}
	if s.Leeway == 0 {
		s.Leeway = MaxLeeway
	}
	if s.TokenTTL == 0 {
		s.TokenTTL = MaxTokenTTL
	}
	v := &verifier{settings: s}
	possible, err := v.loadKey()
	if err != nil {
		return nil, err
	}
	if len(v.settings.Algorithms) == 0 {
		v.settings.Algorithms = possible[:1]
	}
	for _, alg := range v.settings.Algorithms {
		if !slices.Contains(possible, alg) {
			return nil, fmt.Errorf("jwt: algorithm %q does not fit the key (possible: %s)", alg, strings.Join(possible, ", "))
		}
	}
	v.parser = jwt.NewParser(
		jwt.WithValidMethods(v.settings.Algorithms), jwt.WithIssuer(s.Issuer), jwt.WithAudience(s.Audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(v.settings.Leeway), jwt.WithStrictDecoding(),
	)
	return v, nil
}

// keepKeys takes the fetched keys of an earlier verifier over where they come from the same address: a reload must not depend on
// the issuer being there.
func (v *verifier) keepKeys(before *verifier) *verifier {
	if v != nil && before != nil && v.keys != nil && before.keys != nil && v.keys.address == before.keys.address {
		v.keys = before.keys
	}
	return v
}

// loadKey sets the key and returns the algorithms that it can be used with. A key of one family is never offered to another,
// so a public key cannot be taken for an HMAC secret.
func (v *verifier) loadKey() ([]string, error) {
	s := v.settings
	switch {
	case len(s.HMACSecret) > 0:
		secret := bytes.TrimRight(s.HMACSecret, "\r\n")
		if len(secret) < minSecretBytes {
			return nil, fmt.Errorf("jwt: the HMAC secret is shorter than %d bytes", minSecretBytes)
		}
		v.key = secret
		return []string{"HS256", "HS384", "HS512"}, nil
	case len(s.PublicKeyPEM) > 0:
		key, err := parsePublicKey(s.PublicKeyPEM)
		if err != nil {
			return nil, err
		}
		v.key = key
		return algorithmsOf(key), nil
	default:
		cache, err := newKeyCache(s.JWKSURL)
		if err != nil {
			return nil, err
		}
		v.keys = cache
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}, nil
	}
}

func parsePublicKey(raw []byte) (any, error) {
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, errors.New("jwt: the public key is not in PEM form")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("jwt: read public key: %w", err)
	}
	if err := usableKey(key); err != nil {
		return nil, err
	}
	return key, nil
}

func usableKey(key any) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < 2048 {
			return errors.New("jwt: the RSA key is shorter than 2048 bits")
		}
	case *ecdsa.PublicKey, ed25519.PublicKey:
	default:
		return errors.New("jwt: the public key is neither RSA, ECDSA nor Ed25519")
	}
	return nil
}

func algorithmsOf(key any) []string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case *ecdsa.PublicKey:
		switch k.Curve.Params().BitSize {
		case 384:
			return []string{"ES384"}
		case 521:
			return []string{"ES512"}
		}
		return []string{"ES256"}
	default:
		return []string{"EdDSA"}
	}
}

// verify returns the claims of a valid token. Every failure is ErrExpired or ErrInvalidToken: why a token is refused helps only
// who forges one.
func (v *verifier) verify(ctx context.Context, token string) (claims, error) {
	if v == nil || len(token) > maxTokenBytes || strings.Count(token, ".") != 2 {
		return claims{}, ErrInvalidToken
	}
	if !soundHeader(token) {
		return claims{}, ErrInvalidToken
	}
	var c claims
	_, err := v.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) { return v.keyFor(ctx, t) })
	if errors.Is(err, jwt.ErrTokenExpired) {
		return claims{}, ErrExpired
	}
	if err != nil || c.Subject == "" || c.Role == "anonymous" {
		return claims{}, ErrInvalidToken
	}
	return c, nil
}

func (v *verifier) keyFor(ctx context.Context, t *jwt.Token) (any, error) {
	if v.keys == nil {
		return v.key, nil
	}
	kid, _ := t.Header["kid"].(string)
	key, err := v.keys.key(ctx, kid)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(algorithmsOf(key), t.Method.Alg()) {
		return nil, ErrInvalidToken
	}
	return key, nil
}

// soundHeader refuses headers that bring their own key or rules, repeat a member, or are of another type than a JWT.
func soundHeader(token string) bool {
	head, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return false
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return false
	}
	seen := map[string]bool{}
	typ := ""
	for dec.More() {
		name, err := dec.Token()
		key, isString := name.(string)
		if err != nil || !isString || seen[key] {
			return false
		}
		seen[key] = true
		value, err := dec.Token()
		text, isString := value.(string)
		if err != nil || !isString {
			return false // every member that we accept is a string
		}
		switch key {
		case "typ":
			typ = strings.ToLower(text)
		case "alg":
		case "kid":
			if len(text) > maxKeyIDLength {
				return false
			}
		case "cty":
			return false
		default:
			if slices.Contains([]string{"crit", "jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "b64", "zip", "enc"}, key) {
				return false
			}
		}
	}
	return typ == "jwt" || typ == "at+jwt"
}

// canIssue reports whether we hold a key that signs.
func (v *verifier) canIssue() bool {
	if v == nil {
		return false
	}
	_, ok := v.key.([]byte)
	return ok
}

// issue signs a short-lived token for a local account.
func (v *verifier) issue(p Principal, id string, now time.Time) (string, time.Time, error) {
	if !v.canIssue() {
		return "", time.Time{}, ErrCannotSign
	}
	expires := now.Add(v.settings.TokenTTL).Truncate(time.Second)
	c := claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: v.settings.Issuer, Audience: jwt.ClaimStrings{v.settings.Audience}, Subject: p.ID, ID: id,
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(expires),
		},
		Email: p.Email, Role: p.Role, Local: true, Stamp: p.stamp,
	}
	token, err := jwt.NewWithClaims(jwt.GetSigningMethod(v.settings.Algorithms[0]), c).SignedString(v.key)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("sign token: %w", err)
	}
	return token, expires, nil
}
