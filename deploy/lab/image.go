package lab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// suite is the Debian release of the hosts: the one whose redis-server.service the documentation describes.
const suite = "bookworm"

// imagePackages are what a Redis host has, on top of a minimal Debian.
var imagePackages = []string{
	"systemd", "systemd-sysv", "libpam-systemd", "dbus", "openssh-server", "sudo", "redis-server", "iproute2", "procps", "netcat-openbsd",
}

// imageHooks run in the new root file system. Timers of package maintenance would only add noise to measurements, and a host
// gets keys of its own.
var imageHooks = []string{
	`chroot "$1" systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer systemd-firstboot.service`,
	`rm -f "$1"/etc/ssh/ssh_host_*_key* "$1"/etc/machine-id; : >"$1"/etc/machine-id`,
}

const defaultCacheDir = "/var/cache/redis-medic/lab"

func (o Options) cacheDir() string {
	if o.CacheDir != "" {
		return o.CacheDir
	}
	if dir := os.Getenv("REDIS_MEDIC_LAB_CACHE"); dir != "" {
		return dir
	}
	return defaultCacheDir
}

// recipe names everything that decides what the image holds; another recipe is another image.
func recipe() string {
	parts := append([]string{"1", runtime.GOARCH, suite}, imagePackages...)
	sum := sha256.Sum256([]byte(strings.Join(append(parts, imageHooks...), "\n")))
	return suite + "-" + hex.EncodeToString(sum[:6])
}

// ensureImage returns the folder of the root file system and builds it first when it is not there. Only one process builds; the
// others wait for it.
func ensureImage(ctx context.Context, cache string, log io.Writer) (string, error) {
	dir := filepath.Join(cache, recipe())
	if isDir(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("lab image: %w", err)
	}
	unlock, err := lockFile(ctx, dir+".lock")
	if err != nil {
		return "", fmt.Errorf("lab image: %w", err)
	}
	defer unlock()
	if isDir(dir) {
		return dir, nil
	}
	fmt.Fprintln(log, "lab: building the Redis host image (about 20 s, once)…")
	started := time.Now()
	if err := buildImage(ctx, dir); err != nil {
		return "", fmt.Errorf("lab image: %w", err)
	}
	fmt.Fprintf(log, "lab: image built in %.0f s: %s\n", time.Since(started).Seconds(), dir)
	return dir, nil
}

func buildImage(ctx context.Context, dir string) error {
	building := dir + ".building"
	scratch := dir + ".apt"
	for _, d := range []string{building, scratch} {
		if err := os.RemoveAll(d); err != nil {
			return err
		}
	}
	defer os.RemoveAll(scratch) //nolint:errcheck // the next build removes it
	if err := os.MkdirAll(scratch, 0o755); err != nil {
		return err
	}
	args := []string{"--mode=root", "--variant=minbase", "--include=" + strings.Join(imagePackages, ","), "--quiet"}
	for _, hook := range imageHooks {
		args = append(args, "--customize-hook="+hook)
	}
	if conf, err := aptTransport(ctx, scratch); err != nil {
		return err
	} else if conf != "" {
		args = append(args, "--aptopt="+conf)
	}
	sources, err := aptSources(os.DirFS("/etc/apt"), scratch)
	if err != nil {
		return err
	}
	args = append(append(args, suite, building), sources...)

	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "mmdebstrap", args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	// mmdebstrap removes its mounts when it is asked to end.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return errors.Join(fmt.Errorf("mmdebstrap: %w\n%s", err, lastLines(out.String(), 20)), os.RemoveAll(building))
	}
	return os.Rename(building, dir)
}

// aptTransport copies how this machine's apt reaches its sources (proxies, retries, checks) into a file for the build.
func aptTransport(ctx context.Context, scratch string) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-config", "dump", "Acquire").Output()
	if err != nil {
		return "", fmt.Errorf("apt-config: %w", err)
	}
	var keep []string
	for line := range strings.Lines(string(out)) {
		for _, prefix := range []string{"Acquire::http", "Acquire::Check", "Acquire::Retries"} {
			if strings.HasPrefix(line, prefix) {
				keep = append(keep, line)
			}
		}
	}
	if len(keep) == 0 {
		return "", nil
	}
	path := filepath.Join(scratch, "apt.conf")
	return path, os.WriteFile(path, []byte(strings.Join(keep, "")), 0o644)
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// lockFile takes an exclusive lock that ends with the process or the returned function.
func lockFile(ctx context.Context, path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = poll(ctx, 15*time.Minute, "lock "+path, func(context.Context) error {
		return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	})
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { f.Close() }, nil
}
