package hostpkg_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	hostpkg "github.com/redis-medic/redis-medic/deploy/host"
	"github.com/redis-medic/redis-medic/remediator/host"
)

const gateConf = `# units of the test
unit redis-server.service /var/log/redis/redis-server.log /var/lib/redis
unit redis-server@sessions.service /var/log/redis/redis-server-sessions.log /var/lib/redis
config redis-server.service /etc/redis/redis.conf
unit bare.service - -
unit odd.service /var/log/../../etc/shadow /var/lib/redis
unit extra.service /var/log/x.log /var/lib/x one-word-too-many
`

// gate is the shipped script with two changes that a test needs: its programs are stand-ins that print how they were started, and
// its configuration is the one above. Everything else is the shipped text.
type gate struct {
	t      testing.TB
	script string
	traps  string // first and only folder of PATH: a program started from here is a hole
}

func newGate(t testing.TB, conf string) gate {
	t.Helper()
	text, err := hostpkg.Files.ReadFile("redis-medic-gate")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	programs := filepath.Join(dir, "programs")
	traps := filepath.Join(dir, "traps")
	for _, d := range []string{programs, traps} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	names := regexp.MustCompile(`/usr/bin/([a-z-]+)`).FindAllStringSubmatch(string(text), -1)
	if len(names) == 0 {
		t.Fatal("the gate starts no program by its absolute path")
	}
	for _, n := range names {
		stand := "#!/bin/sh\nprintf '%s\\n' \"$LC_ALL $TZ $PATH\" >>'" + dir + "/environment'\nfor word in \"${0##*/}\" \"$@\"; do printf '[%s]' \"$word\"; done\n"
		if slices.Contains([]string{"tr", "cut"}, n[1]) {
			stand = "#!/bin/sh\nexec /usr/bin/" + n[1] + " \"$@\"\n"
		}
		if n[1] == "logger" {
			stand = "#!/bin/sh\nprintf '%s\\n' \"$*\" >>'" + dir + "/logged'\n"
		}
		writeProgram(t, filepath.Join(programs, n[1]), stand)
		writeProgram(t, filepath.Join(traps, n[1]), "#!/bin/sh\ntouch '"+dir+"/trapped'\n")
	}
	for _, name := range []string{"id", "sh", "touch", "reboot", "sleep", "sed", "printf"} {
		writeProgram(t, filepath.Join(traps, name), "#!/bin/sh\n: >'"+dir+"/trapped'\n")
	}
	confPath := filepath.Join(dir, "gate.conf")
	if err := os.WriteFile(confPath, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	changed := strings.ReplaceAll(string(text), "/usr/bin/", programs+"/")
	changed = strings.Replace(changed, "CONF=/etc/redis-medic/gate.conf", "CONF="+confPath, 1)
	script := filepath.Join(dir, "redis-medic-gate")
	writeProgram(t, script, changed)
	return gate{t: t, script: script, traps: traps}
}

func writeProgram(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// call runs the gate in the shell with the request, or with none when request is nil.
func (g gate) call(shell string, request *string, env ...string) (stdout, stderr string, code int) {
	g.t.Helper()
	cmd := exec.Command(shell, g.script)
	cmd.Dir = filepath.Dir(g.script)
	cmd.Env = append([]string{"PATH=" + g.traps, "SSH_CLIENT=192.0.2.1 50000 22"}, env...)
	if request != nil {
		cmd.Env = append(cmd.Env, "SSH_ORIGINAL_COMMAND="+*request)
	}
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		g.t.Fatal(err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// shells are the ones that /bin/sh is on Debian and on others.
func shells(t *testing.T) []string {
	t.Helper()
	found := []string{"/bin/sh"}
	if path, err := exec.LookPath("bash"); err == nil {
		found = append(found, path)
	}
	return found
}

// malicious are requests that no client of ours sends. Each must be refused without starting anything.
var malicious = []string{
	"", " ", "v1", "v1 show", "id", "/bin/sh", "sh -i", "sftp", "/usr/lib/openssh/sftp-server", "internal-sftp", "scp -t /tmp",
	"rsync --server .", "systemctl stop redis-server", "sudo -n systemctl start redis-server", "sudo -i",
	"v0 show redis-server.service", "v2 show redis-server.service", "V1 show redis-server.service", "v1show redis-server.service",
	"v1 show redis-server.service; id", "v1 show redis-server.service;id", "v1 show redis-server.service && reboot",
	"v1 show redis-server.service | sh", "v1 show redis-server.service\nid", "id\nv1 show redis-server.service",
	"v1 show redis-server.service\n", "\nv1 show redis-server.service", "v1 show redis-server.service\r", "v1\tshow\tredis-server.service",
	"v1 show $(id)", "v1 show `id`", "v1 show ${IFS}", "v1 $(touch x) redis-server.service", "v1 show redis-server.service $(id)",
	"v1 show redis-server.service > /etc/passwd", "v1 show redis-server.service < /etc/shadow", "v1 show redis-server.service & id",
	"v1 show 'redis-server.service'", `v1 show "redis-server.service"`, `v1 show redis-server\.service`, "v1 show *", "v1 show redis-*.service",
	"v1 show redis-server.?ervice", "v1 show [r]edis-server.service", "v1 show ~", "v1 show redis-server", "v1 show ssh.service",
	"v1 show nginx.service", "v1 show redis-server.service.service", "v1 show redis-server.socket", "v1 show -h.service", "v1 show --help",
	"v1 show -Hroot@192.0.2.9.service", "v1 stop ssh.service", "v1 show ../redis-server.service", "v1 show /etc/passwd.service",
	" v1 show redis-server.service", "v1 show redis-server.service ", "v1  show redis-server.service", "v1 show  redis-server.service",
	"v1 show redis-server.service extra", "v1 start redis-server.service ssh.service", "v1 start redis-server.service --force",
	"v1 start redis-server.service 1", "v1 bus redis-server.service 1", "v1 stop redis-server.service redis-server@sessions.service",
	"v1 journal redis-server.service", "v1 journal redis-server.service 0", "v1 journal redis-server.service 00", "v1 journal redis-server.service 010",
	"v1 journal redis-server.service -1", "v1 journal redis-server.service +5", "v1 journal redis-server.service 1001",
	"v1 journal redis-server.service 1e3", "v1 journal redis-server.service 0x10", "v1 journal redis-server.service 99999999999999999999",
	"v1 journal redis-server.service all", "v1 journal redis-server.service 5 5", "v1 journal redis-server.service --vacuum-size=1",
	"v1 journal redis-server.service 5 --file=/etc/shadow", "v1 redis-log redis-server.service /etc/shadow", "v1 redis-log redis-server.service",
	"v1 redis-log redis-server.service 5;id", "v1 redis-log bare.service 5", "v1 redis-log odd.service 5", "v1 proc redis-server.service",
	"v1 proc redis-server.service self", "v1 proc redis-server.service ../../etc/shadow", "v1 proc redis-server.service 1/environ",
	"v1 proc redis-server.service 4194305", "v1 proc redis-server.service -1", "v1 exec redis-server.service", "v1 mask redis-server.service",
	"v1 enable redis-server.service", "v1 edit redis-server.service", "v1 START redis-server.service", "v1 start extra.service",
	"v1 show unit", "v1 show #", "v1 # redis-server.service", "v1 show redis-server.service #", "-v1 show redis-server.service",
	"-c id redis-server.service", "--version x y", "v1 show redis-server.service\x00id", "v1 show redis-server.servicе", "v1 show \u202eredis-server.service",
	"v1 show redis-server.service\x1b[2J", "v1 show %n.service", "v1 show redis-server@*.service", "v1 show redis-server@other.service",
	"v1 config-restore redis-server.service /etc/shadow", "v1 config-restore redis-server.service 1", "v1 config-restore redis-server",
	"v1 config-restore ssh.service", "v1 config-diff redis-server.service;id", "v1 config-snapshot redis-server.service", "v1 config- redis-server.service",
	"v1 config-snapshot-now redis-server.service", "v1 restore redis-server.service", "v1 config-restore", "v1 config-diff --all redis-server.service",
	"eval id", "v1 eval id", "exec id x", ". /etc/passwd x", "command -v x", "LC_ALL=x v1 show redis-server.service",
	"v1 show " + strings.Repeat("a", 400) + ".service", strings.Repeat("v1 show redis-server.service ", 2000),
}

func TestGateRefuses(t *testing.T) {
	for _, shell := range shells(t) {
		g := newGate(t, gateConf)
		for _, request := range malicious {
			if strings.Contains(request, "\x00") {
				continue // cannot be in an environment; TestGateOverSSH sends it
			}
			stdout, stderr, code := g.call(shell, &request)
			if code != 126 || stdout != "" || strings.Count(stderr, "\n") != 1 {
				t.Errorf("%s: %q: exit %d, stdout %q, stderr %q; want 126, nothing, one line", shell, request, code, stdout, stderr)
			}
		}
		if _, stderr, code := g.call(shell, nil); code != 126 || !strings.Contains(stderr, "no command") {
			t.Errorf("%s: no request (a shell or a subsystem): exit %d, %q; want 126", shell, code, stderr)
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(g.script), "trapped")); err == nil {
			t.Errorf("%s: a program was started through PATH", shell)
		}
		checkLog(t, g)
	}
}

// checkLog reads what the gate gave to logger: one line per refused call, and no character that a terminal or a log could act on.
func checkLog(t *testing.T, g gate) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(filepath.Dir(g.script), "logged"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if len(lines) < len(malicious)-1 {
		t.Errorf("%d calls were refused but %d logged", len(malicious), len(lines))
	}
	plain := regexp.MustCompile(`^-t redis-medic-gate -p auth\.warning -- refused \([A-Za-z/. -]+\) from 192\.0\.2\.1 50000 22: [A-Za-z0-9@_.:/=,+?-]*$`)
	for _, line := range lines {
		if !plain.MatchString(line) || len(line) > 400 {
			t.Errorf("logged %q", line)
		}
	}
}

// A client may send some variables along (Debian's sshd accepts LC_*), and sshd may be configured to accept more.
func TestGateIgnoresTheEnvironment(t *testing.T) {
	g := newGate(t, gateConf)
	request := "v1 is-active redis-server.service"
	hostile := []string{
		"IFS=.-", "ENV=/etc/passwd", "BASH_ENV=/etc/passwd", "LC_ALL=tr_TR.UTF-8", "LANG=x", "CDPATH=/", "CONF=/dev/null", "MAX_LINES=x",
		"verb=stop", "PROPERTIES=x", "PS4=$(id)", "SHELLOPTS=xtrace",
	}
	for _, shell := range shells(t) {
		stdout, stderr, code := g.call(shell, &request, hostile...)
		if want := "[systemctl][is-active][redis-server.service]"; stdout != want || code != 0 {
			t.Errorf("%s: exit %d, stdout %q, stderr %q; want %q", shell, code, stdout, stderr, want)
		}
	}
}

func TestGateWithoutConfigurationRefuses(t *testing.T) {
	g := newGate(t, gateConf)
	if err := os.Remove(filepath.Join(filepath.Dir(g.script), "gate.conf")); err != nil {
		t.Fatal(err)
	}
	request := "v1 is-active redis-server.service"
	if _, stderr, code := g.call("/bin/sh", &request); code != 126 || !strings.Contains(stderr, "cannot read") {
		t.Errorf("exit %d, %q; want 126", code, stderr)
	}
}

// What the gate starts for the client's line is what the client would start itself on a host without the gate.
func TestGateStartsWhatTheClientMeans(t *testing.T) {
	g := newGate(t, gateConf)
	units := []host.Unit{
		{Name: "redis-server.service", LogFile: "/var/log/redis/redis-server.log", DataDir: "/var/lib/redis"},
		{Name: "redis-server@sessions.service", LogFile: "/var/log/redis/redis-server-sessions.log", DataDir: "/var/lib/redis"},
		{Name: "bare.service"},
	}
	for _, unit := range units {
		for _, verb := range host.Verbs() {
			if verb == host.VerbRedisLog && unit.LogFile == "" {
				continue
			}
			c := host.Command{Verb: verb, Unit: unit, Lines: 250, PID: 4711}
			line, err := c.GateLine()
			if err != nil {
				t.Fatal(err)
			}
			argv, err := c.Argv()
			if err != nil {
				t.Fatal(err)
			}
			// The gate sets these for every program.
			want := strings.TrimPrefix("["+strings.Join(argv, "][")+"]", "[env][LC_ALL=C][TZ=UTC]")
			for _, shell := range shells(t) {
				stdout, stderr, code := g.call(shell, &line)
				// Under sudo the gate names the program by its path.
				got := strings.ReplaceAll(stdout, "["+filepath.Dir(g.script)+"/programs/", "[")
				if got != want || stderr != "" || code != 0 {
					t.Errorf("%s: %q: exit %d\n started %s\n want    %s\n stderr %q", shell, line, code, got, want, stderr)
				}
			}
		}
	}
	data, err := os.ReadFile(filepath.Join(filepath.Dir(g.script), "environment"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if line != "C UTC /usr/sbin:/usr/bin\n" {
			t.Errorf("LC_ALL, TZ and PATH of a program were %q", line)
		}
	}
}
