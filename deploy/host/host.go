// Package hostpkg carries the files that prepare a Redis host: the gate, the keeper of configurations, the installer and the uninstaller. It only hands them
// out, so that tests, the lab and packages use the very files that a user installs.
package hostpkg

import "embed"

// Files holds the files of Names, in one flat folder, as install.sh expects them.
//
//go:embed install.sh uninstall.sh redis-medic-gate redis-medic-config
var Files embed.FS

// Names lists the files of Files.
func Names() []string {
	return []string{"install.sh", "uninstall.sh", "redis-medic-gate", "redis-medic-config"}
}
