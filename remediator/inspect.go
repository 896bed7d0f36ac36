package remediator

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redis-medic/redis-medic/remediator/host"
)

// Inspector asks a living Redis for what helps to understand an outage.
type Inspector interface {
	Inspect(ctx context.Context, service string) (Inspection, error)
}

// SentinelCounter says how many Sentinels watch a Redis. An Inspector may be one.
type SentinelCounter interface {
	Sentinels(ctx context.Context, service string) (int, error)
}

// Inspection is what a living Redis says of itself. It holds no value and no key: commands come by their names.
type Inspection struct {
	Info    []string       `json:"info"`
	SlowLog []SlowCommand  `json:"slow_log"`
	Clients *ClientSummary `json:"clients"` // nil: CLIENT LIST was refused
}

// SlowCommand is one entry of the slow log without its arguments.
type SlowCommand struct {
	At        time.Time `json:"at"`
	Took      float64   `json:"duration_seconds"`
	Command   string    `json:"command"`
	Arguments int       `json:"arguments"`
	Client    string    `json:"client"`
}

// ClientSummary counts the connections.
type ClientSummary struct {
	Total     int            `json:"total"`
	Addresses map[string]int `json:"addresses"` // by host; the most frequent ones
	Commands  map[string]int `json:"commands"`  // by last command
	Names     map[string]int `json:"names"`
	Blocked   int            `json:"blocked"`
	MaxIdle   float64        `json:"longest_idle_seconds"`
	Buffers   int64          `json:"output_buffers_bytes"`
}

// Bounds of an inspection.
const (
	inspectSlow  = 20
	inspectTop   = 10
	inspectInfo  = 300 // lines
	inspectBytes = 4 << 20
)

// Inspect implements Inspector over a connection that lives for one call. It is bounded by ctx and the target's timeout.
func (s RedisScripts) Inspect(ctx context.Context, service string) (Inspection, error) {
	t, ok := s.Target(service)
	if !ok {
		return Inspection{}, ErrUnknownService
	}
	c := redis.NewClient(&redis.Options{
		Addr: t.Addr, TLSConfig: t.TLS, Protocol: 2, DisableIdentity: true, MaxRetries: -1, PoolSize: 1,
		DialTimeout: t.Timeout, ReadTimeout: t.Timeout, WriteTimeout: t.Timeout, CredentialsProvider: t.Credentials,
	})
	defer func() { _ = c.Close() }()
	info, err := c.Info(ctx).Result()
	if err != nil {
		return Inspection{}, fmt.Errorf("ask redis for its state: %w", err)
	}
	out := Inspection{Info: host.ParseLines(info, inspectInfo)}
	if slow, err := c.SlowLogGet(ctx, inspectSlow).Result(); err == nil {
		for _, e := range slow {
			out.SlowLog = append(out.SlowLog, slowCommand(e))
		}
	}
	if list, err := c.ClientList(ctx).Result(); err == nil {
		out.Clients = new(summarize(list))
	}
	return out, nil
}

// Sentinels implements SentinelCounter: each Sentinel listens to its master by a connection of a name of its own.
func (s RedisScripts) Sentinels(ctx context.Context, service string) (int, error) {
	t, ok := s.Target(service)
	if !ok {
		return 0, ErrUnknownService
	}
	c := redis.NewClient(&redis.Options{
		Addr: t.Addr, TLSConfig: t.TLS, Protocol: 2, DisableIdentity: true, MaxRetries: -1, PoolSize: 1,
		DialTimeout: t.Timeout, ReadTimeout: t.Timeout, WriteTimeout: t.Timeout, CredentialsProvider: t.Credentials,
	})
	defer func() { _ = c.Close() }()
	list, err := c.Do(ctx, "CLIENT", "LIST", "TYPE", "pubsub").Text()
	if err != nil {
		return 0, fmt.Errorf("ask redis for its sentinels: %w", err)
	}
	n := 0
	for line := range strings.Lines(list) {
		for word := range strings.FieldsSeq(line) {
			if name, ok := strings.CutPrefix(word, "name=sentinel-"); ok && strings.HasSuffix(name, "-pubsub") {
				n++
			}
		}
	}
	return n, nil
}

func slowCommand(e redis.SlowLog) SlowCommand {
	c := SlowCommand{At: e.Time.UTC(), Took: e.Duration.Seconds(), Client: host.Printable(e.ClientAddr, 100)}
	if len(e.Args) > 0 {
		c.Command, c.Arguments = host.Printable(e.Args[0], 50), len(e.Args)-1
	}
	return c
}

// summarize reads CLIENT LIST: a line for each connection, of words "key=value".
func summarize(list string) ClientSummary {
	if len(list) > inspectBytes {
		list = list[:inspectBytes]
	}
	s := ClientSummary{Addresses: map[string]int{}, Commands: map[string]int{}, Names: map[string]int{}}
	for line := range strings.Lines(list) {
		s.Total++
		for word := range strings.FieldsSeq(line) {
			key, value, _ := strings.Cut(word, "=")
			value = host.Printable(value, 100)
			switch key {
			case "addr":
				if h, _, err := net.SplitHostPort(value); err == nil {
					value = h
				}
				s.Addresses[value]++
			case "cmd":
				s.Commands[value]++
			case "name":
				if value != "" {
					s.Names[value]++
				}
			case "flags":
				if strings.Contains(value, "b") {
					s.Blocked++
				}
			case "idle":
				if n, err := strconv.ParseFloat(value, 64); err == nil && n > s.MaxIdle {
					s.MaxIdle = n
				}
			case "omem":
				if n, err := strconv.ParseInt(value, 10, 64); err == nil && n > 0 {
					s.Buffers += n
				}
			}
		}
	}
	s.Addresses, s.Commands, s.Names = most(s.Addresses), most(s.Commands), most(s.Names)
	return s
}

// most keeps the inspectTop most frequent ones.
func most(m map[string]int) map[string]int {
	keys := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		if m[a] != m[b] {
			return m[b] - m[a]
		}
		return strings.Compare(a, b)
	})
	out := map[string]int{}
	for _, k := range keys[:min(len(keys), inspectTop)] {
		out[k] = m[k]
	}
	return out
}
