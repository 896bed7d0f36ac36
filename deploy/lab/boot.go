package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// run runs a program of this machine and returns its output; the error holds it too.
func run(ctx context.Context, argv ...string) (string, error) {
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return text, fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), errors.Join(err, context.Cause(ctx)), text)
	}
	return text, nil
}

// makeNetwork gives the host a network namespace whose only way out is a pair of interfaces to this machine.
func (h *Host) makeNetwork(ctx context.Context) error {
	prefix := fmt.Sprintf("10.77.%d.", h.Number)
	for _, argv := range [][]string{
		{"ip", "netns", "add", h.Name},
		{"ip", "link", "add", h.Name, "type", "veth", "peer", "name", "eth0", "netns", h.Name},
		{"ip", "addr", "add", prefix + "1/30", "dev", h.Name},
		{"ip", "link", "set", h.Name, "up"},
		{"ip", "-n", h.Name, "addr", "add", prefix + "2/30", "dev", "eth0"},
		{"ip", "-n", h.Name, "link", "set", "lo", "up"},
		{"ip", "-n", h.Name, "link", "set", "eth0", "up"},
	} {
		if _, err := run(ctx, argv...); err != nil {
			return fmt.Errorf("lab network: %w", err)
		}
	}
	return nil
}

// makeRoot puts a fresh layer over the image, or a copy of it where the file system cannot be layered.
func (h *Host) makeRoot(ctx context.Context, rootfs string) error {
	upper, work := h.Dir+"/upper", h.Dir+"/work"
	for _, d := range []string{h.root(), upper, work} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return fmt.Errorf("lab root: %w", err)
		}
	}
	layers := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", rootfs, upper, work)
	err := syscall.Mount("overlay", h.root(), "overlay", 0, layers)
	if err == nil {
		return nil
	}
	h.say("no overlay here (%v); copying the image…", err)
	if _, err := run(ctx, "cp", "-a", "--reflink=auto", rootfs+"/.", h.root()); err != nil {
		return fmt.Errorf("lab root: %w", err)
	}
	return nil
}

// boot starts the host's systemd and fills PID.
func (h *Host) boot(ctx context.Context) error {
	logFile, err := os.OpenFile(h.Dir+"/boot.log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("boot: %w", err)
	}
	defer logFile.Close()
	nspawn := []string{
		"systemd-nspawn", "--machine=" + h.Name, "--directory=" + h.root(), "--boot", "--settings=no", "--register=no", "--console=pipe",
		"--network-namespace-path=/run/netns/" + h.Name, "--link-journal=no", "--resolv-conf=off", "--timezone=off",
	}
	groups := []string{}
	if !isDir("/run/systemd/system") {
		// Nobody here makes a scope for it, so it gets a control group of its own by hand: in a shared one the systemds of
		// two hosts would take each other's services for their own.
		nspawn = append(nspawn, "--keep-unit")
		if groups, err = h.makeCgroups(); err != nil {
			return err
		}
	}
	// The shell moves itself into the groups and becomes systemd-nspawn.
	script := `while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"`
	args := append([]string{"-c", script, "lab-boot"}, append(append(groups, "--"), nspawn...)...)
	cmd := exec.Command("sh", args...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_NSPAWN_LOCK=0"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("boot: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // ends with systemd-nspawn, which Down ends
	err = poll(ctx, bootTimeout, "boot", func(ctx context.Context) error {
		select {
		case err := <-ended:
			return hopeless{fmt.Errorf("systemd-nspawn ended: %w", errors.Join(err, errors.New("see its log")))}
		default:
		}
		if h.PID == 0 {
			h.PID = initOf(cmd.Process.Pid)
		}
		if h.PID == 0 {
			return errors.New("no process 1 yet")
		}
		_, err := h.Exec(ctx, "systemctl list-units --no-legend >/dev/null")
		return err
	})
	if err != nil {
		return err
	}
	return h.save()
}

// makeCgroups makes a control group for the host beside our own, in each hierarchy that systemd uses, and returns their folders.
func (h *Host) makeCgroups() ([]string, error) {
	var groups []string
	for _, base := range []string{"/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		if _, err := os.Stat(base + "/cgroup.procs"); err != nil {
			continue
		}
		group := filepath.Join(base, filepath.Base(h.Dir))
		// A host that boots anew has its group already.
		if err := os.MkdirAll(group, 0o755); err != nil {
			return nil, fmt.Errorf("lab control group: %w", err)
		}
		groups = append(groups, group)
	}
	return groups, nil
}

// initOf returns the child of systemd-nspawn that is process 1 of its container, or 0.
func initOf(nspawn int) int {
	pid := strconv.Itoa(nspawn)
	data, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	if err != nil {
		return 0
	}
	for child := range strings.FieldsSeq(string(data)) {
		status, err := os.ReadFile("/proc/" + child + "/status")
		if err != nil {
			continue
		}
		exe, err := os.Readlink("/proc/" + child + "/exe")
		if err != nil || !strings.HasSuffix(exe, "/systemd") {
			continue // not yet systemd: the container is still being set up
		}
		for line := range strings.Lines(string(status)) {
			if ids, ok := strings.CutPrefix(line, "NSpid:"); ok && strings.HasSuffix(strings.TrimSpace(ids), "\t1") {
				n, err := strconv.Atoi(child)
				if err != nil {
					return 0
				}
				return n
			}
		}
	}
	return 0
}
