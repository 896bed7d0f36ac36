package storetest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// childDir names the directory in which a test binary that was started by Start works.
const childDir = "REDIS_MEDIC_STORETEST_CHILD_DIR"

// Main is a TestMain for tests that kill a process: the test binary, started again by Start, runs child in a directory, until it is
// killed or child fails.
func Main(m *testing.M, child func(dir string) error) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Fprintln(os.Stderr, child(dir))
		return
	}
	m.Run()
}

// Process is a test binary that runs as a child. It is killed at the end of the test at the latest.
type Process struct {
	cmd *exec.Cmd
	out *bufio.Scanner
}

// Start starts the test binary as a child that works in a directory, see Main.
func Start(t testing.TB, dir string) *Process {
	t.Helper()
	p := &Process{cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), childDir+"="+dir)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	t.Cleanup(p.Kill)
	return p
}

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Lines hands the next n lines that the child prints to each.
func (p *Process) Lines(t testing.TB, n int, each func(line string)) {
	t.Helper()
	for range n {
		if !p.out.Scan() {
			t.Fatal("the child ended early")
		}
		each(p.out.Text())
	}
}

// Kill ends the child as kill -9 does, and waits until it is gone. It may be called again.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	_ = p.cmd.Wait()
}
