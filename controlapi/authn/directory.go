package authn

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// directory is the immutable set of accounts. A change of the configuration replaces it as a whole.
type directory struct {
	users    map[string]User // by id
	byLogin  map[string]string
	accounts []account
	byName   map[string]account
	// unusable lists the ids of users whose password hash cannot be read: they exist, but cannot sign in with a password.
	unusable []string
}

type account struct {
	ServiceAccount
	digest [sha256.Size]byte
}

// newDirectory checks the accounts; all faults are reported at once.
func newDirectory(users []User, accounts []ServiceAccount) (*directory, error) {
	d := &directory{users: map[string]User{}, byLogin: map[string]string{}, byName: map[string]account{}}
	var faults []error
	for i, u := range users {
		if err := d.addUser(u); err != nil {
			faults = append(faults, fmt.Errorf("users[%d]: %w", i, err))
		}
	}
	for i, a := range accounts {
		if err := d.addAccount(a); err != nil {
			faults = append(faults, fmt.Errorf("service_accounts[%d]: %w", i, err))
		}
	}
	return d, errors.Join(faults...)
}

func (d *directory) addUser(u User) error {
	if u.ID == "" || u.Role == "" || u.Role == "anonymous" {
		return errors.New("id and role are required")
	}
	if _, err := parseHash(u.PasswordHash); err != nil {
		d.unusable = append(d.unusable, u.ID)
	}
	if _, taken := d.users[u.ID]; taken {
		return fmt.Errorf("id %q is used twice", u.ID)
	}
	d.users[u.ID] = u
	for _, login := range []string{u.ID, u.Email} {
		login = normalLogin(login)
		if login == "" {
			continue
		}
		if owner, taken := d.byLogin[login]; taken && owner != u.ID {
			return fmt.Errorf("login %q is used twice", login)
		}
		d.byLogin[login] = u.ID
	}
	return nil
}

func (d *directory) addAccount(a ServiceAccount) error {
	if a.Name == "" || a.Role == "" || a.Role == "anonymous" {
		return errors.New("name and role are required")
	}
	if len(a.Token) < MinTokenLength {
		return fmt.Errorf("%s: the token is shorter than %d characters", a.Name, MinTokenLength)
	}
	if _, taken := d.byName[a.Name]; taken {
		return fmt.Errorf("name %q is used twice", a.Name)
	}
	acc := account{ServiceAccount: a, digest: sha256.Sum256([]byte(a.Token))}
	acc.Token = ""
	for _, other := range d.accounts {
		if other.digest == acc.digest {
			return fmt.Errorf("%s: the token is also that of %s", a.Name, other.Name)
		}
	}
	d.accounts = append(d.accounts, acc)
	d.byName[a.Name] = acc
	return nil
}

// service finds the account of a static token. Every account is compared, on digests of equal length, so that the time taken
// tells nothing.
func (d *directory) service(token string) (Principal, bool) {
	digest := sha256.Sum256([]byte(token))
	found := -1
	for i := range d.accounts {
		if subtle.ConstantTimeCompare(digest[:], d.accounts[i].digest[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return Principal{}, false
	}
	a := d.accounts[found]
	return Principal{ID: a.Name, Role: a.Role, Method: MethodService, stamp: a.stamp()}, true
}

func (d *directory) byLoginName(login string) (User, bool) {
	id, ok := d.byLogin[normalLogin(login)]
	return d.users[id], ok
}

// subject returns the local account with this id, a user before a service account.
func (d *directory) subject(id string) (p Principal, ok bool) {
	if u, ok := d.users[id]; ok {
		return Principal{ID: u.ID, Email: u.Email, Role: u.Role, stamp: u.stamp()}, true
	}
	if a, ok := d.byName[id]; ok {
		return Principal{ID: a.Name, Role: a.Role, stamp: a.stamp()}, true
	}
	return Principal{}, false
}

// stamp changes when the password does, so that credentials issued before the change end with it.
func (u User) stamp() string { return shortDigest("user", u.ID, u.PasswordHash) }

func (a account) stamp() string {
	return shortDigest("service", a.Name, string(a.digest[:]))
}

func shortDigest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:8])
}

func normalLogin(s string) string { return strings.ToLower(strings.TrimSpace(s)) }
