#!/bin/sh
# Prepares a Redis host for redis-medic. Run as root on that host; running it again changes nothing or applies new options.
# shellcheck disable=SC2015 # "a && b || die" below means: die when any of them fails; die never returns
set -u -f
LC_ALL=C
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH

usage() {
    cat <<'TEXT'
Usage: install.sh --key FILE [options]

Creates the account that redis-medic signs in with, lets its key start one small program (the gate) that knows a closed
list of commands, and allows exactly those of them that need root by sudo.

  --key FILE          public key of redis-medic: ed25519, or RSA with 4096 bits or more (required)
  --user NAME         account to use; created when it does not exist (default: autobot)
  --unit NAME[,LOG[,DATA[,CONFIG]]]
                      unit that may be controlled, with Redis's log file, data folder and configuration file; give it
                      again for more units (default: redis-server.service,/var/log/redis/redis-server.log,/var/lib/redis;
                      CONFIG as Debian names it: /etc/redis/redis.conf, /etc/redis/redis-NAME.conf of redis-server@NAME)
  --from PATTERN      accept the key only from these addresses, as in authorized_keys (default: anywhere)
  --without-gate      the key may run any command as the account; sudo still allows only the same lines
  --no-timer          take no snapshots of the configuration by itself; nothing can be put back then
  --allow-kill        also allow SIGKILL of the unit's main process (recovery level "force"; off by default)
  --help              show this
TEXT
}

SOURCE=$(cd "$(dirname "$0")" && pwd) || exit 1
GATE=/usr/local/sbin/redis-medic-gate
KEEPER=/usr/local/sbin/redis-medic-config
SNAPSHOT=/etc/systemd/system/redis-medic-config
ETC=/etc/redis-medic
STATE=$ETC/host-package
SUDOERS=/etc/sudoers.d/redis-medic
DEFAULT_UNIT=redis-server.service,/var/log/redis/redis-server.log,/var/lib/redis
NL='
'

user=autobot
key_file=
units=
from=
gate=yes
timer=yes
allow_kill=no

say() { printf 'install.sh: %s\n' "$*"; }
die() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}
need_value() { [ $# -ge 2 ] && [ -n "$2" ] || die "$1 needs a value; see --help"; }

while [ $# -gt 0 ]; do
    case $1 in
    --key) need_value "$@"; key_file=$2; shift 2 ;;
    --user) need_value "$@"; user=$2; shift 2 ;;
    --unit) need_value "$@"; units=$units$2$NL; shift 2 ;;
    --from) need_value "$@"; from=$2; shift 2 ;;
    --without-gate) gate=no; shift ;;
    --no-timer) timer=no; shift ;;
    --allow-kill) allow_kill=yes; shift ;;
    --help | -h) usage; exit 0 ;;
    *) usage >&2; die "unknown option: $1" ;;
    esac
done
[ -n "$units" ] || units=$DEFAULT_UNIT$NL

problems=0
problem() {
    printf 'install.sh: problem: %s\n' "$*" >&2
    problems=$((problems + 1))
}

# part N TEXT: the Nth comma-separated part.
part() { printf '%s\n' "$2" | cut -d, -f"$1" -s; }

# unit_name TEXT, unit_log TEXT, unit_data TEXT, unit_config TEXT: the parts of one --unit value; "-" for a part that is not given.
unit_name() { printf '%s\n' "${1%%,*}"; }
unit_log() { value=$(part 2 "$1"); printf '%s\n' "${value:--}"; }
unit_data() { value=$(part 3 "$1"); printf '%s\n' "${value:--}"; }
unit_config() { value=$(part 4 "$1"); printf '%s\n' "${value:--}"; }

plain_path() {
    case $1 in
    -) return 0 ;;
    /*) ;;
    *) return 1 ;;
    esac
    case $1 in
    *[!A-Za-z0-9@_./:-]* | */../* | */..) return 1 ;;
    esac
}

check_machine() {
    [ "$(id -u)" -eq 0 ] || die 'run this as root'
    [ -d /run/systemd/system ] || problem 'systemd is not running here'
    for tool in systemctl journalctl sudo systemd-stdio-bridge tail tr cut cat df logger ss awk diff cmp flock; do
        [ -x /usr/bin/$tool ] || problem "/usr/bin/$tool is missing (packages: systemd sudo coreutils bsdutils iproute2 mawk diffutils util-linux; /usr must be merged)"
    done
    for tool in visudo sshd useradd ssh-keygen runuser; do
        command -v $tool >/dev/null || problem "$tool is missing (packages: sudo openssh-server passwd openssh-client util-linux)"
    done
    if command -v visudo >/dev/null && ! visudo -c >/dev/null 2>&1; then
        problem 'the present sudo configuration has errors; run "visudo -c" and mend it first'
    fi
    grep -Eqs '^[@#]includedir[[:space:]]+/etc/sudoers.d' /etc/sudoers || problem '/etc/sudoers does not include /etc/sudoers.d'
}

