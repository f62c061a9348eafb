#!/usr/bin/env bash
# Batch jobs over three hosts: jobs.sh BIN. Tasks run where their nodes are, a Vcluster is made for a
# job and goes with it, and jobs go on when masters and workers are killed in the middle.
program=jobs
PATH=$(realpath "$1"):$PATH
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"
make_cluster 3

run_of() { vc job show "$1" --json | jq -r --arg task "$2" --arg node "$3" \
  '.job.tasks[] | select(.name == $task) | .runs[] | select(.name == $node) | .'"$4"; }
job_is() { [ "$(vc job show "$1" --json 2>/dev/null | jq -r .job.phase)" = "$2" ]; }
wrote() { vc job output "$1" "$2" "$3" 2>/dev/null | grep -q "$4"; }

echo "== a Vcluster is made for a job, on all hosts, and deleted after it"
cat >"$root/ranks.yaml" <<'YAML'
image: tiny
roles:
  head: {}
  rank: {count: 3, placement: spread}
YAML
cat >"$root/pi.yaml" <<'YAML'
name: pi
create: ranks.yaml
tasks:
  prepare:
    run: 'echo prepared by $(hostname); echo $STRATA_TASK > /prepared'
    on: rank
  compute:
    # As mpirun would: every rank is asked from the head, over the network of the Vcluster.
    run: 'for node in $(echo $STRATA_NODES | cat); do echo $node; done; ping -c1 -W5 rank-2 >/dev/null && echo reached'
    after: prepare
  check: {run: [cat, /prepared], on: rank/1, after: prepare}
YAML
vc run -f "$root/pi.yaml" >"$root/out" 2>"$root/err" || die "the job failed: $(cat "$root/err" "$root/out")"
for i in 0 1 2; do
  grep -qx "prepare rank-$i | prepared by rank-$i" "$root/out" || die "no word of rank-$i: $(cat "$root/out")"
done
grep -qx "compute head-0 | head-0,rank-0,rank-1,rank-2" "$root/out" || die "no names: $(cat "$root/out")"
grep -qx "compute head-0 | reached" "$root/out" || die "not one network: $(cat "$root/out")"
grep -qx "check rank-1 | prepare" "$root/out" || die "no file: $(cat "$root/out")"
[ "$(vc list --json | jq '.clusters | length')" = 0 ] || die "the Vcluster stayed: $(vc list)"
[ "$(vc job list --json | jq -r '.jobs[0].job.outcome')" = SUCCEEDED ] || die "$(vc job list)"
[ "$(vc job output pi prepare rank-2)" = "prepared by rank-2" ] || die "the output is not kept"

echo "== the job exits as its first command that failed; faults of files are told with their places"
cat >"$root/work.yaml" <<'YAML'
name: work
image: tiny
nodes: 3
placement: spread
YAML
vc create -f "$root/work.yaml" >/dev/null
cat >"$root/fails.yaml" <<'YAML'
name: fails
vcluster: work
tasks:
  a: {run: 'test "$(hostname)" != work-1 || exit 42', on: all}
  b: {run: 'echo never', after: a}
YAML
code=0
vc run -f "$root/fails.yaml" >"$root/out" 2>"$root/err" || code=$?
[ $code = 42 ] || die "exit status $code: $(cat "$root/err")"
grep -q 'a in node-1: exit code 42' "$root/err" || die "not said why: $(cat "$root/err")"
grep -q never "$root/out" && die "what comes after it ran"
code=0
echo 'name: x' | vc run -f - 2>"$root/err" || code=$?
[ $code = 125 ] || die "exit status $code of a wrong file"
grep -q "1:1: has no 'tasks'" "$root/err" || die "no fault: $(cat "$root/err")"

