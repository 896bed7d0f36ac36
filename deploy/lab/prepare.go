package lab

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	hostpkg "github.com/redis-medic/redis-medic/deploy/host"
)

var instanceName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// dataSize is the size of the file system that holds the data of all Redis servers of a host. It is one of its own, so that a test
// can fill it.
const dataSize = "256m"

// packageDir is where the host package lies on the host.
const packageDir = "/opt/redis-medic-host"

// documentSudoers are the lines of the architecture document, §6.3, letter by letter.
const documentSudoers = `# /etc/sudoers.d/autobot-redis
# Allow autobot user to manage Redis service
autobot ALL=(ALL) NOPASSWD: /bin/systemctl start redis-server
autobot ALL=(ALL) NOPASSWD: /bin/systemctl stop redis-server
autobot ALL=(ALL) NOPASSWD: /bin/systemctl restart redis-server
autobot ALL=(ALL) NOPASSWD: /bin/systemctl status redis-server
autobot ALL=(ALL) NOPASSWD: /bin/journalctl -u redis-server *
`

// writeFiles writes into the root file system what has to be there before the boot: names, keys and the configuration of Redis.
func (h *Host) writeFiles() error {
	h.Password = rand.Text()
	if err := os.WriteFile(h.PasswordFile, []byte(h.Password), 0o600); err != nil {
		return fmt.Errorf("lab files: %w", err)
	}
	public, err := h.writeKeys()
	if err != nil {
		return fmt.Errorf("lab keys: %w", err)
	}
	files := map[string]string{
		"/etc/hostname": h.Name + "\n",
		"/etc/hosts":    "127.0.0.1 localhost\n127.0.1.1 " + h.Name + "\n",
		"/etc/fstab":    "tmpfs /var/lib/redis tmpfs size=" + dataSize + ",mode=0750,uid=redis,gid=redis 0 0\n",

		packageDir + "/key.pub": string(public),
	}
	for _, name := range hostpkg.Names() {
		data, err := hostpkg.Files.ReadFile(name)
		if err != nil {
			return fmt.Errorf("lab files: %w", err)
		}
		files[packageDir+"/"+name] = string(data)
	}
	for name, text := range files {
		path := filepath.Join(h.root(), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("lab files: %w", err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return fmt.Errorf("lab files: %w", err)
		}
	}
	return h.writeRedisConfigs()
}

// writeRedisConfigs changes Debian's redis.conf as the documentation says (bind address, password) and derives the instances' files
// from it as the comment in Debian's redis-server@.service says.
func (h *Host) writeRedisConfigs() error {
	stock := filepath.Join(h.root(), h.Redis.ConfigFile)
	data, err := os.ReadFile(stock)
	if err != nil {
		return fmt.Errorf("lab redis.conf: %w", err)
	}
	base, err := replaceLines(string(data), map[string]string{"bind": "bind 127.0.0.1 " + h.Address})
	if err != nil {
		return fmt.Errorf("lab redis.conf: %w", err)
	}
	base += "\nrequirepass " + h.Password + "\nenable-debug-command local\n"
	// The file exists and keeps its owner and mode.
	if err := os.WriteFile(stock, []byte(base), 0o640); err != nil {
		return fmt.Errorf("lab redis.conf: %w", err)
	}
	st, err := os.Stat(stock)
	if err != nil {
		return fmt.Errorf("lab redis.conf: %w", err)
	}
	for _, r := range h.Servers[1:] {
		name := strings.TrimSuffix(strings.TrimPrefix(r.Unit, "redis-server@"), ".service")
		text, err := replaceLines(base, map[string]string{
			"port":       fmt.Sprintf("port %d", r.Port),
			"logfile":    "logfile " + r.LogFile,
			"dbfilename": "dbfilename dump-" + name + ".rdb",
			"pidfile":    "pidfile /run/redis-" + name + "/redis-server.pid",
		})
		if err != nil {
			return fmt.Errorf("lab %s: %w", r.ConfigFile, err)
		}
		path := filepath.Join(h.root(), r.ConfigFile)
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			return fmt.Errorf("lab %s: %w", r.ConfigFile, err)
		}
		if err := chownLike(path, st); err != nil {
			return fmt.Errorf("lab %s: %w", r.ConfigFile, err)
		}
	}
	return nil
}

// replaceLines replaces the one line of each directive.
func replaceLines(conf string, by map[string]string) (string, error) {
	lines := strings.Split(conf, "\n")
	for directive, line := range by {
		found := false
		for i, l := range lines {
			if strings.HasPrefix(l, directive+" ") {
				lines[i], found = line, true
			}
		}
		if !found {
			return "", fmt.Errorf("no line with %q", directive)
		}
	}
	return strings.Join(lines, "\n"), nil
}

