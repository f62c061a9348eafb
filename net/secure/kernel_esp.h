// KernelEsp: ESP of the kernel behind an interface of its own (xfrm), by netlink. Not part of the
// interface of net/secure.
//
// Of the network namespace of the calling thread; used by one thread at a time.
#pragma once

#include <cstdint>
#include <string>

#include "net/secure/esp_plan.h"

namespace strata::net {

class KernelEsp {
 public:
  explicit KernelEsp(const std::string& instance);

  // kUnsupported says what the kernel needs.
  Status Probe();
  uint32_t if_id() const { return if_id_; }
  // REQUIRES: there is no link of the name.
  Status CreateLink(const std::string& name);
  // Without the used sessions, of which the kernel knows nothing. Empty where it has no IPsec.
  Result<ObservedEsp> Read();
  // Associations first, so that no policy sends what has nowhere to go.
  Status Apply(const EspPlan& plan);

 private:
  const uint32_t if_id_;
  bool probed_ = false;
};

}  // namespace strata::net
