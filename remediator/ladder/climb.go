package ladder

import (
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
)

// defaultTimeout bounds a rung that has no timeout of its own; it is the document's operation timeout.
const defaultTimeout = 30 * time.Second

// climb takes the first rung whose precondition holds and that this incident has not tried. Rungs that cannot help are
// skipped, each with its reason: a start of an active unit, for one, "succeeds" without doing anything.
func climb(in Input, set Settings) Decision {
	if restorable(in, set) {
		return Decision{Kind: Climb, Rung: Hard, Acts: []Act{RestoreConfig, ResetFailed, Start}, Timeout: timeout(set, Hard), Code: "restore_config",
			Text: "put the last known good configuration back and start the unit: " + in.Finding.Text}
	}
	var skipped []Skip
	for _, r := range Rungs() {
		if r == Top {
			break
		}
		code, text, acts := precondition(r, in, set)
		if code == "" {
			return Decision{Kind: Climb, Rung: r, Acts: acts, Timeout: timeout(set, r), Code: string(r), Text: text, Skipped: skipped}
		}
		skipped = append(skipped, Skip{Rung: r, Code: code, Text: text})
	}
	if in.Second.Ping.Reply == health.ReplyBusy {
		d := critical("busy_script", "a script that cannot be ended keeps Redis busy",
			"wait for it, or decide to lose unsaved data: SHUTDOWN NOSAVE")
		d.Skipped = skipped
		return *d
	}
	text := "no rung of the ladder can help any more"
	if in.Finding != nil && len(in.Attempts) > 0 {
		text += "; the last attempt: " + in.Finding.Text
	}
	d := critical("no_rung_left", text, "look at the evidence and repair it by hand")
	d.Skipped = skipped
	return *d
}

// restorable reports whether the configuration is what keeps the unit down, and may be put back: once in an incident, within its
// attempts, and never against the host's refusal.
func restorable(in Input, set Settings) bool {
	f, u := in.Finding, in.Second.Unit.Unit
	return set.RestoreConfig && set.Rungs[Hard].Enabled && f != nil && f.Permanent && f.Restorable && len(in.Attempts) > 0 && u.Down() &&
		in.First.Unit.OK() && in.First.Unit.Unit.Down() && !in.Done[RestoreConfig] && !in.Denied[RestoreConfig] &&
		(set.MaxAttempts <= 0 || len(done(in.Attempts)) < set.MaxAttempts)
}

func timeout(set Settings, r Rung) (t time.Duration) {
	if t = set.Rungs[r].Timeout; t <= 0 {
		t = defaultTimeout
	}
	return t
}

// precondition returns the acts of a rung and what they are for, or the code and words of why the rung is skipped.
func precondition(r Rung, in Input, set Settings) (code, text string, acts []Act) {
	if !set.Rungs[r].Enabled {
		return "disabled", "the rung is switched off", nil
	}
	switch r {
	case Soft:
		return soft(in)
	case Standard:
		return standard(in)
	case Hard:
		return hard(in)
	case Force:
		return force(in, set)
	}
	return "unknown", "not a rung", nil
}

func soft(in Input) (code, text string, acts []Act) {
	u := in.Second.Unit.Unit
	switch {
	case in.Second.Ping.Reply == health.ReplyBusy && !in.Done[KillScript]:
		return "", "end the script that keeps Redis busy", []Act{KillScript}
	case in.Second.Ping.Reply == health.ReplyBusy:
		return "tried", "the script could not be ended", nil
	case u.Down():
		return "not_running", "the unit does not run: there is no process to mend", nil
	case in.ProcState == 'T' && in.Denied[Continue]:
		return "denied", "the host refuses to let the stopped process go on", nil
	case in.ProcState == 'T' && !in.Done[Continue]:
		return "", "let the stopped process go on", []Act{Continue}
	case u.CanReload && !in.Done[Reload] && !in.Denied[Reload]:
		return "", "reload the unit", []Act{Reload}
	case !u.CanReload:
		return "cannot_reload", "the unit has no reload, and nothing gentler fits", nil
	}
	return "tried", "it was tried in this incident", nil
}

