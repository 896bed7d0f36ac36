# Removes one lab host. Arguments: its NAME, its working folder, its entry in the registry, and "wait" when the removal shall
# begin only once standard input ends, which it does when the process that started the host is gone.
# Used by Down, by Sweep, and by the watchdog of each host, always under the registry's lock. Running it again, or on a host that
# got only half-way up, is fine.
# Everything it ends or removes is found through the name and the folder, which only the lab makes.
set -u
name=$1 dir=$2 entry=$3
case $name:$dir in
rml-[0-9]*:/*/redis-medic-lab-*) ;;
*) echo "not a lab host: $name $dir" >&2; exit 1 ;;
esac
if [ "${4-}" = wait ]; then
    read -r _ && exit 0 # a line instead of the end: the host was taken down in order
    exec 9>>"${entry%/*}/lock"
    flock 9
fi
# A number is used again; only the entry with our folder is ours.
grep -qsF "\"$dir\"" "$entry" || exit 0

# wait_until SECONDS COMMAND…: true as soon as the command is.
wait_until() {
    turns=$(($1 * 50)); shift
    while [ "$turns" -gt 0 ]; do
        "$@" && return 0
        turns=$((turns - 1)); sleep 0.02
    done
    return 1
}

# The control groups of the host carry the name of its folder.
own_groups() { find /sys/fs/cgroup -maxdepth 2 -type d -name "${dir##*/}" 2>/dev/null; }
# members: every process of the host. starters: systemd-nspawn, or the shell that is about to become it.
members() {
    ip netns pids "$name" 2>/dev/null
    for group in $(own_groups); do find "$group" -name cgroup.procs -exec cat {} + 2>/dev/null; done
}
starters() { pgrep -f -- "--directory=$dir/root "; }
ended() { [ -z "$(members)$(starters)" ]; }

# The end of process 1 of a PID namespace ends every process in it, frozen or hung ones too, and systemd-nspawn follows by itself.
# The file system is a throw-away copy, so there is nothing that an orderly shutdown would save.
end_container() {
    for pid in $(members); do
        inside=$(sed -n 's/^NSpid:.*[[:space:]]//p' "/proc/$pid/status" 2>/dev/null)
        [ "$inside" = 1 ] && kill -KILL "$pid" 2>/dev/null
    done
    wait_until 2 ended
}
# Whoever is still there has no process 1 yet, or does not react.
end_each() {
    for pid in $(starters) $(members); do kill -KILL "$pid" 2>/dev/null; done
    ended
}
ended || end_container || wait_until 5 end_each

ip link del "$name" 2>/dev/null
[ -e "/run/netns/$name" ] && ip netns del "$name"
if mountpoint -q "$dir/root"; then
    wait_until 3 umount "$dir/root" 2>/dev/null || umount -l "$dir/root"
fi
remove_groups() {
    for group in $(own_groups); do find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null; done
    [ -z "$(own_groups)" ]
}
wait_until 3 remove_groups
rmdir "/run/systemd/nspawn/propagate/$name" 2>/dev/null

left=
mountpoint -q "$dir/root" && left="$left mount:$dir/root"
[ -e "/run/netns/$name" ] && left="$left netns:$name"
ended || left="$left processes:$(members) $(starters)"
[ -n "$(own_groups)" ] && left="$left control groups:$(own_groups)"
if [ -n "$left" ]; then
    echo "could not remove:$left" >&2
    exit 1
fi
rm -rf --one-file-system "$dir" && rm -f "$entry"