// writeKeys makes the client's key and the host's, and returns the client's public key.
func (h *Host) writeKeys() ([]byte, error) {
	public, private, err := newKey("redis-medic lab client")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(h.IdentityFile, private, 0o600); err != nil {
		return nil, err
	}
	hostPublic, hostPrivate, err := newKey("root@" + h.Name)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(h.root(), "/etc/ssh/ssh_host_ed25519_key")
	if err := os.WriteFile(path, hostPrivate, 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(path+".pub", hostPublic, 0o644); err != nil {
		return nil, err
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(hostPublic)
	if err != nil {
		return nil, err
	}
	line := knownhosts.Line([]string{knownhosts.Normalize(h.SSHAddress)}, key) + "\n"
	return public, os.WriteFile(h.KnownHostsFile, []byte(line), 0o600)
}

// newKey returns a new ed25519 key pair as the lines of a .pub file and of a private key file.
func newKey(comment string) (public, private []byte, err error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	sshPub, err := ssh.NewPublicKey(pub)
	if err != nil {
		return nil, nil, err
	}
	block, err := ssh.MarshalPrivateKey(priv, comment)
	if err != nil {
		return nil, nil, err
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(sshPub))) + " " + comment + "\n"
	return []byte(line), pem.EncodeToMemory(block), nil
}

// prepare does on the booted host what the documentation tells its owner to do, then keeps a copy of that state for Reset.
func (h *Host) prepare(ctx context.Context, opts Options) error {
	script := h.installScript(opts)
	if units := h.instanceUnits(); units != "" {
		script += "systemctl enable --now --quiet " + units + "\n"
	}
	// Beside the fresh ed25519 key a host has the other kinds that Debian makes; clients have to ask for the one they know.
	script += "ssh-keygen -A >/dev/null\nsystemctl restart ssh.service\n" + saveState
	if _, err := h.Exec(ctx, script); err != nil {
		return fmt.Errorf("prepare the host: %w", err)
	}
	return nil
}

// instanceUnits names the units beside the stock one, as words of the shell.
func (h *Host) instanceUnits() string {
	var units []string
	for _, r := range h.Servers[1:] {
		units = append(units, quote(r.Unit))
	}
	return strings.Join(units, " ")
}

func (h *Host) installScript(opts Options) string {
	if h.Access == AccessDocument {
		return "useradd --create-home --shell /bin/bash --password '*' " + h.User + "\n" +
			"install -d -m 0700 -o " + h.User + " -g " + h.User + " /home/" + h.User + "/.ssh\n" +
			"install -m 0600 -o " + h.User + " -g " + h.User + " " + packageDir + "/key.pub /home/" + h.User + "/.ssh/authorized_keys\n" +
			"printf %s " + quote(documentSudoers) + " >/etc/sudoers.d/autobot-redis\nchmod 0440 /etc/sudoers.d/autobot-redis\nvisudo -cq\n"
	}
	args := []string{"sh", packageDir + "/install.sh", "--key", packageDir + "/key.pub", "--user", h.User}
	if h.Access == AccessPlain {
		args = append(args, "--without-gate")
	}
	if !opts.ForbidKill {
		args = append(args, "--allow-kill")
	}
	if !opts.SnapshotTimer {
		args = append(args, "--no-timer")
	}
	for _, r := range h.Servers {
		args = append(args, "--unit", strings.Join([]string{r.Unit, r.LogFile, r.DataDir}, ","))
	}
	return strings.Join(args, " ") + "\n"
}

// ready waits until the host serves: the key gets in and learns that Redis is active, and each Redis answers on its address.
func (h *Host) ready(ctx context.Context) error {
	for _, r := range h.Servers {
		if err := poll(ctx, readyTimeout, r.Unit, r.ping); err != nil {
			return err
		}
	}
	return poll(ctx, readyTimeout, "sshd", h.checkSSH)
}

// ping asks over the network, as redis-medic does.
func (r *Redis) ping(ctx context.Context) error {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", r.RedisAddr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "AUTH %s\r\nPING\r\n", r.host.Password); err != nil {
		return err
	}
	replies := bufio.NewReader(conn)
	for _, want := range []string{"+OK", "+PONG"} {
		line, err := replies.ReadString('\n')
		if err != nil {
			return err
		}
		if got := strings.TrimSpace(line); got != want {
			return fmt.Errorf("answered %q", got)
		}
	}
	return nil
}

// checkSSH signs in with our key, checks the host's, and asks for the state of the stock unit.
func (h *Host) checkSSH(context.Context) error {
	client, err := h.dialSSH()
	if err != nil {
		return err
	}
	defer client.Close() //nolint:errcheck // nothing is left to send
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	defer session.Close() //nolint:errcheck // as above
	command := "systemctl is-active " + h.Unit
	if h.Access == AccessGate {
		command = "v1 is-active " + h.Unit
	}
	out, err := session.CombinedOutput(command)
	if got := strings.TrimSpace(string(out)); got != "active" {
		return fmt.Errorf("%s: %w", command, errors.Join(err, fmt.Errorf("answered %q", got)))
	}
	return nil
}

func (h *Host) dialSSH() (*ssh.Client, error) {
	data, err := os.ReadFile(h.IdentityFile)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(data)
	if err != nil {
		return nil, err
	}
	check, err := knownhosts.New(h.KnownHostsFile)
	if err != nil {
		return nil, err
	}
	conn, err := net.DialTimeout("tcp", h.SSHAddress, time.Second)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	c, channels, requests, err := ssh.NewClientConn(conn, h.SSHAddress, &ssh.ClientConfig{
		User: h.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: check, HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
	})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return ssh.NewClient(c, channels, requests), nil
}
