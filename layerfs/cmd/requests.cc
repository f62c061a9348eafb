#include "layerfs/cmd/requests.h"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "common/file_io.h"
#include "layerfs/cmd/keepers.h"
#include "layerfs/server/fuse_wire.h"
#include "layerfs/server/server_state.h"

namespace strata::layerfs {
namespace {

struct Count {
  std::string name;
  uint64_t count;
  double mean_us;
};

// The state of the servers of `keeper`, which has it open.
Result<std::unique_ptr<ServerState>> ViewState(pid_t keeper) {
  const std::string directory = "/proc/" + std::to_string(keeper) + "/fd";
  std::error_code error;
  std::filesystem::directory_iterator at(directory, error);
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(at->path(), gone).string();
    if (gone || !target.starts_with("/memfd:" + std::string(kServerStateName))) continue;
    ASSIGN_OR_RETURN(UniqueFd fd, strata::Open(at->path().string(), O_RDONLY));
    return ServerState::View(std::move(fd));
  }
  return Error(Code::kUnavailable, "it is starting or ending: try again");
}

std::vector<Count> CountsOf(const StateHeader& header) {
  std::vector<Count> counts;
  for (uint32_t opcode = 0; opcode < kOpcodesMax; ++opcode) {
    const uint64_t count = header.requests[opcode].count.load();
    if (count == 0) continue;
    const auto nanoseconds = static_cast<double>(header.requests[opcode].nanoseconds.load());
    counts.push_back({OpcodeName(opcode), count, nanoseconds / 1e3 / static_cast<double>(count)});
  }
  std::stable_sort(counts.begin(), counts.end(),
                   [](const Count& a, const Count& b) { return a.count > b.count; });
  return counts;
}

}  // namespace

void AddRequests(CLI::App& app, RequestsArguments* arguments) {
  auto* requests =
      app.add_subcommand("requests", "Count what the kernel has asked of running fuse drivers");
  requests->add_option("--upper", arguments->upper, "Only the root with this upper directory");
  requests->add_flag("--json", arguments->json, "Print JSON");
}

Status RunRequests(const RequestsArguments& arguments) {
  ASSIGN_OR_RETURN(const std::vector<KeeperProcess> keepers, FindKeepers());
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  bool found = false;
  std::string failures;
  for (const KeeperProcess& keeper : keepers) {
    if (!arguments.upper.empty() && keeper.upper != arguments.upper) continue;
    found = true;
    const auto state = ViewState(keeper.pid);
    if (!state.ok()) {
      failures += "\n  " + keeper.Name() + ": " + state.error().message();
      continue;
    }
    const std::vector<Count> counts = CountsOf((*state)->header());
    if (!arguments.json) std::printf("%s\n", keeper.Name().c_str());
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (const Count& count : counts) {
      rows.push_back(
          {{"request", count.name}, {"count", count.count}, {"mean_us", count.mean_us}});
      if (arguments.json) continue;
      std::printf("  %-16s %12llu %10.1f us\n", count.name.c_str(),
                  static_cast<unsigned long long>(count.count), count.mean_us);
    }
    json.push_back({{"upper", keeper.upper}, {"requests", rows}});
  }
  if (!arguments.upper.empty() && !found) {
    return Error(Code::kNotFound, arguments.upper + ": no fuse driver runs on it");
  }
  if (arguments.json) {
    std::printf("%s\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  } else if (!found) {
    std::printf("no fuse driver runs\n");
  }
  if (!failures.empty()) return Error(Code::kUnavailable, "not counted:" + failures);
  return Ok();
}

}  // namespace strata::layerfs
