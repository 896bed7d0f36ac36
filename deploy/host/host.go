// Package hostpkg carries the files that prepare a Redis host: the gate, its installer and its uninstaller. It only hands them
// out, so that tests, the lab and packages use the very files that a user installs.
package hostpkg

import "embed"

// Files holds install.sh, uninstall.sh and redis-medic-gate, in one flat folder, as install.sh expects them.
//
//go:embed install.sh uninstall.sh redis-medic-gate
var Files embed.FS

// Names lists the files of Files.
func Names() []string { return []string{"install.sh", "uninstall.sh", "redis-medic-gate"} }
