// Package lab boots real Redis hosts on this machine: Debian with systemd, sshd, sudo, journald and stock redis-server, each in its
// own network namespace and prepared with deploy/host as the documentation tells a user to. Tests and the demo break them and
// watch.
//
// It needs root and a few Debian packages (Require names the missing ones). The root file system is built once per machine and
// shared read-only; a host is an overlay on it, so boot, Reset and Down take about a second. Several hosts, also of several
// processes, run side by side. A host ends with the process that started it, however that process ends, unless Options.Keep is set.
package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

// Access says how the host lets redis-medic in.
type Access string

// The ways in that the documentation describes.
const (
	AccessGate     Access = "gate"     // deploy/host with the forced-command gate
	AccessPlain    Access = "plain"    // deploy/host --without-gate: any command as the user, the same sudo lines
	AccessDocument Access = "document" // the architecture document's own sudoers (§6.3), without the host package
)

// Options says what kind of host to boot. The zero value is a host without the gate.
type Options struct {
	// Gate installs the forced-command gate.
	Gate bool
	// DocumentSudoers sets the host up by hand as the architecture document says, without the host package; excludes Gate.
	DocumentSudoers bool
	// ForbidKill leaves the sudo line for SIGKILL away, as the installer does by default.
	ForbidKill bool
	// SnapshotTimer lets the host keep good configurations by itself, as the installer does by default. Without it only Snapshot does.
	SnapshotTimer bool
	// Instances are Redis servers beside redis-server.service, each as unit redis-server@NAME.service.
	Instances []Instance
	// Keep lets the host live on after this process; Attach and Down, or the lab command, end it.
	Keep bool
	// CacheDir holds the root file system; empty: $REDIS_MEDIC_LAB_CACHE or /var/cache/redis-medic/lab.
	CacheDir string
	// Log receives one line per step of the work; nil: none.
	Log io.Writer
}

// Instance is one more Redis server of a host.
type Instance struct {
	Name string // as in redis-server@NAME.service: letters, digits, "_" and "-"
	Port int
}

// Bounds of the work around a host. They are generous: a busy machine boots a host in a few seconds.
const (
	bootTimeout  = 60 * time.Second
	readyTimeout = 60 * time.Second
	stopTimeout  = 30 * time.Second
	faultTimeout = 30 * time.Second
)

// Host is one running Redis host. Its fields do not change after Up (a Reboot changes PID); its methods may be called from several goroutines, but faults
// on the same thing do not combine by themselves.
type Host struct {
	// Redis is the stock server, redis-server.service on port 6379; its faults are faults of the host.
	*Redis `json:"-"`

	Number         int      `json:"number"`           // N of 10.77.N.2
	Name           string   `json:"name"`             // of the machine, its network namespace and our end of its network
	Address        string   `json:"address"`          // its IPv4 address
	SSHAddress     string   `json:"ssh_address"`      // host:port of sshd
	User           string   `json:"user"`             // to sign in as
	Access         Access   `json:"access"`           // how it lets the user in
	Servers        []*Redis `json:"servers"`          // all Redis servers, the stock one first
	Password       string   `json:"-"`                // of all Redis servers
	Dir            string   `json:"dir"`              // working folder, mode 0700
	IdentityFile   string   `json:"identity_file"`    // private key, mode 0600
	KnownHostsFile string   `json:"known_hosts_file"` // the host's real key
	PasswordFile   string   `json:"password_file"`    // the password of the Redis servers, mode 0600
	PID            int      `json:"pid"`              // of the host's systemd, as this machine sees it

	keep    bool
	log     io.Writer
	release func() // ends the watchdog; nil for a host of another process

	flood    sync.Mutex // guards flooding
	flooding []net.Conn // of FloodSSH
}

// Redis is one Redis server of a host.
type Redis struct {
	Unit       string `json:"unit"`        // "redis-server.service"
	Port       int    `json:"port"`        //
	RedisAddr  string `json:"redis_addr"`  // host:port
	ConfigFile string `json:"config_file"` // inside the host, as are the next two
	LogFile    string `json:"log_file"`
	DataDir    string `json:"data_dir"`

	host *Host
}

// User is the account on the host that redis-medic signs in as.
const labUser = "autobot"

