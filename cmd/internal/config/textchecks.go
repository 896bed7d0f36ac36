package config

import (
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/host"
)

// events are the alerts of Appendix A that the program posts itself.
var events = []string{
	"service_down", "recovery_failed", "manual_intervention_required", "auto_recovery_attempted", "performance_degraded",
	"service_restarted", "health_check_passed",
}

var (
	idPattern   = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	userPattern = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
	hostPattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)
	hashPattern = regexp.MustCompile(`^\$(2[aby]|argon2id)\$.+`)
)

// textChecks are the rules that a `check` tag names. Each says what is wrong and what to do, or "".
var textChecks = map[string]func(string) string{
	"id": func(s string) string {
		return unless(idPattern.MatchString(s), "%q is not a usable name; use a-z, 0-9, - and _, at most 63, beginning with a letter or digit", s)
	},
	"unit": func(s string) string {
		return unless(host.ValidateUnit(host.Unit{Name: s}) == nil, "%q is not a plain systemd service name; write it like redis-server.service", s)
	},
	"remotepath": func(s string) string {
		return unless(host.ValidateUnit(host.Unit{Name: "x.service", LogFile: s}) == nil, "%q is not a plain absolute path; write it like /var/log/redis/redis-server.log", s)
	},
	"host": func(s string) string {
		return unless(validHost(s), "%q is neither an IP address nor a host name", s)
	},
	"hostport": func(s string) string {
		h, p, err := net.SplitHostPort(s)
		return unless(err == nil && validHost(h) && validPort(p, 1), "%q is not host:port; write it like 172.16.168.23:22", s)
	},
	"listen": func(s string) string {
		h, p, err := net.SplitHostPort(s)
		return unless(err == nil && (h == "" || validHost(h)) && validPort(p, 0), "%q is not an address to listen on; write it like :9121 or 127.0.0.1:9121", s)
	},
	"user": func(s string) string {
		return unless(userPattern.MatchString(s), "%q is not a user name", s)
	},
	"url": func(s string) string {
		u, err := url.Parse(s)
		good := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
		return unless(good, "is not an http or https URL without user and password; write it like http://127.0.0.1:9093")
	},
	"origin": func(s string) string {
		u, err := url.Parse(s)
		good := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.String() == u.Scheme+"://"+u.Host
		return unless(good, "%q is not an origin; write it like https://panel.example", s)
	},
	"email": func(s string) string {
		a, err := mail.ParseAddress(s)
		return unless(err == nil && a.Address == s, "%q is not an e-mail address", s)
	},
	"cidr": func(s string) string {
		_, err := netip.ParsePrefix(s)
		return unless(err == nil, "%q is not a network; write it like 10.0.0.0/8 or 192.0.2.7/32", s)
	},
	"hash": func(s string) string {
		return unless(hashPattern.MatchString(s), "is not a bcrypt or argon2id hash; make one with: redis-medic hash-password")
	},
	"abs": func(s string) string {
		return unless(filepath.IsAbs(s) && filepath.Clean(s) != "/", "%q is not an absolute path below /; write it like /var/lib/redis-medic", s)
	},
	"logdaemon": func(s string) string {
		if err := audit.CheckForward(s); err != nil {
			return err.Error()
		}
		return ""
	},
	"event": func(s string) string {
		return unless(slices.Contains(events, s), "%q is not a known event; use %s", s, strings.Join(events, ", "))
	},
	"key":    keyFault,
	"regexp": regexpFault,
	"endpoint": func(s string) string {
		good := strings.HasPrefix(s, "/ws/services/") && strings.HasSuffix(s, "/status")
		return unless(good, "is %q, but must be /ws/services/<id>/status; remove the key to get that", s)
	},
}

func unless(good bool, format string, args ...any) string {
	if good {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

func validHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	return hostPattern.MatchString(s)
}

func validPort(s string, low int) bool {
	p, err := strconv.Atoi(s)
	return err == nil && p >= low && p <= 65535
}
