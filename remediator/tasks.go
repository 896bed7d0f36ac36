package remediator

import "sync"

// tasks counts what is running. Unlike a sync.WaitGroup it may be added to while somebody waits: a change that a probe sees in the
// moment of the end is no programming error. The zero value is ready; it is safe for concurrent use.
type tasks struct {
	mu   sync.Mutex // guards the fields below
	n    int
	idle chan struct{} // closed when n is 0 again; nil: nobody waits
}

// Go runs f as a task.
func (t *tasks) Go(f func()) {
	t.Add(1)
	go func() {
		defer t.Done()
		f()
	}()
}

// Add counts tasks that the caller runs itself.
func (t *tasks) Add(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n += n
}

// Done ends one that was added.
func (t *tasks) Done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n--; t.n == 0 && t.idle != nil {
		close(t.idle)
		t.idle = nil
	}
}

// Wait returns when no task is running.
func (t *tasks) Wait() {
	t.mu.Lock()
	if t.n == 0 {
		t.mu.Unlock()
		return
	}
	if t.idle == nil {
		t.idle = make(chan struct{})
	}
	idle := t.idle
	t.mu.Unlock()
	<-idle
}