check_user() {
    case $user in
    root) problem 'the account must not be root' ;;
    *[!a-z0-9_-]* | [!a-z_]* | '') problem "\"$user\" is not a plain account name" ;;
    esac
    if [ -r "$STATE" ]; then
        old=$(sed -n 's/^user //p' "$STATE")
        [ "$old" = "$user" ] || problem "installed for account \"$old\" before; run uninstall.sh first"
    fi
    if entry=$(getent passwd "$user"); then
        case ${entry##*:} in
        */nologin | */false) problem "account $user has the shell ${entry##*:}; sshd needs a real one: usermod --shell /bin/sh $user" ;;
        esac
    fi
    case $from in
    *[!A-Za-z0-9.:/,*?!-]*) problem "--from \"$from\" is not a list of address patterns" ;;
    esac
}

check_key() {
    key_type=
    key_blob=
    [ -n "$key_file" ] || { problem 'no public key: give --key FILE'; return; }
    [ -r "$key_file" ] || { problem "cannot read the key file $key_file"; return; }
    lines=$(grep -Ecv '^[[:space:]]*(#|$)' "$key_file")
    [ "$lines" -eq 1 ] || { problem "$key_file must hold exactly one public key, it has $lines lines"; return; }
    line=$(grep -Ev '^[[:space:]]*(#|$)' "$key_file")
    key_type=$(printf '%s\n' "$line" | awk '{print $1}')
    key_blob=$(printf '%s\n' "$line" | awk '{print $2}')
    bits=$(ssh-keygen -l -f "$key_file" 2>/dev/null | awk '{print $1}')
    case $key_type:$bits in
    ssh-ed25519:256) ;;
    ssh-rsa:*) [ "${bits:-0}" -ge 4096 ] || problem "$key_file is an RSA key of ${bits:-?} bits; use ed25519 or at least 4096 bits" ;;
    *PRIVATE*) problem "$key_file is a private key; give the .pub file" ;;
    *) problem "$key_file is not an ed25519 or RSA public key without options" ;;
    esac
}

check_unit() {
    name=$(unit_name "$1")
    case $name in
    *[!A-Za-z0-9@_.:-]* | [!A-Za-z0-9]*) problem "\"$name\" is not a plain unit name"; return ;;
    *.service) ;;
    *) problem "unit \"$name\": write the full name, with .service"; return ;;
    esac
    case $name in
    *:*) problem "unit \"$name\": a colon in the name cannot be written in sudoers here"; return ;;
    esac
    load=$(systemctl show --property=LoadState --value "$name" 2>/dev/null)
    [ "$load" = loaded ] || [ "$load" = masked ] || problem "systemd does not know the unit $name (LoadState=${load:-unknown})"
    for path in "$(unit_log "$1")" "$(unit_data "$1")" "$(unit_config "$1")"; do
        plain_path "$path" || problem "unit $name: \"$path\" is not a plain absolute path"
    done
}

check_sshd() {
    command -v sshd >/dev/null || return
    effective=$(sshd -T 2>/dev/null) || { say 'note: sshd -T gave no answer; its settings were not checked'; return; }
    printf '%s\n' "$effective" | grep -q '^pubkeyauthentication yes' || problem 'sshd does not accept public keys (PubkeyAuthentication no)'
    printf '%s\n' "$effective" | grep -q '^authorizedkeysfile .*\.ssh/authorized_keys' ||
        problem 'sshd does not read ~/.ssh/authorized_keys (AuthorizedKeysFile)'
    if printf '%s\n' "$effective" | grep -q '^allowusers ' && ! printf '%s\n' "$effective" | grep -q "^allowusers $user\$"; then
        problem "sshd lets only some users in (AllowUsers) and $user is not among them"
    fi
    if printf '%s\n' "$effective" | grep -Eq '^allowgroups '; then
        say "note: sshd lets only some groups in (AllowGroups); make sure that $user is in one of them"
    fi
}

