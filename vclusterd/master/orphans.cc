#include "vclusterd/master/orphans.h"

#include "common/log.h"

namespace strata::vcluster {

void Orphans::Hear(const std::string& host, const host::v1::PartStatus& status, bool was_given) {
  Numbers& numbers = numbers_[host];
  const auto known = numbers.find(status.number());
  if (known != numbers.end() && status.sequence() <= known->second) return;
  if (status.nodes().empty()) {
    numbers.erase(status.number());
  } else if (was_given) {
    numbers[status.number()] = status.sequence();
  } else {
    LOG_WARNING("host " + host + " has nodes of a Vcluster " + std::to_string(status.number()) +
                " that is not known here; they are left alone");
  }
}

}  // namespace strata::vcluster
