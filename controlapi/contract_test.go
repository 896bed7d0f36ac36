package controlapi

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// contract is openapi.yaml, ready to check bodies. Every request of every test in this package goes through it.
type contract struct {
	doc      map[string]any
	compiler *jsonschema.Compiler
	mu       sync.Mutex
	compiled map[string]*jsonschema.Schema
}

var theContract = sync.OnceValue(func() *contract {
	var raw any
	if err := yaml.Unmarshal(openAPI, &raw); err != nil {
		panic(err)
	}
	encoded, err := json.Marshal(raw) // only string keys, or this fails
	if err != nil {
		panic(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
	if err != nil {
		panic(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("openapi.json", doc); err != nil {
		panic(err)
	}
	return &contract{doc: doc.(map[string]any), compiler: c, compiled: map[string]*jsonschema.Schema{}}
})

// at follows a JSON pointer, through references, and returns the value with its own pointer.
func (c *contract) at(pointer string) (any, string) {
	var here any = c.doc
	path := ""
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		m, ok := here.(map[string]any)
		if !ok {
			return nil, ""
		}
		here, ok = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
		if !ok {
			return nil, ""
		}
		path += "/" + part
		if m, ok := here.(map[string]any); ok {
			if ref, ok := m["$ref"].(string); ok {
				here, path = c.at(strings.TrimPrefix(ref, "#"))
			}
		}
	}
	return here, path
}

func escape(s string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(s) }

func (c *contract) validate(t *testing.T, pointer string, raw []byte) {
	t.Helper()
	c.mu.Lock()
	s := c.compiled[pointer]
	if s == nil {
		var err error
		if s, err = c.compiler.Compile("openapi.json#" + pointer); err != nil {
			c.mu.Unlock()
			t.Fatalf("schema %s: %v", pointer, err)
		}
		c.compiled[pointer] = s
	}
	c.mu.Unlock()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Errorf("%s is not JSON: %v\n%s", pointer, err, raw)
		return
	}
	if err := s.Validate(v); err != nil {
		t.Errorf("body does not match %s: %v\n%s", pointer, err, raw)
	}
}

// check compares an exchange with the description: the answer always, the request when it was accepted.
func (c *contract) check(t *testing.T, method, path, body string, a answer) {
	t.Helper()
	template := ""
	for _, rt := range routes() {
		if matchesPath(rt.path, path) {
			template = rt.path
		}
	}
	op := "/paths/" + escape(template) + "/" + strings.ToLower(method)
	if got, _ := c.at(op); template == "" || got == nil {
		return // the panel, or 404 and 405
	}
	media, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	found := false
	for _, key := range []string{strconv.Itoa(a.code), "default"} {
		response, at := c.at(op + "/responses/" + key)
		if response == nil {
			continue
		}
		found = true
		if len(a.raw) == 0 {
			break
		}
		content, at := c.at(at + "/content/" + escape(media))
		if content == nil {
			t.Errorf("%s %s: %d answers %q, which is not described", method, path, a.code, media)
		} else if strings.HasSuffix(media, "json") {
			c.validate(t, at+"/schema", a.raw)
		}
		break
	}
	if !found {
		t.Errorf("%s %s: status %d is not described", method, path, a.code)
	}
	if a.code < 300 && strings.TrimSpace(body) != "" {
		if _, at := c.at(op + "/requestBody"); at != "" {
			c.validate(t, at+"/content/application~1json/schema", []byte(body))
		}
	}
}

func TestEveryRouteIsDescribedWithItsPermission(t *testing.T) {
	c := theContract()
	described := map[string]bool{}
	paths, _ := c.at("/paths")
	for path, item := range paths.(map[string]any) {
		for method := range item.(map[string]any) {
			if method != "parameters" {
				described[strings.ToUpper(method)+" "+path] = true
			}
		}
	}
	for _, rt := range routes() {
		name := rt.method + " " + rt.path
		if !described[name] {
			t.Errorf("%s is not in openapi.yaml", name)
			continue
		}
		delete(described, name)
		if got, _ := c.at("/paths/" + escape(rt.path) + "/" + strings.ToLower(rt.method) + "/x-permission"); got != string(rt.permission) {
			t.Errorf("%s: x-permission is %v, the table has %q", name, got, rt.permission)
		}
	}
	for name := range described {
		t.Errorf("%s is in openapi.yaml, but not in the table", name)
	}
}

func TestEveryOperationOfTheDescriptionHasAnIDAndASummary(t *testing.T) {
	c := theContract()
	ids := map[string]string{}
	paths, _ := c.at("/paths")
	for _, path := range slices.Sorted(maps.Keys(paths.(map[string]any))) {
		for method, op := range paths.(map[string]any)[path].(map[string]any) {
			if method == "parameters" {
				continue
			}
			id, _ := op.(map[string]any)["operationId"].(string)
			if summary, _ := op.(map[string]any)["summary"].(string); id == "" || summary == "" || ids[id] != "" {
				t.Errorf("%s %s: operationId %q (also of %q) and summary %q", method, path, id, ids[id], summary)
			}
			ids[id] = path
		}
	}
}

func TestEveryReferenceAndSchemaOfTheDescriptionIsSound(t *testing.T) {
	c := theContract()
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				if got, _ := c.at(strings.TrimPrefix(ref, "#")); got == nil {
					t.Errorf("%s points nowhere", ref)
				}
			}
			for _, child := range v {
				walk(child)
			}
		case []any:
			for _, child := range v {
				walk(child)
			}
		}
	}
	walk(c.doc)
	schemas, _ := c.at("/components/schemas")
	for name := range schemas.(map[string]any) {
		if _, err := c.compiler.Compile("openapi.json#/components/schemas/" + name); err != nil {
			t.Errorf("schema %s: %v", name, err)
		}
	}
}

func TestTheDescriptionIsServed(t *testing.T) {
	a := newRig(t, nil).do(http.MethodGet, "/openapi.yaml", "")
	if a.code != 200 || !bytes.Equal(a.raw, OpenAPI()) {
		t.Errorf("answer %d with %d bytes", a.code, len(a.raw))
	}
}

// TestNoTextOfTheDescriptionIsCutOff: in YAML's short form a comma ends a text, and the rest becomes a member without a value.
func TestNoTextOfTheDescriptionIsCutOff(t *testing.T) {
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, child := range v {
				if child == nil && name != "default" {
					t.Errorf("%s: %q has no value: quote the text before it", path, name)
				}
				walk(path+"/"+name, child)
			}
		case []any:
			for _, child := range v {
				walk(path, child)
			}
		}
	}
	walk("", theContract().doc)
}
