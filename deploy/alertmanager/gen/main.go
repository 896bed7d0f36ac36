// Command gen writes the shipped alertmanager.yml. It is run by go generate in deploy/alertmanager.
package main

import (
	"log"
	"os"

	"github.com/redis-medic/redis-medic/deploy/alertmanager"
)

func main() {
	text, err := alertmanager.Render(alertmanager.Defaults())
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile("alertmanager.yml", text, 0o644); err != nil { //nolint:gosec // a shipped file without secrets
		log.Fatal(err)
	}
}
