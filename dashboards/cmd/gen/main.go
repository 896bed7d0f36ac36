// Command gen writes the dashboards as JSON.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/redis-medic/redis-medic/dashboards"
)

func main() {
	out := flag.String("out", "dashboards", "folder for the JSON files; it must exist")
	flag.Parse()
	if err := dashboards.Write(*out); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}
