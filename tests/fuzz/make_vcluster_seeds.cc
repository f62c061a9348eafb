// Writes Vcluster files and records to start from: make_vcluster_seeds DIRECTORY.
#include <cstdio>
#include <string>

#include "common/file_io.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string seeds[] = {
      "name: a\nimage: b/c:d\nnodes: 2\nlimits: {cpus: 1.5, memory: 4G, disk: 10G, processes: 99,\n"
      "  network: 100Mbit, io: 50M}\nready: {tcp: 80, every: 500ms, timeout: 5s}\n",
      "name: a\nimage: b\nvolumes: [\"d:/d:ro\", {name: e, path: /e, read-only: true}, f]\n"
      "expires: 2026-12-31T18:00:00+08:00\non-expiry: delete\nidle-stop: 2h\nversion: 1\n",
      "name: a\nroles:\n  m:\n    image: b\n    ports: [{node: 8, host: 9, protocol: udp}, 7]\n"
      "    hooks: {on-create: {run: x, timeout: 2m}, on-destroy: [a, 1], on-recovery: |\n      y\n"
      "        z\n    }\n",
      "name: a\nimage: b\ndescription: >-\n  one\n  two\nroles:\n  w: {count: 3, after: m, "
      "placement:\n"
      "    {rank: spread, near: [m], apart: w, strict: true, require: ssd, priority: -5},\n"
      "    autoscale: {min: 1, max: 9, cpu: 70.5, every: 1m, shrink-after: 1h}, scale-in: idlest}\n"
      "  m: {autoscale: {max: 3, run: q, target: 0.5}, restart: never, on-host-loss: recreate}\n",
      "name: a\nimage: b\npeers: [c, d/e]\nroles:\n  w: {count: 2, ports: [{node: 80, host: 81, "
      "balance: true},\n    {node: 82, balance: sticky}], accept: [m, {from: [m, outside], "
      "tcp: 80,\n    udp: [1-9, 53]}, {icmp: true}]}\n  m: {accept: []}\n",
      "{\"master\": {\"cpu\": 1, \"memory\": \"1G\"}, \"driver\": {\"cpu\": 1, \"memory\": "
      "\"1G\"},\n"
      "\"worker\": {\"cpu\": 2, \"memory\": \"4G\", \"number\": 6}, \"description\": "
      "\"\\ud83d\\ude00\"}",
      "{\"version\":1,\"name\":\"a\",\"lifetime\":\"2d\",\"roles\":{\"n\":{\"image\":\"b\","
      "\"env\":{\"A\":\"\\u00e4\\n\",\"B\":1e5},\"migration\":\"stop-start\"}}}",
      "a: &x 'it''s'\nb: *x\nc: !!str \"\\x41\"\n? [d]\n: e\n---\n%YAML 1.2\n<<: {}\n"};
  int number = 0;
  for (const std::string& seed : seeds) {
    const std::string path = std::string(argv[1]) + "/vcluster" + std::to_string(++number);
    if (const auto written = strata::WriteFileAtomically(path, seed); !written.ok()) {
      std::fprintf(stderr, "%s\n", written.error().message().c_str());
      return 1;
    }
  }
  return 0;
}
