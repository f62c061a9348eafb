#!/usr/bin/env bash
# Images from and to podman and skopeo, as their users would do it: oci_images.sh BIN. What podman
# built is imported and compared with what podman mounts; what vimage exports is loaded by both and
# compared again. No network; builds from scratch with busybox.
set -euo pipefail
PATH=$(realpath "$1"):$PATH
root=$(mktemp -d /var/tmp/strata-oci.XXXXXX)
export STRATA_STATE_DIR=$root/state STRATA_RUN_DIR=$root/run
daemon=
pod() {
  podman --root "$root/pod" --runroot "$root/podrun" --tmpdir "$root/podtmp" \
    --storage-driver vfs --cgroup-manager cgroupfs --runtime runc "$@"
}
clean_up() {
  local code=$?
  if [ -n "$daemon" ]; then
    kill "$daemon" && wait "$daemon" || code=1
  fi
  pod image unmount --all >/dev/null 2>&1 || true
  if [ $code -eq 0 ] && [ -n "$(ls -A "$root/state/imaged/store/staging")" ]; then
    echo "oci_images: the store's staging is not empty" >&2
    code=1
  fi
  if grep -q "$root" /proc/self/mounts; then
    echo "oci_images: mounts are left" >&2
    grep "$root" /proc/self/mounts | cut -d' ' -f2 | xargs -r umount -l
    [ $code -ne 0 ] || code=1
  fi
  [ $code -eq 0 ] || tail -n 30 "$root"/*.log >&2 || true
  rm -rf --one-file-system "$root"
  exit $code
}
trap clean_up EXIT
die() { echo "oci_images: $*" >&2; exit 1; }

imaged 2>"$root/imaged.log" &
daemon=$!
timeout 20 grep -q -m1 serves < <(tail -n +1 -F --pid=$daemon "$root/imaged.log" 2>/dev/null) ||
  die "imaged does not start"

# Everything that a tree is but the times of directories: each tool makes those its own way.
listing() {
  (cd "$1" && find . -mindepth 1 \( -type d -printf '%P %y %m %U %G\n' \) -o \
    -printf '%P %y %m %U %G %s %n %l %Ts\n' | LC_ALL=C sort
    find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum
    getfattr -R -h -d -m 'security|user' . 2>/dev/null || true)
}
# The listing of an image of vimage.
of_vimage() {
  rm -rf "$root/tree" && mkdir "$root/tree"
  vimage export "$1" | tar -C "$root/tree" --xattrs --xattrs-include='*' -xp
  listing "$root/tree"
}
of_podman() {
  local mounted
  mounted=$(pod image mount "$1")
  listing "$mounted"
  pod image unmount "$1" >/dev/null
}
same() { diff "$root/$1" "$root/$2" >&2 || die "$3"; }
refused() {
  local code=0
  message=$("${@:2}" 2>&1 >/dev/null) || code=$?
  [ $code = "$1" ] || die "'${*:2}' exited with $code, not $1: $message"
}

echo "== podman builds an image of layers that remove, replace and link"
context=$root/context
mkdir -p "$context/etc" "$context/old" "$context/opaque"
cp /bin/busybox "$context/busybox"
echo a >"$context/etc/a"
echo x >"$context/old/x"
echo y >"$context/opaque/y"
seq 5000 >"$context/numbers"
truncate -s 8M "$context/etc/holes"
cat >"$context/Containerfile" <<'END'
FROM scratch
COPY busybox /bin/busybox
COPY etc /etc
COPY old /old
COPY opaque /opaque
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN ln /etc/a /etc/hard
RUN rm -r /old /opaque && mkdir /opaque && touch /opaque/new && echo more >>/etc/a && \
    chown 1000:70000 /etc/holes && chmod 4711 /bin/busybox
COPY numbers /etc/numbers
RUN ln /etc/numbers /etc/numbers2 && ln -s numbers /etc/symbolic && mkfifo /etc/fifo && \
    rm /bin/vi && mkdir /bin/vi
ENV GREETING="two words" LANG=C
LABEL maintainer=me
USER 1000
WORKDIR /etc
EXPOSE 80/tcp
VOLUME /data
STOPSIGNAL SIGINT
ENTRYPOINT ["/bin/busybox", "sh"]
CMD ["-c", "true"]
END
pod build -q --isolation chroot --layers --format oci -t web:1 "$context" >"$root/build.log" 2>&1 ||
  die "podman cannot build"
of_podman web:1 >"$root/podman.list"
[ "$(wc -l <"$root/podman.list")" -gt 100 ] || die "podman's image is not what it should be"

for format in oci docker; do
  echo "== $format archive of podman: imported, the same tree"
  pod save -q --format $format-archive -o "$root/$format.tar" web:1
  vimage import "$root/$format.tar" web-$format
  of_vimage web-$format >"$root/vimage.list"
  same podman.list vimage.list "the tree of podman's $format archive is another"
  vimage show web-$format | grep -q 'GREETING=two words' || die "the environment is lost"
done

echo "== a folder, a compressed stream, and layers that are here already"
skopeo copy -q "docker-archive:$root/docker.tar" "oci:$root/layout:one"
vimage import "$root/layout" folder
gzip -c "$root/oci.tar" | vimage import - piped --json >"$root/piped.json"
[ "$(jq -r '.summary.bytes // "0"' "$root/piped.json")" = 0 ] || die "known layers were read again"
skopeo copy -q "oci-archive:$root/oci.tar" "oci:$root/layout:two"
refused 2 vimage import "$root/layout" several
case $message in *one*two*) ;; *) die "the names are not listed: $message" ;; esac
vimage import "$root/layout" several --ref two
refused 3 vimage import "$root/layout" none --ref three
refused 7 vimage import "$root/layout" none --ref two --platform linux/arm64

echo "== what others have is read, not found here"
as_other() { setpriv --reuid=61001 --regid=61001 --clear-groups vimage "$@"; }
chmod 755 "$root"
as_other import "$root/docker.tar" web --json >"$root/other.json"
[ "$(jq -r '.summary.bytes' "$root/other.json")" -gt 1000000 ] || die "a stranger's layers were used"
of_vimage 61001/web >"$root/vimage.list"
same podman.list vimage.list "the tree of another user's import is another"

for format in oci docker; do
  echo "== --format $format: podman loads it, the same tree and configuration"
  vimage export web-oci --format $format -o "$root/out.$format.tar"
  vimage export web-oci --format $format | cmp - "$root/out.$format.tar" ||
    die "two exports differ"
  pod rmi -af >/dev/null
  pod load -q -i "$root/out.$format.tar" >"$root/load.log" 2>&1 || die "podman load: $format"
  of_podman web-oci:latest >"$root/loaded.list"
  same podman.list loaded.list "what podman loaded is another tree"
  pod inspect web-oci:latest | jq -e '.[0].Config |
    .User == "1000" and .WorkingDir == "/etc" and .Entrypoint == ["/bin/busybox", "sh"] and
    .Cmd == ["-c", "true"] and .StopSignal == "SIGINT" and .Labels.maintainer == "me" and
    (.ExposedPorts | has("80/tcp")) and (.Volumes | has("/data")) and
    (.Env | index("GREETING=two words") != null)' >/dev/null || die "the configuration is another"
  skopeo inspect "$format-archive:$root/out.$format.tar" >/dev/null || die "skopeo: $format"
  skopeo copy -q "$format-archive:$root/out.$format.tar" "dir:$root/copy.$format" ||
    die "skopeo copies no $format archive"
  vimage import "$root/out.$format.tar" back-$format
  of_vimage back-$format >"$root/back.list"
  same podman.list back.list "the tree did not survive the round trip"
done
vimage export web-oci --format oci --compression zstd -o "$root/zstd.tar"
skopeo copy -q "oci-archive:$root/zstd.tar" "oci:$root/unzstd" || die "skopeo reads no zstd layers"

echo "== damage is told, and nothing is made"
skopeo copy -q "oci-archive:$root/out.oci.tar" "oci:$root/damaged:x"
layer=$(find "$root/damaged/blobs" -type f -size +100k | head -1)
printf X | dd of="$layer" bs=1 seek=5000 conv=notrunc status=none
vimage prune >/dev/null
as_other delete web >/dev/null
refused 8 as_other import "$root/damaged" bad
refused 3 vimage show 61001/bad
vimage fsck >/dev/null || die "fsck"
echo "oci_images: all is well"
