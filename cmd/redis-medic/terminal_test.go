package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	stream "github.com/redis-medic/redis-medic/controlapi/live"
)

// asProgram makes the test binary be the program, for tests in which a shell starts it.
const asProgram = "REDIS_MEDIC_TEST_IS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// installed puts the program into a folder of its own, under its name, and returns the folder.
func installed(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\n%s=1 exec '%s' \"$@\"\n", asProgram, self)
	if err := os.WriteFile(filepath.Join(dir, "redis-medic"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTheReferenceOfTheCommandsIsUpToDate(t *testing.T) {
	t.Setenv(envURL, "")
	t.Setenv(envTokenFile, "")
	want, err := os.ReadFile("../../deploy/docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	code, out, _ := call(t, "", "__docs")
	if code != 0 || out != string(want) {
		t.Error("deploy/docs/cli.md is not what the commands are: run go generate ./cmd/redis-medic")
	}
	for _, s := range subcommands() {
		if !s.hidden && !strings.Contains(out, "\n## "+s.name+"\n") {
			t.Errorf("%s is not documented", s.name)
		}
	}
	for _, flag := range []string{"--watch TIME", "`-f`", "--public-key FILE", "--reason", "audit export"} {
		if !strings.Contains(out, flag) {
			t.Errorf("%s is not documented", flag)
		}
	}
}

func TestCompletionOfAnyWord(t *testing.T) {
	_, account := startWithAccount(t, "viewer")
	t.Setenv(envURL, account[1])
	t.Setenv(envTokenFile, account[3])
	for line, want := range map[string]string{
		"":                   "alertmanager-config audit check-config completion doctor hash-password health incidents logs maintenance recovery restart run services start status stop version",
		"st":                 "start status stop",
		"recovery ":          "explain off on reset status",
		"recovery e":         "explain",
		"recovery explain ":  "redis",
		"recovery on --re":   "--reason",
		"status r":           "redis",
		"status x":           "",
		"logs --l":           "--level",
		"logs redis -":       "--f --level --n --o --since --token-file --url --watch",
		"audit verify --pub": "--public-key",
		"completion ":        "bash fish zsh",
		"bogus ":             "",
		"services ":          "",
	} {
		_, out, _ := call(t, "", append([]string{"__complete", "--"}, strings.Split(line, " ")...)...)
		if have := strings.Join(slices.Sorted(slices.Values(strings.Fields(out))), " "); have != want {
			t.Errorf("%q may become %q, want %q", line, have, want)
		}
	}
}

// The scripts work in the shells themselves, where those are installed.
func TestCompletionInRealShells(t *testing.T) {
	bin := installed(t)
	for shell, script := range map[string]string{
		"bash": `source <(redis-medic completion bash); COMP_WORDS=(redis-medic recovery e); COMP_CWORD=2; _redis_medic; echo "${COMPREPLY[@]}"`,
		"zsh":  `compdef() { :; }; compadd() { echo $found }; words=(redis-medic recovery e); CURRENT=3; source <(redis-medic completion zsh); _redis_medic`,
		"fish": `redis-medic completion fish | source; complete -C 'redis-medic recovery e'`,
	} {
		t.Run(shell, func(t *testing.T) {
			path, err := exec.LookPath(shell)
			if err != nil {
				t.Skip(err)
			}
			cmd := exec.CommandContext(t.Context(), path, "-c", script)
			cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
			if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "explain" {
				t.Errorf("%v %q", err, out)
			}
		})
	}
	if code, _, said := call(t, "", "completion", "tcsh"); code != exitUsage || !strings.Contains(said, "tcsh") {
		t.Errorf("%d %q", code, said)
	}
}

// Colours are for terminals that want them; columns stand under each other with and without.
func TestColoursAndColumns(t *testing.T) {
	rows := [][]string{{"ID", "STATUS"}, {"redis", "running"}, {"é", "stopped"}}
	var b bytes.Buffer
	screen{Writer: &b}.grid(true, rows)
	if want := "ID     STATUS\nredis  running\né      stopped\n"; b.String() != want {
		t.Errorf("without colours:\n%s", b.String())
	}
	b.Reset()
	screen{Writer: &b, colour: true}.grid(true, rows)
	if got := b.String(); !strings.Contains(got, "redis  "+green+"running"+plain) || !strings.Contains(got, red+"stopped"+plain) || !strings.Contains(got, bold+"STATUS") {
		t.Errorf("with colours:\n%q", got)
	}
	if colourful(&b) {
		t.Error("a buffer is no terminal")
	}
	t.Setenv("NO_COLOR", "1")
	if colourful(os.Stdout) {
		t.Error("NO_COLOR is not honoured")
	}
}

// until ctx ends a watched answer is shown again, also over an API that is away for a while.
func TestWatch(t *testing.T) {
	var mu sync.Mutex
	asked := 0
	ctx, cancel := context.WithCancel(t.Context())
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked++
		switch asked {
		case 2:
			http.Error(w, `{"message":"away"}`, http.StatusServiceUnavailable)
			return
		case 4:
			cancel()
		}
		fmt.Fprintf(w, `{"status":"running","pid":%d}`, asked)
	}))
	defer api.Close()
	var out bytes.Buffer
	code := dispatch(ctx, console{in: strings.NewReader(""), out: &out, err: &out}, []string{"status", "--watch=100ms", "--url", api.URL})
	if got := out.String(); code != 0 || !strings.Contains(got, "away (HTTP 503)") || strings.Count(got, "running") < 2 || strings.Contains(got, "\x1b") {
		t.Errorf("%d\n%s", code, got)
	}
	for _, args := range [][]string{{"status", "--watch=1ms"}, {"status", "--watch=often"}} {
		if code, _, said := call(t, "", args...); code != exitUsage || !strings.Contains(said, "100ms") {
			t.Errorf("%q: %d %q", args, code, said)
		}
	}
}

