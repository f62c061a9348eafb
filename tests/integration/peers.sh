#!/usr/bin/env bash
# Two hosts, each an imaged in a network namespace of its own, with a veth pair between them: a
# cluster is made, joined, used and left: peers.sh BIN
set -euo pipefail
PATH=$(realpath "$1"):$PATH
root=$(mktemp -d /var/tmp/strata-peers.XXXXXX)
a=strata-peers-a-$$
b=strata-peers-b-$$
declare -A daemon=()

clean_up() {
  local code=$?
  [ $code -eq 0 ] || tail -n 30 "$root"/*.log >&2 || true
  [ ${#daemon[@]} -eq 0 ] || { kill -CONT "${daemon[@]}"; kill "${daemon[@]}"; } 2>/dev/null || true
  wait || true
  for namespace in $a $b; do
    if [ -n "$(ip netns pids "$namespace" 2>/dev/null)" ]; then
      echo "peers: processes stayed behind in $namespace" >&2
      code=1
    fi
    ip netns delete "$namespace" 2>/dev/null || true
  done
  if ip netns list | grep -qE "^($a|$b)( |$)" || grep -q "$root" /proc/self/mountinfo; then
    echo "peers: a namespace or a mount stayed behind" >&2
    code=1
  fi
  rm -rf --one-file-system "$root"
  exit $code
}
die() { echo "peers: $*" >&2; exit 1; }
# start NAME NAMESPACE OPTIONS…: imaged as host NAME, until its log says that it serves.
start() {
  local name=$1 namespace=$2
  shift 2
  : >"$root/$name.log"
  # Of a session of its own: a job that stands still may hang up its whole process group (setpgid(2)).
  setsid ip netns exec "$namespace" imaged --state-dir "$root/$name" --run-dir "$root/$name-run" \
    --peer-name "$name" "$@" 2>>"$root/$name.log" &
  daemon[$name]=$!
  timeout 20 grep -q -m1 serves < <(tail -n +1 -F --pid=$! "$root/$name.log" 2>/dev/null) ||
    die "imaged of $name does not start"
}
stop() {
  kill "${daemon[$1]}"
  wait "${daemon[$1]}"
  unset "daemon[$1]"
}
host() { vimage host "${@:2}" --socket "$root/$1-run/imaged.sock"; }
names() { host "$1" list --json | jq -r '[.list.hosts[].name] | join(" ")'; }
# refused CODE TEXT COMMAND…: it fails with this exit code and says TEXT.
refused() {
  local expected=$1 text=$2 code=0
  shift 2
  "$@" >"$root/out" 2>&1 || code=$?
  [ $code = "$expected" ] || die "'$*' ended with $code, not $expected: $(cat "$root/out")"
  grep -q -- "$text" "$root/out" || die "'$*' does not say '$text' but: $(cat "$root/out")"
}
trap clean_up EXIT

ip netns add "$a"
ip netns add "$b"
ip -n "$a" link add eth0 type veth peer name eth0 netns "$b"
ip -n "$a" address add 10.77.0.1/24 dev eth0
ip -n "$b" address add 10.77.0.2/24 dev eth0
for namespace in $a $b; do
  ip -n "$namespace" link set lo up
  ip -n "$namespace" link set eth0 up
done

mkdir "$root/image"
seq 20000 >"$root/image/numbers"
seq 30000 >"$root/image/more"
start a "$a" --peer-listen 10.77.0.1:7443
vimage import "$root/image" base --socket "$root/a-run/imaged.sock" >/dev/null
stop a
mkdir "$root/b"
cp -a "$root/a/imaged" "$root/b/"  # Everything but the objects.
rm -r "$root/b/imaged/store/objects" "$root/b/imaged/hosts"
start a "$a" --peer-listen 10.77.0.1:7443
start b "$b" --peer-listen 10.77.0.2:7443 --fetch-from host:a
fsck_b() { vimage fsck --socket "$root/b-run/imaged.sock"; }

echo "== 1. no host, no cluster"
refused 7 "in no cluster" host a list
refused 7 "in no cluster" host b token
refused 2 "is not a token" host b join strata1-nonsense
refused 8 "in no cluster" fsck_b

echo "== 2. a makes one, b joins it"
host a init >/dev/null
refused 5 "is already 'a'" host a init
token=$(host a token 2>/dev/null)
echo "$token" | host b join - >/dev/null
[ "$(names a)" = "a b" ] || die "a knows $(names a)"
[ "$(names b)" = "a b" ] || die "b knows $(names b)"
[ "$(stat -c %a "$root/b/imaged/hosts" "$root/b/imaged/hosts/host.pem" | xargs)" = "700 600" ] ||
  die "secrets are open to all"
[ ! -e "$root/b/imaged/hosts/ca.key" ] || die "the authority's key left its host"

echo "== 3. a token is good once, and only the issuer makes them"
stop b
mv "$root/b/imaged/hosts" "$root/b-hosts"
start b "$b" --peer-listen 10.77.0.2:7443 --fetch-from host:a
refused 4 "token is refused" host b join "$token"
refused 5 "there is a host 'b'" host b join "$(host a token 2>/dev/null)"
stop b
rm -rf "$root/b/imaged/hosts"
mv "$root/b-hosts" "$root/b/imaged/hosts"
start b "$b" --peer-listen 10.77.0.2:7443 --fetch-from host:a
refused 7 "only host 'a'" host b token

echo "== 4. b has what a has"
fsck_b >/dev/null || true
fsck_b >/dev/null || die "b did not fetch from a"
diff -r "$root/a/imaged/store/objects" "$root/b/imaged/store/objects"
host a list --json | jq -e '.list.hosts[] | select(.name == "b") | .last_seen_unix_ms != "0"' \
  >/dev/null || die "a has not seen b"

echo "== 5. a host that stands still is noticed, and found again"
object=$(find "$root/b/imaged/store/objects" -type f | head -n 1)
mv "$object" "$root/object"
kill -STOP "${daemon[a]}"
refused 8 "host a" timeout 60 vimage fsck --socket "$root/b-run/imaged.sock"
kill -CONT "${daemon[a]}"
fsck_b >/dev/null || true
cmp "$object" "$root/object"

echo "== 6. certificates are renewed, by themselves or when told"
serial() { host a list --json | jq -r --arg name "$1" \
  '.list.hosts[] | select(.name == $name) | .certificates[-1].serial'; }
before=$(serial b)
host b renew >/dev/null
[ "$(serial b)" != "$before" ] || die "b has its old certificate"
host a renew >/dev/null
rm -f "$object"
fsck_b >/dev/null || true
cmp "$object" "$root/object"

echo "== 7. a removed host is refused at once"
refused 7 "cannot be removed" host a remove a
refused 3 "there is no host 'c'" host a remove c
host a remove b >/dev/null
rm -f "$object"
refused 8 "host 'b' was removed from this cluster" fsck_b
[ ! -e "$object" ] || die "a removed host got an object"
stop a
start a "$a" --peer-listen 10.77.0.1:7443
refused 8 "host 'b' was removed from this cluster" fsck_b
refused 4 "was removed from this cluster" host b renew
[ "$(names a)" = a ] || die "a still knows $(names a)"
echo "peers: done"
