package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// ErrNotRoot is returned by Require when the process is not root.
var ErrNotRoot = errors.New("the lab boots real hosts and needs root")

// tools are the programs that the lab runs, with the Debian package of each.
var tools = []struct{ program, pkg string }{
	{"systemd-nspawn", "systemd-container"},
	{"mmdebstrap", "mmdebstrap"},
	{"ip", "iproute2"},
	{"iptables", "iptables"},
	{"ssh", "openssh-client"},
	{"nsenter", "util-linux"},
	{"umount", "mount"},
	{"pgrep", "procps"},
}

// Require says what this machine lacks for the lab: ErrNotRoot, or the missing Debian packages with the line that installs them.
func Require() error {
	if os.Geteuid() != 0 {
		return ErrNotRoot
	}
	var missing []string
	for _, t := range tools {
		if _, err := exec.LookPath(t.program); err != nil {
			missing = append(missing, t.pkg)
		}
	}
	if len(missing) > 0 {
		list := strings.Join(missing, " ")
		return fmt.Errorf("the lab needs the Debian package(s) %s: apt-get install --no-install-recommends %s", list, list)
	}
	return nil
}
