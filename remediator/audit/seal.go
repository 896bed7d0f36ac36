package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis-medic/redis-medic/remediator/store"
)

// A record on disk is one line of JSON that ends in its hash. The hash is HMAC-SHA256 over the bytes before that member, so
// any changed byte is found, a member that this version does not know included, and records of older versions stay valid.
const (
	hashMember = `,"hash":"`
	hashEnd    = `"}`
	hashLen    = sha256.Size * 2
	tailLen    = len(hashMember) + hashLen + len(hashEnd)
)

var (
	errShape = errors.New("record does not end in its hash")
	errMAC   = errors.New("record was changed, or was sealed with another key")
)

// sealer seals records with one key. It is safe for concurrent use.
type sealer struct{ key []byte }

// newSealer derives a key for one purpose, so that a record's hash can never pass for a checkpoint's signature.
func newSealer(key []byte, purpose string) sealer {
	m := hmac.New(sha256.New, key)
	m.Write([]byte("redis-medic audit " + purpose))
	return sealer{key: m.Sum(nil)}
}

func (s sealer) mac(body []byte) string {
	m := hmac.New(sha256.New, s.key)
	m.Write(body)
	return hex.EncodeToString(m.Sum(nil))
}

// seal sets the hash of a record and returns its line, without a line feed.
func (s sealer) seal(r Record) (Record, []byte, error) {
	r.Hash = ""
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return r, nil, fmt.Errorf("encode audit record: %w", err)
	}
	body := bytes.TrimSuffix(buf.Bytes(), []byte(hashMember+hashEnd+"\n"))
	if len(body) == buf.Len() {
		return r, nil, errShape
	}
	r.Hash = s.mac(body)
	line := append(body, hashMember...)
	line = append(line, r.Hash...)
	return r, append(line, hashEnd...), nil
}

// open checks a line against its hash and decodes it.
func (s sealer) open(line []byte) (Record, error) {
	var r Record
	cut := len(line) - tailLen
	if cut < 0 || !bytes.HasPrefix(line[cut:], []byte(hashMember)) || !bytes.HasSuffix(line, []byte(hashEnd)) {
		return r, errShape
	}
	sum := line[cut+len(hashMember) : cut+len(hashMember)+hashLen]
	if !hmac.Equal(sum, []byte(s.mac(line[:cut]))) {
		return r, errMAC
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return r, fmt.Errorf("decode audit record: %w", err)
	}
	return r, nil
}

// row is the record as the store keeps it.
func row(r Record, line []byte) store.AuditRow {
	return store.AuditRow{
		Seq: r.Seq, Chain: r.Chain, Time: r.Time, Service: r.Service, UserID: r.User.ID, UserEmail: r.User.Email,
		Operation: r.Operation, Phase: string(r.Phase), Success: r.Result.Success, Hash: r.Hash, JSON: line,
	}
}

// sameRow reports whether the columns that queries filter on say what the sealed record says.
func sameRow(got store.AuditRow, r Record) bool {
	want := row(r, nil)
	return got.Seq == want.Seq && got.Chain == want.Chain && got.Time.Equal(want.Time) && got.Service == want.Service &&
		got.UserID == want.UserID && got.UserEmail == want.UserEmail && got.Operation == want.Operation &&
		got.Phase == want.Phase && got.Success == want.Success && got.Hash == want.Hash
}

// timePrecision is what every store can keep, so that a record reads back as it was written.
const timePrecision = time.Microsecond
