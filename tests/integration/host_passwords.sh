#!/usr/bin/env bash
# vclusterd --pam: host_passwords.sh BIN. Users of a host sign in over REST with the passwords that
# they have there, checked by the host's own pam_unix; who is no user of it, or may not come in, does
# not get in. The users are those of files that vclusterd alone sees, in a namespace of mounts of its
# own: the machine's are not touched.
set -euo pipefail
PATH=$(realpath "$1"):$PATH
root=$(mktemp -d /var/tmp/strata-pam.XXXXXX)
chmod 755 "$root"
export STRATA_STATE_DIR=$root/state STRATA_RUN_DIR=$root/run
imaged= vnetd= vclusterd=
clean_up() {
  local code=$?
  if [ -n "$vclusterd" ]; then kill "$vclusterd" && wait "$vclusterd" || code=1; fi
  local daemon
  for daemon in $vnetd $imaged; do kill "$daemon" && wait "$daemon" || code=1; done
  [ $code -eq 0 ] || tail -n 30 "$root"/*.log >&2 || true
  if grep "$root" /proc/self/mountinfo >&2; then
    echo "host_passwords: mounts stayed behind" >&2
    code=1
  fi
  rm -rf --one-file-system "$root"
  exit $code
}
trap clean_up EXIT
die() { echo "host_passwords: $*" >&2; exit 1; }
await_line() {  # LOG PID TEXT
  timeout 30 grep -q -m1 "$3" < <(tail -n +1 -F --pid="$2" "$root/$1" 2>/dev/null)
}
if ! find /lib /usr/lib -name pam_unix.so 2>/dev/null | grep -q .; then
  echo "host_passwords: no pam_unix here; skipped"
  exit 77
fi

# The host's users: those that it has, and some more. Written in place: they are bound elsewhere.
mkdir "$root/etc" "$root/etc/pam.d"
uid=30000
while getent passwd $uid >/dev/null || getent passwd $((uid + 1)) >/dev/null; do uid=$((uid + 2)); done
cp /etc/passwd "$root/etc/passwd"
printf '%s\n' "strata-ada:x:$uid:100:Ada:/:/bin/sh" "strata-bob:x:$((uid + 1)):100::/:/bin/sh" \
  >>"$root/etc/passwd"
hash_of() { openssl passwd -6 "$1"; }
shadow() {  # ADA'S-PASSWORD BOB'S-LAST-DAY
  printf '%s\n' "root:$(hash_of 'of the root'):19000:0:99999:7:::" \
    "strata-ada:$(hash_of "$1"):19000:0:99999:7:::" \
    "strata-bob:$(hash_of 'of bob there'):19000:0:99999:7::$2:" >"$root/etc/shadow"
}
touch "$root/etc/shadow"
chmod 600 "$root/etc/shadow"
shadow 'of ada there' ''
# As docs/users.md says.
printf '@include common-auth\n@include common-account\n' >"$root/etc/pam.d/strata"
echo 'auth required pam_unix.so nodelay' >"$root/etc/pam.d/common-auth"
echo 'account required pam_unix.so' >"$root/etc/pam.d/common-account"
printf '%s required pam_deny.so\n' auth account >"$root/etc/pam.d/other"

imaged 2>"$root/imaged.log" &
imaged=$!
await_line imaged.log $imaged serves || die "imaged does not start"
vnetd 2>"$root/vnetd.log" &
vnetd=$!
await_line vnetd.log $vnetd serves || die "vnetd does not start"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
  -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout "$root/key.pem" \
  -out "$root/cert.pem" 2>/dev/null
start_vclusterd() {  # FLAG…
  : >"$root/vclusterd.log"
  # shellcheck disable=SC2016
  unshare --mount --propagation private sh -c '
    etc=$1; shift
    for name in passwd shadow pam.d; do mount --bind "$etc/$name" "/etc/$name" || exit 1; done
    exec "$@"' sh "$root/etc" vclusterd --rest 127.0.0.1:0 --rest-cert "$root/cert.pem" \
    --rest-key "$root/key.pem" --subnet-pool 10.79.128.0/17 "$@" 2>>"$root/vclusterd.log" &
  vclusterd=$!
  await_line vclusterd.log $vclusterd 'serves REST at https' || die "vclusterd serves no REST"
  api=https://localhost:$(sed -n 's/.*serves REST at https:.*:\([0-9]*\)$/\1/p' "$root/vclusterd.log")
}
stop_vclusterd() {
  local pid=$vclusterd
  vclusterd=
  kill "$pid" && wait "$pid" || die "vclusterd ends with an error"
}
ask() { curl -s --cacert "$root/cert.pem" -o "$root/answer" -w '%{http_code}' "$@"; }
sign_in() {  # NAME PASSWORD: the status.
  ask "$api/v1/session" -H 'Content-Type: application/json' -d "{\"name\": \"$1\", \"password\": \"$2\"}"
}
gets_in() {  # NAME PASSWORD
  [ "$(sign_in "$@")" = 201 ] || die "$1 does not get in: $(cat "$root/answer")"
}
refused() {  # WHY NAME PASSWORD
  [ "$(sign_in "${@:2}")" = 403 ] && jq -r .detail "$root/answer" | grep -q "$1" ||
    die "$2 with '$3' hears: $(cat "$root/answer")"
  ! jq -e .token "$root/answer" >/dev/null || die "$2 got a token"
}

echo "== the host is asked only where --pam says so"
start_vclusterd
refused 'wrong name or password' strata-ada 'of ada there'
stop_vclusterd
start_vclusterd --pam

echo "== a user of the host gets in, as who he is on the host"
refused 'wrong name or password' strata-ada 'of bob there'
[ "$(vcluster user list --json | jq '.users | length')" = 0 ] || die "a guess makes an account"
gets_in strata-ada 'of ada there'
token=$(jq -r .token "$root/answer")
[ "$(ask -H "Authorization: Bearer $token" "$api/v1/users/strata-ada")" = 200 ] ||
  die "the token is not good: $(cat "$root/answer")"
[ "$(jq -r '.uid, .pam' "$root/answer" | xargs)" = "$uid true" ] || die "she is: $(cat "$root/answer")"
setpriv --reuid="$uid" --regid=100 --clear-groups vcluster user show | grep -q strata-ada ||
  die "she is somebody else at the socket"

echo "== others do not get in"
refused 'wrong name or password' root 'of the root'  # He is the host's, and no user here.
refused 'wrong name or password' strata-nobody 'of ada there'
shadow 'of ada there' 1
refused 'does not let you in' strata-bob 'of bob there'  # His account ended in 1970.
shadow 'of ada there' ''
gets_in strata-bob 'of bob there'
vcluster user edit strata-bob --no-pam >/dev/null
refused 'wrong name or password' strata-bob 'of bob there'
vcluster user lock strata-ada >/dev/null
refused locked strata-ada 'of ada there'
vcluster user unlock strata-ada >/dev/null

echo "== what changes on the host counts at once"
shadow 'another of hers' ''
refused 'wrong name or password' strata-ada 'of ada there'
gets_in strata-ada 'another of hers'
rm "$root/etc/pam.d/strata"  # Then there is what "other" says.
refused 'wrong name or password' strata-ada 'another of hers'

echo "== passwords are in no log"
! grep -r -e 'of ada there' -e 'another of hers' -e 'of bob there' "$root"/*.log \
  "$STRATA_STATE_DIR/vclusterd/audit" >&2 || die "a password is logged"
grep -q -r strata-ada "$STRATA_STATE_DIR/vclusterd/audit" || die "sign-ins are in no audit log"
stop_vclusterd
