#include "net/ovs/ovs_plan.h"

#include <gtest/gtest.h>

#include <functional>

#include "net/ovs/flows.h"
#include "net/ovs/transaction.h"
#include "net/plan.h"

namespace strata::net {
namespace {

Ipv4 A(std::string_view text) { return Ipv4::Parse(text).value(); }

DesiredNetwork One() {
  Bridge bridge = MakeBridge("1a2b3", 7, Ipv4Prefix::Parse("10.90.1.0/24").value());
  bridge.overlay = {.vni = 7, .local = A("192.0.2.1")};
  bridge.overlay->remotes = {{A("10.90.1.4"), NodeMac(bridge, 2), A("192.0.2.2")}};
  DesiredNetwork desired;
  desired.instance = "1a2b3";
  desired.pool = Ipv4Prefix::Parse("10.90.0.0/16").value();
  desired.veths = {MakeVeth("1a2b3", 7, 0, 0), MakeVeth("1a2b3", 7, 1, 0)};
  desired.bridges = {bridge};
  return desired;
}

ObservedPort Port(const std::string& name, int64_t number, ObservedInterface interface) {
  interface.of_port = interface.of_port_request = number;
  interface.external_ids = {{kLabel, "1a2b3"}};
  return {.uuid = "port " + name,
          .name = name,
          .instance = "1a2b3",
          .interface_uuid = "interface " + name,
          .interface = interface};
}

ObservedSwitch AsItShouldBe() {
  const DesiredNetwork desired = One();
  const Bridge& wanted = desired.bridges[0];
  ObservedOvsBridge bridge = {
      .uuid = "bridge 7",
      .name = wanted.name,
      .instance = "1a2b3",
      .datapath_type = "system",
      .fail_mode = "secure",
      .other_config = {{"hwaddr", ToString(wanted.mac())}, {"disable-in-band", "true"}}};
  bridge.ports = {Port(wanted.name, 0, {.type = "internal", .mtu_request = wanted.mtu()}),
                  Port("s1a2b3x7", 1,
                       {.type = "vxlan",
                        .options = {{"key", "7"},
                                    {"local_ip", "192.0.2.1"},
                                    {"remote_ip", "flow"},
                                    {"dst_port", "4789"}}})};
  for (const Veth& veth : desired.veths) {
    bridge.ports.push_back(Port(veth.name, 100 + veth.index, {}));
    bridge.ports.back().qos = "noop";
  }
  bridge.flows = MakeFlows(wanted, {0, 1});
  ObservedSwitch observed;
  observed.root = "root";
  observed.no_qos = {"noop"};
  observed.bridges = {bridge};
  return observed;
}

using Spoil = std::function<void(DesiredNetwork*, OvsSettings*, ObservedSwitch*)>;

std::vector<std::string> Plan(const Spoil& spoil) {
  DesiredNetwork desired = One();
  OvsSettings settings;
  ObservedSwitch observed = AsItShouldBe();
  spoil(&desired, &settings, &observed);
  const auto plan = MakeOvsPlan(desired, settings, observed);
  if (!plan.ok()) return {plan.error().message()};
  return DescribeOvsChanges(*plan);
}
std::vector<std::string> PlanOf(const std::function<void(ObservedSwitch*)>& spoil) {
  return Plan([&](DesiredNetwork*, OvsSettings*, ObservedSwitch* observed) { spoil(observed); });
}
using Lines = std::vector<std::string>;

TEST(OvsPlan, OfWhatIsThereAlreadyIsEmpty) {
  EXPECT_EQ(PlanOf([](ObservedSwitch*) {}), Lines());
  EXPECT_TRUE(MakeOvsPlan(One(), {}, AsItShouldBe())->empty());
}

TEST(OvsPlan, MakesAllInTheirPlaces) {
  const std::string mac = ToString(MacForGateway(7));
  EXPECT_EQ(
      PlanOf([](ObservedSwitch* observed) {
        observed->bridges.clear();
        observed->no_qos.clear();
      }),
      (Lines{"+ switch s1a2b3b7 datapath system mac " + mac,
             "+ port s1a2b3b7 of s1a2b3b7 type internal mtu 1450",
             "+ port s1a2b3x7 of s1a2b3b7 type vxlan dst_port 4789 key 7 local_ip 192.0.2.1 "
             "remote_ip flow number 1",
             "+ port s1a2b3v1ds of s1a2b3b7 number 100", "+ port s1a2b3v1dt of s1a2b3b7 number 101",
             "~ flows of s1a2b3b7: 15 new, none of before"}));
}

TEST(OvsPlan, MendsEachSettingOfABridgeAlone) {
  const std::string line = "~ switch s1a2b3b7 datapath system mac " + ToString(MacForGateway(7));
  const auto spoiled = [](const std::function<void(ObservedOvsBridge*)>& spoil) {
    return PlanOf([&](ObservedSwitch* observed) { spoil(&observed->bridges[0]); });
  };
  EXPECT_EQ(spoiled([](auto* b) { b->fail_mode = "standalone"; }), Lines{line});
  EXPECT_EQ(spoiled([](auto* b) { b->other_config["hwaddr"] = "02:00:00:00:00:01"; }), Lines{line});
  EXPECT_EQ(spoiled([](auto* b) { b->other_config.erase("disable-in-band"); }), Lines{line});
  EXPECT_EQ(spoiled([](auto* b) { b->protocols = {"OpenFlow10"}; }), Lines{line});
  EXPECT_EQ(spoiled([](auto* b) { b->protocols = {"OpenFlow10", "OpenFlow14"}; }), Lines());
  EXPECT_EQ(spoiled([](auto* b) { b->other_config["mac-table-size"] = "9"; }), Lines());
  // These make the switch forget its flows.
  const Lines with_flows = {line, "~ flows of s1a2b3b7: 15 new, none of before"};
  EXPECT_EQ(spoiled([](auto* b) { b->datapath_type = "netdev"; }), with_flows);
  EXPECT_EQ(spoiled([](auto* b) { b->controllers = {"tcp:192.0.2.9:6653"}; }), with_flows);
}

TEST(OvsPlan, MendsEachSettingOfAPortAlone) {
  const auto spoiled = [](size_t port, const std::function<void(ObservedPort*)>& spoil) {
    return PlanOf([&](ObservedSwitch* observed) { spoil(&observed->bridges[0].ports[port]); });
  };
  const Lines bridge = {"~ port s1a2b3b7 of s1a2b3b7 type internal mtu 1450"};
  const Lines tunnel = {
      "~ port s1a2b3x7 of s1a2b3b7 type vxlan dst_port 4789 key 7 local_ip 192.0.2.1 remote_ip "
      "flow number 1"};
  const Lines node = {"~ port s1a2b3v1dt of s1a2b3b7 number 101"};
  EXPECT_EQ(spoiled(0, [](auto* p) { p->interface.mtu_request = 0; }), bridge);
  EXPECT_EQ(spoiled(1, [](auto* p) { p->interface.options["key"] = "8"; }), tunnel);
  EXPECT_EQ(spoiled(1, [](auto* p) { p->interface.options["csum"] = "true"; }), tunnel);
  EXPECT_EQ(spoiled(1, [](auto* p) { p->interface.type = "geneve"; }), tunnel);
  EXPECT_EQ(spoiled(3, [](auto* p) { p->interface.of_port_request = 7; }), node);
  EXPECT_EQ(spoiled(3, [](auto* p) { p->qos = "another"; }), node);
  EXPECT_EQ(spoiled(3, [](auto* p) { p->interface.type = "internal"; }), node);
  // Not there yet, which is not the row's fault.
  EXPECT_EQ(spoiled(3, [](auto* p) { p->interface.of_port = -1; }), Lines());
  // Another number, or a link that is another one than was taken in: out, and in again.
  const Lines again = {"- port s1a2b3v1dt of s1a2b3b7", "+ port s1a2b3v1dt of s1a2b3b7 number 101"};
  EXPECT_EQ(spoiled(3, [](auto* p) { p->interface.of_port = 5; }), again);
  EXPECT_EQ(PlanOf([](ObservedSwitch* o) { o->left_out = {"s1a2b3v1dt", "s1a2b3v999"}; }), again);
}

TEST(OvsPlan, RemovesWhatIsOursAndNotWantedAndNothingElse) {
  EXPECT_EQ(
      PlanOf([](ObservedSwitch* observed) {
        ObservedOvsBridge other = observed->bridges[0];
        other.name = "s1a2b3b9";
        observed->bridges.push_back(other);
        other.name = "br0";
        other.instance = "";
        other.ports = {Port("s1a2b3v999", 100, {})};
        observed->bridges.push_back(other);
        other.name = "scd456b1";
        other.instance = "cd456";
        other.ports.clear();
        observed->bridges.push_back(other);
        observed->bridges[0].ports.push_back(Port("s1a2b3v1dz", 107, {}));
        ObservedPort guest = Port("guest0", 9, {});
        guest.instance = "";
        observed->bridges[0].ports.push_back(guest);
        observed->no_qos.push_back("more");
      }),
      (Lines{"- switch s1a2b3b9", "- port s1a2b3v1dz of s1a2b3b7", "- port s1a2b3v999 of br0"}));
  EXPECT_EQ(Plan([](DesiredNetwork* desired, OvsSettings*, ObservedSwitch*) {
              desired->bridges.clear();
              desired->veths.clear();
            }),
            Lines{"- switch s1a2b3b7"});
}

TEST(OvsPlan, NamesWhatIsInItsPlace) {
  const auto only = [](const Lines& lines) { return lines.size() == 1 ? lines[0] : ""; };
  EXPECT_EQ(only(PlanOf([](ObservedSwitch* o) { o->bridges[0].instance = ""; })),
            "bridge s1a2b3b7 of Open vSwitch is not of this instance "
            "(external_ids:strata-instance=1a2b3), so it is left alone: remove it with ovs-vsctl");
  EXPECT_EQ(only(PlanOf([](ObservedSwitch* o) {
              o->bridges[0].ports[2].instance = "";
            })).find("port s1a2b3v1ds of bridge s1a2b3b7 of Open vSwitch is not"),
            0u);
  const std::string number = only(PlanOf([](ObservedSwitch* observed) {
    ObservedPort guest = Port("guest0", 101, {});
    guest.instance = "";
    observed->bridges[0].ports.push_back(guest);
  }));
  EXPECT_NE(number.find("guest0"), std::string::npos) << number;
  EXPECT_NE(number.find("101"), std::string::npos) << number;
}

TEST(OvsPlan, TouchesTheFlowsThatDiffer) {
  const auto flows = [](const std::function<void(std::vector<Flow>*)>& spoil) {
    return PlanOf([&](ObservedSwitch* observed) { spoil(&*observed->bridges[0].flows); });
  };
  EXPECT_EQ(flows([](auto* f) { f->pop_back(); }), Lines{"~ flows of s1a2b3b7: 1 new"});
  EXPECT_EQ(flows([](auto* f) { f->at(3).instructions.clear(); }),
            Lines{"~ flows of s1a2b3b7: 1 new"});
  EXPECT_EQ(flows([](auto* f) { f->at(3).cookie = 0; }), Lines{"~ flows of s1a2b3b7: 1 new"});
  EXPECT_EQ(flows([](auto* f) {
              f->push_back({0, 200, FlowMatch(), "", 0});
            }),
            Lines{"~ flows of s1a2b3b7: 0 new, 1 gone"});
  EXPECT_EQ(PlanOf([](ObservedSwitch* o) { o->bridges[0].flows.reset(); }),
            Lines{"~ flows of s1a2b3b7: 15 new, none of before"});
  EXPECT_EQ(Plan([](DesiredNetwork* desired, OvsSettings*, ObservedSwitch*) {
              desired->bridges[0].overlay->remotes[0].host = A("192.0.2.3");
            }),
            Lines{"~ flows of s1a2b3b7: 2 new, 1 gone"});
}

TEST(OvsPlan, WithAControllerHasNoFlowsOfOurs) {
  const std::string controller = "tcp:192.0.2.9:6653";
  EXPECT_EQ(Plan([&](DesiredNetwork*, OvsSettings* settings, ObservedSwitch* observed) {
              settings->controller = controller;
              observed->bridges[0].controllers = {controller};
              for (Flow& flow : *observed->bridges[0].flows) flow.cookie = 1;
            }),
            Lines());
  EXPECT_EQ(Plan([&](DesiredNetwork*, OvsSettings* settings, ObservedSwitch* observed) {
              settings->controller = controller;
              observed->bridges[0].controllers = {controller};
              observed->bridges[0].flows->at(0).cookie = 1;
            }),
            Lines{"~ flows of s1a2b3b7: 0 new, 14 gone"});
}

TEST(OvsPlan, OfGreHasNoPortOfUdp) {
  EXPECT_EQ(Plan([](DesiredNetwork*, OvsSettings* settings, ObservedSwitch*) {
              settings->tunnel = TunnelKind::kGre;
            }),
            Lines{"~ port s1a2b3x7 of s1a2b3b7 type gre key 7 local_ip 192.0.2.1 remote_ip flow "
                  "number 1"});
}

TEST(OvsTransaction, HasOneOperationForEachRow) {
  ObservedSwitch observed = AsItShouldBe();
  observed.bridges[0].ports.pop_back();
  observed.bridges[0].ports[1].interface.options.clear();
  const auto operations = MakeTransaction(MakeOvsPlan(One(), {}, observed).value());
  EXPECT_EQ(Json(operations), Json::parse(R"([
    {"op":"update","table":"Interface","where":[["_uuid","==",["uuid","interface s1a2b3x7"]]],
     "row":{"type":"vxlan","ofport_request":1,"mtu_request":["set",[]],
            "external_ids":["map",[["strata-instance","1a2b3"]]],
            "options":["map",[["dst_port","4789"],["key","7"],["local_ip","192.0.2.1"],
                              ["remote_ip","flow"]]]}},
    {"op":"insert","table":"Interface","uuid-name":"interface1",
     "row":{"name":"s1a2b3v1dt","type":"","ofport_request":101,"mtu_request":["set",[]],
            "external_ids":["map",[["strata-instance","1a2b3"]]],"options":["map",[]]}},
    {"op":"insert","table":"Port","uuid-name":"port2",
     "row":{"name":"s1a2b3v1dt","interfaces":["named-uuid","interface1"],
            "external_ids":["map",[["strata-instance","1a2b3"]]],"qos":["uuid","noop"]}},
    {"op":"mutate","table":"Bridge","where":[["_uuid","==",["uuid","bridge 7"]]],
     "mutations":[["ports","insert",["named-uuid","port2"]]]},
    {"op":"mutate","table":"Open_vSwitch","where":[["_uuid","==",["uuid","root"]]],
     "mutations":[["next_cfg","+=",1]]},
    {"op":"select","table":"Open_vSwitch","where":[["_uuid","==",["uuid","root"]]],
     "columns":["next_cfg"]}])"));
}

TEST(OvsDriver, LeavesBridgesAndTunnelsOutOfTheSharedPlan) {
  const DesiredNetwork desired = One();
  const Bridge& wanted = desired.bridges[0];
  EXPECT_TRUE(MakePlan(desired, {}, Driver::kOvs)->create_bridges.empty());
  EXPECT_TRUE(MakePlan(desired, {}, Driver::kOvs)->set_bridges.empty()) << "not there yet";
  const std::vector<ObservedLink> links = {
      {.name = wanted.name, .mac = wanted.mac(), .mtu = wanted.mtu()},
      {.name = "s1a2b3b9"},
      {.name = "s1a2b3x9"},
      {.name = "s1a2b3i9"},
      {.name = "s1a2b3v9"},
      {.name = "s1a2b3v1ds", .master = wanted.name, .hairpin = true}};
  const NetworkPlan plan = MakePlan(desired, links, Driver::kOvs).value();
  EXPECT_EQ(plan.delete_links, (std::vector<std::string>{"s1a2b3i9", "s1a2b3v9"}));
  EXPECT_EQ(plan.set_bridges.size(), 1u);
  EXPECT_EQ(plan.address_bridges.size(), 1u);
  EXPECT_TRUE(plan.create_bridges.empty() && plan.create_tunnels.empty() &&
              plan.set_tunnels.empty() && plan.set_fdb.empty() && plan.set_neighbours.empty() &&
              plan.set_ports.empty());
  EXPECT_EQ(plan.ruleset, MakePlan(desired, links)->ruleset);
}

}  // namespace
}  // namespace strata::net
