package alerts

import "time"

// Building blocks of the critical group. Each has exactly one series per service, so that they can be compared on "service"
// however many redis-medic processes are scraped. An outage needs every process to agree (max of "up", min of "failures"); what
// systemd says is taken from any of them.
const (
	noAnswer = `(max by (service) (redis_up) == 0)`
	unitDown = `(max by (service) (systemd_unit_state{state=~"failed|inactive"}) == 1)`

	// Failures count only PINGs that nobody answered; the reply classes are asked too, so that a Redis that answers with an
	// error (loading, busy, no password) can never look hung.
	pingsLost = `(
	  min by (service) (redis_health_check_consecutive_failures{check="connectivity"})
	    >= on (service)
	  max by (service) (redis_health_threshold{signal="ping_failures"})
	)
	and on (service)
	  (max by (service) (redis_ping_reply{reply=~"timeout|refused"}) == 1)`

	hostGone = `(max by (service) (redis_host_reachable) == 0)`

	// Wider than pingsLost: a route or a name that is gone says nothing about Redis, but together with SSH it says the host is.
	nobodyThere = `(max by (service) (redis_ping_reply{reply=~"timeout|refused|unreachable|dns"}) == 1)`
)

// criticalGroup holds the alerts that wake the ladder. For one cause only one of them is active: the unit states exclude each
// other, and RedisUnitFailed and RedisUnitInactive leave to RedisDown what RedisDown covers.
func criticalGroup() Group {
	return Group{
		Name:     "redis_critical",
		Interval: time.Second,
		Alerts:   append(ladderAlerts(), blindAlerts()...),
	}
}

func ladderAlerts() []Alert {
	return []Alert{
		{
			Name: "RedisDown", Severity: Critical, Remediation: Ladder,
			Expr:    noAnswer + "\nand on (service)\n  " + unitDown,
			Summary: "Redis {{ $labels.service }} is down",
			Description: `systemd reports the unit of {{ $labels.service }} as failed or stopped, and Redis gives no answer. redis-medic
					looks for itself and starts it again, unless a person stopped it, a hold is on, or the cause cannot be cured by a start.`,
		},
		{
			Name: "RedisUnitFailed", Severity: Critical, Remediation: Ladder,
			Expr:    `(max by (service) (systemd_unit_state{state="failed"}) == 1)` + "\nunless on (service)\n  " + noAnswer,
			Summary: "The unit of Redis {{ $labels.service }} has failed although something answers on its port",
			Description: `systemd reports the unit of {{ $labels.service }} as failed, but its port answers or cannot be asked. Usually a
					process outside systemd holds the port. redis-medic names the holder; it never kills a process that is not the unit's.`,
		},
		{
			Name: "RedisUnitInactive", Severity: Critical, Remediation: Ladder,
			Expr:    `(max by (service) (systemd_unit_state{state="inactive"}) == 1)` + "\nunless on (service)\n  " + noAnswer,
			Summary: "The unit of Redis {{ $labels.service }} is stopped although something answers on its port",
			Description: `systemd reports the unit of {{ $labels.service }} as inactive, but its port answers or cannot be asked. Usually a
					process outside systemd holds the port. redis-medic names the holder; it never kills a process that is not the unit's.`,
		},
		{
			Name: "RedisHung", Severity: Critical, Remediation: Ladder,
			Expr:    pingsLost + "\nand on (service)\n  " + `(max by (service) (systemd_unit_state{state="active"}) == 1)`,
			Summary: "Redis {{ $labels.service }} runs but does not answer",
			Description: `The unit of {{ $labels.service }} is active, but {{ $value }} PINGs in a row got no answer. redis-medic looks for
					itself, tries the gentle steps that apply, and restarts Redis when nothing else can help.`,
		},
		{
			Name: "RedisBusyScript", Severity: Critical, Remediation: Ladder,
			Expr:    `max by (service) (redis_ping_reply{reply="busy"}) == 1`,
			Summary: "A script blocks Redis {{ $labels.service }}",
			Description: `A Lua script or function has run on {{ $labels.service }} for longer than busy-reply-threshold and every client
					gets BUSY. redis-medic asks Redis to kill it; a script that has already written can only be ended by a person.`,
		},
	}
}

// blindAlerts are outages that cannot be repaired from here, because what is needed to repair them is gone too.
func blindAlerts() []Alert {
	return []Alert{
		{
			Name: "RedisHostUnreachable", Severity: Critical, For: 5 * time.Second,
			Expr:    hostGone + "\nand on (service)\n  " + nobodyThere,
			Summary: "The host of Redis {{ $labels.service }} cannot be reached",
			Description: `Neither Redis {{ $labels.service }} nor SSH on its host answers. From here nothing can be repaired and nothing is
					tried: check the machine and the network.`,
		},
		{
			Name: "RedisNoConnectivity", Severity: Critical,
			Expr: "(\n" + pingsLost + "\n)\nunless on (service)\n  " + hostGone + "\nunless on (service)\n  " +
				`(max by (service) (systemd_unit_state) == 1)`,
			Summary: "Redis {{ $labels.service }} does not answer and systemd cannot be asked",
			Description: `{{ $value }} PINGs in a row to {{ $labels.service }} got no answer, and the state of its unit is not known. Unknown is
					not down: nothing is started or restarted until systemd has been heard.`,
		},
		{
			Name: "RedisMedicExporterDown", Severity: Critical, Self: true, For: 10 * time.Second,
			Expr:    `max by (job) (up{job="redis-medic"}) == 0` + "\nor\n" + `absent(up{job="redis-medic"})`,
			Summary: "redis-medic is not scraped",
			Description: `Prometheus cannot read the metrics of redis-medic, so nobody watches Redis. This says nothing about Redis itself and
					never causes an act.`,
		},
	}
}
