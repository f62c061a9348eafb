#!/usr/bin/env bash
# The REST interface of a real vclusterd, over HTTPS: rest.sh BIN. What strangers get, that the
# certificate is the one that was given, that plain HTTP is for loopback alone, and that it ends at
# once. (What users do with it is tested with a fake host, tests/unit/vclusterd/rest.)
set -euo pipefail
PATH=$(realpath "$1"):$PATH
root=$(mktemp -d /var/tmp/strata-rest.XXXXXX)
chmod 755 "$root"
export STRATA_STATE_DIR=$root/state STRATA_RUN_DIR=$root/run
imaged= vnetd= daemon=
clean_up() {
  local code=$?
  if [ -n "$daemon" ]; then kill "$daemon" && wait "$daemon" || code=1; fi
  local pid
  for pid in $vnetd $imaged; do kill "$pid" && wait "$pid" || code=1; done
  [ $code -eq 0 ] || tail -n 30 "$root"/*.log >&2 || true
  if grep "$root" /proc/self/mountinfo >&2; then
    echo "rest: mounts stayed behind" >&2
    grep -o "$root[^ ]*" /proc/self/mountinfo | xargs -r -n1 umount -l
    code=1
  fi
  rm -rf --one-file-system "$root"
  exit $code
}
trap clean_up EXIT
die() { echo "rest: $*" >&2; exit 1; }
await_line() {  # LOG PID TEXT
  timeout 30 grep -q -m1 "$3" < <(tail -n +1 -F --pid="$2" "$root/$1" 2>/dev/null)
}

imaged 2>"$root/imaged.log" &
imaged=$!
await_line imaged.log $imaged serves || die "imaged does not start"
vnetd 2>"$root/vnetd.log" &
vnetd=$!
await_line vnetd.log $vnetd serves || die "vnetd does not start"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
  -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout "$root/key.pem" \
  -out "$root/cert.pem" 2>/dev/null

echo "== no plain HTTP but on loopback"
! vclusterd --rest 0.0.0.0:0 --rest-plain 2>"$root/refused.log" || die "plain HTTP is served to all"
grep -q certificate "$root/refused.log" || die "it is not said why: $(cat "$root/refused.log")"
! vclusterd --rest 127.0.0.1:0 2>"$root/refused.log" || die "REST is served without a certificate"

vclusterd --rest 127.0.0.1:0 --rest-cert "$root/cert.pem" --rest-key "$root/key.pem" \
  --rest-registration --subnet-pool 10.79.128.0/17 2>"$root/vclusterd.log" &
daemon=$!
await_line vclusterd.log $daemon 'serves REST at https' || die "vclusterd serves no REST"
api=https://localhost:$(sed -n 's/.*serves REST at https:.*:\([0-9]*\)$/\1/p' "$root/vclusterd.log")
ask() { curl -s --cacert "$root/cert.pem" "$@"; }
status() { ask -o "$root/answer" -w '%{http_code}' "$@"; }

echo "== what strangers get"
[ "$(ask "$api/healthz" | jq -r .status)" = leads ] || die "it does not lead"
[ "$(ask "$api/v1/openapi.json" | jq -r .openapi)" = 3.1.0 ] || die "no document"
[ "$(status "$api/v1/vclusters")" = 401 ] || die "a stranger is not asked who he is"
! curl -s "$api/healthz" >/dev/null || die "who does not trust the certificate connects"
json=(-H 'Content-Type: application/json')
[ "$(status "$api/v1/registrations" "${json[@]}" \
  -d '{"name": "newcomer", "password": "a very long password"}')" = 201 ] ||
  die "nobody may ask for an account: $(cat "$root/answer")"
[ "$(status "$api/v1/session" "${json[@]}" \
  -d '{"name": "newcomer", "password": "a very long password"}')" = 403 ] ||
  die "who waits for an admin signs in"
grep -q -r newcomer "$STRATA_STATE_DIR/vclusterd/audit" || die "the sign-in is in no audit log"
! grep -q -r 'very long' "$root"/*.log "$STRATA_STATE_DIR/vclusterd/audit" || die "a password is logged"
[ "$(ask "$api/monitor/vnodes/hpc:0/cpu_use/" -d token=none | jq -r .success)" = false ] ||
  die "Docklet's routes are not served"

echo "== it ends at once"
kill $daemon
timeout 15 tail --pid=$daemon -f /dev/null || die "vclusterd does not end"
wait $daemon || die "vclusterd ends with an error"
daemon=
