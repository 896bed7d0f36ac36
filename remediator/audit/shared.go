package audit

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"time"

	"github.com/redis-medic/redis-medic/remediator/store"
)

// The newest checkpoint, and the newest that says where the kept chain starts, lie in the store beside the records too: the file of
// checkpoints belongs to one machine, but the store may be shared by several, of which one after the other writes.
const (
	kindCheckpoint = "audit_checkpoint"
	idNewest       = "newest"
	idStart        = "start"
)

// documents is the part of a store that keeps checkpoints; a store.Audit need not have it.
type documents interface {
	PutDocuments(ctx context.Context, docs ...store.Document) error
	Document(ctx context.Context, kind, id string) (store.Document, error)
}

// putShared keeps a checkpoint in the store. The file has it already: what cannot be kept is kept with the next one.
func putShared(ctx context.Context, db store.Audit, cp Checkpoint, line []byte) error {
	docs, ok := db.(documents)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	id := idNewest
	if cp.Start {
		id = idStart
	}
	return docs.PutDocuments(ctx, store.Document{Kind: kindCheckpoint, ID: id, At: time.Now(), JSON: line})
}

// readShared returns the checkpoints that the store keeps, as far as their signature is believed.
func readShared(ctx context.Context, db store.Audit, keys []ed25519.PublicKey) ([]Checkpoint, error) {
	docs, ok := db.(documents)
	if !ok {
		return nil, nil
	}
	var out []Checkpoint
	for _, id := range []string{idNewest, idStart} {
		ctx, cancel := context.WithTimeout(ctx, writeTimeout)
		d, err := docs.Document(ctx, kindCheckpoint, id)
		cancel()
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var cp Checkpoint
		if json.Unmarshal(d.JSON, &cp) == nil && cp.signedBy(keys) {
			out = append(out, cp)
		}
	}
	return out, nil
}
