// HostNetwork: the networks of one host, once: looks at what is there, and makes what should be, by
// the kernel's bridges and tunnels or by Open vSwitch, with rules, limits and the fast path.
// NetworkKeeper does it again and again.
//
// Of the network namespace of the thread that uses it. One call at a time.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "net/apply.h"
#include "net/dns/name_server.h"
#include "net/fastpath/fast_path.h"
#include "net/ovs/ovs_switch.h"
#include "net/plan_text.h"
#include "net/rules_in_force.h"
#include "net/secure/host_fabric.h"

namespace strata::net {

class HostNetwork {
 public:
  struct Options {
    std::string instance;
    std::string run_dir;  // For what has to be undone at the end.
    Driver driver = Driver::kLinux;
    OvsSwitch::Options ovs;     // Of kOvs; its instance is this one's.
    bool fast_path = false;     // Of kLinux, where the kernel has it.
    std::string state_dir;      // Of the fabric's keys; empty: there can be no fabric.
    std::string names_program;  // vnet-names; empty: gateways answer no questions for names.
  };
  struct Made {
    std::vector<std::string> changes;
    // More than what links of nodes need that have come since the last time.
    bool mends = false;
  };

  // Errors are OvsSwitch's, and those of a host that knows no nftables. On one that knows no IPv6
  // (net/forwarding.h), networks are made without it.
  static Result<std::unique_ptr<HostNetwork>> Open(Options options);

  Result<PlannedChanges> Plan(DesiredNetwork desired);
  // Repeating it after an error is fine. `before_rules` is called each time it is about to see
  // whether the rules are in force: whoever hears of others' transactions has rules() know of them.
  // Names that cannot be served are no error, but names()'s problem.
  Result<Made> Make(DesiredNetwork desired, const std::function<void()>& before_rules);

  // Whether nodes have to fill in checksums themselves; the same as long as this object lives.
  bool NeedsChecksums() const {
    return ovs_.has_value() && ovs_->settings().datapath == Datapath::kNetdev;
  }
  RulesInForce& rules() { return rules_; }
  NameServers& names() { return names_; }
  // Of `desired`, as it was made last. kFailedPrecondition: there can be none here.
  Result<FabricView> LookAtFabric(const std::optional<DesiredFabric>& desired);
  // What the fast path counted; nullopt: there is none.
  std::optional<FastProgram::Counts> FastCounts() const;

 private:
  explicit HostNetwork(Options options)
      : options_(std::move(options)), names_({options_.names_program, options_.run_dir}) {}
  // The links, after Open vSwitch has done its part.
  Result<std::vector<ObservedLink>> MakeSwitch(const DesiredNetwork& desired,
                                               const std::function<void()>& before_rules,
                                               bool* new_rules, Made* made);
  Status MakeFast(const DesiredNetwork& desired, const std::vector<ObservedLink>& links);
  // What there should be of it comes before all that may go over it, and goes after it.
  Status MakeFabric(const DesiredNetwork& desired, std::vector<std::string>* changes);
  Result<Made> MakeAll(DesiredNetwork desired, const std::function<void()>& before_rules);
  // Names, and the rules again when they are to let others ask than it was known before. True: they
  // were put anew.
  Result<bool> ServeNames(DesiredNetwork* desired);
  std::string MarkerPath() const { return options_.run_dir + "/ip_forward.was_off"; }
  std::string Marker6Path() const { return options_.run_dir + "/ip6_forward.was_off"; }

  const Options options_;
  RulesInForce rules_;
  NameServers names_;
  std::optional<OvsSwitch> ovs_;
  std::unique_ptr<FastPath> fast_;
  std::optional<HostFabric> fabric_;
  std::set<std::string> linked_;  // Nodes' links that were there the last time.
  bool rules_were_put_ = false;   // By this process, as…
  bool fabric_was_made_ = false;  // …this.
};

}  // namespace strata::net
