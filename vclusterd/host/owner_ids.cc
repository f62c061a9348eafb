#include "vclusterd/host/owner_ids.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "common/file_io.h"
#include "vclusterd/runtime/node_spec.h"

namespace strata::vcluster {
namespace {

using Json = nlohmann::json;

}  // namespace

Result<OwnerIds> OwnerIds::Load(const std::string& path, uint32_t first) {
  OwnerIds ids(path, first);
  if (!PathExists(path)) return ids;
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  try {
    std::set<uint32_t> ranges;
    const Json json = Json::parse(text);
    for (const Json& entry : json.at("owners")) {
      const auto range = entry.at("id_first").get<uint32_t>();
      ids.ranges_[entry.at("uid").get<uid_t>()] = range;
      if (!ranges.insert(range).second) {
        return Error(Code::kCorrupt, path + ": two owners have one range");
      }
    }
  } catch (const Json::exception& error) {
    return Error(Code::kCorrupt, path + ": " + error.what());
  }
  return ids;
}

Result<uint32_t> OwnerIds::RangeOf(uid_t owner) {
  const std::lock_guard lock(mutex_);
  if (const auto found = ranges_.find(owner); found != ranges_.end()) return found->second;
  uint64_t range = first_;
  for (const auto& [uid, taken] : ranges_) {
    range = std::max<uint64_t>(range, static_cast<uint64_t>(taken) + kIdCount);
  }
  if (range + kIdCount > UINT32_MAX) {
    return Error(Code::kResourceExhausted, "no id range is left for another owner");
  }
  ranges_[owner] = static_cast<uint32_t>(range);
  Json owners = Json::array();
  for (const auto& [uid, taken] : ranges_) owners.push_back({{"uid", uid}, {"id_first", taken}});
  if (Status written = WriteFileDurably(path_, Json({{"owners", owners}}).dump(1) + "\n", 0600);
      !written.ok()) {
    ranges_.erase(owner);
    return written.error();
  }
  return static_cast<uint32_t>(range);
}

}  // namespace strata::vcluster
