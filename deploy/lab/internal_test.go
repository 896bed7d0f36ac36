package lab

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestAptSourcesKeepsDebianOfOurRelease(t *testing.T) {
	etc := fstest.MapFS{
		"sources.list": {Data: []byte("# a comment\n" +
			"deb http://mirror.example/debian bookworm main contrib\n" +
			"deb-src http://mirror.example/debian bookworm main\n" +
			"deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example/debian-security bookworm-security main\n" +
			"deb [signed-by=/etc/apt/keyrings/redis.gpg] http://packages.example/redis bookworm main\n" +
			"deb http://mirror.example/debian trixie main\n")},
		"sources.list.d/other.list": {Data: []byte("deb http://packages.example/pg bookworm-pgdg main\n")},
		"sources.list.d/debian.sources": {Data: []byte("# Debian\nTypes: deb\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n" +
			"Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n" +
			"Types: deb\nURIs: http://mirror.example/off\nSuites: bookworm\nComponents: main\nEnabled: no\n\n" +
			"Types: deb\nURIs: http://packages.example/redis\nSuites: bookworm\nComponents: main\nSigned-By: /etc/apt/keyrings/redis.gpg\n")},
		"sources.list.d/off.sources.disabled": {Data: []byte("Types: deb\nURIs: http://mirror.example/disabled\nSuites: bookworm\nComponents: main\n")},
	}
	files, err := aptSources(etc, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	text := all.String()
	for _, want := range []string{"mirror.example/debian bookworm main", "bookworm-security", "Suites: bookworm bookworm-updates"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	for _, bad := range []string{"packages.example", "trixie", "deb-src", "/off", "disabled"} {
		if strings.Contains(text, bad) {
			t.Errorf("%q is in\n%s", bad, text)
		}
	}
	if len(files) != 2 {
		t.Errorf("%d files, want 2: %v", len(files), files)
	}
}

func TestReplaceLines(t *testing.T) {
	got, err := replaceLines("# bind 1\nbind 127.0.0.1 -::1\nport 6379\n", map[string]string{"bind": "bind 10.0.0.1", "port": "port 1"})
	if want := "# bind 1\nbind 10.0.0.1\nport 1\n"; err != nil || got != want {
		t.Errorf("%q (%v), want %q", got, err, want)
	}
	if _, err := replaceLines("port 1\n", map[string]string{"bind": "bind x"}); err == nil {
		t.Error("a directive that is not there was accepted")
	}
}

func TestQuoteMakesOneWord(t *testing.T) {
	if got := quote("it's $(id) `x` \"y\""); got != `'it'\''s $(id) `+"`x`"+` "y"'` {
		t.Error(got)
	}
}

func TestOwnerKnowsItselfAndTheDead(t *testing.T) {
	if !thisOwner().alive() {
		t.Error("this process is not alive")
	}
	later := thisOwner()
	later.Start += "1"
	earlier := thisOwner()
	earlier.Boot = "another"
	for _, o := range []owner{later, earlier, {}} {
		if o.alive() {
			t.Errorf("%+v is alive", o)
		}
	}
}

// A boot that fails after the network and the folder are there leaves nothing.
func TestStartThatFailsLeavesNothing(t *testing.T) {
	if Require() != nil {
		t.Skip("needs root: the lab boots real hosts in network namespaces")
	}
	broken := t.TempDir()
	for _, d := range []string{"/etc/redis", "/etc/ssh"} {
		if err := os.MkdirAll(broken+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(broken+"/etc/redis/redis.conf", []byte("bind 127.0.0.1\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ rootfs, want string }{
		"no image":        {t.TempDir() + "/none", "lab root"},
		"an empty image":  {t.TempDir(), "lab"},
		"no system in it": {broken, "systemd-nspawn ended"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			h := newHost(Options{})
			if err := h.claim(); err != nil {
				t.Fatal(err)
			}
			err := h.start(t.Context(), c.rootfs, Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("start: %v, want %q", err, c.want)
			}
			if err := h.Down(); err != nil {
				t.Error(err)
			}
			left, err := filepath.Glob(os.Getenv("TMPDIR") + "/*")
			if err != nil || len(left) > 0 {
				t.Errorf("left %v (%v)", left, err)
			}
		})
	}
}

// The recipe must name the build completely: an image of an older recipe would otherwise be taken for the present one.
func TestRecipeIsStable(t *testing.T) {
	saved := slices.Clone(imagePackages)
	defer func() { imagePackages = saved }()
	before := recipe()
	if again := recipe(); again != before || !strings.HasPrefix(before, suite+"-") {
		t.Errorf("%s, then %s", before, again)
	}
	imagePackages = append(slices.Clone(saved), "hello")
	if recipe() == before {
		t.Error("another list of packages has the same recipe")
	}
}
