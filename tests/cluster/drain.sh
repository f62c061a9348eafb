#!/usr/bin/env bash
# A host is drained: drain.sh BIN. Its nodes move to the others with what they have written, without
# their hooks; what must not move stays and is named; daemons are killed on the way; no image of a
# move is left.
program=drain
PATH=$(realpath "$1"):$PATH
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"
master_flags=(--host-lost-ms 3000)
make_cluster 3

moves_left() { on "$1" vimage list --all | grep strata-move; }

cat >"$root/lab.yaml" <<'YAML'
name: lab
image: tiny
roles:
  worker:
    count: 3
    placement: spread
    hooks:
      on-create: {run: [sh, -c, 'echo made >>/hooks']}
      on-destroy: {run: [sh, -c, 'echo destroyed >>/hooks']}
YAML
cat >"$root/rock.yaml" <<'YAML'
name: rock
image: tiny
roles:
  rock: {count: 3, placement: spread, migration: never}
YAML
vc create -f "$root/lab.yaml" >/dev/null
vc create -f "$root/rock.yaml" >/dev/null
write() { vc exec -i "lab/worker-$1" -- sh -c 'cat >/data; echo x >/root/secret; ln -s /data /link; rm /etc/passwd'; }
for i in 0 1 2; do head -c 3000000 /dev/urandom >"$root/data$i"; done
for i in 0 1 2; do write $i <"$root/data$i"; done
whole() {  # Of a node: its data, links, what it removed, and the hooks that ran.
  vc exec "lab/worker-$1" -- cat /data | cmp -s - "$root/data$1" &&
    [ "$(vc exec "lab/worker-$1" -- cat /link | wc -c)" = 3000000 ] &&
    [ "$(vc exec "lab/worker-$1" -- cat /root/secret /hooks | tr '\n' ' ')" = "x made " ] &&
    ! vc exec "lab/worker-$1" -- test -e /etc/passwd
}
for i in 0 1 2; do whole $i || die "worker-$i is not whole before the move"; done

echo "== a host is drained: its node moves with its data, what must not move stays"
mover=
for i in 0 1 2; do [ "$(node lab "lab/worker-$i" host)" != h2 ] || mover=$i; done
code=0
vc host drain h2 --wait >"$root/drain" 2>&1 || code=$?
[ $code = 7 ] && grep -q "root/rock/rock-[0-2] stays on h2: its file says migration: never" "$root/drain" ||
  die "the drain says ($code): $(cat "$root/drain")"
[ "$(node lab "lab/worker-$mover" host)" != h2 ] || die "it has not moved: $(vc list lab -l)"
await running lab 3 || die "not all run: $(vc list lab -l)"
whole "$mover" || die "it has not kept its data"
[ "$(node lab "lab/worker-$mover" image)" = root/tiny:latest ] || die "its image is called $(node lab "lab/worker-$mover" image)"
vc list lab -l | grep -q 'host h2 is drained' || die "nothing says why: $(vc list lab -l)"
host_is h2 '.draining and .left == 1' || die "h2: $(vc host list)"
running rock 3 || die "what stays does not run"
vc host resume h2 >/dev/null

echo "== daemons are killed while nodes are on their way"
victim=$(node lab "lab/worker-$mover" host)
vc host drain "$victim" >/dev/null
stop_daemon h1-master KILL
stop_daemon "$victim-worker" KILL
start_worker "$victim"
start_master h1
await hosts_present 3 || die "the workers did not find the master again"
vc host drain "$victim" --wait >"$root/drain" 2>&1 || true
for i in 0 1 2; do
  [ "$(node lab "lab/worker-$i" host)" != "$victim" ] || die "worker-$i has not moved: $(cat "$root/drain")"
done
await running lab 3 || die "not all run: $(vc list lab -l)"
for i in 0 1 2; do whole $i || die "worker-$i has not kept its data: $(vc list lab -l)"; done
[ -z "$(ls "$root/$victim/vclusterd/nodes" 2>/dev/null | grep -v "^$(basename "$root")" | grep '^1-')" ] ||
  die "the old one is still there: $(ls "$root/$victim/vclusterd/nodes")"
vc host resume "$victim" >/dev/null

echo "== a stopped node moves too, and starts with its data"
vc stop lab >/dev/null
vc host drain h3 --wait >/dev/null 2>&1 || true
for i in 0 1 2; do [ "$(node lab "lab/worker-$i" host)" != h3 ] || die "worker-$i is still on h3"; done
vc start lab >/dev/null
for i in 0 1 2; do whole $i || die "worker-$i has not kept its data"; done
vc host resume h3 >/dev/null

echo "== nothing of the moves is left; a node that has moved can be saved"
for host in "${hosts[@]}"; do ! moves_left "$host" || die "an image of a move is left on $host"; done
where=$(node lab lab/worker-0 host)
on h1 vsave lab/worker-0 kept >/dev/null
on "$where" vimage ls kept | grep -q data || die "the saved image lacks what was written before the move"
[ "$(vc rebalance --dry-run)" = "no move would make it better" ] || die "rebalance: $(vc rebalance --dry-run)"
vc delete lab rock >/dev/null
for host in "${hosts[@]}"; do
  [ -z "$(ls "$root/$host/vclusterd/parts")" ] || die "a part stayed on $host"
  ! moves_left "$host" || die "an image of a move stayed on $host"
done
