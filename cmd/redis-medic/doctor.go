package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/cmd/internal/config"
	"github.com/redis-medic/redis-medic/exporter"
	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/host"
)

// finding is the outcome of one check of doctor.
type finding struct {
	bad, warn bool
	text      string
	fix       string // what to do; empty when all is well
}

func good(format string, args ...any) finding { return finding{text: fmt.Sprintf(format, args...)} }

func bad(fix, format string, args ...any) finding {
	return finding{bad: true, text: fmt.Sprintf(format, args...), fix: fix}
}

func warn(fix, format string, args ...any) finding {
	return finding{warn: true, text: fmt.Sprintf(format, args...), fix: fix}
}

// patient is what doctor looks at: one service with the ways to it.
type patient struct {
	service config.Service
	ssh     config.SSHHost
	fleet   *host.Fleet
	prober  *exporter.Prober
	trySudo bool
}

// doctorTimeout bounds one check.
const doctorTimeout = 20 * time.Second

var errUnwell = errors.New("doctor: not everything is as it must be")

// doctor tries every precondition on the hosts and says what to do about those that do not hold. It changes nothing, unless
// --try-sudo is given: then it continues (SIGCONT) the process, which is nothing to one that runs.
func doctor(ctx context.Context, c console, args []string) (err error) {
	f := newFlags(c, "doctor", "[--config FILE] [SERVICE]...")
	file := f.String("config", defaultConfig, "the configuration `FILE`")
	trySudo := f.Bool("try-sudo", false, "also try sudo, by continuing (SIGCONT) the running process")
	output := f.String("o", "text", "`text` or json")
	if err := parse(f, args, len(args)); err != nil {
		return err
	}
	if *output != "text" && *output != "json" {
		return fmt.Errorf("doctor: -o is text or json, not %q", *output)
	}
	cfg, p, err := loadConfig(*file)
	if err != nil {
		return faults(*file, err)
	}
	members, _, err := p.members(nil, nil, hostParts{log: zerolog.Nop()})
	if err != nil {
		return err
	}
	fleet := host.NewFleet(members)
	defer func() { err = errors.Join(err, fleet.Close()) }()
	prober, err := exporter.NewProber(exporter.ProberOptions{Targets: p.Exporter.Targets, Units: fleet, Logger: zerolog.Nop()})
	if err != nil {
		return err
	}
	r := &report{out: c.out, json: *output == "json"}
	r.add("", "configuration", good("%s is good", *file))
	for _, url := range append([]string{p.Alertmanager}, p.Further...) {
		r.add("", "Alertmanager", checkAlertmanager(ctx, url))
	}
	for _, s := range cfg.Services {
		if f.NArg() > 0 && !slices.Contains(f.Args(), s.ID) {
			continue
		}
		examine(ctx, r, patient{service: s, ssh: cfg.SSH.Hosts[s.Service.Host], fleet: fleet, prober: prober, trySudo: *trySudo})
	}
	return r.end()
}

// report writes findings: as text they are written as they come, as JSON all at once.
type report struct {
	out        io.Writer
	json       bool
	list       []reported
	bad, warns int
}

// reported is one finding as JSON.
type reported struct {
	Service string `json:"service,omitempty"`
	Check   string `json:"check"`
	Status  string `json:"status"` // ok, warn, bad
	Text    string `json:"text"`
	Fix     string `json:"fix,omitempty"`
}

func (r *report) add(service, check string, f finding) {
	status := "ok"
	switch {
	case f.bad:
		status = "bad"
		r.bad++
	case f.warn:
		status = "warn"
		r.warns++
	}
	if r.json {
		r.list = append(r.list, reported{service, check, status, f.text, f.fix})
		return
	}
	what := check
	if service != "" {
		what = "service " + service + ", " + check
	}
	mark := map[string]string{"ok": "ok  ", "warn": "warn", "bad": "BAD "}[status]
	fmt.Fprintf(r.out, "%s  %s: %s\n", mark, what, f.text)
	if f.fix != "" {
		fmt.Fprintf(r.out, "      do: %s\n", strings.ReplaceAll(f.fix, "\n", "\n          "))
	}
}

