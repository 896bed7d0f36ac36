package lab

import (
	"context"
	"fmt"
	"os"
	"syscall"
)

func chownLike(path string, st os.FileInfo) error {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("no owner of %s", st.Name())
	}
	return os.Chown(path, int(sys.Uid), int(sys.Gid))
}

// savedDir holds the host's state as it was when it was ready.
const savedDir = "/opt/lab-saved"

// configsDir holds what the host package keeps of configurations.
const configsDir = "/var/lib/redis-medic-host"

// saveState copies what faults change.
const saveState = `
mkdir -p ` + savedDir + `
cp -a /etc/redis /etc/ssh /etc/sudoers.d ` + savedDir + `/
cp -a /home/` + labUser + `/.ssh ` + savedDir + `/home-ssh
cp -a ` + unitFile + ` ` + savedDir + `/
`

// Reset undoes every fault and brings the host to the state that Up left, with empty data and empty logs, in about a second. It
// returns when each Redis answers PONG and sshd lets the key in.
func (h *Host) Reset(ctx context.Context) error {
	for _, undo := range []func(context.Context) error{h.ThawSystemd, h.LinkUp, h.Heal, h.ThawJournal, h.UnfloodSSH} {
		if err := undo(ctx); err != nil {
			return fmt.Errorf("reset: %w", err)
		}
	}
	if _, err := h.Exec(ctx, h.resetScript()); err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	if err := h.ready(ctx); err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	return nil
}

// resetScript kills before it asks: a Redis that is frozen, busy or cannot save would hold up an orderly stop for ever. Its jobs
// cannot be cancelled by those of a redis-medic that has not noticed yet that all is well.
func (h *Host) resetScript() string {
	all := quote(h.Unit) + " " + h.instanceUnits()
	return `
pkill -CONT -x sshd || :
systemctl start dbus.socket dbus.service
systemctl stop 'lab-*' 2>/dev/null || :
rm -rf /etc/systemd/system/*.service.d/lab.conf /etc/nologin
[ -e ` + unitFile + ` ] || { ` + restoreUnit + `}
` + h.resetGroups() + `
chown redis:redis /var/lib/redis && chmod 0750 /var/lib/redis
for unit in ` + all + `; do
    [ "$(readlink "/etc/systemd/system/$unit")" != /dev/null ] || rm "/etc/systemd/system/$unit"
done
systemctl daemon-reload
systemctl kill --signal=SIGKILL ` + all + ` 2>/dev/null || :
systemctl --job-mode=replace-irreversibly stop ` + all + `
systemctl reset-failed
rm -rf ` + configsDir + ` /etc/redis /etc/ssh /etc/sudoers.d /home/` + labUser + `/.ssh
cp -a ` + savedDir + `/redis ` + savedDir + `/ssh ` + savedDir + `/sudoers.d /etc/
cp -a ` + savedDir + `/home-ssh /home/` + labUser + `/.ssh
find /var/lib/redis -mindepth 1 -delete
find /var/log/redis -type f -exec truncate -s 0 {} +
journalctl --quiet --rotate --vacuum-time=1us
systemctl --job-mode=replace-irreversibly start ` + all + `
systemctl restart ssh.service
`
}

// resetGroups is the line of the script that gives our account its groups back, where it has any.
func (h *Host) resetGroups() string {
	if h.Access == AccessDocument {
		return ":"
	}
	return "usermod --groups systemd-journal,adm " + h.User
}
