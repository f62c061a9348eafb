# Several hosts on this machine, for tests: each is a network namespace with an imaged and a
# vclusterd worker of its own; masters run on the first ones. Sourced, with `program` set (its name
# in messages) and PATH leading to our programs.
#
#   make_hosts 3           namespaces behind one bridge, 10.78.0.1 … .3, enrolled with each other; with
#                          `routed=1` each is a site of its own, behind a router
#   start_worker h1 …      start_master h1 [FLAG…]       stop_daemon h1-worker
#   on h1 COMMAND…         a command of ours with the sockets of that host
#   cut h2; mend h2        its link
#   make_machine h4        one more, on which nothing runs yet
#   await COMMAND…         until it succeeds, 30 s at most
#   make_cluster 3         hosts, the image of a shell, a master on h1 and a worker on every host
#   vc WORDS…              vcluster, on the host that leads
#   hosts_present 3        running lab 4       node lab lab/web-0 host       host_is h1 .draining
# At the end everything is taken down, also after a Ctrl-C, and whatever stays behind fails the test.
set -euo pipefail
root=$(mktemp -d "/var/tmp/strata-$program.XXXXXX")
chmod 755 "$root"  # Containers have to pass it.
bridge=strata-$program-bridge-$$
router=169.254.78.1  # Of every site.
declare -A daemon=() holder=()
hosts=()
master_hosts=(h1)
master_flags=()
worker_flags=()
leader=h1  # Whose vcluster is asked.

why=  # It failed; told again after the daemons' logs.
die() { why=$*; echo "$program: $why" >&2; exit 1; }
namespace() { echo "strata-$program-$1-$$"; }
address() { echo "10.78.0.${1#h}"; }
# A host has a network and mounts of its own; cgroups and processes are this machine's.
enter() { exec nsenter --net="/run/netns/$(namespace "$1")" --mount="/proc/${holder[$1]}/ns/mnt" "${@:2}"; }
inside() { (enter "$@"); }
on() { STRATA_RUN_DIR="$root/$1-run" inside "$1" "${@:2}"; }

await() {
  for _ in $(seq "${tries:-600}"); do
    "$@" && return 0  # In a trap a bare return gives the status from before it.
    sleep 0.05
  done
  return 1
}

# A daemon in the background; its log is in $root/NAME.log. It is in a session of its own, so that a
# Ctrl-C does not end it before take_down could use it.
start_daemon() {  # NAME HOST READY-TEXT COMMAND…
  local name=$1 host=$2 ready=$3
  : >>"$root/$name.log"
  local from
  from=$(stat -c %s "$root/$name.log")
  enter "$host" setsid "${@:4}" 2>>"$root/$name.log" &
  daemon[$name]=$!
  timeout 30 grep -q -m1 "$ready" < \
    <(tail -c "+$((from + 1))" -F --pid=$! "$root/$name.log" 2>/dev/null) ||
    { cat "$root/$name.log" >&2; die "$name does not start"; }
}
stop_daemon() {  # NAME [SIGNAL]
  local pid=${daemon[$1]}
  unset "daemon[$1]"
  kill "-${2:-TERM}" "$pid" 2>/dev/null || true  # It may have ended by itself.
  kill -CONT "$pid" 2>/dev/null || true          # One that a test has stopped would not end.
  wait "$pid" 2>/dev/null || true
}

