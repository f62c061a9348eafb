// OvsSwitch: has Open vSwitch join the nodes of a host's Vclusters, in the place of the kernel's
// bridges and tunnels (docs/network.md, "Open vSwitch"). Per bridge that is desired there is one of
// Open vSwitch with a port for each node, a tunnel, and flows. Everything else of a network (the
// gateway's address, rules, rates) is MakePlan's, with Driver::kOvs, after this:
//
//   ASSIGN_OR_RETURN(auto links, ObserveLinks());
//   ASSIGN_OR_RETURN(const OvsPlan ovs, ovs_->Plan(desired, links));
//   RETURN_IF_ERROR(ovs_->Apply(ovs));
//   if (!ovs.empty()) { ASSIGN_OR_RETURN(links, ObserveLinks()); }
//   ASSIGN_OR_RETURN(const NetworkPlan plan, MakePlan(desired, links, Driver::kOvs));
//
// Nothing is kept in between: it compares what is there. Rows of Open vSwitch's database that are
// ours have the instance in their external_ids; only such are changed or removed. Their bridges'
// flow tables are ours as a whole.
//
// Of the network namespace of the calling thread, in which ovs-vswitchd has to run. One call at a
// time.
//
// Errors: kUnavailable when ovsdb-server or ovs-vswitchd does not answer (the socket and what to do
// are in the message; what was written to the database is done when ovs-vswitchd is back);
// kFailedPrecondition for what somebody else has in the place of ours.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "net/ovs/ovs_plan.h"
#include "net/plan.h"

namespace strata::net {

class OvsSwitch {
 public:
  struct Options {
    std::string instance;
    std::string run_dir = "/run/openvswitch";  // Of db.sock and BRIDGE.mgmt.
    TunnelKind tunnel = TunnelKind::kVxlan;    // The same on all hosts.
    // "tcp:ADDRESS:PORT" or "unix:PATH": its flows are used, ours are not made.
    std::string controller;
    std::optional<Datapath> datapath;            // By default the kernel's where it is.
    std::chrono::milliseconds patience{10'000};  // With either daemon.
  };

  // Says once in the log which datapath is used. kInvalidArgument for a controller that is none.
  static Result<OvsSwitch> Open(Options options);

  // `links`: all of the host. An empty plan is one to apply too: that ends with the question
  // whether all of it works.
  Result<OvsPlan> Plan(const DesiredNetwork& desired, const std::vector<ObservedLink>& links) const;
  // Repeating it after an error is fine; a plan made then says what is left to do. Ok: all ports
  // but those of links that are not there, and all flows, are in force.
  Status Apply(const OvsPlan& plan) const;

  const OvsSettings& settings() const { return settings_; }

 private:
  OvsSwitch(Options options, OvsSettings settings)
      : options_(std::move(options)), settings_(std::move(settings)) {}
  std::string DatabasePath() const { return options_.run_dir + "/db.sock"; }
  Result<OvsdbClient> ConnectDatabase() const;
  Result<OpenFlowChannel> ConnectBridge(const std::string& bridge) const;
  Status ApplyRows(OvsdbClient* database, const OvsPlan& plan) const;
  Status WaitForConfiguration(OvsdbClient* database, int64_t next_cfg) const;
  Status CheckInterfaces(OvsdbClient* database) const;

  Options options_;
  OvsSettings settings_;
};

}  // namespace strata::net
