package e2e

import (
	"syscall"
	"testing"
	"time"
)

// TestTheChainIsDead breaks Redis while the programs that should tell of it stand still.
func TestTheChainIsDead(t *testing.T) {
	for _, dead := range []string{"prometheus-alertmanager", "prometheus"} {
		t.Run(dead, func(t *testing.T) {
			ctx := begin(t)
			if err := st.Signal(dead, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			thawed := false
			thaw := func() {
				if !thawed {
					thawed = true
					if err := st.Signal(dead, syscall.SIGCONT); err != nil {
						t.Error(err)
					}
				}
			}
			t.Cleanup(thaw)
			since := time.Now()
			if err := host.Stop(ctx); err != nil {
				t.Fatal(err)
			}
			i := recovered(ctx, t, since)
			if i["source"] != "probe" || len(steps(i, "intent")) != 1 {
				t.Errorf("source %v, intents %v", i["source"], steps(i, "intent"))
			}
			thaw()
			quiet(ctx, t)
			if n := starts(ctx, t, since); n != 1 {
				t.Errorf("%d starts, want 1", n)
			}
		})
	}
}
