// Hosts of a test whose nodes are joined by an Open vSwitch of their own: namespaces in which
// ovsdb-server and ovs-vswitchd run, with the datapath inside of ovs-vswitchd, or the kernel's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/apply.h"
#include "net/ovs/ovs_switch.h"
#include "tests/unit/net/namespaces.h"

namespace strata::net {

// Of all Open vSwitches of a test: the kernel's with STRATA_TEST_DATAPATH=system (tests/vm/run).
Datapath TestDatapath();
// What a switch is told to use: nothing where it is to find the kernel's by itself.
std::optional<Datapath> ChosenDatapath();

struct OvsNode {
  NetNamespace space;
  std::string veth;  // The host's end; "eth0" is the node's.
  std::string address;
  Mac mac{};
};

class OvsHost {
 public:
  static constexpr char kInstance[] = "ab123";

  OvsHost();

  void StartDatabase();
  void StartSwitch();
  void KillDatabase() { ovsdb_.reset(); }
  void KillSwitch() { vswitchd_.reset(); }
  // `address` on a link to `fabric`. A tunnel of the datapath inside of ovs-vswitchd goes out by a
  // bridge of it alone: there the address is on "phy0", which has the link as a port.
  void JoinUnderlay(const NetNamespace& fabric, const std::string& fabric_port,
                    const std::string& address);
  // Again, after KillSwitch and StartSwitch: "phy0" is another link then.
  void AddressUnderlay() const;

  // Opens with these options; those that say where Open vSwitch is are set here.
  void Open(OvsSwitch::Options options);
  OvsPlan PlanSwitch() const;
  // As NetworkKeeper does it.
  Status TryApply();
  void Apply();
  // Until what the datapath remembers is as the flows are.
  void Settle() const;

  // Bridge 10.90.SUBNET.0/24 of Vcluster `number`, with an overlay.
  Bridge& AddBridge(uint32_t number, uint32_t subnet, const std::string& host_address);
  void WantNode(uint32_t number, uint32_t index);
  // Its link, which is there then. REQUIRES: its bridge is among the desired ones.
  OvsNode StartNode(uint32_t number, uint32_t index);

  // For a look: `ovs-vsctl WORD...`, `ovs-ofctl -O OpenFlow14 WORD...`; with their output.
  std::string Vsctl(const std::vector<std::string>& words) const;
  std::string Ofctl(const std::vector<std::string>& words) const;

  const std::string& dir() const { return dir_.path(); }
  NetNamespace space;
  DesiredNetwork desired;
  RulesInForce rules;
  std::optional<OvsSwitch> ovs;

 private:
  Subprocess Start(const std::vector<std::string>& argv) const;

  TemporaryDirectory dir_;
  std::string underlay_address_;
  std::optional<Subprocess> ovsdb_;
  std::optional<Subprocess> vswitchd_;
};

// "+ port ..." and so on, one per line.
std::string Words(const OvsPlan& plan);

}  // namespace strata::net
