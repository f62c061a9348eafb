#!/usr/bin/env bash
# A hostile root in a node against its host and its neighbours (docs/isolation.md):
#   isolation.sh TOP BIN
# Real daemons, nodes with limits, and a program with one attack per argument (attack/). Every attack
# must be refused or bounded; a neighbour that works meanwhile keeps its pace, side by side; the host
# is as before; the node can be deleted. Then protections are taken away one by one, and the same
# attacks must get through: a check that cannot fail proves nothing.
set -euo pipefail
export STRATA_BIN_DIR=$2
PATH=$STRATA_BIN_DIR:/usr/sbin:/usr/bin:/sbin:/bin
top=$1
root=$(mktemp -d /var/tmp/strata-isolation.XXXXXX)
chmod 755 "$root"  # Containers have to pass it.
export STRATA_STATE_DIR=$root/state STRATA_RUN_DIR=$root/run STRATA_LOG_DIR=$root/log
export STRATA_VCLUSTERD_FLAGS="--subnet-pool 10.219.0.0/16 --record-starts 0"
share_min=0.5  # Of the neighbour's undisturbed pace.
helpers=()

die() { echo "isolation: $*" >&2; exit 1; }
clean_up() {
  local code=$? pid
  trap - EXIT
  for pid in "${helpers[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
  [ $code -eq 0 ] || tail -n 15 "$root"/log/*.log >&2 || true
  if [ -d "$root/run" ]; then
    vcluster delete iso >/dev/null 2>&1 || true
    vcluster delete other >/dev/null 2>&1 || true
    "$top/tools/setup/daemons" stop >/dev/null || code=1
    # A mount of ours that holds the volumes of nodes, when vclusterd has none any more.
    umount "$root/run/volumes/loop" 2>/dev/null || true
  fi
  if grep -F "$root" /proc/self/mountinfo >&2; then echo "isolation: mounts stay" >&2; code=1; fi
  rm -rf --one-file-system "$root"
  exit $code
}
trap clean_up EXIT

# NAME COMMAND…: in a node.
in_node() { vcluster exec "$1" -- "${@:2}" </dev/null; }
attacker=iso/attacker-0
neighbour=iso/neighbour-0
init_pid() { vcluster list iso --json | jq -r --arg n "$1" '.clusters[0].nodes[] | select(.name == "iso/" + $n).init_pid'; }
cgroup_of() {  # PID CONTROLLER: its directory.
  awk -F: -v c="$2" '
    $2 == c { print "/sys/fs/cgroup/" c $3; found = 1 }
    $2 == "" { unified = "/sys/fs/cgroup" $3 }
    END { if (!found) print unified }' "/proc/$1/cgroup"
}

# ATTACK [ARGUMENT…]: must be refused or bounded in every try.
repelled() {
  local code=0
  in_node $attacker /attack "$@" >"$root/said" 2>&1 || code=$?
  if [ $code != 0 ] || grep -q BREACH "$root/said"; then
    cat "$root/said" >&2
    die "the attack '$*' got through (exit code $code)"
  fi
  printf '   %-12s %s refused%s\n' "$1" "$(grep -c '^refused' "$root/said" || true)" \
    "$(sed -n 's/^bounded  */; /p' "$root/said" | tr -d '\n')"
}
# WHAT COMMAND…: without its protection the attack is seen to succeed.
gets_through() {
  local what=$1
  shift
  if "$@" >"$root/said" 2>&1 && ! grep -q BREACH "$root/said"; then
    cat "$root/said" >&2
    die "without $what the attack is still called repelled: its check proves nothing"
  fi
  grep -q BREACH "$root/said" || { cat "$root/said" >&2; die "without $what: no attack ran"; }
  echo "   without $what: $(grep -m1 BREACH "$root/said" | sed 's/BREACH *//')"
}
into=/dev/null  # Where floods write; '&1': to a client, which reads it. 64 MiB are told by $root/flooded.
take_flood() {
  [ "$(head -c 64M | wc -c)" != $((64 << 20)) ] || touch "$root/flooded"
  exec cat >/dev/null
}
# ATTACK…: goes on and on while the neighbour works. Prints the neighbour's pace, of undisturbed.
share_during() {
  local before during after flood
  before=$(in_node $neighbour /attack work 2)
  # Not by in_node: its subshell would be killed in the place of the command.
  vcluster exec $attacker -- /bin/sh -c "while :; do /attack $* >$into 2>&1; done" \
    </dev/null 2>/dev/null > >(take_flood) &
  flood=$!
  during=$(in_node $neighbour /attack work 2)
  kill $flood
  wait $flood 2>/dev/null || true
  after=$(in_node $neighbour /attack work 2)
  awk -v b="$before" -v d="$during" -v a="$after" 'BEGIN { printf "%.2f", 2 * d / (a + b) }'
}
undisturbed() {
  local share
  share=$(share_during "$@")
  # Others use this machine, too: a second look.
  if awk -v s="$share" -v m=$share_min 'BEGIN { exit !(s < m) }'; then share=$(share_during "$@"); fi
  printf '   %-12s the neighbour works at %s of its pace\n' "$1" "$share"
  awk -v s="$share" -v m=$share_min 'BEGIN { exit !(s >= m) }' ||
    die "under '$*' the neighbour works at $share of its undisturbed pace, not at $share_min"
}

