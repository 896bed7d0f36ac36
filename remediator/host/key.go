package host

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/crypto/ssh"
)

// minRSABits is the smallest RSA key taken (architecture document, section 6).
const minRSABits = 4096

// maxKeyFile bounds the identity file, in bytes: a device or a log by mistake must not be read whole.
const maxKeyFile = 64 << 10

// loadKey reads the private key. Its errors name the file and say what to do; they are for the operator, not for API users.
func loadKey(path string) (ssh.Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyFile {
		return nil, fmt.Errorf("private key %s: not a key file", path)
	}
	if err := checkMode(path, info.Mode()); err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	raw, err := ssh.ParseRawPrivateKey(pem)
	if _, encrypted := errors.AsType[*ssh.PassphraseMissingError](err); encrypted {
		return nil, fmt.Errorf("private key %s: it is encrypted; use a key without a passphrase and protect the file", path)
	}
	if err != nil {
		return nil, fmt.Errorf("private key %s: %w", path, err)
	}
	signer, err := ssh.NewSignerFromKey(raw)
	if err != nil {
		return nil, fmt.Errorf("private key %s: %w", path, err)
	}
	switch kind := signer.PublicKey().Type(); kind {
	case ssh.KeyAlgoED25519:
		return signer, nil
	case ssh.KeyAlgoRSA:
		if key, ok := raw.(*rsa.PrivateKey); ok && key.N.BitLen() >= minRSABits {
			return signer, nil
		}
		return nil, fmt.Errorf("private key %s: an RSA key must have at least %d bits; ssh-keygen -t ed25519 makes a better one", path, minRSABits)
	default:
		return nil, fmt.Errorf("private key %s: %s is not taken; use ed25519, or RSA of at least %d bits", path, kind, minRSABits)
	}
}

// checkMode refuses a key that others may read.
func checkMode(path string, mode fs.FileMode) error {
	if mode.Perm()&0o077 == 0 {
		return nil
	}
	return fmt.Errorf("private key %s: others may read it (mode %04o); run: chmod 600 %s", path, mode.Perm(), path)
}
