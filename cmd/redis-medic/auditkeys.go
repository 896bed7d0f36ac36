package main

import (
	"crypto/ed25519"
	"path/filepath"

	"github.com/redis-medic/redis-medic/remediator/audit"
)

// auditKeyFile holds the key that seals the audit records, in the folder of the state. Without it they cannot be verified.
func auditKeyFile(state string) string { return filepath.Join(state, "audit.key") }

// auditPublicFile holds the public keys whose checkpoints are believed, in the folder of the state: the present one, and those of
// before a change of the key.
func auditPublicFile(state string) string { return filepath.Join(state, "audit-signing.pub") }

// auditSigner reads the key that signs checkpoints. A key that the configuration names must exist; ours is made when it is missing.
func auditSigner(p *plan) (ed25519.PrivateKey, error) {
	if p.AuditSigner != "" {
		return audit.LoadSigner(p.AuditSigner)
	}
	return audit.LoadOrCreateSigner(filepath.Join(p.State, "audit-signing.key"))
}

// auditOptions reads the keys of the audit log, makes those that are missing, and publishes the public one.
func auditOptions(p *plan) (audit.Options, error) {
	o := audit.Options{File: p.Audit, Retention: p.AuditKeep, Forward: p.AuditForward}
	var err error
	if o.Key, err = audit.LoadOrCreateKey(auditKeyFile(p.State)); err != nil {
		return o, err
	}
	if o.Signer, err = auditSigner(p); err != nil {
		return o, err
	}
	if err := audit.PublishKey(auditPublicFile(p.State), o.Signer); err != nil {
		return o, err
	}
	o.Believed, err = audit.LoadPublicKeys(auditPublicFile(p.State))
	return o, err
}