# What of the host an attack could have changed. Others work on this machine as well.
host_state() {
  local file
  grep -F "$root" /proc/self/mountinfo | sort
  for file in /proc/sys/kernel/{core_pattern,modprobe,panic,sysrq,randomize_va_space,kptr_restrict} \
    /proc/sys/vm/{overcommit_memory,swappiness,panic_on_oom} /proc/sys/fs/{file-max,suid_dumpable}; do
    [ ! -r "$file" ] || echo "$file $(cat "$file")"
  done
  hostname
  grep -v '^ *0:' /proc/key-users | awk '$1 + 0 >= 1000000 && $1 + 0 < 2000000 { print "keys of", $1 }'
  find "$STRATA_RUN_DIR" -path "$STRATA_RUN_DIR/volumes/*/*" -prune -o -type f -size +64k -print | sort
  find /sys/fs/cgroup -mindepth 3 -path '*lxc.payload.*/*' -type d | grep -F "$(hostname)" || true
}
daemons_kib() {
  local name total=0
  for name in imaged vnetd vclusterd; do
    total=$((total + $(awk '/^VmRSS/ { print $2 }' "/proc/$(cat "$STRATA_RUN_DIR/$name.pid")/status")))
  done
  echo $total
}

echo "== nodes with limits"
tree=$root/tree
mkdir -p "$tree"/{bin,etc,dev,proc,sys,tmp,run,root,var,devices}
cp /bin/busybox "$tree/bin/busybox"
for applet in sh cat sleep dd ls head echo sync true yes ping; do ln -sf busybox "$tree/bin/$applet"; done
cp "$STRATA_BIN_DIR/isolation-attack" "$tree/attack"
touch "$tree/etc"/{hosts,hostname,resolv.conf,machine-id}
echo 'root:x:0:0::/root:/bin/sh' >"$tree/etc/passwd"
# Only root may import such an image; then nodes must not be able to use it.
read -r disk_major disk_minor < <(stat -c '%Hd %Ld' "$root")
mknod -m 666 "$tree/devices/disk" b "$disk_major" "$disk_minor"
mknod -m 666 "$tree/devices/mem" c 1 1
mknod -m 666 "$tree/devices/kmsg" c 1 11
"$top/tools/setup/daemons" start >/dev/null
vimage import "$tree" hostile >/dev/null
definition() {  # PROCESSES IO
  cat <<YAML
name: iso
image: hostile
roles:
  attacker: {limits: {cpus: 1, memory: 192M, disk: 128M, processes: $1, io: $2}}
  neighbour: {limits: {memory: 192M, disk: 64M}}
YAML
}
definition 200 16M >"$root/iso.yaml"
vcluster apply -f "$root/iso.yaml" >/dev/null
vcluster create other --image hostile >/dev/null
before=$(host_state)
daemons_before=$(daemons_kib)

echo "== what a process of a node is"
status=$(in_node $attacker cat /proc/self/status)
for wanted in 'Seccomp:	2' 'NoNewPrivs:	0'; do
  grep -q "^$wanted" <<<"$status" || die "no '$wanted' in: $status"
done
bounding=$(awk '/^CapBnd/ { print $2 }' <<<"$status")
# sys_module 16, sys_rawio 17, sys_boot 22, sys_resource 24, sys_time 25, mknod 27, syslog 34.
for bit in 16 17 22 24 25 27 34; do
  [ $((0x$bounding >> bit & 1)) = 0 ] || die "capability $bit is in the bounding set $bounding"
