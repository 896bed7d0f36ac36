package remediator

import (
	"context"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
)

// What is known of a healthy Redis decides about a dead one: its role, its replicas, its persistence, unsaved changes. It is stored
// while Redis is healthy, so that a restart of our own process in the middle of an outage does not make us forget it.

// replicas is when a master was last seen with replicas, and how many.
type replicas struct {
	Count int       `json:"count"`
	At    time.Time `json:"at"`
}

const (
	// replicaMemory is how long a master that lost its replicas still counts as having them: they leave one by one when a network
	// or a master dies, and the last INFO may have been written in between.
	replicaMemory = 15 * time.Minute
	// knownEvery is how often at most it is stored when only small things have changed.
	knownEvery = time.Minute
)

// weighty is the part of what is known whose change is stored at once.
type weighty struct {
	role       string
	replicas   bool
	persistent bool
	certain    bool
	failover   string
	cluster    bool
	run        string
}

func weightOf(i *health.Info) weighty {
	if i == nil {
		return weighty{}
	}
	persistent, certain := i.Persistent()
	return weighty{role: i.Role, replicas: i.Replicas > 0, persistent: persistent, certain: certain, failover: i.Failover, cluster: i.ClusterOn, run: i.RunID}
}

// learn takes in what the prober knows of a service, and reports who started its process when nobody here did.
func (u *unit) learn(v health.View, now time.Time) starter {
	u.mu.Lock()
	defer u.mu.Unlock()
	read := v.Samples.Unit
	if !read.At.Before(u.sighted) {
		u.sighted = read.At
	} else {
		read = health.UnitRead{} // views may overtake each other
	}
	who := u.noteProcess(read, v.LastKnownInfo, now)
	u.noteInfo(v.LastKnownInfo, now)
	if s := v.Samples; u.mem.Down && s.Ping.Reply == health.ReplyPong && s.Unit.OK() && s.Unit.Unit.Running() {
		u.mem.Down, u.dirty = false, true
	}
	if i, s := v.Samples.Info, v.Samples; i != nil && s.Unit.OK() && s.Unit.Unit.Running() && i.ProcessID > 0 && i.At.After(s.UnitSince.Add(clockSlack)) {
		if foreign := i.ProcessID != s.Unit.Unit.MainPID; foreign != u.mem.Foreign {
			u.mem.Foreign, u.dirty = foreign, true
		}
	}
	return who
}

// noteInfo keeps the newest INFO. The caller holds u.mu.
func (u *unit) noteInfo(i *health.Info, now time.Time) {
	old := u.mem.LastInfo
	if i == nil || (old != nil && !i.At.After(old.At)) {
		return
	}
	u.mem.LastInfo = i
	if i.Role == "master" && i.Replicas > 0 {
		u.mem.Replicas = replicas{Count: i.Replicas, At: i.At}
	}
	if i.Role != "master" {
		u.mem.Replicas = replicas{}
	}
	if weightOf(i) != weightOf(old) || now.Sub(u.savedAt) >= knownEvery {
		u.dirty = true
	}
}

// lastInfo is the newest INFO as decisions use it: a master whose replicas have just gone still has them. The caller holds u.mu.
func (u *unit) lastInfo() *health.Info {
	i := u.mem.LastInfo
	if i == nil || i.Role != "master" || i.Replicas > 0 || u.mem.Replicas.Count == 0 || i.At.Sub(u.mem.Replicas.At) > replicaMemory {
		return i
	}
	c := *i
	c.Replicas = u.mem.Replicas.Count
	return &c
}

// keepKnown stores what is known of a service when it has changed. A failure is logged: no act rests on this write alone.
func (r *Remediator) keepKnown(u *unit) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.dirty {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.actions), writeTimeout)
	defer cancel()
	if err := u.save(ctx, r.o.Store, nil, time.Now()); err != nil {
		r.o.Logger.Error().Err(err).Str("service", u.id).Msg("store what is known of a service")
	}
}

// sentinelEvery is how often a master with replicas is asked whether Sentinels watch it.
const sentinelEvery = time.Minute

// countSentinels asks a healthy master with replicas, now and then, whether Sentinels watch it: when it is dead it cannot be asked.
func (r *Remediator) countSentinels(u *unit, v health.View, now time.Time) {
	counter, ok := r.o.Inspector.(SentinelCounter)
	i := v.Samples.Info
	if !ok || v.Samples.Ping.Reply != health.ReplyPong || i == nil || i.Role != "master" || i.Replicas == 0 {
		return
	}
	u.mu.Lock()
	due := now.After(u.countAt)
	if due {
		u.countAt = now.Add(sentinelEvery)
	}
	u.mu.Unlock()
	if !due || r.actions.Err() != nil {
		return
	}
	r.running.Go(func() {
		ctx, cancel := context.WithTimeout(r.actions, lookTimeout)
		defer cancel()
		n, err := counter.Sentinels(ctx, u.id)
		if err != nil {
			return // the next minute asks again
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		if n != u.mem.Sentinels {
			u.mem.Sentinels, u.dirty = n, true
		}
	})
}
