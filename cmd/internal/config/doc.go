// Package config owns the configuration file: its shape, its defaults and every complaint about it. It reads one YAML file
// strictly and reports all faults at once, each with file, line, path and what to do about it. It refuses to hold a secret:
// secrets stand in files of their own, which LoadSecrets reads.
//
//go:generate go run ./reference . ../../../deploy/docs/configuration.md
package config
