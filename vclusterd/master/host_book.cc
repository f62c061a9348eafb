#include "vclusterd/master/host_book.h"

#include <utility>

namespace strata::vcluster {

master::v1::Host HostBook::RecordOf(const std::string& host) const {
  const auto found = records_.find(host);
  return found == records_.end() ? master::v1::Host() : found->second;
}

void HostBook::Put(const std::string& host, master::v1::Host record) {
  records_[host] = std::move(record);
}

void HostBook::SetAddress(const std::string& host, const std::string& address) {
  std::string& known = addresses_[host];
  if (known == address) return;
  known = address;
  ++addresses_version_;
}

void HostBook::Came(const std::string& host) {
  records_.try_emplace(host);
  away_since_.erase(host);
}

std::optional<HostBook::Clock::time_point> HostBook::AwaySince(const std::string& host) const {
  const auto found = away_since_.find(host);
  return found == away_since_.end() ? std::nullopt : std::optional(found->second);
}

void HostBook::Forget(const std::string& host) {
  away_since_.erase(host);
  addresses_version_ += addresses_.erase(host);
}

}  // namespace strata::vcluster
