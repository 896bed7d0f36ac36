package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// checkProcess holds the keys outside the services against each other.
func (d *decoder) checkProcess(f file) {
	d.checkTLS(f.Redis.TLS, "redis.tls")
	d.checkJWT(f.ControlAPI.JWT)
	d.checkOIDC(f.ControlAPI.OIDC)
	d.checkUsers(f.ControlAPI)
	if f.Remediator.Alertmanager.URL == "" && f.Remediator.Alertmanager.CredentialsFile != "" {
		d.faultAt("remediator.alertmanager.credentials_file", "has no effect without remediator.alertmanager.url; set that too")
	}
	if am := f.Remediator.Alertmanager; am.URL == "" && len(am.FurtherURLs) > 0 {
		d.faultAt("remediator.alertmanager.further_urls", "are set without remediator.alertmanager.url; make the first of them the url")
	}
	if s := f.ControlAPI.Session; s.Idle > s.Max {
		d.faultAt("controlapi.session.idle_seconds", "is longer than max_seconds; make it shorter")
	}
	listeners := map[string]string{}
	for _, l := range []struct{ key, addr string }{
		{"exporter.listen", f.Exporter.Listen}, {"remediator.listen", f.Remediator.Listen}, {"controlapi.listen", f.ControlAPI.Listen},
	} {
		if _, port, err := net.SplitHostPort(l.addr); err != nil || port == "0" {
			continue
		}
		if other, taken := listeners[l.addr]; taken {
			d.faultAt(l.key, "is %s, as %s is; give each its own port", l.addr, other)
		}
		listeners[l.addr] = l.key
	}
}

func (d *decoder) checkTLS(t TLS, path string) {
	if d.has(path) && (t.CertFile == "") != (t.KeyFile == "") {
		d.faultAt(path, "cert_file and key_file belong together; set both or neither")
	}
}

func (d *decoder) checkJWT(j JWT) {
	sources := 0
	for _, s := range []string{j.HMACSecretFile, j.PublicKeyFile, j.JWKSURL} {
		if s != "" {
			sources++
		}
	}
	if sources > 1 {
		d.faultAt("controlapi.jwt", "has several sources of keys; keep one of hmac_secret_file, public_key_file and jwks_url")
	}
	if sources == 0 && d.has("controlapi.jwt") {
		d.faultAt("controlapi.jwt", "has no source of keys; add hmac_secret_file, public_key_file or jwks_url, or remove jwt")
	}
	if sources > 0 && (j.Issuer == "" || j.Audience == "") {
		d.faultAt("controlapi.jwt", "issuer and audience must not be empty; name who makes the tokens and for whom")
	}
}

// oidcCallback is where the control API takes a browser back from the identity provider.
const oidcCallback = "/api/auth/oidc/callback"

func (d *decoder) checkOIDC(o OIDC) {
	const at = "controlapi.oidc"
	if !d.has(at) {
		return
	}
	for _, need := range []struct{ key, value string }{{"issuer", o.Issuer}, {"client_id", o.ClientID}, {"redirect_url", o.RedirectURL}} {
		if need.value == "" {
			d.faultAt(at, "has no %s; the provider's page about its clients says which", need.key)
		}
	}
	for _, address := range []struct{ key, value string }{{"issuer", o.Issuer}, {"redirect_url", o.RedirectURL}} {
		if u, err := url.Parse(address.value); err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
			d.faultAt(at+"."+address.key, "must be an https address; codes and tokens travel there")
		}
	}
	if o.RedirectURL != "" && !strings.HasSuffix(o.RedirectURL, oidcCallback) {
		d.faultAt(at+".redirect_url", "must end in %s; that is where the control API waits for browsers", oidcCallback)
	}
	if len(o.Roles.Admin)+len(o.Roles.Operator)+len(o.Roles.Viewer) == 0 && o.DefaultRole == "" {
		d.faultAt(at, "has neither roles nor default_role, so nobody could sign in; name the groups of each role")
	}
}

