package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

func (h *Host) until(ctx context.Context, what string, try func(context.Context) error) error {
	return poll(ctx, faultTimeout, h.Name+": "+what, try)
}

// SSHDown stops sshd and cuts its sessions: new connections are refused at once.
func (h *Host) SSHDown(ctx context.Context) error {
	if _, err := h.Exec(ctx, "systemctl stop ssh.service\npkill -KILL -x sshd || :"); err != nil {
		return err
	}
	return h.until(ctx, "sshd refuses", func(ctx context.Context) error {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", h.SSHAddress)
		if err == nil {
			return errors.Join(errors.New("sshd still accepts"), conn.Close())
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return err
		}
		return nil
	})
}

// SSHUp ends SSHDown and FreezeSSH: the key gets in again.
func (h *Host) SSHUp(ctx context.Context) error {
	if _, err := h.Exec(ctx, "pkill -CONT -x sshd || :\nsystemctl start ssh.service"); err != nil {
		return err
	}
	return h.until(ctx, "sshd answers", func(context.Context) error {
		client, err := h.dialSSH()
		if err != nil {
			return err
		}
		return client.Close()
	})
}

// FreezeSSH stops every sshd process with SIGSTOP: the port accepts but sends no banner, and open sessions hang. A child that had just
// ended stays a zombie for as long as its stopped parent cannot reap it; it says nothing either, so it counts as frozen.
func (h *Host) FreezeSSH(ctx context.Context) error {
	script := `
pkill -STOP -x sshd
for pid in $(pgrep -x sshd); do grep -q '^State:.[TZ]' "/proc/$pid/status"; done`
	return h.until(ctx, "sshd is frozen", func(ctx context.Context) error {
		_, err := h.Exec(ctx, script)
		return err
	})
}

// iptables changes the firewall of the host's own namespace, which nothing else uses.
func (h *Host) iptables(ctx context.Context, rules ...string) error {
	for _, rule := range rules {
		argv := append([]string{"ip", "netns", "exec", h.Name, "iptables", "-w"}, strings.Fields(rule)...)
		if _, err := run(ctx, argv...); err != nil {
			return err
		}
	}
	return nil
}

// Partition silently drops all traffic between this machine and the host, or only that of the given ports of the host. Only this
// host's own namespace is changed.
func (h *Host) Partition(ctx context.Context, ports ...int) error {
	return h.block(ctx, "DROP", ports)
}

// Reject answers new and open connections to the given ports with a reset, as a firewall may.
func (h *Host) Reject(ctx context.Context, ports ...int) error {
	if len(ports) == 0 {
		return errors.New("reject: no port given")
	}
	return h.block(ctx, "REJECT --reject-with tcp-reset", ports)
}

