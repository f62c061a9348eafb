# What the tests of vimage build share: sourced with $top, $bin and $pool set; starts daemons of its
# own and makes the image "base". `at_exit` may be set to a function.
export STRATA_BIN_DIR=$bin
PATH=$STRATA_BIN_DIR:$PATH
root=$(mktemp -d /var/tmp/strata-build.XXXXXX)
chmod 755 "$root"  # Containers have to pass it.
export STRATA_STATE_DIR=$root/state STRATA_RUN_DIR=$root/run STRATA_LOG_DIR=$root/log
export STRATA_VCLUSTERD_FLAGS="--subnet-pool $pool"
bah() {
  buildah --root "$root/bah" --runroot "$root/bahrun" --storage-driver vfs "$@"
}
clean_up() {
  local code=$?
  [ $code -eq 0 ] || tail -n 30 "$root"/log/*.log "$root"/*.log >&2 || true
  ${at_exit:-true}
  bah umount --all >/dev/null 2>&1 || true
  "$top/tools/quickstart" --down --purge >"$root/down.log" 2>&1 || {
    cat "$root/down.log" >&2
    "$top/tools/setup/daemons" stop >&2 || true
    code=1
  }
  if grep -q "$root" /proc/self/mounts; then
    echo "build: mounts are left" >&2
    grep "$root" /proc/self/mounts | cut -d' ' -f2 | sort -r | xargs -r umount -l
    [ $code -ne 0 ] || code=1
  fi
  rm -rf --one-file-system "$root"
  exit $code
}
trap clean_up EXIT
die() { echo "build: $*" >&2; exit 1; }
refused() {
  local code=0
  message=$("${@:2}" 2>&1 >/dev/null) || code=$?
  [ $code = "$1" ] || die "'${*:2}' exited with $code, not $1: $message"
}
says() { case $message in *$1*) ;; *) die "the error does not say '$1': $message" ;; esac; }
no_clusters() {
  [ "$(vcluster list --json | jq '.clusters | length')" = 0 ] || die "$1: a Vcluster is left"
}
# Builds with --json into $root/built.json and checks how many steps there were, and how many cached.
built() {
  local steps=$1 cached=$2
  shift 2
  vimage build --json "$@" >"$root/built.json" 2>"$root/build.log" || {
    cat "$root/build.log" >&2
    die "build $*"
  }
  jq -e ".steps == $steps and .cached_steps == $cached" "$root/built.json" >/dev/null ||
    die "not $steps steps, $cached cached: $(cat "$root/built.json")"
}
file_of() { vimage export "$1" | tar -xO --wildcards "*$2"; }

"$top/tools/quickstart" --no-build --no-job >/dev/null

echo "== a base of busybox"
base=$root/base
mkdir -p "$base"/{bin,etc,dev,proc,sys,tmp,run,root,srv/old,usr/lib}
cp /bin/busybox "$base/bin/busybox"
for applet in sh cat ls mkdir echo ln chmod chown rm rmdir id env touch sleep cp grep mount umount tar; do
  ln -s busybox "$base/bin/$applet"
done
ln -s usr/lib "$base/lib"
printf 'root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/srv:/bin/sh\n' >"$base/etc/passwd"
printf 'root:x:0:\napp:x:1001:\nstaff:x:50:\n' >"$base/etc/group"
for file in hosts hostname resolv.conf machine-id; do touch "$base/etc/$file"; done
vimage import "$base" base --env FROM_BASE=yes >/dev/null