each_unit() { # each_unit FUNCTION: calls it with each --unit value.
    rest=$units
    while [ -n "$rest" ]; do
        one=${rest%%"$NL"*}
        rest=${rest#*"$NL"}
        "$1" "$one"
    done
}

created_user=no
added_groups=

remember() {
    old_created=no
    old_groups=
    if [ -r "$STATE" ]; then
        old_created=$(sed -n 's/^created-user //p' "$STATE")
        old_groups=$(sed -n 's/^added-group //p' "$STATE")
    fi
}

make_user() {
    if ! getent passwd "$user" >/dev/null; then
        # "*": no password can match, yet the account is not locked, so that sshd without PAM lets the key in.
        useradd --system --user-group --create-home --home-dir "/home/$user" --shell /bin/sh \
            --comment 'redis-medic' --password '*' "$user" || die "cannot create the account $user"
        created_user=yes
        # Its files are root's: whoever holds the key cannot put another key or start-up file there.
        chown -R root:root "/home/$user" && chmod 0755 "/home/$user" || die "cannot change the owner of /home/$user"
        say "created the account $user"
    fi
    [ "$old_created" = yes ] && created_user=yes
    join_group systemd-journal
    join_group adm
    each_unit join_log_group
}

join_group() {
    getent group "$1" >/dev/null || return 0
    for group in $(id -Gn "$user"); do
        [ "$group" = "$1" ] && return 0
    done
    usermod --append --groups "$1" "$user" || die "cannot add $user to the group $1"
    added_groups=$added_groups$1$NL
    say "added $user to the group $1"
}

# A log file that the account cannot read yet becomes readable by the group of the file, unless that is root's.
join_log_group() {
    log=$(unit_log "$1")
    [ -e "$log" ] || return 0
    runuser -u "$user" -- test -r "$log" && return 0
    group=$(stat -c %G "$log")
    [ "$group" = root ] || join_group "$group"
    runuser -u "$user" -- test -r "$log" || say "note: $user cannot read $log; logs and diagnosis will lack it"
}

# install_file MODE TARGET: standard input becomes TARGET at once, or not at all.
install_file() {
    (umask 077 && cat >"$2.new") && chmod "$1" "$2.new" && chown root:root "$2.new" && mv -f "$2.new" "$2" || die "cannot write $2"
}

gate_conf_lines() {
    printf 'unit %s %s %s\n' "$(unit_name "$1")" "$(unit_log "$1")" "$(unit_data "$1")"
    [ "$(unit_config "$1")" = - ] || printf 'config %s %s\n' "$(unit_name "$1")" "$(unit_config "$1")"
}

install_gate() {
    if [ "$gate" = no ]; then
        rm -f "$GATE"
    else
        install_file 0755 "$GATE" <"$SOURCE/redis-medic-gate"
    fi
    { echo '# Written by install.sh: the units that redis-medic may control: unit NAME LOGFILE DATADIR ("-" for none),'
      echo '# and where a configuration file is not where Debian has it: config NAME FILE.'
      each_unit gate_conf_lines; } | install_file 0644 "$ETC/gate.conf" || exit 1
}

snapshot_line() {
    short=$(unit_name "$1")
    printf 'ExecStart=-%s snapshot %s\n' "$KEEPER" "${short%.service}"
}

# Each line of the service may fail for itself; LogLevelMax keeps two lines a minute out of the journal.
snapshot_service() {
    cat <<'TEXT'
# Written by install.sh of redis-medic.
[Unit]
Description=Keep the configuration that Redis is proven to run with
ConditionPathExists=/usr/local/sbin/redis-medic-config

[Service]
Type=oneshot
TEXT
    each_unit snapshot_line
    cat <<'TEXT'
TimeoutStartSec=60
UMask=0077
LogLevelMax=notice
StateDirectory=redis-medic-host
StateDirectoryMode=0700
# It reads files of others, asks systemd, and writes its own folder; nothing more.
CapabilityBoundingSet=CAP_DAC_READ_SEARCH
DevicePolicy=closed
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RestrictAddressFamilies=AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
TEXT
}

snapshot_timer() {
    cat <<'TEXT'
# Written by install.sh of redis-medic.
[Unit]
Description=Keep the configuration that Redis is proven to run with

[Timer]
OnBootSec=1min
OnUnitActiveSec=1min
AccuracySec=5s

[Install]
WantedBy=timers.target
TEXT
}

install_keeper() {
    install_file 0755 "$KEEPER" <"$SOURCE/redis-medic-config"
    if [ "$timer" = no ]; then
        systemctl disable --now --quiet redis-medic-config.timer 2>/dev/null
        rm -f "$SNAPSHOT.timer" "$SNAPSHOT.service"
        systemctl daemon-reload
        return
    fi
    snapshot_service | install_file 0644 "$SNAPSHOT.service" || exit 1
    snapshot_timer | install_file 0644 "$SNAPSHOT.timer" || exit 1
    systemctl daemon-reload && systemctl enable --now --quiet redis-medic-config.timer || die 'cannot start redis-medic-config.timer'
}

sudoers_lines() {
    short=$(unit_name "$1")
    short=${short%.service}
    for verb in start stop restart reload reset-failed 'kill --kill-who=main --signal=SIGCONT'; do
        printf '%s ALL=(root) NOSETENV: NOPASSWD: /usr/bin/systemctl %s %s\n' "$user" "$verb" "$short"
    done
    for verb in diff restore show; do
        printf '%s ALL=(root) NOSETENV: NOPASSWD: %s %s %s\n' "$user" "$KEEPER" "$verb" "$short"
    done
    if [ "$allow_kill" = yes ]; then
        printf '%s ALL=(root) NOSETENV: NOPASSWD: /usr/bin/systemctl kill --kill-who=main --signal=SIGKILL %s\n' "$user" "$short"
    fi
}

install_sudoers() {
    # sudo ignores files in sudoers.d whose name has a dot, so the unchecked text has no effect.
    { echo '# Written by install.sh of redis-medic: every line is one exact command, no pattern.'
      each_unit sudoers_lines
      printf '%s ALL=(root) NOSETENV: NOPASSWD: /usr/bin/ss -Hltnp\n' "$user"; } | install_file 0440 "$SUDOERS.unchecked" || exit 1
    visudo -cqf "$SUDOERS.unchecked" || { rm -f "$SUDOERS.unchecked"; die 'visudo refused the sudoers lines; nothing was changed'; }
    mv -f "$SUDOERS.unchecked" "$SUDOERS" || die "cannot write $SUDOERS"
}

install_key() {
    home=$(getent passwd "$user" | cut -d: -f6)
    dir=$home/.ssh
    file=$dir/authorized_keys
    options=restrict
    [ "$gate" = yes ] && options="$options,command=\"$GATE\""
    [ -n "$from" ] && options="$options,from=\"$from\""
    owner=root:root
    mode=0644
    if [ "$created_user" = no ]; then
        owner=$(stat -c %u:%g "$home")
        mode=0600
        if [ -s "$file" ] && grep -Evq "^[[:space:]]*(#|\$)| redis-medic\$" "$file"; then
            say "note: $file has other keys; the gate does not bind those"
        fi
    fi
    mkdir -p "$dir" && chown "$owner" "$dir" && chmod 0755 "$dir" || die "cannot make $dir"
    { [ ! -e "$file" ] || grep -Fv -e "$key_blob" "$file" | grep -v ' redis-medic$'
      printf '%s %s %s redis-medic\n' "$options" "$key_type" "$key_blob"; } >"$file.new" || die "cannot write $file"
    chown "$owner" "$file.new" && chmod "$mode" "$file.new" && mv -f "$file.new" "$file" || die "cannot write $file"
}

save_state() {
    { printf 'user %s\ncreated-user %s\n' "$user" "$created_user"
      printf '%s%s\n' "$old_groups${old_groups:+$NL}" "$added_groups" | sed '/^$/d; s/^/added-group /'; } | install_file 0644 "$STATE" || exit 1
}

# verify_unit UNIT: asks sudo and the gate themselves whether the account may do what it needs.
verify_unit() {
    name=$(unit_name "$1")
    for verb in start stop restart reset-failed; do
        sudo -l -U "$user" /usr/bin/systemctl "$verb" "${name%.service}" >/dev/null ||
            problem "sudo does not let $user run: systemctl $verb ${name%.service}"
    done
    [ "$gate" = yes ] || return 0
    runuser -u "$user" -- env "SSH_ORIGINAL_COMMAND=v1 is-active $name" "$GATE" >/dev/null 2>&1
    [ $? -ne 126 ] || problem "the gate refuses $name"
}

check_machine
check_user
check_key
each_unit check_unit
check_sshd
[ "$problems" -eq 0 ] || die "nothing was changed; mend the problem(s) above and run this again"

remember
mkdir -p "$ETC" && chmod 0755 "$ETC" || die "cannot make $ETC"
make_user
install_gate
install_keeper
install_sudoers
install_key
save_state
each_unit verify_unit
[ "$problems" -eq 0 ] || die 'installed, but not everything works: see above'
say "done: the key may sign in as $user ($([ "$gate" = yes ] && echo 'through the gate' || echo 'without the gate'))"
