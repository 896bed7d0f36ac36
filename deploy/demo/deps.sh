#!/bin/sh
# Installs the Debian packages that the demo ("deps.sh demo") or all tests ("deps.sh test") need, and no service is started by it.
# Does nothing, quickly, when everything is there.
set -eu

demo="systemd-container mmdebstrap iproute2 iptables openssh-client redis-tools prometheus prometheus-alertmanager procps sudo"
test="$demo redis-server prometheus-redis-exporter postgresql chromium gcc libc6-dev dbus"

case "${1:-test}" in
demo) want=$demo ;;
test) want=$test ;;
*) echo "usage: deps.sh demo|test" >&2; exit 2 ;;
esac

missing=""
for p in $want; do
	[ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null || true)" = installed ] || missing="$missing $p"
done

if [ -n "$missing" ]; then
	if [ "$(id -u)" != 0 ]; then
		echo "These Debian packages are missing:$missing" >&2
		echo "Run this as root, or: apt-get install$missing" >&2
		exit 1
	fi
	echo "deps: installing$missing"
	# Debian starts a server as soon as its package is installed, unless this file says no.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
		trap 'rm -f "$policy"' EXIT
		trap 'exit 130' INT TERM HUP
	fi
	log=$(mktemp)
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086 # a list of words
	if ! { apt-get update && apt-get install --yes --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
		tail -n 30 "$log" >&2
		echo "deps: could not install the packages; the whole output is in $log" >&2
		exit 1
	fi
	rm -f "$log"
	echo "deps: installed"
fi

# Go and Node.js are not taken from Debian 12: its versions are too old.
command -v go >/dev/null || { echo "deps: Go is missing; see https://go.dev/doc/install (1.26 or later)" >&2; exit 1; }
node=$(node --version 2>/dev/null || true)
case "$node" in
v2[0-9].* | v[3-9][0-9].*) ;;
*) echo "deps: Node.js 20 or later is missing (found: ${node:-none}); see https://nodejs.org" >&2; exit 1 ;;
esac
