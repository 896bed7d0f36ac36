package remediator

import (
	"cmp"
	"context"
	"strings"

	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/ladder"
)

// maxConfigDiff bounds a difference of configurations in timeline and audit log, in bytes.
const maxConfigDiff = 4 << 10

// configChange is what a restore of the last known good configuration changed.
type configChange struct {
	diff     string // from the good file to the rejected one, without secrets
	rejected string // where the host keeps the rejected file; empty: there was none
}

// evidence is nil where nothing was put back.
func (c *configChange) evidence() map[string]string {
	if c == nil {
		return nil
	}
	e := map[string]string{"config_diff": c.diff}
	if c.rejected != "" {
		e["rejected_config"] = c.rejected
	}
	return e
}

// restorable asks the host, without changing anything, whether it has a configuration to put back. The answer goes into the
// evidence: the difference, or why there is nothing to put back.
func (r *Remediator) restorable(ctx context.Context, u *unit, evidence map[string]string) bool {
	if !u.svc().Ladder.RestoreConfig {
		return false
	}
	res, err := r.o.Host.Run(ctx, u.id, host.VerbConfigDiff, 0)
	if diff := cleanDiff(res.Stdout); diff != "" {
		evidence["config_diff"] = diff
	}
	if err != nil {
		evidence["restore_config"] = publicWords(err)
	}
	return err == nil
}

// wasMissing stands for the place of a rejected configuration where there was none.
const wasMissing = "-"

// configRestored remembers in the incident that another configuration is in place now.
func (r *Remediator) configRestored(u *unit, out string) *configChange {
	c := &configChange{diff: cleanDiff(out), rejected: rejectedFile(out)}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.incident != nil {
		u.incident.Climbed.Restored = cmp.Or(c.rejected, wasMissing)
	}
	return c
}

// keepFinding brings a diagnosis back that the intent of an act had cleared.
func (r *Remediator) keepFinding(u *unit, f *ladder.Finding) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.incident != nil {
		u.incident.Climbed.Finding = f
	}
}

// restoredWords tell people that the configuration on the host is not the one they wrote. The caller holds u.mu.
func (u *unit) restoredWords() string {
	switch where := u.incident.Climbed.Restored; where {
	case "":
		return ""
	case wasMissing:
		return " The last known good configuration was put back on the host."
	default:
		return " The last known good configuration was put back; the rejected one is kept on the host as " + where + ": correct it before it is used again."
	}
}

// rejectedFile reads the name of the second file from the head of a unified diff.
func rejectedFile(diff string) string {
	for line := range strings.Lines(diff) {
		if name, ok := strings.CutPrefix(line, "+++ "); ok {
			if name = host.Printable(strings.TrimSpace(name), 300); strings.HasPrefix(name, "/") {
				return name
			}
			return ""
		}
	}
	return ""
}

// cleanDiff makes the host's text safe to store and to show, line by line, and bounds it.
func cleanDiff(out string) string {
	var b strings.Builder
	for line := range strings.Lines(out) {
		line = host.Printable(strings.TrimRight(line, "\r\n"), maxConfigDiff)
		if b.Len()+len(line)+1 > maxConfigDiff-len(diffCut) {
			b.WriteString(diffCut)
			break
		}
		b.WriteString(line + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// diffCut stands for what maxConfigDiff leaves no room for.
const diffCut = "[…]"
