// Package authn owns the question who is asking: JWT bearers, static tokens of service accounts, panel sessions, one-use tickets
// for the event stream, and logins with a password. It answers with a Principal or an error and refuses to know what that
// principal may do; that belongs to rbac. No credential it sees ever leaves it, neither in an error nor in a log.
package authn

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"
)

// Method is how a principal proved who it is. The values appear in audit records.
type Method string

// The closed list of methods.
const (
	MethodNone    Method = "none"
	MethodJWT     Method = "jwt"
	MethodSession Method = "session"
	MethodService Method = "service_account"
	MethodTicket  Method = "ticket"
)

// Principal is who is asking. The zero value is nobody.
type Principal struct {
	ID     string
	Email  string
	Role   string // empty: anonymous
	Method Method
	// Expires is when the credential ends; the zero time means never.
	Expires time.Time

	// handle identifies the credential for a later check or its revocation: the session's hash or the token's id. It is no
	// secret.
	handle string
	// stamp is the state of the account when a credential of ours was made.
	stamp string
	// issued is when a token was made; the zero time: it does not say.
	issued time.Time
	// identity is what an identity provider said; empty for the accounts of the configuration.
	identity string
}

// Anonymous is the principal of requests without credentials.
func Anonymous() Principal { return Principal{Role: "anonymous", Method: MethodNone} }

// IsAnonymous reports whether nobody signed in.
func (p Principal) IsAnonymous() bool { return p.Method == MethodNone || p.Method == "" }

// User is an account that can sign in with a password.
type User struct {
	ID           string
	Email        string
	Role         string
	PasswordHash string // bcrypt or argon2id in PHC form
}

// ServiceAccount is a program with a static token.
type ServiceAccount struct {
	Name  string
	Role  string
	Token string // at least MinTokenLength characters
}

// MinTokenLength is the shortest static token that is accepted: 128 bits in hexadecimal digits.
const MinTokenLength = 32

// The refusals. Their texts are public: they name no account and no part of a credential.
var (
	ErrNoCredentials = errors.New("no credentials")
	ErrInvalidToken  = errors.New("the token is not valid")
	ErrExpired       = errors.New("the credentials have expired")
	ErrBadLogin      = errors.New("user or password is wrong")
	ErrCannotSign    = errors.New("tokens cannot be issued: no signing key is configured")
)

// BackoffError refuses a login before the password is looked at.
type BackoffError struct{ RetryAfter time.Duration }

// Error implements error.
func (e *BackoffError) Error() string { return "too many failed logins" }

// ErrHashingBusy refuses a login because too many passwords are being hashed already.
var ErrHashingBusy = errors.New("too many logins at once")

// hashID returns the form in which a random id or token is kept: a database or memory dump gives nobody a session.
func hashID(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])
}
