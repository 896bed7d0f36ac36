#!/bin/sh
# Removes what install.sh put on a Redis host. Run as root; running it again changes nothing.
set -u -f
LC_ALL=C
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH

ETC=/etc/redis-medic
STATE=$ETC/host-package

say() { printf 'uninstall.sh: %s\n' "$*"; }

[ "$(id -u)" -eq 0 ] || { echo 'uninstall.sh: run this as root' >&2; exit 1; }

user=
created=no
if [ -r "$STATE" ]; then
    user=$(sed -n 's/^user //p' "$STATE")
    created=$(sed -n 's/^created-user //p' "$STATE")
fi

# The rights go first: whatever fails later, the key can no longer do anything as root.
rm -f /etc/sudoers.d/redis-medic /etc/sudoers.d/redis-medic.unchecked

if [ -n "$user" ] && entry=$(getent passwd "$user"); then
    home=$(printf '%s\n' "$entry" | cut -d: -f6)
    file=$home/.ssh/authorized_keys
    if [ -e "$file" ]; then
        grep -v ' redis-medic$' "$file" >"$file.new"
        chown --reference="$file" "$file.new" && chmod --reference="$file" "$file.new" && mv -f "$file.new" "$file"
    fi
    if [ "$created" = yes ]; then
        # A kept SSH session would make userdel refuse.
        loginctl terminate-user "$user" >/dev/null 2>&1
        pkill -KILL -u "$user"
        userdel --remove --force "$user" 2>/dev/null
        say "removed the account $user"
    else
        sed -n 's/^added-group //p' "$STATE" | while read -r group; do gpasswd --delete "$user" "$group" >/dev/null 2>&1; done
        say "kept the account $user, which was there before"
    fi
fi

if [ -e /etc/systemd/system/redis-medic-config.timer ]; then
    systemctl disable --now --quiet redis-medic-config.timer
    rm -f /etc/systemd/system/redis-medic-config.timer /etc/systemd/system/redis-medic-config.service
    systemctl daemon-reload
fi
# The snapshots go, as they hold passwords. A rejected file is somebody's work, and there may be no other copy.
if [ -d /var/lib/redis-medic-host ]; then
    find /var/lib/redis-medic-host -depth ! -type d ! -name 'rejected-*.conf' -delete
    find /var/lib/redis-medic-host -depth -type d -empty -delete
    [ ! -d /var/lib/redis-medic-host ] || say 'kept rejected configuration files in /var/lib/redis-medic-host'
fi

rm -f /usr/local/sbin/redis-medic-gate /usr/local/sbin/redis-medic-config "$ETC/gate.conf" "$STATE"
[ -d "$ETC" ] && rmdir --ignore-fail-on-non-empty "$ETC"
say 'done'