func loopback(name string) bool {
	ip, err := netip.ParseAddr(name)
	return name == "localhost" || (err == nil && ip.IsLoopback())
}

func (d *decoder) checkUsers(c ControlAPI) {
	ids, emails, names := map[string]int{}, map[string]int{}, map[string]int{}
	for i, u := range c.Users {
		at := "controlapi.users[" + strconv.Itoa(i) + "]"
		d.once(ids, u.ID, i, at+".id", "controlapi.users[%d]")
		d.once(emails, strings.ToLower(u.Email), i, at+".email", "controlapi.users[%d]")
		if (u.PasswordHash.Reveal() == "") == (u.PasswordHashFile == "") {
			d.faultAt(at, "needs either password_hash or password_hash_file; make a hash with: redis-medic hash-password")
		}
	}
	for i, a := range c.ServiceAccounts {
		d.once(names, a.Name, i, "controlapi.service_accounts["+strconv.Itoa(i)+"].name", "controlapi.service_accounts[%d]")
	}
}

// once reports a value that an earlier entry of the same list has too.
func (d *decoder) once(seen map[string]int, value string, i int, path, where string) {
	if value == "" {
		return
	}
	if first, taken := seen[value]; taken {
		d.faultAt(path, "is %q, as in %s; give each its own", value, fmt.Sprintf(where, first))
		return
	}
	seen[value] = i
}

// checkService holds the keys of one merged service against each other.
func (d *decoder) checkService(s Service, path string, f file) {
	if _, known := f.SSH.Hosts[s.Service.Host]; !known && s.Service.Host != "" {
		d.faultAt(path+".service.host", "is %q, but ssh.hosts has no such entry; add it there", s.Service.Host)
	}
	d.checkTLS(s.Redis.TLS, path+".redis.tls")
	d.checkHealth(s.HealthCheck, path+".health_check")
	d.checkCollect(s.Collect, path+".collect")
	if !s.Audit.Enabled {
		d.faultAt(path+".audit.enabled", "must be true; without a record no act would be allowed")
	}
	if !slices.Contains(s.ServiceControl.AllowedOperations, "status") {
		d.faultAt(path+".service_control.allowed_operations", "must contain status; add it, nothing can be shown without")
	}
	if ar := s.AutoRecovery; ar.Enabled && !ar.Strategies.Soft.Enabled && !ar.Strategies.Standard.Enabled && !ar.Strategies.Hard.Enabled {
		d.faultAt(path+".auto_recovery.strategies", "are all switched off; set auto_recovery.enabled to false, or enable one")
	}
	if g := s.AutoRecovery.LoopGuard; g.LongRecoveries > 0 && (g.LongWindow <= g.Window || g.LongRecoveries <= g.Recoveries) {
		d.faultAt(path+".auto_recovery.loop_guard", "has a long window that is not longer than the short one, or counts no more; raise long_window_seconds and "+
			"long_recoveries, or set long_recoveries to 0")
	}
	if ar := s.AutoRecovery; ar.Strategies.Force.AcceptDataLoss && !ar.Strategies.Force.Enabled {
		d.faultAt(path+".auto_recovery.strategies.force.accept_data_loss", "has no effect while force is not enabled; enable it or remove the key")
	}
	if want := "/ws/services/" + s.ID + "/status"; s.WebSocket.Endpoint != "" && s.WebSocket.Endpoint != want {
		d.faultAt(path+".websocket.endpoint", "is %q, but this service has %s; remove the key to get that", s.WebSocket.Endpoint, want)
	}
	d.checkSeverities(s.Alerts.Severities, path+".alerts.severity_levels")
}

