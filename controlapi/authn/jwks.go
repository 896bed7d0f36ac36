package authn

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// The limits on a key set. A stranger with an unknown key id can cause one fetch per refetchAfter, no more; a key that the
// issuer removed is refused as soon as the set is older than maxKeySetAge, even when the issuer cannot be reached.
const (
	keySetTimeout  = 5 * time.Second
	maxKeySetBytes = 256 << 10
	maxKeySetKeys  = 64
	refetchAfter   = 10 * time.Second
	refreshAfter   = 5 * time.Minute
	maxKeySetAge   = 24 * time.Hour
)

// keyCache keeps the last good key set of one pinned address. It is safe for concurrent use.
type keyCache struct {
	address string
	client  *http.Client
	now     func() time.Time

	// mu guards the fields below, and is held during a fetch so that there is one at a time.
	mu      sync.Mutex
	keys    map[string]any
	fetched time.Time // last success
	tried   time.Time
}

func newKeyCache(address string) (*keyCache, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "https" && !isLoopback(u)) {
		return nil, errors.New("jwt: jwks_url must be an https address")
	}
	return &keyCache{
		address: address,
		now:     time.Now,
		client: &http.Client{
			Timeout: keySetTimeout,
			// The address is pinned: a redirect would let another host choose our keys.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// isLoopback allows plain http to an issuer on the same machine.
func isLoopback(u *url.URL) bool {
	h := u.Hostname()
	return u.Scheme == "http" && (h == "127.0.0.1" || h == "::1" || h == "localhost")
}

// key returns the key with this id, fetching the set when it is unknown or the set is old.
func (c *keyCache) key(ctx context.Context, kid string) (any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	key, known := c.find(kid)
	stale := now.Sub(c.fetched) > refreshAfter
	if (!known || stale) && now.Sub(c.tried) > refetchAfter {
		c.tried = now
		if keys, err := c.fetch(ctx); err == nil {
			c.keys, c.fetched = keys, now
		}
		key, known = c.find(kid)
	}
	if !known || now.Sub(c.fetched) > maxKeySetAge {
		return nil, ErrInvalidToken
	}
	return key, nil
}

// find looks a key up. A token without a key id is accepted only when there is no choice.
func (c *keyCache) find(kid string) (any, bool) {
	if kid == "" && len(c.keys) == 1 {
		for _, k := range c.keys {
			return k, true
		}
	}
	k, ok := c.keys[kid]
	return k, ok
}

func (c *keyCache) fetch(ctx context.Context) (map[string]any, error) {
	// A cancelled request of one client must not keep the set from everybody else.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keySetTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.address, nil)
	if err != nil {
		return nil, fmt.Errorf("fetch key set: %w", err)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch key set: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch key set: status %d", resp.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySetBytes+1))
	if err != nil || len(raw) > maxKeySetBytes {
		return nil, errors.New("fetch key set: unreadable or too large")
	}
	return parseKeySet(raw)
}

// jwk is the part of a JSON web key that we use (RFC 7517, RFC 7518, RFC 8037).
type jwk struct {
	Kty string `json:"kty"`
	Kid string `json:"kid"`
	Use string `json:"use"`
	Crv string `json:"crv"`
	N   string `json:"n"`
	E   string `json:"e"`
	X   string `json:"x"`
	Y   string `json:"y"`
}

// parseKeySet reads the usable signature keys of a set and skips the others.
func parseKeySet(raw []byte) (map[string]any, error) {
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(raw, &set); err != nil {
		return nil, fmt.Errorf("read key set: %w", err)
	}
	keys := map[string]any{}
	for i, k := range set.Keys {
		if i >= maxKeySetKeys {
			break
		}
		if len(k.Kid) > maxKeyIDLength || (k.Use != "" && k.Use != "sig") {
			continue
		}
		if key, err := k.public(); err == nil && usableKey(key) == nil {
			keys[k.Kid] = key
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("read key set: no usable key")
	}
	return keys, nil
}

func (k jwk) public() (any, error) {
	part := func(s string) []byte {
		b, _ := base64.RawURLEncoding.DecodeString(s)
		return b
	}
	switch k.Kty {
	case "RSA":
		e := new(big.Int).SetBytes(part(k.E))
		if !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 || len(part(k.N)) > 1024 {
			return nil, errors.New("rsa exponent or modulus is out of range")
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(part(k.N)), E: int(e.Int64())}, nil
	case "EC":
		curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[k.Crv]
		if curve == nil {
			return nil, errors.New("unknown curve")
		}
		size := (curve.Params().BitSize + 7) / 8
		x, y := part(k.X), part(k.Y)
		if len(x) > size || len(y) > size {
			return nil, errors.New("coordinates are too long")
		}
		point := make([]byte, 1+2*size)
		point[0] = 4
		copy(point[1+size-len(x):], x)
		copy(point[1+2*size-len(y):], y)
		return ecdsa.ParseUncompressedPublicKey(curve, point)
	case "OKP":
		if x := part(k.X); k.Crv == "Ed25519" && len(x) == ed25519.PublicKeySize {
			return ed25519.PublicKey(x), nil
		}
	}
	return nil, errors.New("unknown key type")
}
