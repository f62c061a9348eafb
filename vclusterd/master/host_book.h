// HostBook: what is known of hosts, whether they are there or not: their records, where other hosts
// reach them, since when they are away. Pure; not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "vclusterd/api/records.pb.h"

namespace strata::vcluster {

class HostBook {
 public:
  using Clock = std::chrono::steady_clock;

  // Of every host that was ever here; empty where nothing was written yet.
  const std::map<std::string, master::v1::Host>& records() const { return records_; }
  bool Has(const std::string& host) const { return records_.contains(host); }
  master::v1::Host RecordOf(const std::string& host) const;
  bool IsDraining(const std::string& host) const { return RecordOf(host).draining(); }
  void Put(const std::string& host, master::v1::Host record);
  void EraseRecord(const std::string& host) { records_.erase(host); }

  // Where hosts were reached last; one that is lost may come back there.
  const std::map<std::string, std::string>& addresses() const { return addresses_; }
  uint64_t addresses_version() const { return addresses_version_; }  // Another after each change.
  void SetAddress(const std::string& host, const std::string& address);

  void Came(const std::string& host);
  void Left(const std::string& host, Clock::time_point now) { away_since_[host] = now; }
  // Of a host that is not there: since when that is known.
  std::optional<Clock::time_point> AwaySince(const std::string& host) const;
  // The same; known since `now` at the latest.
  Clock::time_point NoteAway(const std::string& host, Clock::time_point now) {
    return away_since_.emplace(host, now).first->second;
  }
  // It will not come back. Another may have its address. The record stays.
  void Forget(const std::string& host);

 private:
  std::map<std::string, master::v1::Host> records_;
  std::map<std::string, std::string> addresses_;
  uint64_t addresses_version_ = 0;
  std::map<std::string, Clock::time_point> away_since_;
};

}  // namespace strata::vcluster
