# What the examples share: sourced by their `run`, with `program` (the example's name, its images'
# first word) and `hosts_default` set.
#
#   run [--hosts N]   hosts of its own on this machine (network namespaces, tests/cluster/lib.sh), with
#                     one shared directory; taken down at the end
#   run --here        the Strata that runs here (tools/quickstart --no-job); Vclusters are deleted at the
#                     end, images stay
#
# What is downloaded is kept in STRATA_CACHE_DIR (/var/cache/strata): Debian archives for a week, Python
# packages in examples/ for good.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../../.." && pwd)
bin=${STRATA_BIN_DIR:-$top/build/release/bin}
cache=${STRATA_CACHE_DIR:-/var/cache/strata}/examples
host_count=$hosts_default
running_strata=no
while [ $# -gt 0 ]; do
  case $1 in
    --hosts) host_count=${2:?--hosts wants a number}; shift ;;
    --here) running_strata=yes ;;
    *) sed -n 's/^#   \(run .*\)/\1/p' "$top/docs/examples/lib.sh"; exit 2 ;;
  esac
  shift
done
[ "$(id -u)" = 0 ] || { echo "$program: run as root" >&2; exit 1; }
[ -x "$bin/vclusterd" ] || { echo "$program: $bin/vclusterd is missing: build first" >&2; exit 1; }
PATH=$bin:$PATH
mkdir -p "$cache"

vclusters=()  # That this run made.
if [ $running_strata = yes ]; then
  die() { echo "$program: $*" >&2; exit 1; }
  root=$(mktemp -d "/var/tmp/strata-$program.XXXXXX")
  hosts=(here)
  on() { "${@:2}"; }
  clean_up() {
    local code=$? name
    trap - EXIT
    trap '' HUP INT  # It is not left halfway.
    trap : TERM
    # What an example leaves in its user's home.
    [ ${#vclusters[@]} -eq 0 ] || ! declare -F forget >/dev/null || forget || true
    for name in "${vclusters[@]}"; do
      # 3: there is none, because it could not be made.
      vcluster delete "$name" >/dev/null 2>"$root/deleted" || [ $? = 3 ] || { cat "$root/deleted" >&2; code=1; }
    done
    rm -rf --one-file-system "$root"
    exit $code
  }
  trap clean_up EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
else
  # shellcheck source=tests/cluster/lib.sh
  . "$top/tests/cluster/lib.sh"
fi
vc() { on "${hosts[0]}" vcluster "$@"; }
vi() { on "${hosts[0]}" vimage "$@"; }

step_name="" step_from=$EPOCHREALTIME step_rows=() run_from=$EPOCHREALTIME
seconds_since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }
begin() { step_name=$1; step_from=$EPOCHREALTIME; echo "== $1"; }
end() {  # [RESULT]
  local seconds
  seconds=$(seconds_since "$step_from")
  step_rows+=("$step_name"$'\t'"$seconds"$'\t'"${1:-}")
  echo "   ($seconds s${1:+; $1})"
}
times() {
  echo
  { printf 'STEP\tSECONDS\tRESULT\n'; printf '%s\n' "${step_rows[@]}"
    printf 'all\t%s\t\n' "$(seconds_since "$run_from")"; } | column -t -s $'\t'
}

# One host with its master: images are made here.
open_strata() {
  begin "a Strata of $host_count host(s)"
  if [ $running_strata = yes ]; then
    vcluster list >/dev/null || die "no Strata runs here (tools/quickstart --no-job)"
    end "the one that runs here"
    return
  fi
  mkdir "$root/shared"
  # shellcheck disable=SC2034  # For lib.sh.
  master_hosts=(h1) master_flags=(--shared-dir "$root/shared") worker_flags=(--shared-dir "$root/shared")
  make_hosts "$host_count"
  start_master h1
  start_worker h1
  await hosts_present 1 || die "the first worker does not find its master"
  end
}

# The other hosts, with these images.
join_hosts() {  # IMAGE…
  [ ${#hosts[@]} -gt 1 ] || return 0
  begin "the images on ${#hosts[@]} hosts"
  local image host
  for image; do vi prestage "root/$image" "${hosts[@]:1}" >/dev/null; done
  for host in "${hosts[@]:1}"; do start_worker "$host"; done
  await hosts_present ${#hosts[@]} || die "not all workers find the master"
  end
}

# A Debian with these packages as an image, from a cached archive.
debian_image() {  # NAME PACKAGE,…
  begin "a Debian with ${2//,/, }"
  if vi show "$1" >/dev/null 2>&1; then
    end "was there already"
    return
  fi
  local archive
  archive=$("$top/tools/setup/debian-tar" bookworm "$2")
  vi import "$archive" "$1" --json >"$root/import.json"
  end "$(jq -r '.summary | "\(.entries) entries, \(.new_objects) new objects"' "$root/import.json")"
}

# A file of PyPI in the cache, by the ordinary client; prints its path.
python_package() {  # NAME VERSION wheel|source
  local directory=$cache/$1-$2 made
  if [ ! -d "$directory" ]; then
    made=$(mktemp -d "$cache/making.XXXXXX")
    # shellcheck disable=SC2064  # Of a subshell: this is called as $(python_package …).
    trap "rm -rf '$made'" EXIT
    local kind=(--no-binary "$1")
    [ "$3" = source ] ||
      kind=(--only-binary :all: --python-version 3.11 --platform manylinux2014_x86_64)
    python3 -m pip download --quiet --no-deps "${kind[@]}" --dest "$made" "$1==$2" >&2 ||
      die "$1 $2 cannot be downloaded"
    mv "$made" "$directory"
  fi
  find "$directory" -type f
}

make_vcluster() {  # NAME FILE: the file's name is NAME
  # On a Strata that runs here it may be somebody's: what this run did not make it must not delete.
  if vc list "$1" >/dev/null 2>&1; then die "there is a Vcluster $1 already: vcluster delete $1"; fi
  vclusters+=("$1")
  vc create -f "$2" --json >"$root/made-$1.json"
}
# Sets `spread`: the hosts that have nodes of it, which must be several where there are several.
see_spread() {  # NAME
  spread=$(hosts_of "$1")
  [ ${#hosts[@]} -eq 1 ] || [[ $spread == *" "* ]] || die "all nodes of $1 are on $spread"
}
hosts_of() { vc list "$1" --json | jq -r '[.clusters[0].nodes[].host] | unique | join(" ")'; }
delete_vclusters() {
  begin "delete ${vclusters[*]}"
  vc delete "${vclusters[@]}" >/dev/null
  vclusters=()
  if [ -d "$root/shared/vclusters" ] && [ -n "$(ls -A "$root/shared/vclusters")" ]; then
    die "a volume stayed behind"
  fi
  end
}