echo "== the master is killed in the middle"
cat >"$root/long.yaml" <<'YAML'
name: long
vcluster: work
tasks:
  a:
    run: 'echo $STRATA_ATTEMPT >>/attempts; echo begun; while ! test -e /go; do sleep 0.1; done; echo went'
    on: all
    retries: 1
    retry-delay: 0s
  b: {run: 'cat /attempts', after: a}
YAML
job=$(vc run -f "$root/long.yaml" --detach)
for i in 0 1 2; do await wrote "$job" a "node-$i" begun || die "a does not run in node-$i: $(vc job show "$job")"; done
stop_daemon h1-master KILL
start_master h1
await hosts_present 3 || die "the workers did not find the master again"
for i in 0 1 2; do [ "$(run_of "$job" a "node-$i" phase)" = RUN_RUNNING ] || die "$(vc job show "$job")"; done

echo "== a worker is killed in the middle: its run is tried again, the others have not noticed"
victim=$(vc list work --json | jq -r '.clusters[0].nodes[] | select(.host == "h2") | .name | sub("work/"; "")')
stop_daemon h2-worker KILL
start_worker h2
again() { [ "$(run_of "$job" a "node-$victim" attempt)" = 2 ]; }
await again || die "no second attempt: $(vc job show "$job")"
await wrote "$job" a "node-$victim" begun || die "it does not run: $(vc job show "$job")"
[ "$(pgrep -f 'while ! test -e /go' | while read -r pid; do
      tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -x "STRATA_RUN=$job\.0\.$victim\.1"
    done | wc -l)" = 0 ] || die "the lost attempt still runs"
for i in 0 1 2; do vc exec "work/$i" -- touch /go; done
await job_is "$job" DONE || die "it does not end: $(vc job show "$job")"
[ "$(vc job show "$job" --json | jq -r .job.outcome)" = SUCCEEDED ] || die "$(vc job show "$job")"
for i in 0 1 2; do
  expected=1
  [ "$i" != "$victim" ] || expected="1 2"
  [ "$(vc exec "work/$i" -- cat /attempts | xargs)" = "$expected" ] || die "attempts of node-$i: $(vc exec "work/$i" -- cat /attempts)"
done

echo "== a job is cancelled: what runs ends, also when it ignores the first signal"
cat >"$root/stubborn.yaml" <<'YAML'
name: stubborn
vcluster: work
tasks:
  a: {run: 'trap "" TERM; echo begun; while true; do sleep 7.77; done', on: all}
YAML
job=$(vc run -f "$root/stubborn.yaml" --detach)
for i in 0 1 2; do await wrote "$job" a "node-$i" begun || die "$(vc job show "$job")"; done
vc job cancel stubborn >/dev/null
await job_is "$job" DONE || die "it does not end: $(vc job show "$job")"
pgrep -f 'sleep 7.77' && die "its commands run on"
[ "$(vc job output "$job" a node-0)" = begun ] || die "what it wrote is gone"

echo "== a Vcluster of a job whose master is killed goes all the same"
cat >"$root/gone.yaml" <<'YAML'
name: gone
create: {image: tiny, nodes: 2}
tasks: {a: 'echo begun; sleep 1000'}
YAML
job=$(vc run -f "$root/gone.yaml" --detach)
await wrote "$job" a node-0 begun || die "$(vc job show "$job")"
vc job cancel "$job" >/dev/null
stop_daemon h1-master KILL
start_master h1
await hosts_present 3 || die "the workers did not find the master again"
await job_is "$job" DONE || die "it does not end: $(vc job show "$job")"
[ "$(vc list --json | jq -r '[.clusters[].name] | join(" ")')" = work ] || die "it stayed: $(vc list)"

vc job delete pi >/dev/null
vc job show pi >/dev/null 2>&1 && die "a deleted job is shown"
vc delete work >/dev/null
for host in "${hosts[@]}"; do
  [ -z "$(ls "$root/$host/vclusterd/parts" "$root/$host/vclusterd/tasks" | grep -v ':$' | xargs)" ] || die "something stayed on $host"
done
