#!/usr/bin/env bash
# A full cluster rents a host: rent.sh BIN. A Vcluster that finds no room waits for the machine that
# the provider's program starts, runs there, and the machine is given back when nobody uses it. What
# may not be rented is refused, and nothing is left of a machine that never joins, or that nobody
# knows.
program=rent
PATH=$(realpath "$1"):$PATH
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"
worker_flags=(--fence-ms 1500)
make_hosts 1
make_tiny_image
cloud=$root/cloud
mkdir -p "$cloud"/{machines,orders}

# The provider's program: a machine is a file here, and the test plays what runs on it.
cat >"$root/provider" <<'SH'
#!/usr/bin/env bash
set -euo pipefail
cloud=$1
read -r request
call=$(jq -r .call <<<"$request")
echo "$call" >>"$cloud/calls"
case $call in
offers)
  echo '{"offers": [
    {"name": "huge", "cpus": 64, "memory_bytes": 1e11, "disk_bytes": 1e12, "price_per_hour": 9},
    {"name": "fit", "cpus": 2, "memory_bytes": 4e9, "disk_bytes": 1e11, "price_per_hour": 1, "labels": ["rented"]},
    {"name": "tiny", "cpus": 0.5, "memory_bytes": 1e9, "disk_bytes": 1e11, "price_per_hour": 0.1}]}'
  ;;
