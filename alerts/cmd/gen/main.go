// Command gen writes the Prometheus rule files.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/redis-medic/redis-medic/alerts"
)

func main() {
	out := flag.String("out", "alerts/rules", "folder for the rule files; it must exist")
	var s alerts.Settings
	flag.StringVar(&s.RunbookURL, "runbook-url", alerts.DefaultRunbook, "page that runbook_url points into")
	flag.StringVar(&s.DashboardURL, "dashboard-url", alerts.DefaultDashboard, "Grafana dashboard that dashboard_url points to")
	flag.Parse()
	if err := alerts.Write(*out, s); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}
