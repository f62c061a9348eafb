// VclusterIndex: numbers of Vclusters by name and owner. Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "vclusterd/api/records.pb.h"

namespace strata::vcluster {

class VclusterIndex {
 public:
  void Put(const master::v1::Vcluster& record);
  void Remove(const master::v1::Vcluster& record);

  std::optional<uint32_t> Find(uint32_t owner_uid, const std::string& name) const;
  // Who has one of that name; who has any.
  std::vector<uint32_t> OwnersOf(const std::string& name) const;
  std::vector<uint32_t> Owners() const;
  // One owner's, by name.
  const std::map<std::string, uint32_t>& Of(uint32_t owner_uid) const;

 private:
  std::map<std::string, std::map<uint32_t, uint32_t>> by_name_;   // By name and owner…
  std::map<uint32_t, std::map<std::string, uint32_t>> by_owner_;  // …and by owner and name.
};

}  // namespace strata::vcluster
