#!/usr/bin/env bash
# Users of one host, as the socket knows them: accounts.sh BIN. Their own Vclusters within limits and
# credits; what they may not do; what outlives a restart of vclusterd.
set -euo pipefail
PATH=$(realpath "$1"):$PATH
root=$(mktemp -d /var/tmp/strata-accounts.XXXXXX)
chmod 755 "$root"  # Containers have to pass it.
export STRATA_STATE_DIR=$root/state STRATA_RUN_DIR=$root/run
flags=(--subnet-pool 10.209.0.0/16 --id-base 4000000 --record-starts 0)
imaged= vnetd= vclusterd=
clean_up() {
  local code=$?
  [ $code -eq 0 ] || tail -n 30 "$root"/*.log >&2 || true
  if [ -n "$vclusterd" ]; then kill "$vclusterd" && wait "$vclusterd" || code=1; fi
  vclusterd --down "${flags[@]}" 2>>"$root/down.log" || { cat "$root/down.log" >&2; code=1; }
  local daemon
  for daemon in $vnetd $imaged; do kill "$daemon" && wait "$daemon" || code=1; done
  ! grep -q "$root" /proc/self/mountinfo || { echo "mounts stay behind" >&2; code=1; }
  rm -rf --one-file-system "$root"
  exit $code
}
trap clean_up EXIT
die() { echo "accounts: $*" >&2; exit 1; }
await() {
  for _ in $(seq 600); do
    "$@" && return
    sleep 0.05
  done
  return 1
}
serves() {  # LOG FROM PID
  timeout 30 grep -q -m1 serves < <(tail -n "+$2" -F --pid="$3" "$root/$1" 2>/dev/null) ||
    die "$1: no daemon starts"
}
: >"$root/vclusterd.log"
start_vclusterd() {
  local from
  from=$(($(cat "$root/vclusterd.log" 2>/dev/null | wc -l) + 1))
  vclusterd "${flags[@]}" --credit-prices node-hour=1 --credit-initial 10 --credit-warn 8 \
    2>>"$root/vclusterd.log" &
  vclusterd=$!
  serves vclusterd.log "$from" "$vclusterd"
}
imaged 2>>"$root/imaged.log" &
imaged=$!
serves imaged.log 1 "$imaged"
vnetd 2>>"$root/vnetd.log" &
vnetd=$!
serves vnetd.log 1 "$vnetd"
start_vclusterd

as() { setpriv --reuid="$1" --regid="$1" --clear-groups "${@:2}"; }
# What fails, and how: CODE WORDS COMMAND…
fails() {
  local code=0
  "${@:3}" >"$root/out" 2>"$root/err" || code=$?
  [ $code = "$1" ] || die "'${*:3}' ends with $code: $(cat "$root/err")"
  grep -q -- "$2" "$root/err" || die "'${*:3}' says: $(cat "$root/err")"
}

echo "== accounts: root makes them, others may not"
password='correct horse battery'
alice=$(echo "$password" | vcluster user add alice --real-name 'Alice Doe' --password-stdin --json |
  jq '.users[0].uid')
tina=$(vcluster user add tina --role teacher --json | jq '.users[0].uid')
as "$alice" vcluster user show | grep -q 'Alice Doe' || die "alice does not see herself"
[ "$(as "$alice" vcluster user list --json | jq '.users | length')" = 1 ] || die "alice sees others"
fails 4 'user.create' as "$alice" vcluster user add mallory
fails 3 'no user' as "$alice" vcluster user lock tina
printf '%s\nanother good one\n' "$password" | as "$alice" vcluster user passwd --password-stdin >/dev/null
fails 4 'wrong' as "$alice" bash -c "printf '%s\nyet another one\n' '$password' | vcluster user passwd --password-stdin"
fails 3 'no account' as 61009 vcluster user show

echo "== a class"
as "$tina" vcluster group add os >/dev/null
as "$tina" vcluster group invite os alice >/dev/null
as "$alice" vcluster group join os >/dev/null
printf 'user,name,mail\nbob,Bob Roe,bob@example.org\n' >"$root/os.csv"
fails 4 '' as "$tina" vcluster group enrol os --roster "$root/os.csv"
vcluster group enrol os --roster "$root/os.csv" 2>/dev/null | grep -q 'alice, bob' || die "bob is not enrolled"

echo "== her own Vcluster, within her limits"
mkdir -p "$root/tiny"/{bin,etc,dev,proc,sys,tmp,run,root,usr/bin}
cp /bin/busybox "$root/tiny/bin/busybox"
for applet in sh sleep true; do ln -s busybox "$root/tiny/bin/$applet"; done
touch "$root/tiny/etc"/{hosts,hostname,resolv.conf,machine-id}
tar -C "$root/tiny" -cf "$root/tiny.tar" .
as "$alice" vimage import "$root/tiny.tar" tiny >/dev/null
vcluster quota set --group os nodes=1 >/dev/null
fails 7 'the limit of each member of os' as "$alice" vcluster create lab --image tiny --nodes 2
as "$alice" vcluster create lab --image tiny >/dev/null
as "$alice" vcluster quota show | grep -q 'nodes *1 *1 *each member of os' || die "$(as "$alice" vcluster quota show)"
as "$tina" vcluster exec alice/lab/0 -- true || die "tina does not get in"
fails 4 'vcluster.delete' as "$tina" vcluster delete alice/lab

echo "== credits: a warning, the end, and more"
vcluster credit grant alice 3 --take >/dev/null
as "$alice" vcluster list -l | grep -q 'alice has 7.000 credits left (vcluster credit apply)' ||
  die "no warning: $(as "$alice" vcluster list -l)"
vcluster credit grant alice 7 --take >/dev/null
stopped() { as "$alice" vcluster list --json | jq -e '.clusters[0].nodes[0].state == "STOPPED"' >/dev/null; }
await stopped || die "it runs on without credits"
fails 7 'vcluster credit apply' as "$alice" vcluster start lab
as "$alice" vcluster credit apply 5 --reason thesis >/dev/null
fails 7 'your budget is 0.000' as "$tina" vcluster credit decide alice 1 approve
vcluster credit budget tina 5 >/dev/null
as "$tina" vcluster credit decide alice 1 approve >/dev/null
as "$alice" vcluster start lab >/dev/null

echo "== vclusterd is restarted; alice is locked"
kill "$vclusterd" && wait "$vclusterd"
start_vclusterd
[ "$(as "$alice" vcluster credit show --json | jq -r .balance_milli)" = 5000 ] || die "credits are lost"
vcluster user lock alice >/dev/null
fails 4 '' as "$alice" vcluster user show
fails 3 '' as "$alice" vcluster stop lab
vcluster audit --user alice --since 1h >"$root/audit"
for operation in user.create vcluster.create credit.apply; do
  grep -q "$operation" "$root/audit" || die "the audit log has no $operation: $(cat "$root/audit")"
done
vcluster delete alice/lab >/dev/null
