package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// file is the top level of the file.
type file struct {
	// The document's Appendix A: the service `redis`, and the defaults of all others.
	Tree *yaml.Node `key:"redis_service_management"`
	// More services, each merged over the tree.
	Services []*yaml.Node `key:"services"`
	SSH      SSH          `key:"ssh"`
	// How to speak to the Redis servers; may also stand inside a service.
	Redis Redis `key:"redis"`
	// `affected_services` in the answer that asks for a confirmation.
	Dependents []string   `key:"dependents"`
	Exporter   Exporter   `key:"exporter"`
	Remediator Remediator `key:"remediator"`
	ControlAPI ControlAPI `key:"controlapi"`
	Storage    Storage    `key:"storage"`
}

// maxFileSize bounds what is read: a thousand services need less than a tenth.
const maxFileSize = 8 << 20

// Load reads and checks a configuration file. Its error is Problems, with every fault of the file, or says why the file could
// not be read at all.
func Load(name string) (*Config, error) {
	data, err := readBounded(name)
	if err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	d := &decoder{file: name, dir: filepath.Dir(abs), lines: map[string]int{}}
	root, problem := parse(name, data)
	if problem != nil {
		return nil, Problems{*problem}
	}
	c := d.decode(root)
	if len(d.problems) > 0 {
		return nil, d.problems.sorted()
	}
	c.File = abs
	c.Warnings = warnings(c)
	return c, nil
}

func readBounded(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, Problems{{File: name, Text: fmt.Sprintf("cannot be read (%v); name another with --config", errnoText(err))}}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, Problems{{File: name, Text: fmt.Sprintf("cannot be read (%v); name a file with --config", errnoText(err))}}
	}
	if len(data) > maxFileSize {
		return nil, Problems{{File: name, Text: "is larger than 8 MiB; this is not a configuration file"}}
	}
	return data, nil
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// parse reads exactly one YAML document.
func parse(name string, data []byte) (*yaml.Node, *Problem) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, &Problem{File: name, Line: 1, Text: "is empty; start from deploy/redis-medic.yml"}
	case err != nil:
		m := yamlLine.FindStringSubmatch(err.Error())
		if m == nil {
			return nil, &Problem{File: name, Text: err.Error()}
		}
		line, _ := strconv.Atoi(m[1])
		return nil, &Problem{File: name, Line: line, Text: "is not YAML: " + m[2] + "; check indentation and quotes here and in the line before"}
	}
	var more yaml.Node
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, &Problem{File: name, Line: more.Line, Text: "has a second document; put everything into one, without a line of three dashes"}
	}
	return doc.Content[0], nil
}

const treeKey = "redis_service_management"

// decode turns the root node into a Config. Faults are collected in d.
func (d *decoder) decode(root *yaml.Node) *Config {
	f := defaultFile()
	d.storage = storagePath(root, f.Storage.Path)
	d.value(root, reflect.ValueOf(&f).Elem(), "", "")
	if root.Kind != yaml.MappingNode {
		return &Config{}
	}
	c := &Config{SSH: f.SSH, Dependents: f.Dependents, Exporter: f.Exporter, Remediator: f.Remediator, ControlAPI: f.ControlAPI, Storage: f.Storage}
	d.requireAll(reflect.ValueOf(f), "")
	d.checkProcess(f)

	base := Service{ID: "redis", Tree: defaultTree()}
	base.Redis = f.Redis
	base.Audit.LogFile = filepath.Join(d.storage, base.Audit.LogFile)
	if f.Tree == nil {
		d.fault(1, treeKey, "is missing; start from deploy/redis-medic.yml")
		return c
	}
	d.value(f.Tree, reflect.ValueOf(&base.Tree).Elem(), treeKey, "")
	d.finishService(base, treeKey, f)
	c.Services = append(c.Services, base)

	for i, n := range f.Services {
		path := "services[" + strconv.Itoa(i) + "]"
		s := Service{Tree: base.Tree}
		s.WebSocket.Endpoint = ""
		d.value(n, reflect.ValueOf(&s).Elem(), path, "")
		d.refuseShared(reflect.TypeFor[Tree](), path)
		d.finishService(s, path, f)
		c.Services = append(c.Services, s)
	}
	d.checkTogether(c)
	for i := range c.Services {
		resolve(&c.Services[i])
	}
	return c
}

// refuseShared reports keys of a service entry that govern the whole program.
func (d *decoder) refuseShared(t reflect.Type, path string) {
	for f := range t.Fields() {
		at := join(path, f.Tag.Get("key"))
		if !d.has(at) {
			continue
		}
		if f.Tag.Get("scope") == "all" {
			d.faultAt(at, "is the same for all services; set it in %s", treeKey)
		} else if f.Type.Kind() == reflect.Struct {
			d.refuseShared(f.Type, at)
		}
	}
}

// storagePath finds storage.path before the rest is decoded, because relative paths of written files depend on it.
func storagePath(root *yaml.Node, otherwise string) string {
	var peek struct {
		Storage struct {
			Path string `yaml:"path"`
		} `yaml:"storage"`
	}
	if err := root.Decode(&peek); err == nil && filepath.IsAbs(peek.Storage.Path) {
		return peek.Storage.Path
	}
	return otherwise
}

// finishService checks one service after its layer was decoded.
func (d *decoder) finishService(s Service, path string, f file) {
	d.requireAll(reflect.ValueOf(s), path)
	d.checkCommands(s, path)
	d.checkService(s, path, f)
}

// requireAll reports required texts that neither the file nor a default gave. Empty ones in the file were reported already.
func (d *decoder) requireAll(v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			tag := v.Type().Field(i).Tag
			at := path
			if key := tag.Get("key"); key != "" {
				at = join(path, key)
			} else if tag.Get("inline") == "" {
				continue
			}
			if tag.Get("required") != "" && v.Field(i).IsZero() && !d.has(at) && at != treeKey+".id" {
				d.faultAt(at, "is missing; it has no default, so give it a value")
			}
			d.requireAll(v.Field(i), at)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			d.requireAll(v.MapIndex(k), join(path, k.String()))
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Struct {
			for i := range v.Len() {
				d.requireAll(v.Index(i), path+"["+strconv.Itoa(i)+"]")
			}
		}
	}
}
