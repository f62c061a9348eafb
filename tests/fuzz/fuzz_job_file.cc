// Any bytes as a job file: an error in words that can be shown, or a job that a record can hold and
// that comes to an end.
//   build/fuzz/bin/make_job_seeds SEEDS && build/fuzz/bin/fuzz_job_file CORPUS SEEDS
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "common/log.h"
#include "common/printable.h"
#include "vclusterd/definition/faults.h"
#include "vclusterd/definition/job.h"
#include "vclusterd/jobs/engine.h"
#include "vclusterd/jobs/new_job.h"

namespace strata::vcluster {
namespace {

Result<std::string> TinyFile(const std::string& path) {
  if (path.size() % 2 == 1) return Error(Code::kNotFound, "no such file");
  return std::string("name: a\nimage: b\n");
}

void CheckResult(const Result<JobDefinition>& parsed) {
  if (!parsed.ok()) {
    const std::string& message = parsed.error().message();
    CHECK(!message.empty());
    CHECK(PrintablePrefix(message, "\n") == message.size());
    const auto lines = std::count(message.begin(), message.end(), '\n') + 1;
    CHECK(static_cast<size_t>(lines) <= 2 * (file::kFaultsShownMax + 1));
    return;
  }
  CHECK(parsed->create.has_value() == parsed->vcluster.empty());
  if (parsed->create.has_value()) CHECK(CheckPlaces(*parsed, *parsed->create).ok());
  jobs::v1::Job job = NewJob(*parsed, 1);
  CHECK(job.ByteSizeLong() <= 128u << 10);
  ClusterSeen seen;
  seen.exists = true;
  seen.ready = true;
  // No node is there, so every task fails, or is skipped: each step ends one.
  for (size_t i = 0; i <= parsed->tasks.size(); ++i) job = Advance(job, seen, 2).job;
  CHECK(job.phase() == jobs::v1::DONE || job.phase() == jobs::v1::CLEARING);
}

}  // namespace
}  // namespace strata::vcluster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace strata::vcluster;
  CheckResult(ParseJob({reinterpret_cast<const char*>(data), size}, "file", TinyFile));
  return 0;
}
