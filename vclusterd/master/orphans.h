// Orphans: what hosts have of Vclusters that were deleted, by what they say. Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "vclusterd/api/host.pb.h"

namespace strata::vcluster {

class Orphans {
 public:
  using Numbers = std::map<uint32_t, uint64_t>;  // With the last status that says so.

  // A status of a Vcluster that is not there. `was_given`: its number was one's; otherwise it is
  // not ours to remove, and is left alone: our records may be the wrong ones.
  void Hear(const std::string& host, const host::v1::PartStatus& status, bool was_given);
  // The host says everything anew.
  void Forget(const std::string& host) { numbers_.erase(host); }
  const std::map<std::string, Numbers>& by_host() const { return numbers_; }

 private:
  std::map<std::string, Numbers> numbers_;
};

}  // namespace strata::vcluster
