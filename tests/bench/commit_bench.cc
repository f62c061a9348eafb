// Times what one change of the catalog takes until it is durable: commit_bench DIRECTORY [COMMITS]
// Each commit is what publishing an image is: a record of 1,500 bytes and a tag of 60.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "common/records/record_store.h"
#include "imaged/catalog/own_records.h"
#include "imaged/catalog/tables.h"

namespace strata::imaged {
namespace {

Status Run(const std::string& directory, int commits) {
  ASSIGN_OR_RETURN(const auto records, records::OpenRocksRecordStore(directory, OwnRecords()));
  std::vector<double> times;
  for (int i = 0; i < commits; ++i) {
    const std::string name = "1001/image-" + std::to_string(i);
    std::string value(1500, static_cast<char>('a' + i % 26));
    const std::string tag(60, 't');
    const auto start = std::chrono::steady_clock::now();
    RETURN_IF_ERROR(records->Commit(
        {{kTags, name + ":v1", std::nullopt}},
        {{kImages, name + "@digest", std::move(value)}, {kTags, name + ":v1", tag}}));
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    times.push_back(took.count());
  }
  std::sort(times.begin(), times.end());
  const auto at = [&](double part) {
    return times[static_cast<size_t>(part * static_cast<double>(times.size() - 1))];
  };
  std::printf("%d commits, microseconds: p50 %.0f, p90 %.0f, p99 %.0f, max %.0f\n", commits,
              at(0.5), at(0.9), at(0.99), times.back());
  return Ok();
}

}  // namespace
}  // namespace strata::imaged

int main(int argc, char** argv) {
  const int commits = argc == 3 ? std::atoi(argv[2]) : 3000;
  if (argc < 2 || argc > 3 || commits < 1) {
    std::fprintf(stderr, "usage: commit_bench DIRECTORY [COMMITS]\n");
    return 2;
  }
  const strata::Status status = strata::imaged::Run(argv[1], commits);
  if (status.ok()) return 0;
  std::fprintf(stderr, "commit_bench: %s\n", status.error().message().c_str());
  return 1;
}
