package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Loss drops a share of the packets that reach the host, as a bad link does.
func (h *Host) Loss(ctx context.Context, percent int) error {
	if percent < 1 || percent > 99 {
		return fmt.Errorf("loss: %d %% is no share", percent)
	}
	if err := h.Heal(ctx); err != nil {
		return err
	}
	return h.iptables(ctx, fmt.Sprintf("-A INPUT -i eth0 -m statistic --mode random --probability 0.%02d -j DROP", percent))
}

// LockAccount lets nobody but root sign in (/etc/nologin), and cuts our sessions.
func (h *Host) LockAccount(ctx context.Context) error {
	if _, err := h.Exec(ctx, "echo 'no logins' >/etc/nologin\npkill -KILL -u "+h.User+" || :"); err != nil {
		return err
	}
	return h.until(ctx, "the account is locked", func(context.Context) error {
		client, err := h.dialSSH()
		if err != nil {
			return nil
		}
		defer client.Close() //nolint:errcheck // nothing is left to send
		session, err := client.NewSession()
		if err != nil {
			return nil
		}
		return errors.Join(errors.New("the key still gets in"), session.Close())
	})
}

// UnlockAccount ends LockAccount.
func (h *Host) UnlockAccount(ctx context.Context) error {
	_, err := h.Exec(ctx, "rm -f /etc/nologin")
	return err
}

// HideLogs takes our account out of the groups that may read the logs, and cuts its sessions: group rights last as long as those.
func (h *Host) HideLogs(ctx context.Context) error {
	_, err := h.Exec(ctx, "usermod --groups '' "+h.User+"\npkill -KILL -u "+h.User+" || :")
	return err
}

// ShowLogs ends HideLogs.
func (h *Host) ShowLogs(ctx context.Context) error {
	_, err := h.Exec(ctx, "usermod --groups systemd-journal,adm "+h.User+"\npkill -KILL -u "+h.User+" || :")
	return err
}

// FreezeJournal stops the journal's daemon with SIGSTOP: nothing new is written to the journal.
func (h *Host) FreezeJournal(ctx context.Context) error {
	script := `
pkill -STOP -x systemd-journal
for pid in $(pgrep -x systemd-journal); do grep -q '^State:.T' "/proc/$pid/status"; done`
	return h.until(ctx, "the journal is frozen", func(ctx context.Context) error {
		_, err := h.Exec(ctx, script)
		return err
	})
}

// ThawJournal ends FreezeJournal.
func (h *Host) ThawJournal(ctx context.Context) error {
	_, err := h.Exec(ctx, "pkill -CONT -x systemd-journal || :")
	return err
}

// FloodSSH opens connections to sshd that never say anything, until sshd takes no more (MaxStartups). They end with UnfloodSSH, or
// with this process.
func (h *Host) FloodSSH(ctx context.Context) error {
	if _, err := h.Exec(ctx, "printf 'MaxStartups 4\\n' >/etc/ssh/sshd_config.d/lab.conf\nsystemctl reload ssh.service"); err != nil {
		return err
	}
	return h.until(ctx, "sshd takes no more", func(ctx context.Context) error {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", h.SSHAddress)
		if err != nil {
			return err
		}
		if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return errors.Join(err, conn.Close())
		}
		line := make([]byte, 4)
		if _, err := io.ReadFull(conn, line); err != nil || string(line) != "SSH-" {
			return conn.Close() // closed without a banner, or a word that there are too many
		}
		h.flood.Lock()
		h.flooding = append(h.flooding, conn)
		h.flood.Unlock()
		return errors.New("sshd still greets")
	})
}

// UnfloodSSH ends FloodSSH.
func (h *Host) UnfloodSSH(ctx context.Context) error {
	h.flood.Lock()
	for _, conn := range h.flooding {
		conn.Close() // it was never spoken on
	}
	h.flooding = nil
	h.flood.Unlock()
	const file = "/etc/ssh/sshd_config.d/lab.conf"
	_, err := h.Exec(ctx, "[ ! -e "+file+" ] || { rm "+file+"; systemctl try-reload-or-restart ssh.service; }")
	return err
}

// Reboot boots the host anew, as a kernel upgrade does: everything on it is ended, and everything that is enabled is started. It
// returns when the host's new systemd is up; Redis may still be on its way.
func (h *Host) Reboot(ctx context.Context) error {
	before := h.PID
	parent, err := parentOf(before)
	if err != nil {
		return err
	}
	// The answer may be cut off by the reboot.
	_, _ = h.Exec(ctx, "systemctl --no-block reboot")
	err = h.until(ctx, "it goes down", func(context.Context) error {
		if state := processState(before); state != "" {
			return fmt.Errorf("process 1 is in state %q", state)
		}
		return nil
	})
	if err != nil {
		return err
	}
	// systemd-nspawn boots the host again by itself only where it has a unit of its own; else it ends when it has cleaned up.
	err = h.until(ctx, "systemd-nspawn has done its part", func(context.Context) error {
		if state := processState(parent); state == "" || state == "Z" {
			return nil
		}
		if h.PID = initOf(parent); h.PID == 0 {
			return errors.New("no new process 1 yet")
		}
		return h.save()
	})
	if err != nil || (h.PID != 0 && h.PID != before) {
		return err
	}
	h.PID = 0
	return h.boot(ctx)
}

func parentOf(pid int) (int, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, fmt.Errorf("parent of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(data)) {
		if n, ok := strings.CutPrefix(line, "PPid:"); ok {
			return strconv.Atoi(strings.TrimSpace(n))
		}
	}
	return 0, fmt.Errorf("process %d has no parent", pid)
}
