package exporter

import (
	"slices"
	"testing"
)

func TestStatusClass(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "none", "Ready to accept connections": "ready", "Ready to accept connections in read-write mode. Waiting for MASTER <-> REPLICA sync": "ready",
		"MASTER <-> REPLICA sync: Finished with success. Ready to accept connections in read-write mode.": "ready",
		"MASTER <-> REPLICA sync in progress": "syncing", "Loading the data set": "loading", "Saving the final RDB snapshot": "saving",
		"User requested shutdown...": "stopping", "Exiting on error": "failing", "Something else": other,
	} {
		got := statusClass(text)
		if got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
		if !slices.Contains(statusNames, got) {
			t.Errorf("%s is not in the closed list", got)
		}
	}
}

func TestUnitType(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"redis-server.service": "service", "redis@a.b.socket": "socket", "redis": "service"} {
		if got := unitType(name); got != want {
			t.Errorf("%s is a %s, want %s", name, got, want)
		}
	}
}