machines)
  for file in "$cloud"/machines/*; do
    [ ! -e "$file" ] || jq -n --arg id "$(basename "$file")" --arg tag "$(cat "$file")" '{id: $id, tag: $tag}'
  done | jq -s '{machines: .}'
  ;;
start)
  [ ! -e "$cloud/no-credit" ] || { echo 'no credit' >&2; exit 1; }
  id=i-$(ls "$cloud/orders" | wc -l)
  jq -r .tag <<<"$request" >"$cloud/machines/$id"
  echo "$request" >"$cloud/orders/$id.new"
  mv "$cloud/orders/$id.new" "$cloud/orders/$id"
  jq -n --arg id "$id" '{id: $id}'
  ;;
stop)
  rm -f "$cloud/machines/$(jq -r .id <<<"$request")"
  echo '{}'
  ;;
esac
SH
chmod +x "$root/provider"
cat >"$root/providers.json" <<JSON
{"providers": [{"name": "cloud", "command": ["$root/provider", "$cloud"], "timeout_s": 30,
  "machines_max": 1, "price_per_hour_max": 5, "idle_s": 4, "join_s": 60, "cool_down_s": 1}]}
JSON
chmod 644 "$root/providers.json"
master_flags=(--host-lost-ms 3000 --overcommit-cpus 1 --overcommit-memory 1 --providers "$root/providers.json")
start_master h1
start_worker h1

await hosts_present 1 || die "the worker did not find the master"
cpus=$(vc host list --json | jq '.hosts[0].cpus | floor')
file() {  # NAME CPUS
  printf 'name: %s\nimage: tiny\nlimits: {cpus: %s}\n' "$1" "$2" >"$root/$1.yaml"
  echo "$root/$1.yaml"
}
ordered() { [ -e "$cloud/orders/$1" ]; }
machines() { ls "$cloud/machines"; }
no_machine() { [ -z "$(machines)" ]; }
none_rented() { [ "$(vc provider list --json | jq '[.providers[].machines[]] | length')" = 0 ]; }

echo "== a full host rents the cheapest machine that helps; the Vcluster waits and runs there"
vc create -f "$(file full "$cpus")" >/dev/null
none_rented || die "something is rented: $(vc provider list)"
offered() { vc provider offers | grep -q '^cloud *fit'; }
await offered || die "no offers: $(vc provider offers)"
vc create -f "$(file more 2)" >"$root/more.out" 2>&1 &
create=$!
await ordered i-0 || die "nothing is rented: $(cat "$root/more.out")"
order=$cloud/orders/i-0
[ "$(jq -r .offer "$order")" = fit ] || die "another offer was taken: $(cat "$order")"
vc list more --json | jq -r '.clusters[0].notice' | grep -q 'a host is rented of cloud (fit)\|a rented host is on its way' ||
  die "nothing says so: $(vc list more -l)"
name=$(jq -r .host "$order")
# The machine boots: it joins with the token, gets the image, and its worker starts.
make_machine h2
start_daemon h2-imaged h2 serves imaged --state-dir "$root/h2" --run-dir "$root/h2-run" \
  --peer-name "$name" --peer-listen "$(address h2):7443"
jq -r .token "$order" | on h2 vimage host join - >/dev/null
on h2 vimage pull h1 root/tiny >/dev/null
start_vnetd h2
start_daemon h2-worker h2 'listens for masters' vclusterd worker --state-dir "$root/h2" \
  --run-dir "$root/h2-run" --listen "$(address h2):7444" --masters "$(jq -r .masters "$order")" \
  --subnet-pool 10.78.128.0/17 --record-starts 0 --label "$(jq -r '.labels[0]' "$order")"
wait $create || die "the Vcluster was not made: $(cat "$root/more.out")"
[ "$(vc list more --json | jq -r '.clusters[0].nodes[0].host')" = "$name" ] || die "it is elsewhere: $(vc list more -l)"
[ "$(vc exec more/0 -- hostname)" = more-0 ] || die "it does not run"
vc host list | grep -q "$name.*rented.*cloud, 1/h" || die "nothing says what it costs: $(vc host list)"
machine_runs() { [ "$(vc provider list --json | jq -r '.providers[0].machines[0].stage')" = running ]; }
await machine_runs || die "it is not running: $(vc provider list)"

echo "== past the limits nothing is rented, and the error says so"
code=0
vc create -f "$(file third 2)" 2>"$root/third.err" || code=$?
[ $code != 0 ] && grep -q 'cloud: its limit of machines or price is reached' "$root/third.err" ||
  die "the third one ($code): $(cat "$root/third.err")"
[ "$(vc list --json | jq '.clusters | length')" = 2 ] || die "something of it stayed: $(vc list)"

echo "== a killed master forgets no machine"
stop_daemon h1-master KILL
start_master h1
await hosts_present 2 || die "the hosts did not find the master again"
await machine_runs || die "the machine is forgotten: $(vc provider list)"
[ "$(machines)" = i-0 ] || die "there are other machines: $(machines)"

echo "== when nobody uses it, it is drained and given back"
vc delete more >/dev/null
await no_machine || die "it is not given back: $(vc provider list)"
await none_rented || die "its record stays: $(vc provider list)"
! on h1 vimage host list | grep -q "$name" || die "it is still trusted: $(on h1 vimage host list)"
stop_daemon h2-worker
[ -z "$(ls "$root/h2/vclusterd/parts")" ] || die "nodes stayed on it"
inside h2 vclusterd --down --state-dir "$root/h2" --run-dir "$root/h2-run" \
  --subnet-pool 10.78.128.0/17 2>>"$root/h2-down.log" || die "h2: $(cat "$root/h2-down.log")"
stop_daemon h2-vnetd
stop_daemon h2-imaged
rm -rf --one-file-system "${root:?}/h2" "${root:?}/h2-run"
await hosts_present 1 || die "the host did not go: $(vc host list)"
gone() { ! vc host list | grep -q "$name"; }
await gone || die "the host is still known: $(vc host list)"

echo "== a provider that fails is left alone for a while, and the error has its words"
touch "$cloud/no-credit"
code=0
vc create -f "$(file poor 2)" 2>"$root/poor.err" || code=$?
[ $code != 0 ] && grep -q 'no credit' "$root/poor.err" || die "the poor one ($code): $(cat "$root/poor.err")"
rm "$cloud/no-credit"
none_rented || await none_rented || die "a record stays: $(vc provider list)"
no_machine || die "a machine stays: $(machines)"
vc delete full >/dev/null
