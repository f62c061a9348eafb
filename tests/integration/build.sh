#!/usr/bin/env bash
# vimage build as its users see it: build.sh TOP BIN. Cache, stages, secrets, several images of one
# file, going back, failures that leave nothing; and the same files built by buildah, compared.
# No network.
set -euo pipefail
top=$1 bin=$2 pool=10.222.0.0/16
. "$top/tests/integration/build_lib.sh"

echo "== steps are cached by what they see, and a change undoes only what follows"
context=$root/context
mkdir -p "$context/src/deep"
echo one >"$context/src/one"
echo two >"$context/src/deep/two"
echo junk >"$context/src/a.o"
echo keep >"$context/src/keep.o"
printf '**/*.o\n!src/keep.o\n' >"$context/.dockerignore"
cat >"$context/Dockerfile" <<'END'
ARG BASE=nothing
FROM ${BASE} AS made
ARG VERSION=1
RUN echo "$VERSION $FROM_BASE" >/version
COPY src /srv/src
RUN cat /srv/src/one >/srv/copy && rm -r /srv/old
FROM ${BASE} AS unused
RUN exit 1
FROM ${BASE}
COPY --from=made /srv/copy /version /got/
ENV READY=yes
END
build=(-t app --build-arg BASE=base "$context")
built 4 0 "${build[@]}"
built 4 4 "${build[@]}"
touch "$context/src/one"  # Another time is no other content.
rm "$context/src/a.o"     # Nor is what is left out.
built 4 4 "${build[@]}"
[ "$(file_of app got/version)" = "1 yes" ] || die "ARG or the base's ENV did not reach RUN"
! vimage ls app srv/src >/dev/null 2>&1 || die "a stage's files are in another one's image"
echo more >>"$context/src/one"
built 4 1 "${build[@]}"
built 4 0 "${build[@]}" --build-arg VERSION=2
[ "$(file_of app got/version)" = "2 yes" ] || die "the build argument was not used"
built 4 0 "${build[@]}" --build-arg VERSION=2 --no-cache
vimage ls "build-cache:$(vimage list build-cache --json | jq -r '.images[0].tag')" >/dev/null
! vimage list | grep -q build-cache || die "steps are listed among images"
no_clusters "after builds"

echo "== an entry that is gone or wrong is made anew"
for tag in $(vimage list build-cache --json | jq -r '.images[].tag'); do
  vimage tag base "build-cache:$tag" --replace >/dev/null
done
built 4 0 "${build[@]}" --build-arg VERSION=2
[ "$(file_of app got/version)" = "2 yes" ] || die "a wrong cache entry was used"
vimage prune-build-cache >/dev/null
[ "$(vimage list build-cache --json | jq -r .total)" = 0 ] || die "the cache was not pruned"
[ "$(file_of app got/version)" = "2 yes" ] || die "pruning the cache hurt an image"

echo "== every build stays, and tags go back"
[ "$(vimage builds app --json | jq '.images | length')" = 5 ] ||
  die "not five builds: $(vimage builds app)"
vimage rollback app | grep -q build-4 || die "not back to build 4"
vimage rollback app 1 >/dev/null
[ "$(file_of app got/version)" = "1 yes" ] || die "going back did not bring the files back"
refused 7 vimage rollback app
says "none before"
refused 3 vimage rollback app 9
refused 2 vimage build -t app:build-9 "$context"

echo "== a secret is in the step, and nowhere else"
mkdir "$root/s"
secret=SeCrEt-$RANDOM$RANDOM$RANDOM
printf %s "$secret" >"$root/token"
cat >"$root/s/Dockerfile" <<'END'
FROM base
RUN --mount=type=secret,id=token,uid=1000,mode=0400 \
    --mount=type=secret,id=absent \
    cat /run/secrets/token | grep -q SeCrEt && [ ! -e /run/secrets/absent ] && touch /had-it
END
built 1 0 -t s --secret "id=token,src=$root/token" "$root/s"
vimage ls s had-it >/dev/null || die "the step did not see its secret"
! vimage ls s run/secrets >/dev/null 2>&1 || die "the secret's place is in the image"
! grep -rqF "$secret" "$root/state" "$root/log" || die "the secret was stored"
built 1 1 -t s --secret "id=token,src=$root/token" "$root/s"

echo "== several images of one file, its stages at once"
spark=$top/docs/examples/spark
build=(--build-arg BASE=base --image master=spark-master:v1 --image worker=spark-worker:v1
  --image driver=spark-driver:v1 "$spark")
vimage build "${build[@]}" >"$root/spark.out" 2>"$root/spark.log" || die "$(cat "$root/spark.log")"
for image in master worker driver; do
  file_of spark-$image:v1 opt/spark/role | grep -qx $image || die "$image is not what it is called"
  [ "$(vimage show spark-$image:v1 --json | jq -r '.image.config.oci.cmd[-1]')" = $image ] ||
    die "$image has another's command"
done

