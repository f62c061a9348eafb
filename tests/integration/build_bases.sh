#!/usr/bin/env bash
# vimage build and what it needs from elsewhere: build_bases.sh TOP BIN. Bases of a registry
# (docker-registry, plain HTTP on loopback). No other network.
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

vimage fsck >/dev/null || die "fsck"
echo "build_bases: all is well"