func standard(in Input) (code, text string, acts []Act) {
	u := in.Second.Unit.Unit
	if !u.Down() || !in.First.Unit.OK() || !in.First.Unit.Unit.Down() {
		return "active", "the unit is active: a start would do nothing", nil
	}
	if tried(in, Standard) {
		return "tried", "a start failed in this incident", nil
	}
	if u.ActiveState == "failed" && !in.Denied[ResetFailed] {
		return "", "clear the failed state and start the unit", []Act{ResetFailed, Start}
	}
	return "", "start the unit", []Act{Start}
}

func hard(in Input) (code, text string, acts []Act) {
	u := in.Second.Unit.Unit
	switch {
	case in.Second.Ping.Reply == health.ReplyBusy:
		return "busy_script", "a script that has written is running: Redis would not obey a stop, and killing it loses data", nil
	case u.Transient():
		return "transient", "systemd is at work on the unit", nil
	case tried(in, Hard):
		return "tried", "a restart failed in this incident", nil
	case u.Down() && !tried(in, Standard):
		return "start_first", "a start is gentler and was not tried", nil
	case u.Down() && !in.Denied[ResetFailed] && u.ActiveState == "failed":
		return "", "clear the failed state and restart the unit", []Act{ResetFailed, Restart}
	}
	return "", "restart the unit", []Act{Restart}
}

func force(in Input, set Settings) (code, text string, acts []Act) {
	u := in.Second.Unit.Unit
	switch {
	case u.Down() || u.MainPID == 0:
		return "not_running", "there is no process to kill", nil
	case !tried(in, Hard) && u.ActiveState != "deactivating":
		return "restart_first", "a restart is gentler and was not tried", nil
	case !set.AcceptDataLoss && !savedAll(in):
		return "unsaved_data", "killing Redis would lose changes that are not on disk, or it is not known whether there are any", nil
	}
	return "", "kill the process; systemd starts it again", []Act{Kill}
}

// forceRung is Force as the way out of a stop that does not end.
func forceRung(in Input, set Settings) (Decision, bool) {
	if !set.Rungs[Force].Enabled || tried(in, Force) {
		return Decision{}, false
	}
	code, text, acts := force(in, set)
	if code != "" {
		return Decision{}, false
	}
	// What an error reply names (a full disk, a load, clients without end) is what has to be mended.
	if r := in.Second.Ping.Reply; r.Alive() && r != health.ReplyPong && r != health.ReplyBusy {
		return Decision{}, false
	}
	return Decision{Kind: Climb, Rung: Force, Acts: acts, Timeout: timeout(set, Force), Code: string(Force), Text: text}, true
}

// savedAll reports whether it is proven that a kill loses nothing. With the AOF on and in order it is: Redis hands each change to
// the kernel before it answers, and a kill of the process takes nothing from the kernel. Without it only an INFO of this very look
// proves it: a Redis that is silent may have taken changes after any older one.
func savedAll(in Input) bool {
	if i := in.Second.Info; i != nil && i.UnsavedChanges == 0 && !i.BgsaveRunning {
		return true
	}
	i := in.LastInfo
	return i != nil && i.AOFOn && i.AOFWriteOK
}

func tried(in Input, r Rung) bool {
	for _, a := range in.Attempts {
		// Nobody saw what came of a hard rung that the end of our own process cut off: after a new look it may be climbed again.
		if a.Rung == r && (r != Hard || a.Result != "interrupted") {
			return true
		}
	}
	return false
}

// done are the attempts that count: one that the host refused changed nothing, so nothing has to settle after it.
func done(attempts []Attempt) []Attempt {
	out := make([]Attempt, 0, len(attempts))
	for _, a := range attempts {
		if a.Result != "denied" {
			out = append(out, a)
		}
	}
	return out
}

func within(times []time.Time, window time.Duration, now time.Time) int {
	n := 0
	for _, t := range times {
		if now.Sub(t) < window {
			n++
		}
	}
	return n
}

func quoted(s string) string {
	if s == "" {
		return ""
	}
	return " (“" + s + "”)"
}
