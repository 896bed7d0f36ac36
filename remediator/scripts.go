package remediator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// ScriptTarget is how to speak to one Redis for ending its scripts.
type ScriptTarget struct {
	Addr        string
	Credentials func() (user, password string) // may be nil
	TLS         *tls.Config                    // nil: plain TCP
	Timeout     time.Duration                  // of dial, write and read each
}

// RedisScripts ends scripts over a connection of its own that lives for one call: a busy Redis answers SCRIPT KILL, FUNCTION
// KILL and AUTH, and the prober's kept connection must not be disturbed. It is safe for concurrent use.
type RedisScripts struct {
	Target func(service string) (ScriptTarget, bool)
}

// KillScript implements Scripts. It is bounded by ctx and the target's timeout.
func (s RedisScripts) KillScript(ctx context.Context, service string) error {
	t, ok := s.Target(service)
	if !ok {
		return ErrUnknownService
	}
	o := &redis.Options{
		Addr: t.Addr, TLSConfig: t.TLS, Protocol: 2, DisableIdentity: true, MaxRetries: -1, PoolSize: 1,
		DialTimeout: t.Timeout, ReadTimeout: t.Timeout, WriteTimeout: t.Timeout, CredentialsProvider: t.Credentials,
	}
	c := redis.NewClient(o)
	defer func() { _ = c.Close() }()
	err := killReply(c.ScriptKill(ctx).Err())
	if !errors.Is(err, ErrNoScript) {
		return err
	}
	return killReply(c.FunctionKill(ctx).Err())
}

func killReply(err error) error {
	switch {
	case err == nil:
		return nil
	case strings.HasPrefix(err.Error(), "UNKILLABLE"):
		return ErrUnkillable
	case strings.HasPrefix(err.Error(), "NOTBUSY"):
		return ErrNoScript
	}
	return fmt.Errorf("end the running script: %w", err)
}
