package exporter

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis-medic/redis-medic/exporter/metric"
	"github.com/redis-medic/redis-medic/exporter/resp"
)

const (
	scanCount   = "1000" // how many keys Redis looks at for one SCAN
	surveyBatch = 200    // keys per pipeline
	maxValue    = 128    // bytes of a value that becomes a label
	// hyperLogLogSign is how the value of a HyperLogLog begins.
	hyperLogLogSign = "HYLL"
)

// finding is one sample of a survey.
type finding struct {
	fam    family
	value  float64
	labels []string
}

// surveyed is what a survey found. It is never changed once it is there.
type surveyed struct {
	at       time.Time
	took     time.Duration
	err      error
	findings []finding
}

// surveyor carries out one survey over a connection of its own: SELECT changes what a connection means, so it is never kept.
type surveyor struct {
	ctx  context.Context //nolint:containedctx // it lives as long as one survey
	conn *resp.Conn
	opt  Survey
	db   int
	out  []finding
	seen map[string]bool // the series in out
}

// survey looks up what the configuration asks for, and keeps it for the scrapes.
func (s *service) survey(ctx context.Context, o Survey) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	found := &surveyed{at: time.Now()}
	conn, err := resp.Dial(ctx, s.link.currentOptions())
	if err == nil {
		v := &surveyor{ctx: ctx, conn: conn, opt: o}
		err = v.run()
		found.findings = v.out
		_ = conn.Close()
	}
	found.took, found.err = time.Since(found.at), err
	s.keepSurvey(o, found)
}

// keepSurvey keeps what was found, unless a reload has changed the question meanwhile; nil forgets what was found before.
func (s *service) keepSurvey(o Survey, found *surveyed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.target.Collect.Survey.same(o) {
		s.found = found
	}
}

// run does all parts; the first one that breaks the connection or runs out of time ends it.
func (v *surveyor) run() error {
	for _, part := range []struct {
		name string
		do   func() error
	}{
		{"keys", v.keys}, {"counts", v.counts}, {"key groups", v.groups}, {"streams", v.streams}, {"indexes", v.indexes},
	} {
		if err := part.do(); err != nil {
			return fmt.Errorf("survey %s: %w", part.name, err)
		}
	}
	return nil
}

// found keeps a finding. A key that two patterns match, or that SCAN shows twice, counts once: a series stands on a page once.
func (v *surveyor) found(f family, value float64, labels ...string) {
	id := strconv.Itoa(int(f)) + "\x00" + strings.Join(labels, "\x00")
	if v.seen[id] {
		return
	}
	if v.seen == nil {
		v.seen = map[string]bool{}
	}
	v.seen[id] = true
	v.out = append(v.out, finding{f, value, labels})
}

// ask sends commands in one pipeline. Only a broken connection is an error.
func (v *surveyor) ask(commands ...[]string) ([]resp.Reply, error) {
	return v.conn.Do(v.ctx, commands...)
}

// one sends one command.
func (v *surveyor) one(command ...string) (resp.Reply, error) {
	r, err := v.ask(command)
	if err != nil {
		return resp.Reply{}, err
	}
	return r[0], nil
}

// enter selects a database. A refusal (a cluster has only one) is an error, for the data of another one would be taken for it.
func (v *surveyor) enter(db int) error {
	if db == v.db {
		return nil
	}
	r, err := v.one("SELECT", strconv.Itoa(db))
	if err == nil {
		err = r.Err()
	}
	if err != nil {
		return fmt.Errorf("select database %d: %w", db, err)
	}
	v.db = db
	return nil
}

// match calls f with batches of the keys that match, at most limit of them; 0 is no limit.
func (v *surveyor) match(k KeyPattern, limit int, f func(keys []string) error) error {
	if err := v.enter(k.DB); err != nil {
		return err
	}
	if !strings.ContainsAny(k.Pattern, `*?[`) {
		return f([]string{k.Pattern})
	}
	seen := 0
	for cursor := "0"; ; {
		r, err := v.one("SCAN", cursor, "MATCH", k.Pattern, "COUNT", scanCount)
		if err == nil {
			err = r.Err()
		}
		if err != nil {
			return fmt.Errorf("scan %s: %w", k.Pattern, err)
		}
		if len(r.Elems) != 2 {
			return fmt.Errorf("scan %s: %w", k.Pattern, resp.ErrProtocol)
		}
		keys := make([]string, 0, len(r.Elems[1].Elems))
		for _, e := range r.Elems[1].Elems {
			if limit > 0 && seen >= limit {
				break
			}
			seen++
			keys = append(keys, e.Str)
		}
		for len(keys) > 0 {
			n := min(len(keys), surveyBatch)
			if err := f(keys[:n]); err != nil {
				return err
			}
			keys = keys[n:]
		}
		if cursor = r.Elems[0].Str; cursor == "0" || (limit > 0 && seen >= limit) {
			return nil
		}
	}
}