func (r *report) end() error {
	var err error
	if r.bad > 0 {
		err = errUnwell
	}
	if r.json {
		e := json.NewEncoder(r.out)
		e.SetIndent("", "  ")
		return errors.Join(err, e.Encode(map[string]any{"well": r.bad == 0, "bad": r.bad, "warnings": r.warns, "findings": r.list}))
	}
	if r.bad > 0 {
		fmt.Fprintf(r.out, "\n%d bad, %d to think about\n", r.bad, r.warns)
		return err
	}
	fmt.Fprintf(r.out, "\nall is well, %d to think about\n", r.warns)
	return nil
}

// examine makes the checks of one service. Without a way to the host only Redis is left to look at.
func examine(ctx context.Context, r *report, p patient) {
	id := p.service.ID
	ctx, cancel := context.WithTimeout(ctx, 5*doctorTimeout)
	defer cancel()
	look, err := p.prober.Look(ctx, id)
	if err != nil {
		r.add(id, "looking", bad("see the message", "could not be looked at: %v", err))
		return
	}
	ssh := checkSSH(p, look.Unit)
	r.add(id, "SSH", ssh)
	if !ssh.bad {
		r.add(id, "unit", checkUnit(p, look.Unit.Unit))
		r.add(id, "sudo lines", checkRights(ctx, p))
		r.add(id, "journal", checkVerb(ctx, p, host.VerbJournal))
		if p.service.Service.LogFile != "" {
			r.add(id, "Redis log", checkVerb(ctx, p, host.VerbRedisLog))
		}
		r.add(id, "watch", checkWatch(ctx, p))
		r.add(id, "clock", checkClock(ctx, p))
		r.add(id, "last known good configuration", checkKeeper(ctx, p))
		if p.trySudo {
			r.add(id, "sudo", checkVerb(ctx, p, host.VerbContinue))
		}
	}
	r.add(id, "Redis", checkRedis(p, look))
}

func checkSSH(p patient, read health.UnitRead) finding {
	where := p.ssh.User + "@" + p.ssh.Address
	hostname, port, _ := strings.Cut(p.ssh.Address, ":")
	switch read.Class {
	case health.ClassNone:
		return good("%s answers", where)
	case health.ClassUnreachable, health.ClassTimeout:
		return bad("see that sshd runs there and that no firewall is between: nc -vz "+hostname+" "+port, "%s: %s", where, read.Err)
	case health.ClassHostKey:
		return bad("compare the host's key, on its own console, with "+p.ssh.KnownHostsFile+"\n"+
			"(on the host: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub). Only if it is right, put it in:\n"+
			"ssh-keyscan -p "+port+" "+hostname+" >> "+p.ssh.KnownHostsFile, "%s: %s", where, read.Err)
	case health.ClassAuth:
		return bad("on the host, as root: deploy/host/install.sh --key "+p.ssh.IdentityFile+".pub --user "+p.ssh.User, "%s: %s", where, read.Err)
	case health.ClassDenied:
		return bad(gateFix(p), "%s lets us in, but refuses to show the unit: %s", where, read.Err)
	default:
		return bad(gateFix(p), "%s lets us in, but the unit cannot be read: %s", where, read.Err)
	}
}

// gateFix is about the two ways in which host and configuration can differ.
func gateFix(p patient) string {
	install := "on the host, as root: deploy/host/install.sh --key KEY.pub --user " + p.ssh.User + " --unit " + p.service.Service.SystemdUnit
	if p.ssh.Gate {
		return install + "\n(or, if the host has no gate: ssh.hosts." + p.service.Service.Host + ".gate: false)"
	}
	return "if the gate is installed there: ssh.hosts." + p.service.Service.Host + ".gate: true; else " + install + " --without-gate"
}

