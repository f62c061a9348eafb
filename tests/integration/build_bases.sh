#!/usr/bin/env bash
# vimage build and what it needs from elsewhere: build_bases.sh TOP BIN. Bases of a registry
# (docker-registry, plain HTTP on loopback),
# and files that only a step sees. No other network.
set -euo pipefail
top=$1 bin=$2 pool=10.224.0.0/16
registry=
stop_registry() {
  [ -z "$registry" ] || { kill "$registry" && wait "$registry" || true; }
}
at_exit=stop_registry
. "$top/tests/integration/build_lib.sh"

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
host=localhost:$port
cat >"$root/registry.yml" <<YML
version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: $root/registry}}
http: {addr: 127.0.0.1:$port}
YML
docker-registry serve "$root/registry.yml" >"$root/log/docker-registry.log" 2>&1 &
registry=$!
timeout 20 sh -c "until curl -s http://$host/v2/ >/dev/null; do
  kill -0 $registry || exit 1; sleep 0.1; done" || die "docker-registry does not start"
plain=(--tls-verify false)
requests() { grep -c 'GET /v2/team/' "$root/log/docker-registry.log" || true; }

echo "== a base of a registry is brought once, and the build says which it was"
vimage push base "docker://$host/team/base:1" "${plain[@]}" >/dev/null
mkdir "$root/r"
cat >"$root/r/Dockerfile" <<DOCKERFILE
ARG HOST
FROM \${HOST}/team/base:1 AS first
RUN echo "\$FROM_BASE" >/said
FROM first
COPY --from=$host/team/base:1 /etc/passwd /copied
DOCKERFILE
build=(-t r --build-arg "HOST=$host" "$root/r")
refused 6 vimage build "${build[@]}"
says "$host/team/base:1"
no_clusters "a base that cannot be had"
built 2 0 "${build[@]}" "${plain[@]}"
[ "$(file_of r said)" = yes ] || die "the base's variables did not come along"
digest=$(skopeo inspect --tls-verify=false "docker://$host/team/base:1" | jq -r .Digest)
label() { vimage show "$1" --json | jq -r '.image.labels["build.base"]'; }
[ "$(label r)" = "docker://$host/team/base:1@$digest" ] || die "the build tells of $(label r)"
before=$(requests)
built 2 2 "${build[@]}"  # Without a word to the registry.
[ "$(requests)" = "$before" ] || die "the base was asked for again"
vimage list | grep -q build-cache && die "the base is listed among images"
vimage list build-cache --json | jq -r '.images[].tag' | grep -q "^base-localhost-$port-team-base-1-" ||
  die "the base has another name here"

echo "== --pull asks again, and brings what is new"
built 2 2 "${build[@]}" "${plain[@]}" --pull
[ "$(requests)" -gt "$before" ] || die "--pull asked nobody"
cp -r "$base" "$root/base2"
echo new >"$root/base2/etc/new"
vimage import "$root/base2" base2 --env FROM_BASE=second >/dev/null
vimage push base2 "docker://$host/team/base:1" "${plain[@]}" >/dev/null
built 2 2 "${build[@]}" "${plain[@]}"
built 2 0 "${build[@]}" "${plain[@]}" --pull
[ "$(file_of r said)" = second ] || die "--pull did not bring the new base"
cat >"$root/r/Dockerfile" <<DOCKERFILE
FROM $host/team/base@$digest
RUN echo "\$FROM_BASE" >/said
DOCKERFILE
built 1 1 -t by-digest "$root/r" "${plain[@]}"
[ "$(file_of by-digest said)" = yes ] || die "another base than the digest says"
echo "FROM $host/team/none:1" >"$root/r/Dockerfile"
refused 3 vimage build -t none "$root/r" "${plain[@]}"
says "$host/team/none:1"
echo "FROM nothing-here" >"$root/r/Dockerfile"
refused 3 vimage build -t none "$root/r" "${plain[@]}"
says "named with its host"
vimage prune-build-cache >/dev/null
[ "$(file_of by-digest said)" = yes ] || die "an image went with its base"

echo "== mounts of a step: in it, and in no layer"
mkdir -p "$root/m/src/deep"
echo one >"$root/m/src/deep/one"
long=$(printf 'x%.0s' $(seq 120))
mkdir "$root/m/src/$long"
echo long >"$root/m/src/$long/$long"
chmod 600 "$root/m/src/deep/one"
cat >"$root/m/Dockerfile" <<DOCKERFILE
FROM base AS tools
RUN mkdir /t && echo tool >/t/tool && chown 7:8 /t/tool
FROM base
RUN --mount=target=/made/for/it,source=src --mount=type=tmpfs,target=/scratch,size=4m \\
    --mount=from=tools,source=/t/tool,target=/opt/tool --mount=target=/own,source=src,rw \\
    cat /made/for/it/deep/one "/made/for/it/$long/$long" /opt/tool >/got && ls -ln /opt/tool >>/got && \\
    { ! touch /made/for/it/x; } 2>/dev/null && { ! echo x >>/opt/tool; } 2>/dev/null && \\
    echo x >/scratch/x && grep -q " /scratch tmpfs .*size=4096k" /proc/mounts && touch /own/x
RUN --mount=type=cache,target=/var/kept,uid=1000 \\
    cat /var/kept/count >/count 2>/dev/null; echo more >>/var/kept/count; ls -ldn /var/kept >>/count
