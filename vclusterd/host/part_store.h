// The orders of this host and what they have become, one file per Vcluster below a directory
// (docs/formats.md, "Parts of Vclusters"), replaced as a whole. A file is read as foreign bytes:
// everything in it is checked.
//
// Thread-safe for different numbers.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "vclusterd/api/host.pb.h"

namespace strata::vcluster {

inline constexpr uint32_t kClustersMax = 100'000;

// "<number>-<index>": names the node on this host.
std::string NodeId(uint32_t number, uint32_t index);

// Everything in an order that a host relies on. kInvalidArgument names what is wrong.
Status CheckPart(const host::v1::Part& part);

std::string FormatHostPart(const host::v1::HostPart& part);
Result<host::v1::HostPart> ParseHostPart(std::string_view json);  // kCorrupt.

class PartStore {
 public:
  explicit PartStore(std::string directory) : directory_(std::move(directory)) {}

  // Files that cannot be read are logged and left alone; their numbers are in `unreadable`.
  Result<std::vector<host::v1::HostPart>> Load(std::vector<uint32_t>* unreadable) const;
  // Durable, and several together cost little more than one. `first` is called before any of them
  // is replaced; its error is that of all.
  std::vector<Status> Write(
      const std::vector<host::v1::HostPart>& parts,
      const std::function<Status()>& first = [] { return Ok(); }) const;
  Status Write(
      const host::v1::HostPart& part,
      const std::function<Status()>& first = [] { return Ok(); }) const;
  Status Remove(uint32_t number) const;  // Durable.
  std::string PathOf(uint32_t number) const;

 private:
  const std::string directory_;
};

}  // namespace strata::vcluster
