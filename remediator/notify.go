package remediator

import (
	"context"
	"time"
)

// NoticeKind is a moment that people are told of, in the words of the document's severity_levels.
type NoticeKind string

// The moments of a recovery.
const (
	NoticeStarted   NoticeKind = "auto_recovery_attempted"
	NoticeRecovered NoticeKind = "service_restarted"
	NoticeFailed    NoticeKind = "recovery_failed"
	NoticeManual    NoticeKind = "manual_intervention_required"
)

// Notice is one moment. States (down, breaker open, manual intervention) are metrics that rules watch; a notice carries what a
// metric cannot: why.
type Notice struct {
	Kind     NoticeKind
	Service  string
	Severity string
	Level    string
	Incident string
	Summary  string
	Text     string
	At       time.Time
}

// Notifier tells people, through Alertmanager. Notify may block until ctx ends.
type Notifier interface {
	Notify(ctx context.Context, n Notice) error
}

// Limits of the way to people. When the queue is full a notice is dropped and counted: recovery never waits for it.
const (
	noticeQueue    = 128
	noticeTries    = 5
	noticeTimeout  = 5 * time.Second
	noticeLife     = 2 * time.Minute // how long the short alert stays active
	noticeLastCall = 3 * time.Second // for what is still queued at the end
)

// tell queues a notice where the service wants that kind told. It never blocks.
func (r *Remediator) tell(u *unit, kind NoticeKind, level, summary, text string) {
	severity, wanted := u.svc().Notices[kind]
	if !wanted || r.o.Notifier == nil {
		return
	}
	n := Notice{Kind: kind, Service: u.id, Severity: severity, Level: level, Summary: summary, Text: text, At: time.Now().UTC()}
	if i := u.openIncident(); i != nil {
		n.Incident = i.ID
	}
	select {
	case r.notices <- n:
	default:
		r.metrics.notices.WithLabelValues("dropped").Inc()
		r.o.Logger.Warn().Str("service", n.Service).Str("kind", string(kind)).Msg("too many notices wait for Alertmanager: this one is dropped")
	}
}

// noticeLoop sends what is queued, one after the other, until ctx ends.
func (r *Remediator) noticeLoop(ctx context.Context) error {
	for {
		select {
		case n := <-r.notices:
			r.send(ctx, n)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), noticeLastCall)
			defer cancel()
			for {
				select {
				case n := <-r.notices:
					r.send(last, n)
				default:
					return nil
				}
			}
		}
	}
}

func (r *Remediator) send(ctx context.Context, n Notice) {
	delay := time.Second
	for try := 1; ; try++ {
		err := func() error {
			ctx, cancel := context.WithTimeout(ctx, noticeTimeout)
			defer cancel()
			return r.o.Notifier.Notify(ctx, n)
		}()
		if err == nil {
			r.metrics.notices.WithLabelValues("sent").Inc()
			return
		}
		if try == noticeTries || pause(ctx, delay) != nil {
			r.metrics.notices.WithLabelValues("failed").Inc()
			r.o.Logger.Error().Err(err).Str("service", n.Service).Str("kind", string(n.Kind)).Msg("a notice could not be given to Alertmanager")
			return
		}
		delay *= 2
	}
}
