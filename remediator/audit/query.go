package audit

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/redis-medic/redis-medic/remediator/store"
)

const (
	defaultLimit = 50
	maxLimit     = 1000
)

// Query returns the newest records that match, and the Before of the next page, 0 on the last one.
func (l *Log) Query(ctx context.Context, f Filter) (records []Record, next int64, err error) {
	if f.Limit <= 0 {
		f.Limit = defaultLimit
	}
	f.Limit = min(f.Limit, maxLimit)
	rows, more, err := page(ctx, l.opts.Store, f)
	if err != nil {
		return nil, 0, fmt.Errorf("query audit records: %w", err)
	}
	records = make([]Record, 0, len(rows))
	for _, row := range rows {
		var r Record
		if err := json.Unmarshal(row.JSON, &r); err != nil {
			return nil, 0, fmt.Errorf("query audit records: record %d: %w", row.Seq, err)
		}
		records = append(records, r)
	}
	if more {
		next = rows[len(rows)-1].Seq
	}
	return records, next, nil
}

// page reads one row more than asked for, which tells whether there is a next page.
func page(ctx context.Context, db store.Audit, f Filter) (rows []store.AuditRow, more bool, err error) {
	rows, err = db.QueryAudit(ctx, store.AuditQuery{
		Service: f.Service, User: f.User, Operation: f.Operation, Phase: string(f.Phase), Success: f.Success,
		Since: f.Since, Until: f.Until, Before: f.Before, Limit: f.Limit + 1,
	})
	if err != nil || len(rows) <= f.Limit {
		return rows, false, err
	}
	return rows[:f.Limit], true, nil
}

// Format is a form of export.
type Format string

// The closed list of formats.
const (
	JSONL Format = "jsonl" // the sealed lines as they are stored, verifiable with the key
	CSV   Format = "csv"   // for spreadsheets; cells that a spreadsheet would run as a formula are quoted
)

// ErrFormat is returned for a Format that is not in the list.
var ErrFormat = errors.New("unknown export format")

// Export writes the records that match, newest first, page by page, so that memory stays bounded. A Limit of 0 means all.
func Export(ctx context.Context, w io.Writer, db store.Audit, f Filter, format Format) error {
	var put func(store.AuditRow) error
	cw := csv.NewWriter(w)
	switch format {
	case JSONL:
		put = func(row store.AuditRow) error {
			_, err := w.Write(append(row.JSON, '\n'))
			return err
		}
	case CSV:
		if err := cw.Write(csvHeader); err != nil {
			return fmt.Errorf("export audit records: %w", err)
		}
		put = func(row store.AuditRow) error { return writeCSV(cw, row) }
	default:
		return fmt.Errorf("export audit records: %w %q", ErrFormat, format)
	}
	if err := exportPages(ctx, db, f, put); err != nil {
		return fmt.Errorf("export audit records: %w", err)
	}
	cw.Flush()
	if err := cw.Error(); err != nil {
		return fmt.Errorf("export audit records: %w", err)
	}
	return nil
}

// Export writes records of the log's store, see the function Export.
func (l *Log) Export(ctx context.Context, w io.Writer, f Filter, format Format) error {
	return Export(ctx, w, l.opts.Store, f, format)
}

func exportPages(ctx context.Context, db store.Audit, f Filter, put func(store.AuditRow) error) error {
	left := f.Limit
	for {
		f.Limit = maxLimit
		if left > 0 {
			f.Limit = min(left, maxLimit)
		}
		rows, more, err := page(ctx, db, f)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := put(row); err != nil {
				return err
			}
			f.Before = row.Seq
		}
		if left > 0 {
			if left -= len(rows); left <= 0 {
				return nil
			}
		}
		if !more {
			return nil
		}
	}
}

var csvHeader = []string{"seq", "timestamp", "event_type", "service", "operation", "phase", "success", "http_status",
	"duration_seconds", "exit_code", "error", "user_id", "user_email", "user_role", "auth_method", "source_ip",
	"risk_level", "command_validated", "ssh_key_used", "recovery_level", "request_id", "incident", "reason", "details", "hash"}

func writeCSV(w *csv.Writer, row store.AuditRow) error {
	var r Record
	if err := json.Unmarshal(row.JSON, &r); err != nil {
		return fmt.Errorf("record %d: %w", row.Seq, err)
	}
	exit, details := "", ""
	if r.Result.ExitCode != nil {
		exit = strconv.Itoa(*r.Result.ExitCode)
	}
	if len(r.Details) > 0 {
		b, err := json.Marshal(r.Details)
		if err != nil {
			return err
		}
		details = string(b)
	}
	cells := []string{strconv.FormatInt(r.Seq, 10), r.Time.Format(time.RFC3339Nano), r.EventType, r.Service, r.Operation,
		string(r.Phase), strconv.FormatBool(r.Result.Success), strconv.Itoa(r.Result.Status),
		strconv.FormatFloat(r.Result.Duration, 'f', -1, 64), exit, r.Result.Error, r.User.ID, r.User.Email, r.User.Role,
		r.User.Auth, r.SourceIP, r.Security.RiskLevel, strconv.FormatBool(r.Security.CommandValidated),
		strconv.FormatBool(r.Security.SSHKeyUsed), r.Level, r.RequestID, r.Incident, r.Reason, details, r.Hash}
	for i, cell := range cells {
		cells[i] = noFormula(cell)
	}
	return w.Write(cells)
}

// noFormula keeps a spreadsheet from running a cell that somebody else wrote.
func noFormula(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		if _, err := strconv.ParseFloat(cell, 64); err != nil {
			return "'" + cell
		}
	}
	return cell
}