mkdir "$root/p"
cat >"$root/p/Dockerfile" <<'END'
FROM base AS one
RUN sleep 2 && echo one >/one
FROM base AS two
RUN sleep 2 && echo two >/two
FROM base
COPY --from=one /one /
COPY --from=two /two /
END
vimage build -t parallel "$root/p" 2>"$root/p.log" >/dev/null
# Both began before one was done.
[ "$(grep -n -m1 'done in' "$root/p.log" | cut -d: -f1)" -gt 2 ] || die "$(cat "$root/p.log")"

echo "== all images or none"
before=$(vimage show spark-master:v1 --json | jq -r .image.digest)
refused 2 vimage build "${build[@]}" --build-arg EXTRA=x --image "worker=bad name"
refused 3 vimage build "${build[@]}" --build-arg EXTRA=x --image worker=nobody-there/x
says "no tag was moved"
[ "$(vimage show spark-master:v1 --json | jq -r .image.digest)" = "$before" ] || die "a tag moved"
[ "$(vimage builds spark-master --json | jq '.images | length')" = 1 ] || die "a build is left"

echo "== a tag that cannot move takes those that moved back"
# Sharing what a container left a key in is refused, so the second of these two tags stays.
mkdir "$root/t"
cat >"$root/t/Dockerfile" <<'END'
FROM base AS one
ARG N
RUN echo "$N" >/n
FROM one AS two
ARG KEY
RUN mkdir -p /root/.ssh && echo "$KEY" >/root/.ssh/id_rsa && chmod 600 /root/.ssh/id_rsa
END
two=(--image one=t-one:v1 --image two=t-two:v1 "$root/t")
vimage build --quiet "${two[@]}" --build-arg N=1 >/dev/null
vimage share t-two:v1 public --keep-secrets >/dev/null
digests() { for name in t-one:v1 t-two:v1; do
  vimage show "$name" --json | jq -r .image.digest
done; }
before=$(digests)
key="-----BEGIN OPENSSH PRIVATE KEY-----"
refused 7 vimage build --quiet "${two[@]}" --build-arg N=2 --build-arg "KEY=$key"
says "no tag was moved"
[ "$(digests)" = "$before" ] || die "a tag stayed where the failed build moved it"
[ "$(vimage builds t-one --json | jq '.images | length')" = 1 ] || die "a build of t-one is left"
refused 7 vimage build --quiet --image one=t-new "${two[@]}" --build-arg N=2 --build-arg "KEY=$key"
refused 3 vimage show t-new
vimage build --quiet "${two[@]}" --build-arg N=2 --build-arg "KEY=$key" --keep-secrets >/dev/null
[ "$(digests | head -n 1)" != "$(echo "$before" | head -n 1)" ] || die "the tags did not move"

echo "== a step that fails says where, and leaves nothing"
mkdir "$root/f"
printf 'FROM base\nRUN echo before\n\nRUN echo about to fail; exit 3\n' >"$root/f/Dockerfile"
refused 1 vimage build -t f --quiet "$root/f"
says "Dockerfile:4: the command exited with 3"
says "about to fail"
code=0
vimage build -t f --progress json "$root/f" >"$root/f.out" 2>"$root/f.json" || code=$?
[ $code = 1 ] || die "--progress json: $code"
sed -i '/^vimage: /d' "$root/f.json"  # What ends every command that fails.
[ "$(jq -r '.event + " " + (.step // "")' "$root/f.json" | tr '\n' ';')" = \
  "cached [stage 0 1/2];start [stage 0 2/2];output [stage 0 2/2];failed [stage 0 2/2];" ] ||
  die "other events: $(cat "$root/f.json")"
jq -se '.[2].text == "about to fail" and (.[3].text | contains("exited with 3"))' "$root/f.json" \
  >/dev/null || die "$(cat "$root/f.json")"
refused 3 vimage show f
no_clusters "a failing step"
for case in 'COPY none /x|Dockerfile:2: ' 'COPY ../etc/passwd /x|not in the build' \
  'ADD http://x/y /z|RUN curl' 'RUN --mount=type=ssh true|Dockerfile:2: ' \
  'USER nobody-there
RUN true|no user' 'NOPE x|Dockerfile:2: '; do
  printf 'FROM base\n%s\n' "${case%|*}" >"$root/f/Dockerfile"
  code=0
  message=$(vimage build -t f "$root/f" 2>&1 >/dev/null) || code=$?
  [ $code -ne 0 ] || die "built: $case"
  says "${case##*|}"
done
refused 3 vimage show f
printf 'FROM base\nRUN echo it runs; sleep 1000\n' >"$root/f/Dockerfile"
vimage build -t f "$root/f" >"$root/cancelled.log" 2>&1 &
pid=$!
timeout 20 grep -q -m1 '| it runs' < <(tail -n +1 -F --pid=$pid "$root/cancelled.log" 2>/dev/null) ||
  die "the step does not run"
kill -INT $pid
code=0
wait $pid || code=$?
[ $code = 130 ] || die "a cancelled build exited with $code: $(cat "$root/cancelled.log")"
refused 3 vimage show f
no_clusters "a cancelled step"