// followed is an API whose log stream breaks and then refuses.
func followed(t *testing.T) (url string, asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var queries []string
	line := func(second int, text string) string {
		return fmt.Sprintf(`{"timestamp":"2025-10-10T14:30:%02d.000000Z","level":"error","message":%q,"source":"redis"}`, second, text)
	}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		queries = append(queries, r.URL.String()+" "+r.Header.Get("Authorization"))
		n := len(queries)
		mu.Unlock()
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		send := func(text string) { _ = c.Write(r.Context(), websocket.MessageText, []byte(text)) }
		switch n {
		case 1:
			send(`{"type":"log","service":"redis","snapshot":true,"error":null,"lines":[` + line(1, "one") + "," + line(2, "two") + "," + line(2, "two") + `]}`)
			send(`{"type":"log","service":"redis","error":"the host does not answer","lines":[]}`)
			_ = c.Close(websocket.StatusGoingAway, "")
		default:
			send(`{"type":"log","service":"redis","snapshot":true,"error":null,"lines":[` + line(2, "two") + "," + line(3, "three") + `]}`)
			send(`{"type":"log","service":"redis","gap":true,"error":null,"lines":[` + line(4, "four") + `]}`)
			_ = c.Close(stream.StatusSignedOut, "expired")
		}
	}))
	t.Cleanup(api.Close)
	return api.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string{}, queries...)
	}
}

func TestFollowALog(t *testing.T) {
	url, asked := followed(t)
	t.Setenv(envToken, "canary-token")
	code, out, said := call(t, "", "logs", "-f", "-n", "3", "--level", "error", "--url", url)
	var shown []string
	for text := range strings.Lines(out) {
		shown = append(shown, strings.Fields(text)[3])
	}
	if code != exitRefused || strings.Join(shown, " ") != "one two two three four" {
		t.Errorf("ended with %d and showed %v\n%s", code, shown, said)
	}
	for _, want := range []string{"the host does not answer", "lines may be missing here", "signed out: expired", "the log stream ended"} {
		if !strings.Contains(said, want) {
			t.Errorf("does not say %q:\n%s", want, said)
		}
	}
	q := asked()
	if len(q) != 2 || !strings.HasPrefix(q[0], "/ws/services/redis/logs?level=error&lines=3 Bearer canary-token") || !strings.Contains(q[1], "since=2025-10-10T14%3A30%3A02") {
		t.Errorf("asked %q", q)
	}
	url, _ = followed(t)
	_, out, _ = call(t, "", "logs", "-f", "-o", "json", "--url", url)
	var first struct{ Message string }
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&first); err != nil || first.Message != "one" {
		t.Errorf("as JSON: %v\n%s", err, out)
	}
}

func TestFollowEndsWithCtrlCAndWithARefusal(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("lines") == "7" {
			w.WriteHeader(http.StatusTooManyRequests)
			fmt.Fprint(w, `{"message":"too often"}`)
			return
		}
		if c, err := websocket.Accept(w, r, nil); err == nil {
			_, _, _ = c.Read(r.Context())
		}
	}))
	defer api.Close()
	if code, _, said := call(t, "", "logs", "-f", "-n", "7", "--url", api.URL); code != exitConflict || !strings.Contains(said, "too often (HTTP 429)") {
		t.Errorf("%d %q", code, said)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	var out bytes.Buffer
	if code := dispatch(ctx, console{in: strings.NewReader(""), out: &out, err: &out}, []string{"logs", "-f", "--url", api.URL}); code != 0 {
		t.Errorf("Ctrl-C ends with %d\n%s", code, out.String())
	}
	if code, _, said := call(t, "", "logs", "-f", "--url", "http://"+freePorts(t, 1)[0]); code != exitUnavailable || !strings.Contains(said, "cannot be reached") {
		t.Errorf("%d %q", code, said)
	}
}
