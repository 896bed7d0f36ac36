package lab

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// aptSources copies this machine's Debian sources for our suite into scratch, so that the image comes from where the machine's own
// packages come from, and returns the files. Sources of other publishers stay out: a host has stock Debian. None is fine: the
// builder then uses Debian's own.
func aptSources(etc fs.FS, scratch string) ([]string, error) {
	var files []string
	keep := func(name, text string) error {
		if text == "" {
			return nil
		}
		path := filepath.Join(scratch, filepath.Base(name))
		files = append(files, path)
		return os.WriteFile(path, []byte(text), 0o644)
	}
	lists, err := fs.Glob(etc, "sources.list.d/*.list")
	if err != nil {
		return nil, err
	}
	for _, name := range append([]string{"sources.list"}, lists...) {
		data, err := fs.ReadFile(etc, name)
		if err != nil {
			continue
		}
		if err := keep(name, oneLineSources(string(data))); err != nil {
			return nil, fmt.Errorf("apt sources: %w", err)
		}
	}
	stanzas, err := fs.Glob(etc, "sources.list.d/*.sources")
	if err != nil {
		return nil, err
	}
	for _, name := range stanzas {
		data, err := fs.ReadFile(etc, name)
		if err != nil {
			continue
		}
		if err := keep(name, stanzaSources(string(data))); err != nil {
			return nil, fmt.Errorf("apt sources: %w", err)
		}
	}
	return files, nil
}

// isSuite reports whether a suite belongs to the release of the hosts.
func isSuite(name string) bool {
	return slices.Contains([]string{suite, suite + "-updates", suite + "-security"}, name)
}

// oneLineSources keeps the "deb [options] URI suite component…" lines of Debian's own archive.
func oneLineSources(text string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[0] != "deb" {
			continue
		}
		options := ""
		if _, rest, ok := strings.Cut(line, "["); ok {
			var after string
			options, after, _ = strings.Cut(rest, "]")
			fields = append([]string{"deb"}, strings.Fields(after)...)
		}
		if len(fields) >= 4 && isSuite(fields[2]) && slices.Contains(fields[3:], "main") && debianKey(options) {
			kept.WriteString(line + "\n")
		}
	}
	return kept.String()
}

// stanzaSources keeps the deb822 stanzas of Debian's own archive.
func stanzaSources(text string) string {
	var kept []string
	for stanza := range strings.SplitSeq(text, "\n\n") {
		fields := map[string][]string{}
		for line := range strings.Lines(stanza) {
			key, value, ok := strings.Cut(line, ":")
			if ok && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, " ") {
				fields[strings.ToLower(key)] = strings.Fields(value)
			}
		}
		ours := slices.ContainsFunc(fields["suites"], isSuite) && slices.Contains(fields["components"], "main") &&
			slices.Contains(fields["types"], "deb") && !slices.Contains(fields["enabled"], "no") &&
			debianKey(strings.Join(fields["signed-by"], " "))
		if ours {
			kept = append(kept, strings.TrimSpace(stanza)+"\n")
		}
	}
	return strings.Join(kept, "\n")
}

// debianKey reports whether a source is signed by Debian's archive key or by no particular one.
func debianKey(options string) bool {
	return !strings.Contains(options, "/") || strings.Contains(options, "debian-archive")
}
