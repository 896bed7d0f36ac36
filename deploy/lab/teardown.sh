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

members() { ip netns pids "$name" 2>/dev/null; }

# wait_until SECONDS COMMAND…: true as soon as the command is.
wait_until() {
    turns=$(($1 * 50)); shift
    while [ "$turns" -gt 0 ]; do
        "$@" && return 0
        turns=$((turns - 1)); sleep 0.02
    done
    return 1
}
no_members() { [ -z "$(members)" ]; }
gone() { [ ! -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }
container() { pgrep -f -x "systemd-nspawn .*--machine=$name .*"; }

# The end of process 1 of a PID namespace ends every process in it, frozen or hung ones too, and systemd-nspawn follows.
# The file system is a throw-away copy, so there is nothing that an orderly shutdown would save.
for pid in $(members); do
    inside=$(sed -n 's/^NSpid:.*[[:space:]]//p' "/proc/$pid/status" 2>/dev/null)
    [ "$inside" = 1 ] && kill -KILL "$pid" 2>/dev/null
done
wait_until 5 no_members || for pid in $(members); do kill -KILL "$pid" 2>/dev/null; done
for pid in $(container); do
    wait_until 3 gone "$pid" || kill -KILL "$pid" 2>/dev/null
    wait_until 2 gone "$pid" || :
done

ip link del "$name" 2>/dev/null
wait_until 5 no_members || :
[ -e "/run/netns/$name" ] && ip netns del "$name"
if mountpoint -q "$dir/root"; then
    wait_until 3 umount "$dir/root" 2>/dev/null || umount -l "$dir/root"
fi
for group in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
    for own in $(find "$group" -maxdepth 1 -type d -name "redis-medic-lab-$name" 2>/dev/null); do
        find "$own" -depth -type d -exec rmdir {} + 2>/dev/null
    done
done
rmdir "/run/systemd/nspawn/propagate/$name" 2>/dev/null

left=
mountpoint -q "$dir/root" && left="$left mount:$dir/root"
[ -e "/run/netns/$name" ] && left="$left netns:$name"
[ -n "$(container)" ] && left="$left process:$(container)"
if [ -n "$left" ]; then
    echo "could not remove:$left" >&2
    exit 1
fi
rm -rf --one-file-system "$dir" && rm -f "$entry"
