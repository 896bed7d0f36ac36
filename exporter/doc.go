// Package exporter knows how every configured Redis service is: it probes them (Prober), publishes what it knows as Prometheus
// metrics (Exporter), and lets others ask for what is known or for a fresh look. It judges through package health and acts on
// nothing; it reads systemd only through the UnitReader that it is handed.
package exporter