done
[ "$(in_node $attacker cat /proc/1/oom_score_adj)" = 500 ] || die "no oom_score_adj"

echo "== ways out"
repelled mounts
repelled binds
repelled proc
repelled sys
repelled devices /devices/disk /devices/mem /devices/kmsg
repelled calls
repelled handles
repelled logs
repelled namespace
repelled cgroups
repelled processes "$$" "$(init_pid neighbour-0)" "$(cat "$STRATA_RUN_DIR/vclusterd.pid")"
# Of the host: a key that all may see and read, a socket without a path, a port that is open to all.
python3 -c '
import ctypes, socket, sys, time
libc = ctypes.CDLL(None)
key = libc.syscall(248, b"user", b"strata-isolation", b"secret", 6, -2)
libc.syscall(250, 5, key, 0x3f3f3f3f)
a = socket.socket(socket.AF_UNIX); a.bind("\0" + sys.argv[1]); a.listen()
t = socket.socket(); t.bind(("0.0.0.0", 0)); t.listen()
print(key, t.getsockname()[1], flush=True)
time.sleep(3600)' "strata-isolation-$$" >"$root/helper" &
helpers+=($!)
timeout 20 grep -q -m1 . < <(tail -n +1 -F --pid=$! "$root/helper" 2>/dev/null) ||
  die "the helper does not start"
read -r key port <"$root/helper"
[ "$key" -gt 0 ] || die "no key of the host to look for"
repelled keys "$key"

