// Command gen writes the shipped alertmanager.yml. It is run by go generate in deploy/alertmanager.
package main

import (
	"fmt"
	"os"

	"github.com/redis-medic/redis-medic/deploy/alertmanager"
)

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write() error {
	text, err := alertmanager.Render(alertmanager.Defaults())
	if err != nil {
		return err
	}
	return os.WriteFile("alertmanager.yml", text, 0o644) //nolint:gosec // a shipped file without secrets
}