func (d *decoder) checkHealth(hc HealthCheck, path string) {
	if hc.Recheck > hc.Interval {
		d.faultAt(path+".recheck_seconds", "is longer than interval_seconds; make it shorter")
	}
	for _, e := range []struct{ key, got, want string }{
		{"connectivity", hc.Checks.Connectivity.ExpectedOutput, expectedPing}, {"systemd", hc.Checks.Systemd.ExpectedOutput, expectedActive},
	} {
		if e.got != e.want {
			d.faultAt(path+".checks."+e.key+".expected_output", "is %q, but must be %q: that is what the program looks for", e.got, e.want)
		}
	}
	t, at := hc.Checks.Performance.Thresholds, path+".checks.performance.thresholds"
	for _, p := range []struct {
		key               string
		warning, critical float64
	}{
		{"memory_mb", float64(t.MemoryMBWarning), float64(t.MemoryMBCritical)},
		{"cpu_percent", t.CPUPercentWarning, t.CPUPercentCritical},
		{"connections", float64(t.ConnectionsWarning), float64(t.ConnectionsCritical)},
	} {
		if p.warning > 0 && p.critical > 0 && p.warning >= p.critical {
			d.faultAt(at+"."+p.key+"_warning", "is %g, but %s_critical is %g; the warning must come first", p.warning, p.key, p.critical)
		}
	}
}

func (d *decoder) checkSeverities(l SeverityLevels, path string) {
	seen := map[string]string{}
	for _, level := range []struct {
		name   string
		events []string
	}{{"critical", l.Critical}, {"warning", l.Warning}, {"info", l.Info}} {
		for i, e := range level.events {
			if other, taken := seen[e]; taken && other != level.name {
				d.faultAt(path+"."+level.name+"["+strconv.Itoa(i)+"]", "is %q, which %s has too; an event has one severity", e, other)
			}
			seen[e] = level.name
		}
	}
}

// checkTogether holds the services against each other.
func (d *decoder) checkTogether(c *Config) {
	ids, units, addrs := map[string]string{}, map[string]string{}, map[string]string{}
	for i, s := range c.Services {
		path := treeKey
		if i > 0 {
			path = "services[" + strconv.Itoa(i-1) + "]"
		}
		for _, k := range []struct {
			seen             map[string]string
			value, key, what string
		}{
			{ids, s.ID, ".id", "the id of"},
			{units, s.Service.Host + " " + s.Service.SystemdUnit, ".service.systemd_unit", "the unit of"},
			{addrs, net.JoinHostPort(s.Service.IP, strconv.Itoa(s.Service.Port)), ".service.port", "the address of"},
		} {
			if other, taken := k.seen[k.value]; taken {
				d.faultAt(path+k.key, "is also %s service %q; give each service its own", k.what, other)
				continue
			}
			k.seen[k.value] = s.ID
		}
	}
}

// warnings are about files that load, but do less than their author will think.
func warnings(c *Config) []string {
	var out []string
	for i, u := range c.ControlAPI.Users {
		if h := u.PasswordHash.Reveal(); h != "" && len(h) < 40 {
			out = append(out, fmt.Sprintf("controlapi.users[%d].password_hash is only the beginning of a hash: %s cannot sign in with a password", i, u.ID))
		}
	}
	if !c.ControlAPI.JWT.On() && c.ControlAPI.OIDC.Issuer == "" && len(c.ControlAPI.Users) == 0 && len(c.ControlAPI.ServiceAccounts) == 0 {
		out = append(out, "controlapi has no jwt, oidc, users or service_accounts: nobody can sign in")
	}
	if c.Remediator.Alertmanager.URL == "" {
		out = append(out, "remediator.alertmanager.url is not set: no reconciliation, no alerts about recoveries, no silences")
	}
	for _, s := range c.Services {
		if a := s.AutoRecovery; a.Enabled && !s.HealthCheck.Enabled {
			out = append(out, fmt.Sprintf("service %s: health_check is off, so only alerts of others start a recovery", s.ID))
		}
	}
	if !strings.HasPrefix(c.Services[0].Audit.LogFile, filepath.Clean(c.Storage.Path)) && !strings.HasPrefix(c.Services[0].Audit.LogFile, "/var/log/") {
		out = append(out, "audit.log_file is outside storage.path and /var/log: see that the unit file lets the program write there")
	}
	return out
}
