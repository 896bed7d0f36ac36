// Package systemd carries the unit with which redis-medic runs as a service, so that tests use the very file that a user installs.
package systemd

import _ "embed"

// Unit is redis-medic.service.
//
//go:embed redis-medic.service
var Unit string
