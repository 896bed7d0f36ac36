package authn

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// The parameters of new argon2id hashes: OWASP's smallest recommended set. More memory would be taken from the machine on every
// login, and this program has to stay small while Redis is in trouble.
const (
	argonMemoryKiB = 19 * 1024
	argonTime      = 2
	argonThreads   = 1
	argonKeyLen    = 32
	argonSaltLen   = 16
)

// The limits for hashes from the configuration: a typing error must not cost gigabytes.
const (
	maxArgonMemoryKiB = 1024 * 1024
	maxArgonTime      = 32
	maxBcryptCost     = 15
	// MaxPasswordLength bounds what is hashed, in bytes.
	MaxPasswordLength = 1024
)

// HashPassword returns the argon2id hash of a password in PHC form, for the configuration.
func HashPassword(password string) (string, error) {
	if password == "" || len(password) > MaxPasswordLength {
		return "", fmt.Errorf("a password has 1 to %d bytes", MaxPasswordLength)
	}
	salt := make([]byte, argonSaltLen)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	h := argonHash{memory: argonMemoryKiB, time: argonTime, threads: argonThreads, salt: salt}
	h.key = h.derive(password, argonKeyLen)
	return h.String(), nil
}

// VerifyPassword reports whether a password matches a bcrypt or argon2id hash. A hash that cannot be read matches nothing.
func VerifyPassword(hash, password string) bool {
	h, err := parseHash(hash)
	if err != nil || len(password) > MaxPasswordLength {
		return false
	}
	return h.verify(password)
}

// passwordHash is one parsed hash.
type passwordHash interface{ verify(password string) bool }

type bcryptHash string

func (h bcryptHash) verify(password string) bool {
	return bcrypt.CompareHashAndPassword([]byte(h), []byte(password)) == nil
}

type argonHash struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

func (h argonHash) derive(password string, length uint32) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, length)
}

func (h argonHash) verify(password string) bool {
	return subtle.ConstantTimeCompare(h.derive(password, uint32(len(h.key))), h.key) == 1
}

// String returns the PHC form.
func (h argonHash) String() string {
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, h.threads,
		enc.EncodeToString(h.salt), enc.EncodeToString(h.key))
}

// parseHash reads a hash of the configuration. Its errors do not repeat the hash.
func parseHash(s string) (passwordHash, error) {
	switch {
	case strings.HasPrefix(s, "$2a$"), strings.HasPrefix(s, "$2b$"), strings.HasPrefix(s, "$2y$"):
		cost, err := bcrypt.Cost([]byte(s))
		if err != nil || len(s) != 60 {
			return nil, errors.New("is not a complete bcrypt hash")
		}
		if cost > maxBcryptCost {
			return nil, fmt.Errorf("bcrypt cost %d is over %d", cost, maxBcryptCost)
		}
		return bcryptHash(s), nil
	case strings.HasPrefix(s, "$argon2id$"):
		return parseArgon(s)
	default:
		return nil, errors.New("is neither a bcrypt nor an argon2id hash")
	}
}

func parseArgon(s string) (passwordHash, error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return nil, errors.New("is not an argon2id hash of version 19")
	}
	var h argonHash
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads); n != 3 || err != nil {
		return nil, errors.New("has unreadable argon2id parameters")
	}
	if h.memory < 8 || h.memory > maxArgonMemoryKiB || h.time < 1 || h.time > maxArgonTime || h.threads < 1 {
		return nil, errors.New("has argon2id parameters outside the limits")
	}
	var err1, err2 error
	h.salt, err1 = base64.RawStdEncoding.DecodeString(parts[4])
	h.key, err2 = base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(h.salt) < 8 || len(h.key) < 16 || len(h.key) > 128 {
		return nil, errors.New("has an unreadable salt or key")
	}
	return h, nil
}