echo "== the same files by buildah"
files=$root/files
mkdir -p "$files/tree/sub" "$files/lib" "$files/packed/in" "$files/skip"
echo a >"$files/tree/a"
chmod 751 "$files/tree/sub"
echo b >"$files/tree/sub/b"
ln -s ../a "$files/tree/sub/link"
echo lib >"$files/lib/added.so"
echo skip >"$files/skip/me"
echo "one file" >"$files/x1"
echo "two file" >"$files/x2"
chmod 600 "$files/x1"
echo packed >"$files/packed/in/file"
chown -R 1234:2345 "$files/packed"
tar -C "$files/packed" -czf "$files/packed.tgz" in
chown -R 1234:2345 "$files/tree"
chmod 4755 "$files/tree/sub/b"  # After chown, which takes the bit away.
chmod 3751 "$files/tree/sub"
printf 'skip\n*.tmp\n' >"$files/.dockerignore"
echo t >"$files/t.tmp"
cat >"$files/Dockerfile" <<'END'
ARG BASE
FROM ${BASE} AS first
RUN mkdir -p /out/deep && echo x >/out/deep/file && chown 1000:50 /out/deep/file && \
    chmod 640 /out/deep/file && ln -s deep/file /out/link
FROM ${BASE}
ARG WHO=world
ENV GREETING="hello ${WHO}" PATH=/opt/bin:/bin WORK=/work PORT=8080 SIGNAL=INT LOGIN=app
LABEL role=test two.words='a b' by="$WHO, ${GREETING}" "$WHO.key"=x
LABEL old style $WHO
COPY tree /data/tree
COPY tree/sub/. /data/plain/
COPY --chown=app:staff x1 x2 /data/owned/
COPY --chown=7:8 x? /data/numbers/
COPY x1 /srv/old
COPY x2 /srv/renamed
COPY lib /lib
COPY . /all/
ADD packed.tgz /unpacked
ADD x1 /added
COPY --from=first /out /from
COPY --from=first /out/deep/file /from2/
RUN echo "$GREETING" >/greeting && rm /data/tree/a && echo more >>/srv/renamed && \
    chmod 700 /data/plain && mkdir /emptied && rm -r /data/numbers
WORKDIR $WORK
WORKDIR ${NONE:-here}
COPY x1 relative
RUN echo made >in-workdir
USER ${LOGIN}
EXPOSE 80 53/udp $PORT ${PORT}/udp
VOLUME /vol $WORK/data
VOLUME ["/json"]
STOPSIGNAL SIG${SIGNAL}
HEALTHCHECK --interval=5s CMD true
ONBUILD RUN false
ENTRYPOINT ["/bin/sh"]
CMD ["-c", "id"]
END
vimage build --quiet -t ours --build-arg BASE=base --build-arg WHO=you "$files" >/dev/null
vimage export base --format oci -o "$root/base.oci"
bah pull -q "oci-archive:$root/base.oci" >"$root/pulled" 2>"$root/buildah.log"
bah bud -q --isolation chroot --build-arg "BASE=$(cat "$root/pulled")" --build-arg WHO=you \
  -t theirs "$files" >>"$root/buildah.log" 2>&1 || die "buildah: $(cat "$root/buildah.log")"
listing() {
  (cd "$1" && find . -mindepth 1 -type d -printf '%P %y %m %U %G\n' -o \
    -mindepth 1 -printf '%P %y %m %U %G %s %l\n' | LC_ALL=C sort
    find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum)
}
mkdir "$root/ours"
vimage export ours | tar -C "$root/ours" -xp
listing "$root/ours" >"$root/ours.list"
bah from -q --name theirs theirs >/dev/null
listing "$(bah mount theirs)" >"$root/theirs.list"
[ "$(wc -l <"$root/ours.list")" -gt 60 ] || die "the listing is too short"
# What a node's init makes where there is a /run (docs/build.md).
sed -i '/^run\/sshd d 755 0 0$/d' "$root/ours.list"
diff "$root/theirs.list" "$root/ours.list" >&2 || die "another tree than buildah's"
config() { jq -S 'with_entries(select(.value != null)) |
  {Env: (.Env | sort), Cmd, Entrypoint, User, WorkingDir, ExposedPorts, Volumes, StopSignal,
   Labels: (.Labels | del(."io.buildah.version"))}'; }
bah inspect --type image theirs | jq .OCIv1.config | config >"$root/theirs.json"
vimage export ours --format oci -o "$root/ours.oci"
skopeo inspect --config "oci-archive:$root/ours.oci" | jq .config | config >"$root/ours.json"
diff "$root/theirs.json" "$root/ours.json" >&2 || die "another configuration than buildah's"

echo "== without vclusterd: what is cached and copied is built, RUN says what to do"
"$top/tools/setup/daemons" stop vclusterd >/dev/null
printf 'FROM base\nCOPY Dockerfile /\n' >"$root/f/Dockerfile"
built 1 0 -t f "$root/f"
printf 'FROM base\nRUN echo new\n' >"$root/f/Dockerfile"
refused 6 vimage build -t f "$root/f"
says "Dockerfile:2: RUN needs a container: vclusterd does not answer"
vimage fsck >/dev/null || die "fsck"
echo "build: all is well"