echo "== sockets"
gateway=$(in_node $attacker cat /proc/net/route | awk '$2 == "00000000" { print $3 }')
gateway=$((16#${gateway:6:2})).$((16#${gateway:4:2})).$((16#${gateway:2:2})).$((16#${gateway:0:2}))
other=$(vcluster list other --json | jq -r '.clusters[0].nodes[0].address')
repelled sockets "strata-isolation-$$" "$gateway" "$port" "$other" 22

echo "== forged addresses"
echoes() { in_node other/0 cat /proc/net/snmp | awk '/^Icmp:/ && $10 ~ /^[0-9]+$/ { print $10 }'; }
in_node $attacker ping -c 1 -W 5 "$gateway" >/dev/null || die "a node may ping its gateway"
gateway_mac=$(in_node $attacker cat /proc/net/arp | awk -v g="$gateway" '$1 == g { print $4 }')
heard=$(echoes)
for source in 9.9.9.9 "${other%.*}.99" "$gateway"; do
  repelled spoof "$other" "$gateway_mac" "$source" 02:00:00:00:00:07 5
done
[ "$(echoes)" = "$heard" ] || die "forged frames came to a node of another Vcluster"
busybox ping -c 1 -W 5 "$other" >/dev/null || die "the host does not reach its node"
[ "$(echoes)" -gt "$heard" ] || die "frames are not counted: the check proves nothing"

echo "== floods"
repelled forks 1000 2
repelled memory 1024
repelled disk 1024
repelled inodes 200000
repelled namespaces 1000

echo "== what the kernel counts for all nodes and the host's root together"
# ATTACK: held for a while; then the host still has some.
leaves_some() {
  local flood
  vcluster exec $attacker -- /attack "$1" 2000000 20 </dev/null >"$root/held" 2>&1 &
  flood=$!
  for _ in $(seq 400); do grep -q . "$root/held" && break; sleep 0.05; done
  "$STRATA_BIN_DIR/isolation-attack" "$1" 100 >"$root/said" 2>&1 || true
  kill $flood
  wait $flood 2>/dev/null || true
  # The host asks for a hundred: that they are there is what the program calls a breach.
  grep -q "BREACH *$1: 100" "$root/said" || { cat "$root/held" "$root/said" >&2; die "the host has no $1 left"; }
  printf '   %-12s %s; the host has some left\n' "$1" "$(sed -n '1s/^bounded *//p' "$root/held")"
}
leaves_some timers
leaves_some inotify

undisturbed forks 1000 1
undisturbed memory 1024
undisturbed disk 1024
undisturbed inodes 200000
# A client that does not read its command's output: the daemon must not keep it instead.
mkfifo "$root/stalled"
sleep 3600 <"$root/stalled" &
helpers+=($!)
vcluster exec $attacker -- /attack output 512 </dev/null >"$root/stalled" &
stalled=$!
into='&1' undisturbed output 64
[ -e "$root/flooded" ] || die "no output came: the check proves nothing"
kill -KILL $stalled 2>/dev/null || true  # It is stuck in its write.
wait $stalled 2>/dev/null || true
grown=$(($(daemons_kib) - daemons_before))
[ $grown -lt 65536 ] || die "the daemons grew by $grown KiB"
logs=$(du -sk "$root/log" | cut -f1)
[ "$logs" -lt 1024 ] || die "the host's logs have $logs KiB"

in_node $attacker /bin/sh -c 'busybox rm -rf /flood-*'

echo "== I/O"
seconds_for() {  # MIB
  local from
  from=$(date +%s%N)
  in_node $attacker dd if=/dev/zero of=/io-file bs=1M count="$1" conv=fsync 2>"$root/dd" ||
    { cat "$root/dd" >&2; return 1; }
  awk -v a="$from" -v b="$(date +%s%N)" 'BEGIN { printf "%.2f", (b - a) / 1e9 }'
}
slow=$(seconds_for 48)
definition 200 0 >"$root/iso.yaml"
vcluster apply -f "$root/iso.yaml" >/dev/null
fast=$(seconds_for 48)
echo "   48 MiB: $slow s at 16 MiB/s, $fast s without a limit"
awk -v s="$slow" 'BEGIN { exit !(s > 2.4) }' || die "the limit of I/O does not hold: $slow s"
awk -v s="$slow" -v f="$fast" 'BEGIN { exit !(f < s / 1.5) }' || die "a limit of I/O stays: $fast s"

echo "== the host is as before"
after=$(host_state)
[ "$after" = "$before" ] || { diff <(echo "$before") <(echo "$after") >&2 || true; die "it changed"; }
[ "$(in_node $neighbour cat /proc/1/comm)" = .vinit ] || die "the neighbour does not answer"

echo "== a link in the place of a bind mount leads nowhere on the host"
echo untouched >"$root/target"
in_node $attacker /bin/sh -c "ln -s x /y 2>/dev/null; busybox mv /etc/hostname /etc/was 2>/dev/null;
  busybox umount /etc/hostname; busybox rm -f /etc/hostname;
  busybox ln -s ../../../../../../../..$root/target /etc/hostname" || true
vcluster stop iso >/dev/null
vcluster start iso >/dev/null 2>&1 || true
[ "$(cat "$root/target")" = untouched ] || die "a link of the node's was followed on the host"

echo "== without a protection, its attack gets through"
vcluster delete iso >/dev/null
definition 200 0 >"$root/iso.yaml"
vcluster apply -f "$root/iso.yaml" >/dev/null
pid=$(init_pid attacker-0)
pids=$(cgroup_of "$pid" pids)
memory=$(cgroup_of "$pid" memory)
echo max >"$pids/pids.max"
gets_through "the limit of processes" in_node $attacker /attack forks 400 3
if [ -e "$memory/memory.max" ]; then echo max >"$memory/memory.max"; else
  echo -1 >"$memory/memory.memsw.limit_in_bytes"
  echo -1 >"$memory/memory.limit_in_bytes"
fi
gets_through "the limit of memory" in_node $attacker /attack memory 400
gets_through "a limit of disk" in_node other/0 /attack disk 200
gets_through "a limit of disk" in_node other/0 /attack inodes 40000
# A user namespace alone, as `unshare` makes it: what seccomp, locked mounts and the namespace of
# cgroups are for.
bare() { unshare --user --map-root-user --mount --pid --fork --mount-proc --cgroup "$@"; }
gets_through "the filter of system calls" bare "$STRATA_BIN_DIR/isolation-attack" keys "$key"
gets_through "the filter of system calls" bare "$STRATA_BIN_DIR/isolation-attack" calls
# shellcheck disable=SC2016
gets_through "locked mounts" bare sh -c '
  mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && "$2" binds "$1"' \
  sh "$root/target" "$STRATA_BIN_DIR/isolation-attack"
[ -e /sys/fs/cgroup/cgroup.controllers ] ||
  gets_through "the host's namespace of cgroups" bare "$STRATA_BIN_DIR/isolation-attack" cgroups 10

echo "== everything can be deleted"
vcluster delete iso >/dev/null
vcluster delete other >/dev/null
[ -z "$(find /sys/fs/cgroup -maxdepth 2 -type d -name "lxc.payload.s*" -newer "$root/tree/attack" \
  -path "*$(basename "$root")*")" ] || die "cgroups stay"
echo "isolation: done"