func (h *Host) block(ctx context.Context, how string, ports []int) error {
	if err := h.Heal(ctx); err != nil {
		return err
	}
	var rules []string
	if len(ports) == 0 {
		rules = []string{"-A INPUT -i eth0 -j " + how, "-A OUTPUT -o eth0 -j " + how}
	}
	for _, p := range ports {
		port := strconv.Itoa(p)
		rules = append(rules, "-A INPUT -i eth0 -p tcp --dport "+port+" -j "+how)
		if how == "DROP" { // a reject answers, so it needs the way out
			rules = append(rules, "-A OUTPUT -o eth0 -p tcp --sport "+port+" -j "+how)
		}
	}
	if err := h.iptables(ctx, rules...); err != nil {
		return fmt.Errorf("cut off: %w", err)
	}
	if len(ports) == 0 {
		ports = []int{22}
	}
	for _, p := range ports {
		address := net.JoinHostPort(h.Address, strconv.Itoa(p))
		err := h.until(ctx, "port is cut off", func(ctx context.Context) error {
			conn, err := (&net.Dialer{Timeout: 100 * time.Millisecond}).DialContext(ctx, "tcp", address)
			if err == nil {
				return errors.Join(fmt.Errorf("%s still accepts", address), conn.Close())
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Heal ends Partition, Reject, Loss and the way of an impostor.
func (h *Host) Heal(ctx context.Context) error {
	if err := h.iptables(ctx, "-F", "-t nat -F"); err != nil {
		return fmt.Errorf("heal: %w", err)
	}
	return nil
}

// LinkDown takes the host's network interface down: the host is unreachable.
func (h *Host) LinkDown(ctx context.Context) error {
	_, err := run(ctx, "ip", "-n", h.Name, "link", "set", "eth0", "down")
	return err
}

// LinkUp ends LinkDown.
func (h *Host) LinkUp(ctx context.Context) error {
	_, err := run(ctx, "ip", "-n", h.Name, "link", "set", "eth0", "up")
	return err
}

// sudoersFile is the file that lets the account control Redis.
func (h *Host) sudoersFile() string {
	if h.Access == AccessDocument {
		return "autobot-redis"
	}
	return "redis-medic"
}

// RemoveSudo takes the account's sudo rights away.
func (h *Host) RemoveSudo(ctx context.Context) error {
	_, err := h.Exec(ctx, "rm -f /etc/sudoers.d/"+h.sudoersFile()+
		"\n! sudo -l -U "+h.User+" /usr/bin/systemctl start redis-server >/dev/null 2>&1")
	return err
}

// RestoreSudo ends RemoveSudo.
func (h *Host) RestoreSudo(ctx context.Context) error {
	_, err := h.Exec(ctx, "cp -a "+savedDir+"/sudoers.d/"+h.sudoersFile()+" /etc/sudoers.d/"+
		"\nsudo -l -U "+h.User+" /usr/bin/systemctl start redis-server >/dev/null")
	return err
}

// RevokeKey takes our key out of the account and cuts its sessions.
func (h *Host) RevokeKey(ctx context.Context) error {
	if _, err := h.Exec(ctx, "rm -f /home/"+h.User+"/.ssh/authorized_keys\npkill -KILL -u "+h.User+" || :"); err != nil {
		return err
	}
	return h.until(ctx, "the key is refused", func(context.Context) error {
		client, err := h.dialSSH()
		if err == nil {
			return errors.Join(errors.New("the key still gets in"), client.Close())
		}
		if !strings.Contains(err.Error(), "unable to authenticate") {
			return err
		}
		return nil
	})
}

// RestoreKey ends RevokeKey.
func (h *Host) RestoreKey(ctx context.Context) error {
	_, err := h.Exec(ctx, "cp -a "+savedDir+"/home-ssh/authorized_keys /home/"+h.User+"/.ssh/")
	return err
}

// ChangeHostKey gives the host new keys and cuts all sessions, as a reinstalled host or somebody in between would.
func (h *Host) ChangeHostKey(ctx context.Context) error {
	script := `
rm -f /etc/ssh/ssh_host_*
ssh-keygen -A >/dev/null
systemctl stop ssh.service
pkill -KILL -x sshd || :
systemctl start ssh.service`
	if _, err := h.Exec(ctx, script); err != nil {
		return err
	}
	return h.hostKeyIs(ctx, "/etc/ssh/ssh_host_ed25519_key.pub")
}

// RestoreHostKey ends ChangeHostKey.
func (h *Host) RestoreHostKey(ctx context.Context) error {
	if _, err := h.Exec(ctx, "cp -a "+savedDir+"/ssh /etc/\nsystemctl restart ssh.service"); err != nil {
		return err
	}
	return h.hostKeyIs(ctx, savedDir+"/ssh/ssh_host_ed25519_key.pub")
}

// hostKeyIs waits until sshd shows the key of a file on the host.
func (h *Host) hostKeyIs(ctx context.Context, file string) error {
	line, err := h.Exec(ctx, "cat "+file)
	if err != nil {
		return err
	}
	want, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return h.until(ctx, "sshd shows its new key", func(context.Context) error {
		var shown ssh.PublicKey
		client, err := ssh.Dial("tcp", h.SSHAddress, &ssh.ClientConfig{
			User: h.User, Timeout: time.Second, HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
			HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error { shown = key; return nil },
		})
		if err == nil {
			return errors.Join(errors.New("signed in without a key"), client.Close())
		}
		if shown == nil {
			return err
		}
		if !bytes.Equal(shown.Marshal(), want.Marshal()) {
			return errors.New("sshd shows another key")
		}
		return nil
	})
}

// BusDown stops the host's system bus: systemctl fails for everybody but root.
func (h *Host) BusDown(ctx context.Context) error {
	_, err := h.Exec(ctx, "systemctl stop dbus.socket dbus.service\n[ \"$(systemctl is-active dbus.service dbus.socket | sort -u)\" = inactive ]")
	return err
}

// BusUp ends BusDown.
func (h *Host) BusUp(ctx context.Context) error {
	_, err := h.Exec(ctx, "systemctl start dbus.socket dbus.service")
	if err != nil {
		return err
	}
	return h.until(ctx, "the bus answers", func(ctx context.Context) error {
		_, err := h.Exec(ctx, "runuser -u "+h.User+" -- systemctl is-active dbus.service")
		return err
	})
}

// FreezeSystemd stops the host's process 1 with SIGSTOP: systemctl hangs.
func (h *Host) FreezeSystemd(ctx context.Context) error {
	return h.signalInit(ctx, syscall.SIGSTOP, "T")
}

// ThawSystemd ends FreezeSystemd.
func (h *Host) ThawSystemd(ctx context.Context) error {
	return h.signalInit(ctx, syscall.SIGCONT, "RSD")
}

func (h *Host) signalInit(ctx context.Context, signal syscall.Signal, states string) error {
	if err := syscall.Kill(h.PID, signal); err != nil {
		return fmt.Errorf("signal systemd of %s: %w", h.Name, err)
	}
	return h.until(ctx, "state of systemd", func(context.Context) error {
		if state := processState(h.PID); state == "" || !strings.Contains(states, state) {
			return fmt.Errorf("process 1 is in state %q", state)
		}
		return nil
	})
}