DOCKERFILE
vimage prune-build-cache >/dev/null
built 3 0 -t m "$root/m"
file_of m got >"$root/got"
[ "$(head -n 3 "$root/got" | tr '\n' ' ')" = "one long tool " ] || die "not bound: $(cat "$root/got")"
grep -q ' 7 .* 8 ' "$root/got" || die "owners of another stage's files: $(cat "$root/got")"
for path in made scratch opt own var/kept .build-mounts dev/shm; do
  ! vimage ls m "$path" >/dev/null 2>&1 || die "/$path is in the image"
done
built 3 3 -t m "$root/m"
echo two >"$root/m/src/deep/one"  # Is part of the key.
built 3 1 -t m "$root/m"
[ "$(file_of m got | head -n 1)" = two ] || die "the bind is of another time"

echo "== a cache mount keeps what a build left, for its user alone, within its limit"
count() { file_of m count | grep -c more || true; }
before=$(count)
built 3 0 -t m "$root/m" --no-cache
[ "$(count)" = $((before + 1)) ] || die "the cache mount was empty: $(file_of m count)"
file_of m count | grep -q ' 1000 ' || die "the cache mount is another's"
built 3 0 -t m "$root/m" --no-cache --mount-cache-limit 1K
grep -q "stays as it was: .*larger than 1.0 KiB" "$root/build.log" || die "no word of the limit"
built 3 0 -t m "$root/m" --no-cache
[ "$(count)" = $((before + 2)) ] || die "what was too large was kept, or all was lost"
mount=$(vimage list build-cache --json | jq -r '.images[].tag' | grep '^mount-')
[ "$(echo "$mount" | wc -l)" = 1 ] || die "cache mounts: $mount"
as_other() { setpriv --reuid=61001 --regid=61001 --clear-groups vimage "$@"; }
refused 3 as_other show "root/build-cache:$mount"
printf 'FROM base\nRUN --mount=type=cache,target=/etc/passwd true\n' >"$root/r/Dockerfile"
code=0
vimage build -t none "$root/r" >"$root/none.log" 2>&1 || code=$?
[ $code = 7 ] || die "a mount on a file: $code, $(cat "$root/none.log")"
grep -q 'Dockerfile:2: the mount at /etc/passwd' "$root/none.log" || die "$(cat "$root/none.log")"
no_clusters "a mount that cannot be"
vimage prune-build-cache >/dev/null
built 3 0 -t m "$root/m"
[ "$(count)" = 0 ] || die "a cache mount outlives prune-build-cache"

echo "== steps that no build uses go, those that one used stay"
mkdir "$root/a"
printf 'FROM base\nRUN echo one >/one\nRUN echo two >/two\n' >"$root/a/Dockerfile"
vimage prune-build-cache >/dev/null
built 2 0 -t a "$root/a"
steps() { vimage list build-cache --json | jq -r '.images[].tag'; }
count=$(steps | wc -l)
long_ago=$((($(date +%s) - 40 * 86400) * 1000))
age() { for tag in $(steps); do
  vimage edit "build-cache:$tag" --label "build.used=$long_ago" >/dev/null
done; }
vimage prune-build-cache --older-than 30d >/dev/null
[ "$(steps | wc -l)" = "$count" ] || die "new steps went"
age
vimage prune-build-cache --older-than 60d >/dev/null
[ "$(steps | wc -l)" = "$count" ] || die "steps of 40 days went as if of 60"
sed -i '$d' "$root/a/Dockerfile"
built 1 1 -t a "$root/a"  # Uses the first step alone.
vimage prune-build-cache --older-than 30d >/dev/null
built 1 1 -t a "$root/a"
echo 'RUN echo two >/two' >>"$root/a/Dockerfile"
built 2 1 -t a "$root/a"
vimage prune-build-cache --keep-bytes 1G >/dev/null
built 2 2 -t a "$root/a"
vimage prune-build-cache --keep-bytes 0 >/dev/null
[ "$(file_of a two)" = two ] || die "an image went with its steps"
refused 2 vimage prune-build-cache --older-than soon

echo "== a build that is killed leaves what the next one takes away, and another build's stays"
mkdir "$root/k"
printf 'FROM base\nRUN echo it runs; sleep 1000\n' >"$root/k/Dockerfile"
start_build() {
  vimage build -t k "$root/k" >"$root/k$1.log" 2>&1 &
  pid=$!
  timeout 20 grep -q -m1 '| it runs' < <(tail -n +1 -F --pid=$pid "$root/k$1.log" 2>/dev/null) ||
    die "the step does not run: $(cat "$root/k$1.log")"
}
clusters() { vcluster list --json | jq -r '.clusters // [] | .[].name'; }
start_build 1
first=$(clusters)
kill -9 $pid
wait $pid || true
[ "$(clusters)" = "$first" ] || die "what a killed build leaves is gone already: test something else"
start_build 2
! clusters | grep -qxF "$first" || die "the next build did not take $first away"
[ "$(clusters | wc -l)" = 1 ] || die "Vclusters: $(clusters)"
grep -q 'took away what 1 killed' "$root/k2.log" || die "no word of it: $(cat "$root/k2.log")"
second=$(clusters)
vimage prune-build-nodes | grep -q 'no killed build' || die "a build that runs was hurt"
built 2 0 --no-cache -t a "$root/a"
[ "$(clusters)" = "$second" ] || die "two builds at once: $(clusters)"
kill -9 $pid
wait $pid || true
vimage prune-build-nodes --json | jq -e '.clusters | length == 1' >/dev/null || die "not taken away"
no_clusters "prune-build-nodes"

vimage fsck >/dev/null || die "fsck"
echo "build_bases: all is well"
