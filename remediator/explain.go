package remediator

import (
	"context"
	"time"

	"github.com/redis-medic/redis-medic/remediator/ladder"
)

// Explanation is what the gate would decide now, and why. Nothing is done.
type Explanation struct {
	At      time.Time         `json:"at"`
	Kind    string            `json:"decision"`
	Level   string            `json:"recovery_level,omitempty"`
	Acts    []string          `json:"acts"`
	Code    string            `json:"code"`
	Text    string            `json:"text"`
	Advice  string            `json:"advice"`
	Skipped []ExplainedSkip   `json:"skipped"`
	Holds   []Hold            `json:"holds"`
	Seen    map[string]string `json:"seen"`
}

// ExplainedSkip is a rung that would be passed over.
type ExplainedSkip struct {
	Level string `json:"recovery_level"`
	Code  string `json:"code"`
	Text  string `json:"text"`
}

// Explain makes the double probe and runs the gate, and acts on nothing. It takes as long as two looks.
func (r *Remediator) Explain(ctx context.Context, service string) (Explanation, error) {
	u, ok := r.unit(service)
	if !ok {
		return Explanation{}, ErrUnknownService
	}
	in, err := r.evidence(ctx, u)
	if err != nil {
		return Explanation{}, err
	}
	d := ladder.Next(in, u.svc().Ladder)
	e := Explanation{At: in.Now.UTC(), Kind: string(d.Kind), Level: string(d.Rung), Acts: []string{}, Code: d.Code, Text: d.Text, Advice: d.Advice,
		Skipped: []ExplainedSkip{}, Holds: r.holds(u, in.Now), Seen: seen(in)}
	for _, a := range d.Acts {
		e.Acts = append(e.Acts, string(a))
	}
	for _, s := range d.Skipped {
		e.Skipped = append(e.Skipped, ExplainedSkip{Level: string(s.Rung), Code: s.Code, Text: s.Text})
	}
	return e, nil
}
