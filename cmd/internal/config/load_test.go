package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redis-medic/redis-medic/controlapi/rbac"
	"github.com/redis-medic/redis-medic/deploy"
)

// folder returns a folder with the files that the configurations under testdata name.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{
		"key": 0o600, "known_hosts": 0o644, "token": 0o600, "redis_password": 0o600, "admin_password": 0o600, "operator_password": 0o600, "viewer_password": 0o600, "secret": 0o600, "open": 0o644, "writable": 0o666, "empty": 0o600, "pem": 0o644,
		"autobot_key": 0o600, "webhook_token": 0o600, "jwt_secret": 0o600, "backend_token": 0o600,
	} {
		content := strings.Repeat("x", 40) + "\n"
		if name == "empty" {
			content = ""
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// loadText loads a configuration whose files are those of folder.
func loadText(t *testing.T, text string) (*Config, error) {
	t.Helper()
	dir := folder(t)
	name := filepath.Join(dir, "redis-medic.yml")
	text = strings.ReplaceAll(text, "/etc/redis-medic", dir)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(name)
	if err != nil {
		err = fmt.Errorf("%s", strings.ReplaceAll(err.Error(), dir+"/", ""))
	}
	return c, err
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestTheContractFileLoadsAndMeansWhatItSays(t *testing.T) {
	c, err := loadText(t, read(t, "contract.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Services) != 2 {
		t.Fatalf("%d services, want 2", len(c.Services))
	}
	redis, sessions := c.Services[0], c.Services[1]
	if redis.ID != "redis" || sessions.ID != "sessions" {
		t.Errorf("ids %q and %q", redis.ID, sessions.ID)
	}
	for _, s := range c.Services {
		check := s.HealthCheck.Checks
		got := map[string]any{
			"ping interval": check.Connectivity.Interval, "ping timeout": check.Connectivity.Timeout, "ping threshold": check.Connectivity.FailureThreshold,
			"unit interval": check.Systemd.Interval, "unit timeout": check.Systemd.Timeout, "unit threshold": check.Systemd.FailureThreshold,
			"memory": check.Performance.Thresholds.MemoryMBCritical, "soft": s.AutoRecovery.Strategies.Soft.Timeout,
			"force": s.AutoRecovery.Strategies.Force.Enabled, "breaker": s.AutoRecovery.CircuitBreaker.Timeout,
			"logs": s.Permissions.Logs, "cache": s.Cache.TTL, "critical mail": s.Alerts.Recipients.Critical,
			"audit": strings.TrimPrefix(s.Audit.LogFile, "/var/lib/redis-medic/"),
		}
		want := map[string]any{
			"ping interval": 30 * time.Second, "ping timeout": 5 * time.Second, "ping threshold": 3,
			"unit interval": time.Minute, "unit timeout": 10 * time.Second, "unit threshold": 2,
			"memory": 4096, "soft": 10 * time.Second, "force": false, "breaker": 300 * time.Second,
			"logs": []string{"admin"}, "cache": 10 * time.Second, "critical mail": []string{"admin@autobot.local"},
			"audit": "logs/audit/redis_service_management.log",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("service %s (-want +got):\n%s", s.ID, diff)
		}
	}
	if sessions.Service.Port != 6380 || sessions.Service.SystemdUnit != "redis-server@sessions.service" || sessions.Service.Name != "redis-server" {
		t.Errorf("sessions was not merged: %+v", sessions.Service)
	}
	if got := sessions.WebSocket.Endpoint; got != "/ws/services/sessions/status" {
		t.Errorf("endpoint of sessions is %q", got)
	}
	if diff := cmp.Diff([]string{"backend", "knowledge_base", "cache"}, c.Dependents); diff != "" {
		t.Error(diff)
	}
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "user-123 cannot sign in") {
		t.Errorf("warnings %q, want one about the placeholder hash", c.Warnings)
	}
}

func TestTheMinimalFileGetsTheDefaults(t *testing.T) {
	c, err := loadText(t, read(t, "minimal.yml"))
	if err != nil {
		t.Fatal(err)
	}
	s := c.Services[0]
	conn := s.HealthCheck.Checks.Connectivity
	if conn.Interval != 5*time.Second || s.HealthCheck.Recheck != time.Second || conn.FailureThreshold != 3 {
		t.Errorf("PING every %s, again after %s, %d times", conn.Interval, s.HealthCheck.Recheck, conn.FailureThreshold)
	}
	if s.Service.SystemdUnit != "redis-server.service" || s.Service.Port != 6379 || c.SSH.Hosts["redis"].User != "autobot" {
		t.Errorf("target %+v of %+v", s.Service, c.SSH.Hosts)
	}
	if c.Exporter.Listen != ":9121" || c.Remediator.Listen != ":9122" || c.ControlAPI.Listen != ":8001" {
		t.Errorf("listeners %s %s %s", c.Exporter.Listen, c.Remediator.Listen, c.ControlAPI.Listen)
	}
	if !filepath.IsAbs(c.SSH.Hosts["redis"].IdentityFile) {
		t.Errorf("identity file %q is not absolute", c.SSH.Hosts["redis"].IdentityFile)
	}
}

// Each file under testdata/invalid-*.yml has one mistake; its last lines say which complaint it must get, and no other.
func TestEachMistakeGetsItsComplaint(t *testing.T) {
	names, err := filepath.Glob("testdata/invalid-*.yml")
	if err != nil || len(names) < 40 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".yml"), func(t *testing.T) {
			text := read(t, filepath.Base(name))
			var want []string
			for line := range strings.Lines(text) {
				if w, ok := strings.CutPrefix(strings.TrimSpace(line), "# want: "); ok {
					want = append(want, "redis-medic.yml:"+w)
				}
			}
			_, err := loadText(t, text)
			if err == nil {
				t.Fatalf("loaded, want %q", want)
			}
			if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("complaints (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAMissingFileIsNamed(t *testing.T) {
	_, err := Load("/nonexistent/redis-medic.yml")
	if err == nil || !strings.Contains(err.Error(), "/nonexistent/redis-medic.yml: cannot be read (no such file or directory)") {
		t.Errorf("got %v", err)
	}
}

func TestServicesAreMergedDeeply(t *testing.T) {
	text := read(t, "minimal.yml") + `
redis:
  username: medic
  password_file: secret
dependents: [all]
services:
  - id: cache
    service: {systemd_unit: redis-server@cache.service, port: 6380}
    redis: {username: cacher}
    health_check:
      interval_seconds: 2
      checks:
        performance:
          thresholds: {memory_mb_warning: 100}
    auto_recovery:
      strategies:
        hard: {enabled: false}
    service_control:
      allowed_operations: [status, start]
  - id: queue
    service: {systemd_unit: redis-server@queue.service, port: 6381, ip: 10.0.0.2}
`
	c, err := loadText(t, text)
	if err != nil {
		t.Fatal(err)
	}
	base, cache, queue := c.Services[0], c.Services[1], c.Services[2]
	want := base
	want.ID = "cache"
	want.Service.SystemdUnit, want.Service.Port = "redis-server@cache.service", 6380
	want.Redis.Username = "cacher"
	want.HealthCheck.Interval = 2 * time.Second
	want.HealthCheck.Checks.Connectivity.Interval = 2 * time.Second
	want.HealthCheck.Checks.Performance.Thresholds.MemoryMBWarning = 100
	want.AutoRecovery.Strategies.Hard.Enabled = false
	want.ServiceControl.AllowedOperations = []string{"status", "start"}
	want.WebSocket.Endpoint = "/ws/services/cache/status"
	if diff := cmp.Diff(want, cache, cmp.Comparer(func(a, b Command) bool { return a == b })); diff != "" {
		t.Errorf("cache (-want +got):\n%s", diff)
	}
	if queue.Redis.Username != "medic" || queue.HealthCheck.Interval != 5*time.Second || c.Dependents[0] != "all" || queue.Service.IP != "10.0.0.2" {
		t.Errorf("queue took something of cache: %+v", queue)
	}
	if diff := cmp.Diff(queue.ServiceControl.AllowedOperations, base.ServiceControl.AllowedOperations); diff != "" {
		t.Errorf("the tree was changed by a service:\n%s", diff)
	}
}

func TestCommandsMayBeWrittenInEveryHonestWay(t *testing.T) {
	for _, line := range []string{
		"service_control: {commands: {start: systemctl start redis-server}}",
		"service_control: {commands: {start: sudo  systemctl start redis-server.service}}",
		"service_control: {commands: {start: sudo -n systemctl start redis-server}}",
		"service_control: {commands: {logs: \"journalctl -u redis-server.service -n {lines} --no-pager\"}}",
		"service_control: {commands: {status: sudo systemctl status redis-server}}",
		"health_check: {checks: {connectivity: {command: redis-cli -h 10.0.0.1 -p 6379 PING}}}",
		"health_check: {checks: {systemd: {command: systemctl is-active redis-server.service}}}",
		"auto_recovery: {strategies: {force: {command: sudo systemctl kill --kill-who=main --signal=SIGKILL redis-server}}}",
	} {
		text := strings.Replace(read(t, "minimal.yml"), "redis_service_management:\n", "redis_service_management:\n  "+line+"\n", 1)
		if _, err := loadText(t, text); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestSecretsAreReadAndNeverPrinted(t *testing.T) {
	text := read(t, "contract.yml")
	text = strings.Replace(text, `password_file: ""`, `password_file: "secret"`, 1)
	c, err := loadText(t, text)
	if err != nil {
		t.Fatal(err)
	}
	s, err := LoadSecrets(c)
	if err != nil {
		t.Fatal(err)
	}
	canary := strings.Repeat("x", 40)
	for name, got := range map[string]Secret{
		"redis": s.RedisPasswords["redis"], "sessions": s.RedisPasswords["sessions"], "webhook": s.WebhookToken,
		"jwt": s.JWTHMAC, "account": s.ServiceAccounts["backend"],
	} {
		if got.Text() != canary || !got.Set() || string(got.Bytes()) != canary {
			t.Errorf("%s is %q", name, got.Text())
		}
	}
	if got := s.PasswordHashes["user-123"].Text(); got != "$2a$12$..." {
		t.Errorf("hash %q", got)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		printed := fmt.Sprintf(verb, s) + fmt.Sprintf(verb, *s) + fmt.Sprintf(verb, s.JWTHMAC) + fmt.Sprintf(verb, *c)
		for _, bad := range []string{canary, fmt.Sprintf("%x", canary[:8]), "$2a$12$", "120 120 120"} {
			if strings.Contains(printed, bad) {
				t.Errorf("%s shows %q", verb, bad)
			}
		}
	}
}

func TestBadSecretsAreAllReported(t *testing.T) {
	dir := folder(t)
	short := filepath.Join(dir, "short")
	if err := os.WriteFile(short, []byte("abc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &Config{File: "x.yml", Services: []Service{{ID: "redis"}}}
	c.Services[0].Redis.PasswordFile = filepath.Join(dir, "gone")
	c.Remediator.Webhook.CredentialsFile = filepath.Join(dir, "open")
	c.ControlAPI.JWT.HMACSecretFile = short
	c.ControlAPI.Users = []User{{ID: "u1", PasswordHashFile: filepath.Join(dir, "secret")}}
	c.ControlAPI.ServiceAccounts = []ServiceAccount{{Name: "backend", TokenFile: filepath.Join(dir, "empty")}}
	_, err := LoadSecrets(c)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"redis.password_file of service redis: " + dir + "/gone does not exist",
		"remediator.webhook.credentials_file: " + dir + "/open holds a secret, but others than its owner may use it (mode 0644); run: chmod 600 " + dir + "/open",
		"controlapi.jwt.hmac_secret_file: " + short + " has 3 bytes, but needs 32 or more; make one with: openssl rand -base64 48",
		"password_hash_file of user u1: " + dir + "/secret has no bcrypt or argon2id hash",
		"token_file of service account backend: " + dir + "/empty is empty",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
}

// Every tag must be one that the decoder knows: a misspelt one would check nothing.
func TestTheTagsAreKnown(t *testing.T) {
	for _, typ := range []reflect.Type{reflect.TypeFor[file](), reflect.TypeFor[Service](), reflect.TypeFor[SSHHost]()} {
		walkTags(t, typ)
	}
}

func walkTags(t *testing.T, typ reflect.Type) {
	t.Helper()
	for f := range typ.Fields() {
		if name := f.Tag.Get("check"); name != "" && textChecks[name] == nil {
			t.Errorf("%s.%s: unknown check %q", typ.Name(), f.Name, name)
		}
		switch kind := f.Tag.Get("file"); kind {
		case "", "secret", "trusted", "read", "written":
		default:
			t.Errorf("%s.%s: unknown file kind %q", typ.Name(), f.Name, kind)
		}
		inner := f.Type
		for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Map {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner.PkgPath() == typ.PkgPath() && inner != reflect.TypeFor[Command]() && inner != reflect.TypeFor[Redacted]() {
			walkTags(t, inner)
		}
	}
}

func FuzzLoadNeverPanics(f *testing.F) {
	for _, name := range []string{"contract.yml", "minimal.yml"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Add("a: &a [*a]")
	f.Add("services: [{}]")
	f.Fuzz(func(t *testing.T, text string) {
		root, problem := parse("fuzz.yml", []byte(text))
		if problem != nil {
			return
		}
		d := &decoder{file: "fuzz.yml", dir: "/nonexistent", lines: map[string]int{}}
		d.decode(root)
	})
}

func TestThePermissionsAreThoseOfTheControlAPI(t *testing.T) {
	full := Permissions{}
	v := reflect.ValueOf(&full).Elem()
	for _, f := range v.Fields() {
		f.Set(reflect.ValueOf([]string{"admin"}))
	}
	got := full.Map()
	for _, p := range rbac.Permissions() {
		if got[string(p)] == nil {
			t.Errorf("permission %s cannot be configured", p)
		}
	}
	if len(got) != len(rbac.Permissions()) {
		t.Errorf("%d permissions in the file, %d in the control API", len(got), len(rbac.Permissions()))
	}
	if m := (Permissions{Start: []string{}}).Map(); m["start"] == nil || m["stop"] != nil {
		t.Errorf("an empty list must stay, a missing one must not: %v", m)
	}
}

// The file that users start from must be good, and must mean what the defaults and the document say.
func TestTheShippedFileLoads(t *testing.T) {
	data, err := deploy.Render(deploy.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := loadText(t, string(data))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) != 0 {
		t.Errorf("warnings %q", c.Warnings)
	}
	want := defaultTree()
	got := c.Services[0].Tree
	want.Service.IP, want.Service.LogFile, want.Service.DataDir = got.Service.IP, got.Service.LogFile, got.Service.DataDir
	want.Audit.LogFile = "/var/lib/redis-medic/" + want.Audit.LogFile
	want.Redis = got.Redis
	want.HealthCheck.Timeout = time.Second // what a frozen Redis costs; the document's 5 s stay the default of other files
	full := Service{ID: "redis", Tree: want}
	resolve(&full)
	if diff := cmp.Diff(full.Tree, got, cmp.Comparer(func(a, b Command) bool { return a == b })); diff != "" {
		t.Errorf("the shipped file differs from the defaults (-default +file):\n%s", diff)
	}
}