start_imaged() {
  start_daemon "$1-imaged" "$1" serves imaged --state-dir "$root/$1" --run-dir "$root/$1-run" \
    --peer-name "$1" --peer-listen "$(address "$1"):7443"
}
masters() {
  local list=() host
  for host in "${master_hosts[@]}"; do list+=("$host=$(address "$host"):7445"); done
  (IFS=,; echo "${list[*]}")
}
start_master() {
  start_daemon "$1-master" "$1" 'listens for workers' vclusterd master --state-dir "$root/$1" \
    --run-dir "$root/$1-run" --listen "$(address "$1"):7445" --subnet-pool 10.78.128.0/17 \
    "${master_flags[@]}" "${@:2}"
}
start_vnetd() {
  start_daemon "$1-vnetd" "$1" serves vnetd --state-dir "$root/$1" --run-dir "$root/$1-run"
}
start_worker() {
  [ -n "${daemon[$1-vnetd]:-}" ] || start_vnetd "$1"
  start_daemon "$1-worker" "$1" 'listens for masters' vclusterd worker --state-dir "$root/$1" \
    --run-dir "$root/$1-run" --listen "$(address "$1"):7444" --masters "$(masters)" \
    --subnet-pool 10.78.128.0/17 --record-starts 0 "${worker_flags[@]}"
}

# Keeps the mounts of a host. liblxc looks a bridge up in /sys, which has to be of its network. What
# other tests have mounted just now is let go at once: it would be in use for as long as we are here.
hold_mounts() {
  # shellcheck disable=SC2016
  setsid nsenter --net="/run/netns/$(namespace "$1")" unshare -m --propagation private sh -c '
    while read -r _ _ _ _ at _; do
      case $at in *strata*) umount -l "$at" 2>/dev/null || true ;; esac
    done </proc/self/mountinfo
    mkdir "$1" && mount --rbind /sys/fs/cgroup "$1" && mount -t sysfs sysfs /sys &&
      mount --move "$1" /sys/fs/cgroup && rmdir "$1" && echo held && exec sleep infinity' \
    hold "$root/$1-cgroup" >"$root/$1-holder" &
  holder[$1]=$!
  await grep -qs held "$root/$1-holder" || die "$1 has no mounts of its own"
}

# What a test does with a machine before anything of ours runs on it.
prepare_machine() { :; }  # HOST

# A machine on the bridge on which nothing runs yet.
make_machine() {  # HOST
  local host=$1
  hosts+=("$host")
  ip netns add "$(namespace "$host")"
  ip -n "$(namespace "$host")" link add eth0 type veth peer name "$host" netns "$bridge"
  ip -n "$(namespace "$host")" link set lo up
  ip -n "$(namespace "$host")" link set eth0 up
  if [ "${routed:-0}" = 1 ]; then
    ip -n "$bridge" address add "$router/32" dev "$host"
    mend "$host"
    ip -n "$(namespace "$host")" address add "$(address "$host")/32" dev eth0
    ip -n "$(namespace "$host")" route add default via "$router" dev eth0 onlink
  else
    ip -n "$(namespace "$host")" address add "$(address "$host")/24" dev eth0
    ip -n "$bridge" link set "$host" master br0 up
  fi
  hold_mounts "$host"
  prepare_machine "$host"
}

make_hosts() {
  local i host
  ip netns add "$bridge"
  ip -n "$bridge" link add br0 type bridge
  ip -n "$bridge" link set br0 up
  nsenter --net="/run/netns/$bridge" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
  for i in $(seq "$1"); do
    host=h$i
    make_machine "$host"
    start_imaged "$host"
    if [ "$i" = 1 ]; then on h1 vimage host init >/dev/null; else
      on h1 vimage host token 2>/dev/null | on "$host" vimage host join - >/dev/null
    fi
  done
}
cut() { ip -n "$bridge" link set "$1" down; }
mend() {
  ip -n "$bridge" link set "$1" up
  # A route goes with its link.
  [ "${routed:-0}" = 0 ] || ip -n "$bridge" route replace "$(address "$1")/32" dev "$1"
}

