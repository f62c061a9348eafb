#!/usr/bin/env bash
# Images between Strata, a registry of others (docker-registry) and the tools of others (podman,
# skopeo, curl): registry.sh TOP BIN. First imaged's users pull from and push to docker-registry,
# then podman and skopeo pull from and push to imaged itself, over TLS. No network but loopback.
set -euo pipefail
top=$1
export STRATA_BIN_DIR=$2
PATH=$(realpath "$2"):$PATH
root=$(mktemp -d /var/tmp/strata-registry.XXXXXX)
chmod 755 "$root"
export STRATA_STATE_DIR=$root/state STRATA_RUN_DIR=$root/run STRATA_LOG_DIR=$root/log
export STRATA_VCLUSTERD_FLAGS="--subnet-pool 10.221.0.0/16"
export REGISTRY_AUTH_FILE=$root/auth.json
mkdir "$root/log" "$root/tmp"
echo '{}' >"$REGISTRY_AUTH_FILE"
daemon= registry=
pod() {
  TMPDIR=$root/tmp podman --root "$root/pod" --runroot "$root/podrun" --tmpdir "$root/podtmp" \
    --storage-driver vfs --cgroup-manager cgroupfs --runtime runc "$@"
}
clean_up() {
  local code=$?
  pod image unmount --all >/dev/null 2>&1 || true
  "$top/tools/setup/daemons" stop vclusterd >"$root/down.log" 2>&1 || code=1
  vclusterd --down 2>>"$root/down.log" || code=1
  "$top/tools/setup/daemons" stop vnetd >>"$root/down.log" 2>&1 || code=1
  for pid in $daemon $registry; do
    kill "$pid" && wait "$pid" || [ "$pid" = "$registry" ] || code=1
  done
  if [ $code -eq 0 ] && [ -n "$(ls -A "$root/state/imaged/store/staging")" ]; then
    echo "registry: the store's staging is not empty" >&2
    code=1
  fi
  if grep -q "$root" /proc/self/mounts; then
    echo "registry: mounts are left" >&2
    grep "$root" /proc/self/mounts | cut -d' ' -f2 | xargs -r umount -l
    [ $code -ne 0 ] || code=1
  fi
  [ $code -eq 0 ] || tail -n 20 "$root"/log/*.log "$root"/down.log >&2 || true
  rm -rf --one-file-system "$root"
  exit $code
}
trap clean_up EXIT
die() { echo "registry: $*" >&2; exit 1; }
refused() {
  local code=0
  message=$("${@:2}" 2>&1 >/dev/null) || code=$?
  [ $code = "$1" ] || die "'${*:2}' exited with $code, not $1: $message"
}
# fails PATTERN COMMAND…: it has to fail, and say why.
fails() {
  ! "${@:2}" >"$root/fails.log" 2>&1 || die "'${*:2}' did not fail"
  grep -qE "$1" "$root/fails.log" || die "'${*:2}' failed with: $(cat "$root/fails.log")"
}
free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
# Everything that a tree is but the times of directories: each tool makes those its own way.
listing() {
  (cd "$1" && find . -mindepth 1 \( -type d -printf '%P %y %m %U %G\n' \) -o \
    -printf '%P %y %m %U %G %s %n %l %Ts\n' | LC_ALL=C sort
    find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum)
}
of_vimage() {
  rm -rf "$root/tree" && mkdir "$root/tree"
  vimage export "$1" | tar -C "$root/tree" -xp
  listing "$root/tree"
}
of_podman() {
  listing "$(pod image mount "$1")"
  pod image unmount "$1" >/dev/null
}
same() { diff "$root/$1" "$root/$2" >&2 || die "$3"; }

alice=61001 bob=61002
as() { setpriv --reuid="$1" --regid="$1" --clear-groups env REGISTRY_AUTH_FILE= XDG_RUNTIME_DIR= \
  vimage "${@:2}"; }

echo "== certificates"
mkdir "$root/certs"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test-ca \
  -keyout "$root/ca.key" -out "$root/certs/ca.crt" 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost \
  -keyout "$root/server.key" -out "$root/server.csr" 2>/dev/null
openssl x509 -req -in "$root/server.csr" -CA "$root/certs/ca.crt" -CAkey "$root/ca.key" -days 2 \
  -extfile <(echo subjectAltName=DNS:localhost,IP:127.0.0.1) -out "$root/server.crt" 2>/dev/null

imaged --registry 127.0.0.1:0 --registry-cert "$root/server.crt" --registry-key "$root/server.key" \
  2>"$root/log/imaged.log" &
daemon=$!
timeout 20 grep -q -m1 serves < <(tail -n +1 -F --pid=$daemon "$root/log/imaged.log" 2>/dev/null) ||
  die "imaged does not start"
own=localhost:$(sed -n 's/.*registry answers at port //p' "$root/log/imaged.log")

port=$(free_port)
other=localhost:$port
python3 -c 'import crypt; print("team:" + crypt.crypt("pass word", crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=32)))' \
  >"$root/htpasswd" 2>/dev/null
cat >"$root/config.yml" <<END
version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: $root/registry}, delete: {enabled: true}}
http:
  addr: 127.0.0.1:$port
  tls: {certificate: $root/server.crt, key: $root/server.key}
auth: {htpasswd: {realm: test, path: $root/htpasswd}}
END
# It takes REGISTRY_… for settings of its own.
env -u REGISTRY_AUTH_FILE docker-registry serve "$root/config.yml" >"$root/log/docker-registry.log" 2>&1 &
registry=$!
timeout 20 sh -c "until curl -s --cacert $root/certs/ca.crt https://$other/v2/ >/dev/null; do
  kill -0 $registry || exit 1; sleep 0.1; done" || die "docker-registry does not start"

echo "== podman builds an image and pushes it to docker-registry; vimage pulls it"
context=$root/context
mkdir -p "$context/etc" "$context/old"
cp /bin/busybox "$context/busybox"
seq 100000 >"$context/etc/numbers"
echo x >"$context/old/x"
cat >"$context/Containerfile" <<'END'
FROM scratch
COPY busybox /bin/busybox
COPY etc /etc
COPY old /old
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN rm -r /old && ln /etc/numbers /etc/hard && chmod 4711 /bin/busybox && mkdir -p /dev /proc /sys
ENV GREETING="two words"
ENTRYPOINT ["/bin/busybox", "sh"]
END
pod build -q --isolation chroot --layers --format oci -t web:1 "$context" >"$root/log/build.log" \
  2>&1 || die "podman cannot build"
of_podman web:1 >"$root/podman.list"
[ "$(wc -l <"$root/podman.list")" -gt 100 ] || die "podman's image is not what it should be"
pod login -u team --password-stdin --cert-dir "$root/certs" "$other" <<<"pass word" >/dev/null
pod push -q --cert-dir "$root/certs" web:1 "$other/team/web:1"
vimage pull "docker://$other/team/web:1" web:1 --ca-file "$root/certs/ca.crt"
of_vimage web:1 >"$root/vimage.list"
same podman.list vimage.list "the tree that was pulled is another"
vimage show web:1 | grep -q 'GREETING=two words' || die "the environment is lost"

echo "== again: layers that are here are not brought"
fetched() { grep -c 'GET /v2/team/web/blobs/' "$root/log/docker-registry.log"; }
before=$(fetched)
vimage pull "docker://$other/team/web:1" web:again --ca-file "$root/certs/ca.crt" >/dev/null
[ "$(fetched)" = $((before + 1)) ] || die "more than the configuration came again"
digest=$(skopeo inspect --cert-dir "$root/certs" "docker://$other/team/web:1" | jq -r .Digest)
vimage pull "docker://$other/team/web@$digest" by-digest --ca-file "$root/certs/ca.crt"

echo "== passwords: from standard input, wrong, none"
printf 'pass word\n' | as $alice pull "docker://$other/team/web:1" --ca-file "$root/certs/ca.crt" \
  --username team --password-stdin
printf 'wrong\n' >"$root/wrong"
refused 4 vimage pull "docker://$other/team/web:1" no --ca-file "$root/certs/ca.crt" \
  --username team --password-stdin <"$root/wrong"
refused 4 as $bob pull "docker://$other/team/web:1" no --ca-file "$root/certs/ca.crt"
refused 4 vimage pull "docker://$other/team/web:1" no
refused 3 vimage pull "docker://$other/team/none:1" no --ca-file "$root/certs/ca.crt"
vimage pull "docker://$other/team/web:1" unverified --tls-verify=false
refused 3 vimage show no
! grep -rqa "pass word" "$root/log" || die "a password was logged"

echo "== vimage pushes to docker-registry; podman pulls it"
vimage push web:1 "docker://$other/team/back:1" --ca-file "$root/certs/ca.crt"
vimage push web:1 "docker://$other/team/back:2" --ca-file "$root/certs/ca.crt" --json |
  jq -e '.blobs == "0" and .known_blobs != "0"' >/dev/null || die "known blobs were pushed again"
pod rmi -af >/dev/null
pod pull -q --cert-dir "$root/certs" "$other/team/back:1" >/dev/null
of_podman "$other/team/back:1" >"$root/back.list"
same podman.list back.list "what podman pulled is another tree"
kill $registry && { wait $registry || true; } && registry=

echo "== a container's image, saved, and pulled by podman from imaged"
"$top/tools/setup/daemons" start vnetd >/dev/null
"$top/tools/setup/daemons" start vclusterd >/dev/null
vcluster create hpc --image web:1 --nodes 1 >/dev/null
vcluster exec hpc/0 -- /bin/sh -c 'echo saved >/etc/saved && rm /etc/hard && mkdir /srv'
vsave hpc/0 spark:v1 >/dev/null
of_vimage spark:v1 >"$root/saved.list"
grep -q 'etc/saved' "$root/saved.list" || die "the save has lost a file"
vimage token create --name test 2>/dev/null >"$root/token"
pod login -u root --password-stdin --cert-dir "$root/certs" "$own" <"$root/token" >/dev/null
pod pull -q --cert-dir "$root/certs" "$own/root/spark:v1" >/dev/null
of_podman "$own/root/spark:v1" >"$root/pulled.list"
same saved.list pulled.list "what podman pulled from imaged is another tree"
grep "$root" /proc/self/mounts | grep -q "$root/pod" && die "podman has left a mount"
vcluster delete hpc >/dev/null

echo "== podman pushes to imaged, and what was pushed is the same"
pod tag "$own/root/spark:v1" "$own/root/pushed:v1"
pod push -q --cert-dir "$root/certs" "$own/root/pushed:v1"
of_vimage pushed:v1 >"$root/pushed.list"
same saved.list pushed.list "what podman pushed is another tree"
skopeo copy -q --src-cert-dir "$root/certs" --dest-cert-dir "$root/certs" \
  "docker://$own/root/pushed:v1" "docker://$own/root/copied:v1"
skopeo copy -q --src-cert-dir "$root/certs" "docker://$own/root/copied:v1" "oci:$root/layout:x"
vimage import "$root/layout" from-layout >/dev/null
of_vimage from-layout >"$root/copied.list"
same saved.list copied.list "what skopeo copied is another tree"
skopeo copy -q --dest-cert-dir "$root/certs" --multi-arch all "oci:$root/layout:x" \
  "docker://$own/root/multi:v1" || die "skopeo cannot push"
vimage tag spark:v1 spark:v2 >/dev/null
[ "$(skopeo list-tags --cert-dir "$root/certs" "docker://$own/root/spark" | jq -c .Tags)" = \
  '["v1","v2"]' ] || die "the tags are others"
skopeo delete --cert-dir "$root/certs" "docker://$own/root/multi:v1"
refused 3 vimage show multi:v1
vimage pull "docker://$own/root/pushed:v1" roundtrip --ca-file "$root/certs/ca.crt" >/dev/null
vimage push spark:v1 "docker://$own/root/self:v1" --ca-file "$root/certs/ca.crt" >/dev/null
of_vimage self:v1 >"$root/self.list"
same saved.list self.list "what vimage pushed to imaged is another tree"

echo "== who may what"
anonymous() { skopeo "$1" --authfile "$root/nobody.json" --cert-dir "$root/certs" "${@:2}"; }
echo '{}' >"$root/nobody.json"
skopeo_as() { skopeo "$2" --creds "$1" --cert-dir "$root/certs" "${@:3}"; }
fails 'manifest unknown' anonymous inspect "docker://$own/root/spark:v1"
sed 's/spark/never/g; s/time="[^"]*"//' "$root/fails.log" >"$root/private.log"
fails 'manifest unknown' anonymous inspect "docker://$own/root/never:v1"
sed 's/time="[^"]*"//' "$root/fails.log" >"$root/never.log"
same private.log never.log "a private image can be told from none"
vimage share spark:v1 public >/dev/null
anonymous inspect "docker://$own/root/spark:v1" >/dev/null || die "a public image is refused"
fails 'unauthorized|authentication required' skopeo copy --authfile "$root/nobody.json" \
  --dest-cert-dir "$root/certs" "oci:$root/layout:x" "docker://$own/root/stranger:v1"
as $alice token create --name a 2>/dev/null >"$root/alice"
as $alice token create --read-only 2>/dev/null >"$root/reader"
as $bob token create 2>/dev/null >"$root/bob"
push_as() { skopeo copy -q --dest-creds "$1" --dest-cert-dir "$root/certs" "oci:$root/layout:x" \
  "docker://$own/$2"; }
push_as "$alice:$(cat "$root/alice")" $alice/spark:v1 || die "alice cannot push"
of_vimage $alice/spark:v1 >"$root/alices.list"
same saved.list alices.list "what alice pushed is another tree"
fails 'denied: this token may only read|denied' push_as "$alice:$(cat "$root/reader")" $alice/spark:v2
fails 'denied' push_as "$alice:$(cat "$root/alice")" $bob/spark:v1
fails 'denied' push_as "$alice:$(cat "$root/alice")" root/spark:v1
fails 'unauthorized|authentication required|invalid username' push_as "$bob:$(cat "$root/alice")" $bob/spark:v1
skopeo_as "$alice:$(cat "$root/reader")" inspect "docker://$own/$alice/spark:v1" >/dev/null ||
  die "a read-only token does not read"
fails 'manifest unknown' skopeo_as "$bob:$(cat "$root/bob")" inspect "docker://$own/$alice/spark:v1"
as $alice share spark:v1 --with $bob >/dev/null
skopeo_as "$bob:$(cat "$root/bob")" inspect "docker://$own/$alice/spark:v1" >/dev/null ||
  die "bob may not pull what is shared with him"
fails 'denied|unauthorized|Forbidden|403' skopeo_as "$bob:$(cat "$root/bob")" delete "docker://$own/$alice/spark:v1"
as $alice token revoke "$(as $alice token list --json | jq -r '.tokens[] | select(.name == "a").id')" \
  >/dev/null
fails 'unauthorized|authentication required|invalid username' skopeo_as "$alice:$(cat "$root/alice")" inspect "docker://$own/$alice/spark:v1"
refused 3 as $bob token revoke "$(as $alice token list --json | jq -r '.tokens[0].id')"
refused 4 as $bob token list --all-users
! grep -qaf "$root/token" -f "$root/bob" "$root/log/imaged.log" || die "a token was logged"
! grep -qaf "$root/token" "$STRATA_STATE_DIR/imaged/tokens.json" || die "a token is stored"

echo "== quota: an upload that is too large leaves nothing"
vimage quota user:$bob 100K >/dev/null
fails 'denied' push_as "$bob:$(cat "$root/bob")" $bob/spark:v1
refused 3 vimage show $bob/spark:v1

echo "== a daemon that is killed in the middle of a push leaves nothing"
head -c 3000000 /dev/urandom >"$root/blob"
bearer=$(curl -s --cacert "$root/certs/ca.crt" -u "root:$(cat "$root/token")" \
  "https://$own/v2/token?scope=repository:root/half:pull,push" | jq -r .token)
location=$(curl -s --cacert "$root/certs/ca.crt" -H "Authorization: Bearer $bearer" -D - -o /dev/null \
  -X POST "https://$own/v2/root/half/blobs/uploads/" | tr -d '\r' | sed -n 's/^Location: //p')
curl -s --cacert "$root/certs/ca.crt" -H "Authorization: Bearer $bearer" -X PATCH -o /dev/null \
  --data-binary "@$root/blob" "https://$own$location"
[ "$(find "$STRATA_STATE_DIR/imaged/store/staging" -type f -size +2M | wc -l)" = 1 ] ||
  die "the upload is not in staging"
"$top/tools/setup/daemons" stop vclusterd >/dev/null
kill -KILL $daemon && { wait $daemon || true; }
imaged 2>"$root/log/imaged2.log" &
daemon=$!
timeout 20 grep -q -m1 serves < <(tail -n +1 -F --pid=$daemon "$root/log/imaged2.log" 2>/dev/null) ||
  die "imaged does not start again"
[ -z "$(ls -A "$STRATA_STATE_DIR/imaged/store/staging")" ] || die "staging was not cleared"
vimage fsck >/dev/null || die "fsck"
vimage token list --json | jq -e '.tokens | length == 1' >/dev/null || die "the token is lost"
echo "registry: all is well"