var (
	famKeySize    = familyOf(metric.KeySize)
	famKeyMemory  = familyOf(metric.KeyMemory)
	famKeyValue   = familyOf(metric.KeyValue)
	famKeyText    = familyOf(metric.KeyValueAsString)
	famKeysCount  = familyOf(metric.KeysCount)
	famSurveyOK   = familyOf(metric.SurveySuccess)
	famSurveyAt   = familyOf(metric.SurveyTimestamp)
	famSurveyTook = familyOf(metric.SurveyDuration)
	sizeCommands  = map[string]string{"string": "STRLEN", "list": "LLEN", "set": "SCARD", "zset": "ZCARD", "hash": "HLEN", "stream": "XLEN", "array": "ARCOUNT"}
)

func dbLabel(db int) string { return "db" + strconv.Itoa(db) }

func (v *surveyor) keys() error {
	for _, k := range v.opt.Keys {
		if err := v.match(k, v.opt.MaxKeys, func(keys []string) error { return v.inspect(k.DB, keys) }); err != nil {
			return err
		}
	}
	return nil
}

// inspect finds type and memory of keys in one pipeline, and what the type asks for in a second one.
func (v *surveyor) inspect(db int, keys []string) error {
	commands := make([][]string, 0, 2*len(keys))
	for _, k := range keys {
		commands = append(commands, []string{"TYPE", k}, []string{"MEMORY", "USAGE", k})
	}
	r, err := v.ask(commands...)
	if err != nil {
		return err
	}
	commands = commands[:0]
	var asked []string
	for i, k := range keys {
		kind, memory := r[2*i].Str, r[2*i+1]
		if memory.Kind == resp.Integer {
			v.found(famKeyMemory, float64(memory.Int), dbLabel(db), k)
		}
		size, ok := sizeCommands[kind]
		if !ok {
			continue
		}
		asked = append(asked, k)
		// GETRANGE of another type would count as an error in Redis's own statistics: only strings are asked.
		if commands = append(commands, []string{size, k}); kind == "string" {
			commands = append(commands, []string{"GETRANGE", k, "0", strconv.Itoa(maxValue)})
		}
	}
	if len(commands) == 0 {
		return nil
	}
	if r, err = v.ask(commands...); err != nil {
		return err
	}
	at := 0
	for _, k := range asked {
		size, text := r[at], resp.Reply{}
		if at++; at < len(commands) && commands[at][0] == "GETRANGE" {
			text = r[at]
			at++
		}
		if err := v.describe(db, k, size, text); err != nil {
			return err
		}
	}
	return nil
}

// describe adds the size of a key, and the value of a string. The "length" of a HyperLogLog is what it counts.
func (v *surveyor) describe(db int, key string, size, text resp.Reply) error {
	if strings.HasPrefix(text.Str, hyperLogLogSign) {
		r, err := v.one("PFCOUNT", key)
		if err != nil {
			return err
		}
		size, text = r, resp.Reply{}
	}
	if size.Kind == resp.Integer {
		v.found(famKeySize, float64(size.Int), dbLabel(db), key)
	}
	if text.Str == "" || !v.opt.KeyValues {
		return nil
	}
	if n, err := strconv.ParseFloat(text.Str, 64); err == nil {
		v.found(famKeyValue, n, dbLabel(db), key)
	} else {
		v.found(famKeyText, 1, dbLabel(db), key, strings.ToValidUTF8(text.Str[:min(len(text.Str), maxValue)], "\uFFFD"))
	}
	return nil
}

func (v *surveyor) counts() error {
	for _, k := range v.opt.CountKeys {
		n := 0
		if err := v.match(k, 0, func(keys []string) error { n += len(keys); return nil }); err != nil {
			return err
		}
		v.found(famKeysCount, float64(n), dbLabel(k.DB), k.Pattern)
	}
	return nil
}

// lastSurvey is nil before the first one, after a reload that changed what is looked up, and of a master that is left alone.
func (s *service) lastSurvey() *surveyed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.found
}

// publishSurvey adds what the last survey found, and when that was.
func publishSurvey(p *page, s *service) {
	found := s.lastSurvey()
	if found == nil {
		return
	}
	p.flag(famSurveyOK, found.err == nil)
	p.gauge(famSurveyAt, unixSeconds(found.at))
	p.gauge(famSurveyTook, found.took.Seconds())
	for _, f := range found.findings {
		p.add(f.fam, f.value, f.labels...)
	}
}
