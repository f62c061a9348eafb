// FabricDriver: one kind of WireGuard. Not part of the interface of net/secure.
//
// Of the network namespace of the calling thread; used by one thread at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/secure/fabric_plan.h"

namespace strata::net {

class FabricDriver {
 public:
  virtual ~FabricDriver() = default;
  // For people, and of the links that it makes (IFLA_INFO_KIND).
  virtual std::string_view name() const = 0;
  virtual std::string_view link_kind() const = 0;
  // kUnsupported says what this host lacks.
  virtual Status Probe() = 0;
  // Makes the link, down and without settings. REQUIRES: there is none of the name.
  virtual Status Create(const std::string& device) = 0;
  // None: what is there of the name does not answer, and is to be made anew.
  virtual Result<std::optional<ObservedDevice>> Read(const std::string& device) = 0;
  virtual Status Change(const std::string& device, const DeviceChange& change) = 0;
  // After its link is gone: what else it had goes too. Nothing is Ok.
  virtual Status Forget(const std::string& device) = 0;
};

// In the kernel, by generic netlink.
std::unique_ptr<FabricDriver> NewKernelWireguard();
// The program wireguard-go on a tun device: a process per device, which lives on when this one
// ends, and is found again by its socket. What it says is in `run_dir`.
std::unique_ptr<FabricDriver> NewWireguardGo(const std::string& run_dir);

}  // namespace strata::net
