package exporter

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// fakeServer answers as the server whose words are in testdata/servers/<name>: INFO from the file info, CONFIG GET from config,
// any other command from <command>.resp, and PING always.
func fakeServer(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join("testdata", "servers", name)
	answers := map[string]string{}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		answers[f.Name()] = string(b)
	}
	answers["info"] = strings.ReplaceAll(answers["info"], "\n", "\r\n")
	return serve(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		for {
			command, err := readCommand(r)
			if err != nil {
				return
			}
			if _, err := io.WriteString(c, answerTo(answers, command)); err != nil {
				return
			}
		}
	})
}

func readCommand(r *bufio.Reader) ([]string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(line[1:]))
	if err != nil {
		return nil, err
	}
	out := make([]string, n)
	for i := range out {
		if line, err = r.ReadString('\n'); err != nil {
			return nil, err
		}
		size, err := strconv.Atoi(strings.TrimSpace(line[1:]))
		if err != nil {
			return nil, err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		out[i] = string(b[:size])
	}
	return out, nil
}

func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

func answerTo(answers map[string]string, command []string) string {
	switch command[0] {
	case "PING":
		return "+PONG\r\n"
	case "INFO":
		return bulk(answers["info"])
	case "CONFIG":
		if text, ok := answers["config"]; ok {
			return configReply(text, command[2:])
		}
	}
	name := strings.ToLower(strings.Join(command, "-"))
	for name != "" {
		if raw, ok := answers[name+".resp"]; ok {
			return raw
		}
		name = name[:max(0, strings.LastIndexByte(name, '-'))]
	}
	return "-ERR unknown command '" + command[0] + "'\r\n"
}

func configReply(text string, patterns []string) string {
	var parts []string
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		key, value, _ := strings.Cut(line, " ")
		for _, p := range patterns {
			if ok, _ := filepath.Match(p, key); ok {
				parts = append(parts, bulk(key), bulk(value))
			}
		}
	}
	return fmt.Sprintf("*%d\r\n%s", len(parts), strings.Join(parts, ""))
}
