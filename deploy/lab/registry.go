package lab

import (
	"bytes"
	"context"
	_ "embed" // the teardown script
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// registryDir holds one entry per host. An entry is there before the first thing of its host is, and goes after the last.
const registryDir = "/run/redis-medic-lab"

// maxHosts bounds N of 10.77.N.2.
const maxHosts = 254

//go:embed teardown.sh
var teardownScript string

// entry is what the registry knows of a host.
type entry struct {
	Owner owner `json:"owner"`
	Keep  bool  `json:"keep"`
	Host  *Host `json:"host"`
}

// owner tells one process from a later one with the same number.
type owner struct {
	PID   int    `json:"pid"`
	Start string `json:"start"` // of the process, in clock ticks after boot
	Boot  string `json:"boot"`  // id of the machine's boot
}

func thisOwner() owner {
	return owner{PID: os.Getpid(), Start: processStart(os.Getpid()), Boot: bootID()}
}

func (o owner) alive() bool {
	return o.Boot == bootID() && o.Start != "" && processStart(o.PID) == o.Start
}

func bootID() string {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// processStart returns the start time of a process, or "" when there is none.
func processStart(pid int) string { return processField(pid, 22) }

// processState returns the state letter of a process, or "" when there is none.
func processState(pid int) string { return processField(pid, 3) }

// processField returns field n > 2 of /proc/PID/stat as proc(5) numbers them, or "" when there is no such process.
func processField(pid, n int) string {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	// Field 2 is the program's name in brackets and may hold anything; the fields after it are plain.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < n-2 {
		return ""
	}
	return fields[n-3]
}

func entryPath(n int) string { return filepath.Join(registryDir, strconv.Itoa(n)+".json") }

// withRegistry runs f while no other process claims or sweeps.
func withRegistry(f func() error) error {
	if err := os.MkdirAll(registryDir, 0o700); err != nil {
		return fmt.Errorf("lab registry: %w", err)
	}
	unlock, err := lockFile(context.Background(), filepath.Join(registryDir, "lock"))
	if err != nil {
		return fmt.Errorf("lab registry: %w", err)
	}
	defer unlock()
	return f()
}

// claim takes a free number and writes the host's entry, before anything else of the host exists.
func (h *Host) claim() error {
	return withRegistry(func() error {
		taken, err := ownAddresses()
		if err != nil {
			return err
		}
		for n := 1; n <= maxHosts; n++ {
			if taken[fmt.Sprintf("10.77.%d.1", n)] {
				continue
			}
			if _, err := os.Stat(entryPath(n)); !errors.Is(err, fs.ErrNotExist) {
				continue
			}
			dir, err := os.MkdirTemp("", "redis-medic-lab-")
			if err != nil {
				return fmt.Errorf("lab folder: %w", err)
			}
			h.Number, h.Dir = n, dir
			h.settle()
			return h.save()
		}
		return errors.New("lab: all 254 host numbers are in use")
	})
}

func ownAddresses() (map[string]bool, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("lab: read the machine's addresses: %w", err)
	}
	taken := map[string]bool{}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			taken[n.IP.String()] = true
		}
	}
	return taken, nil
}

// save writes the entry at once or not at all.
func (h *Host) save() error {
	data, err := json.MarshalIndent(entry{Owner: thisOwner(), Keep: h.keep, Host: h}, "", "  ")
	if err != nil {
		return fmt.Errorf("lab registry: %w", err)
	}
	path := entryPath(h.Number)
	if err := os.WriteFile(path+".new", append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("lab registry: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("lab registry: %w", err)
	}
	return nil
}

// entries reads the registry.
func entries() ([]entry, error) {
	paths, err := filepath.Glob(filepath.Join(registryDir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("lab registry: %w", err)
	}
	var all []entry
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("lab registry: %w", err)
		}
		var e entry
		if err := json.Unmarshal(data, &e); err != nil {
			return nil, fmt.Errorf("lab registry: %s: %w", path, err)
		}
		if e.Host == nil || len(e.Host.Servers) == 0 {
			return nil, fmt.Errorf("lab registry: %s describes no host", path)
		}
		e.Host.keep, e.Host.log = e.Keep, io.Discard
		e.Host.settle()
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b entry) int { return a.Host.Number - b.Host.Number })
	return all, nil
}

// Hosts returns the hosts of this machine, also those of other processes. Their Log is discarded.
func Hosts() ([]*Host, error) {
	all, err := entries()
	if err != nil {
		return nil, err
	}
	var hosts []*Host
	for _, e := range all {
		password, err := os.ReadFile(e.Host.PasswordFile)
		if err != nil || e.Host.PID == 0 {
			continue // still booting or already going
		}
		e.Host.Password = string(password)
		hosts = append(hosts, e.Host)
	}
	return hosts, nil
}

// Kept reports whether the host lives on after the process that started it.
func (h *Host) Kept() bool { return h.keep }

// Sweep removes the hosts of dead processes, and kept hosts of an earlier boot of the machine. It touches nothing that belongs to
// a living process.
func Sweep() error {
	return withRegistry(func() error {
		all, err := entries()
		if err != nil {
			return err
		}
		var errs []error
		for _, e := range all {
			if e.Owner.alive() || (e.Keep && e.Owner.Boot == bootID()) {
				continue
			}
			errs = append(errs, e.Host.teardown())
		}
		return errors.Join(errs...)
	})
}

// Down ends the host and removes its processes, network, mounts and files. It is bounded in time, may be called again, and
// returns an error that names what could not be removed.
func (h *Host) Down() error {
	err := withRegistry(h.teardown)
	if err == nil && h.release != nil {
		h.release()
		h.release = nil
	}
	return err
}

func (h *Host) teardown() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "sh", "-c", teardownScript, "lab-teardown", h.Name, h.Dir, entryPath(h.Number)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("take down %s: %w: %s", h.Name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// watchOver starts the process that removes the host when this process ends without Down, even by SIGKILL or a panic.
func (h *Host) watchOver() error {
	if h.keep {
		return nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("lab watchdog: %w", err)
	}
	cmd := exec.Command("sh", "-c", teardownScript, "lab-watchdog", h.Name, h.Dir, entryPath(h.Number), "wait")
	cmd.Dir = "/"
	cmd.Stdin = r
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	if cerr := r.Close(); err == nil && cerr != nil {
		err = cerr
	}
	if err != nil {
		return errors.Join(fmt.Errorf("lab watchdog: %w", err), w.Close())
	}
	h.release = func() {
		// Its results do not matter: the host is gone, and so the watchdog has nothing to do in any case.
		w.WriteString("down\n") //nolint:errcheck // as above
		w.Close()
		cmd.Wait() //nolint:errcheck // as above
	}
	return nil
}
