package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/cmd/internal/config"
	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/store"
)

// auditCommand lists records over the API, and verifies or exports them on the machine that keeps them.
func auditCommand(ctx context.Context, c console, args []string) error {
	verb, args := word(args, "list")
	switch verb {
	case "list":
		return auditList(ctx, c, args)
	case "verify":
		return auditVerify(ctx, c, args)
	case "export":
		return auditExport(ctx, c, args)
	case "public-key":
		return auditPublicKey(c, args)
	}
	return unknownWord(c, "audit", verb)
}

func auditList(ctx context.Context, c console, args []string) error {
	f := newFlags(c, "audit", "list [flags]")
	connect := clientFlags(f, c)
	q := url.Values{}
	for _, name := range []string{"service", "user", "operation", "phase", "result"} {
		f.Func(name, "only records with this `VALUE`", func(s string) error { q.Set(name, s); return nil })
	}
	limit := f.Int("n", 50, "how many `RECORDS`, 1 to 1000")
	since := f.Duration("since", 0, "only of the last `TIME`, like 24h")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	api, err := connect()
	if err != nil {
		return err
	}
	q.Set("limit", strconv.Itoa(*limit))
	if *since > 0 {
		q.Set("since", time.Now().Add(-*since).UTC().Format(time.RFC3339))
	}
	return api.show(ctx, http.MethodGet, "/api/audit?"+q.Encode(), nil,
		table("seq", "timestamp", "phase", "operation", "service", "user.id", "source_ip", "result.success", "reason"))
}

// records are what the audit log keeps in the store.
type records interface {
	store.Audit
	Close() error
}

// openRecords opens the durable records beside a program that may be running.
func openRecords(ctx context.Context, file string) (*config.Config, records, error) {
	cfg, p, err := loadConfig(file)
	if err != nil {
		return nil, nil, err
	}
	if dsn := p.Postgres.DSN; dsn.Set() {
		db, err := store.OpenPostgres(ctx, store.PostgresOptions{DSN: dsn.Text(), Logger: zerolog.Nop()})
		return cfg, db, err
	}
	db, err := store.OpenReadOnly(ctx, store.Options{Dir: cfg.Storage.Path, Logger: zerolog.Nop()})
	return cfg, db, err
}

var errAuditBad = errors.New("the audit log is not what was written")

// auditVerify checks the store's records and the file's, with the signed checkpoints.
func auditVerify(ctx context.Context, c console, args []string) (err error) {
	f := newFlags(c, "audit", "verify [flags]")
	file := f.String("config", defaultConfig, "the configuration `FILE`")
	public := f.String("public-key", "", "believe only checkpoints signed with a key of this `FILE`, such as a copy of audit-signing.pub that was kept elsewhere")
	checkpoints := f.String("checkpoints", "", "hold the records against the checkpoints of this `FILE`, such as the log of a syslog server")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	cfg, db, err := openRecords(ctx, *file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var keys audit.Keys
	if keys.Seal, err = audit.LoadKey(auditKeyFile(cfg.Storage.Path)); err != nil {
		return err
	}
	if *public == "" {
		*public = auditPublicFile(cfg.Storage.Path)
	}
	if keys.Public, err = audit.LoadPublicKeys(*public); err != nil {
		return err
	}
	log := cfg.Services[0].Audit.LogFile
	if *checkpoints == "" {
		*checkpoints = log + ".checkpoints"
	}
	stored, err := audit.VerifyStore(ctx, db, keys, *checkpoints)
	if err != nil {
		return err
	}
	names, err := audit.Files(log)
	if err != nil {
		return err
	}
	filed, err := audit.VerifyFiles(keys, *checkpoints, names...)
	if err != nil {
		return err
	}
	for _, r := range []struct {
		what   string
		report audit.Report
	}{{"store", stored}, {"file", filed}} {
		if !r.report.OK {
			fmt.Fprintf(c.out, "%s: BAD at record %d: %s\n", r.what, r.report.FirstBad, r.report.Problem)
			err = errAuditBad
			continue
		}
		fmt.Fprintf(c.out, "%s: good, %d records (%d to %d), %d signed checkpoints, %d records behind the newest\n",
			r.what, r.report.Records, r.report.First, r.report.Last, r.report.Checkpoints, r.report.Unsigned)
	}
	return err
}

func auditExport(ctx context.Context, c console, args []string) (err error) {
	f := newFlags(c, "audit", "export [flags]")
	file := f.String("config", defaultConfig, "the configuration `FILE`")
	format := f.String("format", string(audit.JSONL), "the `FORMAT`: jsonl or csv")
	var filter audit.Filter
	f.StringVar(&filter.Service, "service", "", "only of this `SERVICE`")
	f.StringVar(&filter.User, "user", "", "only of this `USER`")
	f.StringVar(&filter.Operation, "operation", "", "only this `OPERATION`")
	since := f.Duration("since", 0, "only of the last `TIME`, like 24h")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	if *since > 0 {
		filter.Since = time.Now().Add(-*since)
	}
	_, db, err := openRecords(ctx, *file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return audit.Export(ctx, c.out, db, filter, audit.Format(*format))
}

// auditPublicKey prints the public keys that sign checkpoints, to be kept on another machine.
func auditPublicKey(c console, args []string) error {
	f := newFlags(c, "audit", "public-key [--config FILE]")
	file := f.String("config", defaultConfig, "the configuration `FILE`")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	cfg, err := config.Load(*file)
	if err != nil {
		return err
	}
	keys, err := audit.LoadPublicKeys(auditPublicFile(cfg.Storage.Path))
	if err != nil {
		return err
	}
	for _, k := range keys {
		text, err := audit.PublicPEM(k)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.err, "key %s\n", audit.KeyID(k))
		fmt.Fprintf(c.out, "%s", text)
	}
	return nil
}
