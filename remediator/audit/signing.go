package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// Keys are what a verification needs: the key that seals records, and the public keys whose checkpoints are believed. Without a
// public key the one is believed that follows from Seal, see Options.Signer.
type Keys struct {
	Seal   []byte
	Public []ed25519.PublicKey
}

func (k Keys) public() []ed25519.PublicKey {
	if len(k.Public) > 0 {
		return k.Public
	}
	return []ed25519.PublicKey{publicOf(derivedSigner(k.Seal))}
}

// derivedSigner makes a signing key out of a sealing key.
func derivedSigner(seal []byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(newSealer(seal, "signing key").key)
}

func publicOf(k ed25519.PrivateKey) ed25519.PublicKey {
	return k.Public().(ed25519.PublicKey) // always of this type
}

// KeyID names a public key: the first 16 hexadecimal digits of its SHA-256.
func KeyID(k ed25519.PublicKey) string {
	sum := sha256.Sum256(k)
	return hex.EncodeToString(sum[:8])
}

// The blocks of the key files (PKCS #8 and PKIX), which openssl reads too.
const (
	privateBlock = "PRIVATE KEY"
	publicBlock  = "PUBLIC KEY"
)

// LoadOrCreateSigner reads the ed25519 key that signs checkpoints from a PEM file, and makes both on first use, with mode 0600.
func LoadOrCreateSigner(path string) (ed25519.PrivateKey, error) {
	k, err := LoadSigner(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	_, k, err = ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("create audit signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, fmt.Errorf("create audit signing key: %w", err)
	}
	if err := writeKey(path, pem.EncodeToMemory(&pem.Block{Type: privateBlock, Bytes: der})); err != nil {
		return nil, fmt.Errorf("create audit signing key: %w", err)
	}
	// Another process may have been first: what lies at path counts.
	return LoadSigner(path)
}

// LoadSigner reads an ed25519 private key in PEM (PKCS #8), as `openssl genpkey -algorithm ed25519` writes it. It refuses a file
// that others can read.
func LoadSigner(path string) (ed25519.PrivateKey, error) {
	text, err := readPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("read audit signing key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != privateBlock {
		return nil, fmt.Errorf("audit signing key %s is no private key in PEM", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("audit signing key %s: %w", path, err)
	}
	k, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("audit signing key %s is not an ed25519 key", path)
	}
	return k, nil
}

// LoadPublicKeys reads every ed25519 public key of a PEM file.
func LoadPublicKeys(path string) ([]ed25519.PublicKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read audit public key: %w", err)
	}
	var keys []ed25519.PublicKey
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("audit public key %s: %w", path, err)
		}
		k, ok := parsed.(ed25519.PublicKey)
		if !ok {
			return nil, fmt.Errorf("audit public key %s is not an ed25519 key", path)
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 || len(bytes.TrimSpace(text)) > 0 {
		return nil, fmt.Errorf("audit public key %s is no list of public keys in PEM", path)
	}
	return keys, nil
}

// PublishKey adds the public half of a signing key to a PEM file, where it is not there yet. The file keeps the keys of before, so
// that old checkpoints stay believed after a change of the key. Keep a copy of it on another machine.
func PublishKey(path string, signer ed25519.PrivateKey) error {
	known, err := LoadPublicKeys(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	public := publicOf(signer)
	if slices.ContainsFunc(known, func(k ed25519.PublicKey) bool { return k.Equal(public) }) {
		return nil
	}
	var text []byte
	for _, k := range append(known, public) {
		block, err := PublicPEM(k)
		if err != nil {
			return err
		}
		text = append(text, block...)
	}
	if err := replaceFile(path, text, 0o644); err != nil {
		return fmt.Errorf("write audit public key: %w", err)
	}
	return nil
}

// PublicPEM is a public key in PEM (PKIX).
func PublicPEM(k ed25519.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k)
	if err != nil {
		return nil, fmt.Errorf("encode audit public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicBlock, Bytes: der}), nil
}
