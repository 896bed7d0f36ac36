package controlapi

//go:generate go run ./reference openapi.yaml ../deploy/docs/api.md

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/redis-medic/redis-medic/remediator/audit"
)

//go:embed openapi.yaml
var openAPI []byte

// OpenAPI returns the description of the API, as /openapi.yaml serves it.
func OpenAPI() []byte { return bytes.Clone(openAPI) }

func getOpenAPI(_ *API, w http.ResponseWriter, _ *call) error {
	w.Header().Set("Content-Type", "application/yaml")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(openAPI)
	return nil
}

func getHealthy(_ *API, w http.ResponseWriter, _ *call) error {
	return plainText(w, "redis-medic control API is healthy.\n")
}

func getReady(a *API, w http.ResponseWriter, _ *call) error {
	if !a.ready.Load() {
		return newProblem(http.StatusServiceUnavailable, "not_ready", "Not ready yet, or shutting down")
	}
	if a.conf().Ready != nil {
		if err := a.conf().Ready(); err != nil {
			p := newProblem(http.StatusServiceUnavailable, "not_ready", "A part of the program is not ready; the log has the cause")
			p.cause = err
			return p
		}
	}
	return plainText(w, "redis-medic control API is ready.\n")
}

func plainText(w http.ResponseWriter, text string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(text))
	return nil
}

func postConfigReload(a *API, w http.ResponseWriter, c *call) error {
	if err := c.decode(w, &struct{}{}); err != nil {
		return err
	}
	if a.conf().Reload == nil {
		return newProblem(http.StatusNotImplemented, "no_reload", "This process cannot reload its configuration")
	}
	c.validated = true
	if err := a.append(c, c.record(audit.PhaseIntent)); err != nil {
		return err
	}
	err := a.conf().Reload()
	outcome := c.record(audit.PhaseOutcome)
	outcome.Result.Success, outcome.Result.Status = err == nil, http.StatusOK
	if err != nil {
		outcome.Result.Status, outcome.Result.Error = http.StatusUnprocessableEntity, "bad_configuration"
	}
	if auditErr := a.append(c, outcome); auditErr != nil {
		// The intent is recorded and the act is done: the answer must not say otherwise.
		a.log.Error().Err(auditErr).Str("request_id", c.requestID).Msg("outcome could not be audited")
	}
	if err == nil {
		return writeJSON(w, http.StatusOK, map[string]any{"reloaded": true, "timestamp": stamp(time.Now())})
	}
	p := newProblem(http.StatusUnprocessableEntity, "bad_configuration",
		"The new configuration was not taken; the old one stays. The log and check-config say why.")
	p.cause = err
	return p
}

// maxPanelBytes bounds the built panel, which is kept in memory.
const maxPanelBytes = 32 << 20

// panel is the built panel: every file in memory, with its type, tag and compressed form.
type panel map[string]*panelFile

type panelFile struct {
	data, gzipped []byte
	contentType   string
	etag          string
	immutable     bool // the name contains a hash of the content
}

// loadPanel reads the panel's files. A nil file system is an empty panel.
func loadPanel(files fs.FS) (panel, error) {
	p := panel{}
	if files == nil {
		return p, nil
	}
	total := 0
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		if total += len(data); total > maxPanelBytes {
			return fmt.Errorf("larger than %d bytes", maxPanelBytes)
		}
		p[name] = newPanelFile(name, data)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read panel: %w", err)
	}
	return p, nil
}

func newPanelFile(name string, data []byte) *panelFile {
	sum := sha256.Sum256(data)
	f := &panelFile{
		data: data, contentType: mime.TypeByExtension(path.Ext(name)), etag: `"` + hex.EncodeToString(sum[:12]) + `"`,
		immutable: strings.HasPrefix(name, "assets/"),
	}
	if f.contentType == "" {
		f.contentType = "application/octet-stream"
	}
	if len(data) > 1024 {
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is valid
		_, _ = z.Write(data)
		_ = z.Close()
		if b.Len() < len(data)*9/10 {
			f.gzipped = b.Bytes()
		}
	}
	return f
}

// getPanel serves the panel's files and, for every other path that is not the API's, its page: the panel has its own routes.
func getPanel(a *API, w http.ResponseWriter, c *call) error {
	name := strings.TrimPrefix(c.r.URL.Path, "/")
	for _, prefix := range []string{"api/", "ws/", "-/", "metrics"} {
		if strings.HasPrefix(name+"/", prefix) {
			return newProblem(http.StatusNotFound, "not_found", "There is nothing at this path")
		}
	}
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return newProblem(http.StatusMethodNotAllowed, "method_not_allowed", "This path does not have this method")
	}
	f, ok := a.panel[name]
	if !ok && path.Ext(name) == "" {
		f, ok = a.panel["index.html"]
	}
	if !ok {
		return newProblem(http.StatusNotFound, "not_found", "There is nothing at this path")
	}
	f.serve(w, c.r)
	return nil
}

func (f *panelFile) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("ETag", f.etag)
	h.Set("Cache-Control", "no-cache")
	if f.immutable {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if r.Header.Get("If-None-Match") == f.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.contentType)
	data := f.data
	if f.gzipped != nil {
		h.Set("Vary", "Accept-Encoding")
		if headerHas(r.Header, "Accept-Encoding", "gzip") {
			h.Set("Content-Encoding", "gzip")
			data = f.gzipped
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(data)
}