# An image of a shell, on every host.
make_tiny_image() {
  mkdir -p "$root/tiny"/{bin,etc,dev,proc,sys,tmp,run,root,usr/bin}
  cp /bin/busybox "$root/tiny/bin/busybox"
  local applet
  for applet in sh cat sleep hostname ping true false head nc wget httpd echo test touch ls; do
    ln -sf busybox "$root/tiny/bin/$applet"
  done
  ln -sf /bin/busybox "$root/tiny/usr/bin/env"
  touch "$root/tiny/etc"/{hosts,hostname,resolv.conf,machine-id}
  echo 'root:x:0:0::/root:/bin/sh' >"$root/tiny/etc/passwd"
  on h1 vimage import "$root/tiny" tiny >/dev/null
  [ ${#hosts[@]} -lt 2 ] || on h1 vimage prestage root/tiny "${hosts[@]:1}" >/dev/null
}

start_workers() { local host; for host in "${hosts[@]}"; do start_worker "$host"; done; }
make_cluster() {  # HOSTS
  make_hosts "$1"
  make_tiny_image
  start_master h1
  start_workers
  await hosts_present "$1" || die "not all workers found the master"
}

vc() { on "$leader" vcluster "$@"; }
hosts_present() {
  [ "$(vc host list --json 2>/dev/null | jq '[.hosts[] | select(.present)] | length')" = "$1" ]
}
# VCLUSTER COUNT: so many of its nodes are ready.
running() { [ "$(vc list "$1" --json 2>/dev/null | jq '[.clusters[0].nodes[] | select(.ready)] | length')" = "$2" ]; }
node() {  # VCLUSTER NODE FIELD
  vc list "$1" --json | jq -r --arg name "$2" '.clusters[0].nodes[] | select(.name == $name) | .'"$3"
}
host_is() {  # HOST CONDITION
  vc host list --json | jq -e --arg name "$1" '.hosts[] | select(.name == $name) | '"$2" >/dev/null
}

no_process_in() { [ -z "$(ip netns pids "$1" 2>/dev/null)" ]; }

take_down() {
  local code=$? host name
  trap - EXIT
  trap '' HUP INT  # It is not left halfway.
  trap : TERM
  if [ $code -ne 0 ]; then
    tail -n 15 "$root"/*.log >&2 || true
    echo "$program: ${why:-it ended with $code}" >&2
  fi
  for host in "${hosts[@]}"; do mend "$host" 2>/dev/null || true; done
  for name in "${!daemon[@]}"; do
    case $name in *-worker | *-master) stop_daemon "$name" ;; esac
  done
  for host in "${hosts[@]}"; do
    if [ -d "$root/$host/vclusterd/parts" ]; then
      [ -n "${daemon[$host-imaged]:-}" ] || start_imaged "$host" || code=1
      inside "$host" vclusterd --down --state-dir "$root/$host" --run-dir "$root/$host-run" \
        --subnet-pool 10.78.128.0/17 2>>"$root/$host-down.log" ||
        { tail -n 20 "$root/$host-down.log" >&2; code=1; }
    fi
  done
  for name in "${!daemon[@]}"; do stop_daemon "$name"; done
  for host in "${hosts[@]}"; do
    name=$(namespace "$host")
    if [ -n "${holder[$host]:-}" ]; then
      if grep "$root" "/proc/${holder[$host]}/mountinfo" >&2; then
        echo "$program: mounts stayed behind on $host" >&2
        code=1
      fi
      kill "${holder[$host]}" || true
      wait "${holder[$host]}" 2>/dev/null || true
    fi
    # A command of ours in the background ends when nobody answers it any more.
    if ! tries=60 await no_process_in "$name"; then
      echo "$program: processes stayed behind in $name:" >&2
      ip netns pids "$name" | xargs -r ps -o pid,args -p >&2 || true
      code=1
    fi
    if ip -n "$name" link show 2>/dev/null | grep -E ': s[0-9a-f]{5}' >&2; then
      echo "$program: links stayed behind in $name" >&2
      code=1
    fi
    ip netns delete "$name" 2>/dev/null || true
  done
  ip netns delete "$bridge" 2>/dev/null || true
  rm -rf --one-file-system "$root"
  exit $code
}
trap take_down EXIT
set -E  # In functions, too.
trap 'why="line $LINENO of ${BASH_SOURCE[0]##*/}: $BASH_COMMAND"' ERR
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
