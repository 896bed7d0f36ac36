package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/redis-medic/redis-medic/controlapi"
)

const published = "../../deploy/docs/api.md"

func TestThePageIsUpToDate(t *testing.T) {
	want, err := page(controlapi.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(published)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("deploy/docs/api.md is not what openapi.yaml says: run make gen")
	}
}

func TestThePageIsReadable(t *testing.T) {
	raw, err := page(controlapi.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for _, want := range []string{
		"### `POST /api/services/{id}/stop`", "### `GET /ws/services/{id}/logs`", "Permission: `stop`", "| `lines` | query | integer | How many; 50 if not given |",
		"### LogMessage", "4401 signed out or expired", "[Status](#status)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	headings := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^### (\w+)$`).FindAllStringSubmatch(text, -1) {
		headings[strings.ToLower(m[1])] = true
	}
	for _, m := range regexp.MustCompile(`\]\(#([a-z]+)\)`).FindAllStringSubmatch(text, -1) {
		if !headings[m[1]] {
			t.Errorf("a link to %q leads nowhere", m[1])
		}
	}
	for _, bad := range []string{"%!", "<nil>", "| any |\n"} {
		if strings.Contains(text, bad) {
			t.Errorf("%q is in the page", bad)
		}
	}
}

func TestDescriptionsThatCannotBeRead(t *testing.T) {
	for name, raw := range map[string]string{"no YAML": "\t:", "nothing": ""} {
		if _, err := page([]byte(raw)); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	dir := t.TempDir()
	if err := write(filepath.Join(dir, "missing"), filepath.Join(dir, "out")); err == nil {
		t.Error("a missing file is accepted")
	}
	if err := write("../openapi.yaml", filepath.Join(dir, "no", "such", "folder")); err == nil {
		t.Error("a missing folder is accepted")
	}
	if err := write("../openapi.yaml", filepath.Join(dir, "out.md")); err != nil {
		t.Error(err)
	}
}
