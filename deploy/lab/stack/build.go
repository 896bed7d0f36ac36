package stack

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
)

// built is the binary that BuildMedic made, once per process.
var built = sync.OnceValues(func() (string, error) {
	if name := os.Getenv("REDIS_MEDIC_BINARY"); name != "" {
		return filepath.Abs(name)
	}
	_, here, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(here), "..", "..", "..")
	dir := filepath.Join(root, "bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("build redis-medic: %w", err)
	}
	// Built aside and moved: another test process may be running the one that is there.
	name, fresh := filepath.Join(dir, "redis-medic-test"), filepath.Join(dir, fmt.Sprintf("redis-medic-test.%d", os.Getpid()))
	cmd := exec.Command("go", "build", "-o", fresh, "./cmd/redis-medic")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build redis-medic: %w\n%s", err, out)
	}
	if err := os.Rename(fresh, name); err != nil {
		return "", fmt.Errorf("build redis-medic: %w", err)
	}
	return name, nil
})

// BuildMedic builds redis-medic from the sources at hand, or takes the binary that REDIS_MEDIC_BINARY names. It must be called
// from a checkout of the module.
func BuildMedic() (string, error) { return built() }