func checkUnit(p patient, u health.Unit) finding {
	unit := p.service.Service.SystemdUnit
	switch {
	case u.LoadState == "not-found":
		return bad("correct service.systemd_unit; the host's units: systemctl list-units '*redis*'", "%s does not exist on the host", unit)
	case u.LoadState != "loaded":
		return bad("on the host: systemctl status "+unit, "%s is %s", unit, u.LoadState)
	case u.UnitFileState != "enabled" && u.UnitFileState != "static" && u.UnitFileState != "":
		return warn("on the host: systemctl enable "+unit, "%s is %s, and %s: it does not start with the machine", unit, u.ActiveState, u.UnitFileState)
	case u.TimeoutStop == health.Infinite:
		return warn("on the host: systemctl edit "+unit+", and in [Service]: TimeoutStopSec=60",
			"%s is %s (%s), and a stop of it may hang for ever", unit, u.ActiveState, u.SubState)
	}
	reload := "; it has no reload, as on stock Debian, so the soft rung never reloads it"
	if u.CanReload {
		reload = "; it can be reloaded"
	}
	return good("%s is %s (%s)%s", unit, u.ActiveState, u.SubState, reload)
}

func checkVerb(ctx context.Context, p patient, verb host.Verb) finding {
	lines := 0
	if verb == host.VerbJournal || verb == host.VerbRedisLog {
		lines = 1
	}
	_, err := p.fleet.Run(ctx, p.service.ID, verb, lines)
	if err == nil {
		return good("%s works", verb)
	}
	e, ok := errors.AsType[*host.Error](err)
	if !ok {
		return bad("see the message", "%s: %v", verb, err)
	}
	switch verb {
	case host.VerbJournal:
		return warn("on the host, as root: usermod -aG systemd-journal "+p.ssh.User, "%s", e.Public)
	case host.VerbRedisLog:
		return warn("on the host, as root: usermod -aG adm "+p.ssh.User+" (Debian's log is redis:adm); or correct service.log_file",
			"%s cannot be read: %s", p.service.Service.LogFile, e.Public)
	default:
		return bad(gateFix(p), "%s: %s", verb, e.Public)
	}
}

func checkRedis(p patient, look health.Observation) finding {
	addr := redisAddr(p.service)
	conf := "/etc/redis/redis.conf on the host"
	switch look.Ping.Reply {
	case health.ReplyPong:
		return good("%s answers PONG in %s", addr, look.Ping.Latency.Round(10*time.Microsecond))
	case health.ReplyNoAuth:
		return bad("put Redis's password into redis.password_file", "%s wants a password, or another one: %s", addr, look.Ping.Detail)
	case health.ReplyNoPerm:
		return bad("in Redis: ACL SETUSER "+p.service.Redis.Username+" +ping +info +config|get +script|kill +function|kill", "%s: %s", addr, look.Ping.Detail)
	case health.ReplyRefused:
		if look.Unit.OK() && look.Unit.Unit.Running() {
			return bad("in "+conf+", let Redis listen there: bind 127.0.0.1 -::1 "+p.service.Service.IP+"; then restart it", "nothing listens on %s, but the unit runs", addr)
		}
		return bad("start it: redis-medic start "+p.service.ID, "nothing listens on %s", addr)
	case health.ReplyProtocol:
		return bad("Redis in protected mode speaks to nobody from outside: set a password (requirepass) in "+conf+"; or something else than Redis listens there",
			"%s: %s", addr, look.Ping.Detail)
	case health.ReplyTLS:
		return bad("compare redis.tls with tls-port, tls-ca-cert-file and tls-auth-clients in "+conf, "%s: %s", addr, look.Ping.Detail)
	case health.ReplyTimeout, health.ReplyUnreachable, health.ReplyDNS:
		return bad("see that no firewall is between: nc -vz "+p.service.Service.IP+" "+strconv.Itoa(p.service.Service.Port), "%s: %s %s", addr, look.Ping.Reply, look.Ping.Detail)
	default:
		return warn("see deploy/docs/runbook.md", "%s answers, but with %s: %s", addr, look.Ping.Reply, look.Ping.Detail)
	}
}

func checkAlertmanager(ctx context.Context, url string) finding {
	if url == "" {
		return warn("set remediator.alertmanager.url", "not configured: no reconciliation with its alerts")
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/-/ready", nil)
	if err != nil {
		return bad("correct remediator.alertmanager.url", "%v", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return bad("start it, or correct remediator.alertmanager.url", "%s does not answer: %v", url, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return bad("see its log", "%s is not ready: %s", url, resp.Status)
	}
	return good("%s is ready", url)
}
