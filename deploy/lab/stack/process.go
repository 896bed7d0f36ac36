package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// process is one program. It dies with us: the kernel kills it when the thread that started it ends, so that thread stays.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it ended; then err is set
	err  error
}

// startProcess starts a program in a process group of its own, so that a Ctrl-C in the terminal reaches only us.
func startProcess(logDir, name, program string, args ...string) (*process, error) {
	if err := os.MkdirAll(logDir, 0o700); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{name: name, log: filepath.Join(logDir, name+".log"), done: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p.cmd = exec.Command(program, args...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// Pdeathsig means the thread, not the process: this one must live as long as the child.
		runtime.LockOSThread()
		defer out.Close()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// stop asks the program to end and waits for it.
func (p *process) stop() error {
	if !p.running() {
		return nil
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("%s did not end within %s after SIGTERM\n%s", p.name, stopTimeout, p.lastWords()), p.kill())
	}
}

// kill ends the program's whole group at once.
func (p *process) kill() error {
	if !p.running() {
		return nil
	}
	if err := syscall.Kill(-p.pid(), syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-p.done
	return nil
}

// lastWords is the end of what the program wrote.
func (p *process) lastWords() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	const most = 4000
	if len(data) > most {
		data = data[len(data)-most:]
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			data = data[i+1:]
		}
	}
	return string(data)
}

// waitReady waits until a URL answers 200.
func waitReady(ctx context.Context, p *process, url string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	last := "no answer"
	err := poll(ctx, 25*time.Millisecond, func() (bool, error) {
		if !p.running() {
			return false, fmt.Errorf("%s ended: %w\n%s", p.name, p.err, p.lastWords())
		}
		code, body, err := get(ctx, url)
		if err != nil {
			last = err.Error()
			return false, nil
		}
		last = fmt.Sprintf("%d %s", code, body)
		return code == http.StatusOK, nil
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%s is not ready (%s: %s): %w\n%s", p.name, url, last, err, p.lastWords())
	}
	return err
}

// poll asks until the answer is yes, an error, or ctx ends.
func poll(ctx context.Context, every time.Duration, ask func() (bool, error)) error {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		if yes, err := ask(); yes || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
		}
	}
}

// watchdog removes a folder when this process is gone, even by SIGKILL: it waits for the end of a pipe that only we hold open.
type watchdog struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

func watch(dir string) (*watchdog, error) {
	// The programs in the folder are killed at the same moment; the second round takes what they wrote meanwhile.
	w := &watchdog{cmd: exec.Command("/bin/sh", "-c", `read -r go; rm -rf -- "$1"; [ "$go" ] || { sleep 1; rm -rf -- "$1"; }`, "redis-medic-stack", dir)}
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var err error
	if w.pipe, err = w.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("stack: %w", err)
	}
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("stack: %w", err)
	}
	return w, nil
}

// dismiss ends the watchdog, whose folder is gone already.
func (w *watchdog) dismiss() error {
	if _, err := io.WriteString(w.pipe, "go\n"); err != nil {
		return fmt.Errorf("stack: %w", err)
	}
	return errors.Join(w.pipe.Close(), w.cmd.Wait())
}
