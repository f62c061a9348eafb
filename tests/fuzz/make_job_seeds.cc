// Writes job files to start from: make_job_seeds DIRECTORY.
#include <cstdio>
#include <string>

#include "common/file_io.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string seeds[] = {
      "version: 1\nname: a\nvcluster: b/c\ntimeout: 2h\ntasks:\n  d: e\n  f:\n    run: [g, 1]\n"
      "    on: worker/0\n    after: [d]\n    timeout: 90s\n    retries: 2\n    retry-delay: 0s\n"
      "    env: {A: 1}\n    user: 1:2\n    directory: /d\n    allow-failure: true\n",
      "name: a\ncreate: {image: b, nodes: 3, limits: {cpus: 1}}\nkeep: on-failure\n"
      "tasks: {c: {run: d, on: all}, e: {run: f, on: node, after: c}}\n",
      "name: a\ncreate: file.yaml\nkeep: always\ntasks: {b: {run: c, after: d}, d: {run: e, after: "
      "b}}\n",
      "{\"name\": \"a\", \"vcluster\": \"v\", \"tasks\": {\"b\": {\"run\": [\"c\", "
      "\"\\ud83d\\ude00\"], "
      "\"user\": 5}}}"};
  int number = 0;
  for (const std::string& seed : seeds) {
    const std::string path = std::string(argv[1]) + "/job" + std::to_string(++number);
    if (const auto written = strata::WriteFileAtomically(path, seed); !written.ok()) {
      std::fprintf(stderr, "%s\n", written.error().message().c_str());
      return 1;
    }
  }
  return 0;
}
