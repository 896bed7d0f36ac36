// Command gen writes the reference of all metrics to the file that it is given.
package main

import (
	"fmt"
	"os"

	"github.com/redis-medic/redis-medic/exporter/metric"
)

func main() {
	if len(os.Args) != 2 {
		_, _ = fmt.Fprintln(os.Stderr, "usage: gen FILE")
		os.Exit(2)
	}
	if err := os.WriteFile(os.Args[1], []byte(metric.Reference()), 0o644); err != nil { //nolint:gosec // documentation is for everybody
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
