// FabricDevice: makes a host's fabric as it should be, and says how it is. Make compares what is
// there with what should be and does the difference, so calling it again mends what others changed:
// settings, addresses, rules, the process of a userspace WireGuard that has died.
//
// WireGuard is the kernel's, or else the program wireguard-go (Debian's package of that name):
// which one is found out once, when a fabric is wanted for the first time, and logged.
//
// With ESP (FabricKind) each host has a session, which all others must be told, and told anew when
// it is another one: ask for it after every Make.
//
// Of the network namespace of the calling thread; used by one thread at a time. The fabric stays
// when this object goes, and is taken over by the next one of the instance. A process is started in
// a session of its own: the service that runs this must leave it alone (KillMode=process).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/nft.h"
#include "net/secure/esp_session.h"
#include "net/secure/fabric_driver.h"
#include "net/secure/fabric_plan.h"
#include "net/secure/kernel_esp.h"

namespace strata::net {

class FabricDevice {
 public:
  enum class Choice { kBest, kKernel, kWireguardGo };
  struct Options {
    std::string instance;  // Of what it makes; nothing else is touched.
    std::string run_dir;   // For what wireguard-go says, and for the session of ESP.
    Choice choice = Choice::kBest;
  };
  explicit FabricDevice(Options options);
  // Before a process has many descriptors (net/nft.h); otherwise what follows does it.
  Status Start() { return nft_.Start(); }

  // What would be changed now; `desired` none: there is to be no fabric. Errors are
  // MakeFabricPlan's; kUnsupported when this host has no WireGuard; kUnavailable and kInternal when
  // it does not tell.
  Result<FabricPlan> Plan(const std::optional<SecureFabric>& desired);
  // Does it: what has changed, in words (DescribeChanges). Repeating it after an error is fine.
  // kFailedPrecondition: a program of the host has the UDP port. The rules come first, also when
  // there is no WireGuard for the rest.
  Result<std::vector<std::string>> Make(const std::optional<SecureFabric>& desired);
  // The rules of `desired` are in force, as far as this process knows.
  bool HasRulesOf(const SecureFabric& desired) const;
  // WireGuard's peers, with when each was heard last: none when there is no fabric of it.
  Result<std::optional<ObservedDevice>> Look();
  // The public half of ESP's session, for the other hosts (FabricPeer::session).
  Result<PublicKey> Session();
  // Another one, so that the past stays secret even from who gets hold of this host's present keys.
  // Nothing that this host sends is understood until the others are told.
  Status RenewSession() { return session_.Renew(); }
  // Of the WireGuard in use; "" while none is.
  std::string_view driver() const { return driver_ == nullptr ? "" : driver_->name(); }

 private:
  Status Prepare(const SecureFabric& desired);
  Status Seal(SecureFabric desired);
  Status ChooseDriver();
  Result<ObservedFabric> Observe(FabricKind kind);
  Status Apply(const FabricPlan& plan, bool is_esp);
  Status ApplyRules(const FabricPlan& plan);
  Result<std::string> ListRules();
  void Remember(const DeviceChange& change);

  const Options options_;
  const std::string name_;
  const std::unique_ptr<FabricDriver> kernel_;
  const std::unique_ptr<FabricDriver> wireguard_go_;
  FabricDriver* driver_ = nullptr;
  KernelEsp esp_;
  EspSession session_;
  Nft nft_;
  std::string rules_;       // That this put in force…
  std::string rules_list_;  // …and as nft lists them.
  std::map<PublicKey, Endpoint> told_;
};

}  // namespace strata::net