// Up boots a host and returns when sshd has let our key in and every Redis server has answered. It removes what dead processes
// left first. On an error nothing stays behind.
func Up(ctx context.Context, opts Options) (*Host, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	if err := Require(); err != nil {
		return nil, err
	}
	if err := Sweep(); err != nil {
		return nil, err
	}
	h := newHost(opts)
	rootfs, err := ensureImage(ctx, opts.cacheDir(), h.log)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	if err := h.claim(); err != nil {
		return nil, err
	}
	if err := h.start(ctx, rootfs, opts); err != nil {
		return nil, errors.Join(err, h.Down())
	}
	h.say("host %s is up at %s after %.1f s", h.Name, h.Address, time.Since(started).Seconds())
	return h, nil
}

func (o Options) validate() error {
	if o.Gate && o.DocumentSudoers {
		return errors.New("lab options: Gate and DocumentSudoers exclude each other")
	}
	seen := map[int]bool{6379: true}
	for _, i := range o.Instances {
		if !instanceName.MatchString(i.Name) {
			return fmt.Errorf("lab options: instance name %q is not plain", i.Name)
		}
		if i.Port < 1024 || i.Port > 65535 || seen[i.Port] {
			return fmt.Errorf("lab options: instance %s: port %d is out of range or used twice", i.Name, i.Port)
		}
		seen[i.Port] = true
	}
	return nil
}

func (o Options) access() Access {
	switch {
	case o.Gate:
		return AccessGate
	case o.DocumentSudoers:
		return AccessDocument
	default:
		return AccessPlain
	}
}

func newHost(opts Options) *Host {
	h := &Host{User: labUser, Access: opts.access(), keep: opts.Keep, log: opts.Log}
	if h.log == nil {
		h.log = io.Discard
	}
	h.Servers = append(h.Servers, &Redis{
		Unit: "redis-server.service", Port: 6379, ConfigFile: "/etc/redis/redis.conf",
		LogFile: "/var/log/redis/redis-server.log", DataDir: "/var/lib/redis",
	})
	for _, i := range opts.Instances {
		h.Servers = append(h.Servers, &Redis{
			Unit: "redis-server@" + i.Name + ".service", Port: i.Port, ConfigFile: "/etc/redis/redis-" + i.Name + ".conf",
			LogFile: "/var/log/redis/redis-server-" + i.Name + ".log", DataDir: "/var/lib/redis",
		})
	}
	return h
}

// settle fills the fields that follow from the number and the folder.
func (h *Host) settle() {
	h.Name = "rml-" + strconv.Itoa(h.Number)
	h.Address = fmt.Sprintf("10.77.%d.2", h.Number)
	h.SSHAddress = h.Address + ":22"
	h.IdentityFile = h.Dir + "/id_ed25519"
	h.KnownHostsFile = h.Dir + "/known_hosts"
	h.PasswordFile = h.Dir + "/redis_password"
	for _, r := range h.Servers {
		r.host = h
		r.RedisAddr = h.Address + ":" + strconv.Itoa(r.Port)
	}
	h.Redis = h.Servers[0]
}

// Server returns the Redis server of a unit, or nil.
func (h *Host) Server(unit string) *Redis {
	for _, r := range h.Servers {
		if r.Unit == unit {
			return r
		}
	}
	return nil
}

// start does all of Up after the number is claimed.
func (h *Host) start(ctx context.Context, rootfs string, opts Options) error {
	h.say("booting %s (%s access)…", h.Name, h.Access)
	if err := h.watchOver(); err != nil {
		return err
	}
	if err := h.makeNetwork(ctx); err != nil {
		return err
	}
	if err := h.makeRoot(ctx, rootfs); err != nil {
		return err
	}
	if err := h.writeFiles(); err != nil {
		return err
	}
	if err := h.boot(ctx); err != nil {
		return fmt.Errorf("%w\nlast lines of the boot:\n%s", err, tail(h.Dir+"/boot.log", 15))
	}
	if err := h.prepare(ctx, opts); err != nil {
		return err
	}
	return h.ready(ctx)
}

func (h *Host) root() string { return h.Dir + "/root" }

func (h *Host) say(format string, args ...any) {
	fmt.Fprintf(h.log, "lab: "+format+"\n", args...)
}

// hopeless marks an error after which trying again has no sense.
type hopeless struct{ error }

// poll calls try until it returns nil, and returns its last error when it is hopeless, when ctx ends, or when the time is over.
func poll(ctx context.Context, timeout time.Duration, what string, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("gave up after %s", timeout))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		if errors.As(err, &hopeless{}) {
			return fmt.Errorf("%s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %w", what, context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// tail returns the last n lines of a file, for error messages.
func tail(path string, n int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return lastLines(string(data), n)
}
