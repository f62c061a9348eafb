// One host with Open vSwitch: a controller of somebody else, limits of rates, rows of others.
#include <gtest/gtest.h>

#include <algorithm>

#include "net/ovs/flows.h"
#include "tests/unit/net/ovs/ovs_host.h"

namespace strata::net {
namespace {

bool Reaches(const OvsNode& from, const OvsNode& to, std::chrono::milliseconds patience = kAnswer) {
  const UniqueFd server = OpenServer(to.space, Protocol::kTcp, 5001);
  return AskWho(from.space, Protocol::kTcp, to.address, 5001, server, patience).has_value();
}

class OvsChoices : public ::testing::Test {
 protected:
  void SetUp() override {
    host_.JoinUnderlay(fabric_, "h0", "192.0.2.1/24");
    host_.AddBridge(7, 1, "192.0.2.1").overlay->remotes = {{Ipv4::Parse("10.90.1.9").value(),
                                                            Mac{2, 0, 0, 0, 0, 9},
                                                            Ipv4::Parse("192.0.2.2").value()}};
    for (const uint32_t index : {0, 1}) host_.WantNode(7, index);
  }
  const std::string& bridge() const { return host_.desired.bridges[0].name; }

  NetNamespace fabric_;
  OvsHost host_;
};

TEST_F(OvsChoices, AnAddressThatTunnelsCannotUseIsNamed) {
  host_.Open({});
  host_.desired.bridges[0].overlay->local = Ipv4::Parse("192.0.2.11").value();
  const auto problem = [&] {
    const Status applied = host_.TryApply();
    return applied.ok() ? "" : applied.error().message();
  };
  EXPECT_NE(problem().find("192.0.2.11 has to be"), std::string::npos);
  EXPECT_NE(problem().find("it is on no link"), std::string::npos);
  host_.space.Ip({"link", "add", "dummy0", "type", "veth", "peer", "name", "dummy1"});
  host_.space.Ip({"addr", "add", "192.0.2.11/32", "dev", "dummy0"});
  EXPECT_NE(problem().find("it is on dummy0"), std::string::npos);
  EXPECT_EQ(Words(host_.PlanSwitch()), "") << "all else is done";
  host_.space.Ip({"link", "del", "dummy0"});
  host_.space.Ip({"addr", "add", "192.0.2.11/32", "dev", "phy0"});
  EXPECT_EQ(problem(), "");
}

TEST_F(OvsChoices, AControllerOfSomebodyElseTakesThePlaceOfOurFlows) {
  host_.Open({});
  host_.Apply();
  const OvsNode first = host_.StartNode(7, 0);
  const OvsNode second = host_.StartNode(7, 1);
  ASSERT_TRUE(Reaches(first, second));

  host_.Open({.controller = "unix:" + host_.dir() + "/controller"});
  host_.Apply();
  EXPECT_EQ(Words(host_.PlanSwitch()), "");
  EXPECT_EQ(host_.Vsctl({"get-controller", bridge()}), "unix:" + host_.dir() + "/controller\n");
  EXPECT_EQ(host_.Ofctl({"--no-stats", "--no-names", "dump-flows", bridge()}), "");
  EXPECT_FALSE(Reaches(first, second, kSilence)) << "nobody has said yet where frames go";

  SubprocessOptions options;
  options.argv = {"ovs-testcontroller", "punix:" + host_.dir() + "/controller",
                  "--unixctl=" + host_.dir() + "/controller.ctl", "-vconsole:off"};
  Subprocess controller = Subprocess::Start(options).value();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!Reaches(first, second, kSilence)) ASSERT_LT(std::chrono::steady_clock::now(), until);
  EXPECT_EQ(Words(host_.PlanSwitch()), "") << "its flows are left alone";
  host_.Vsctl({"del-controller", bridge()});
  host_.Apply();
  EXPECT_EQ(host_.Vsctl({"get-controller", bridge()}), "unix:" + host_.dir() + "/controller\n");

  host_.Open({});
  host_.Apply();
  EXPECT_EQ(Words(host_.PlanSwitch()), "");
  EXPECT_EQ(host_.Vsctl({"get-controller", bridge()}), "");
  EXPECT_TRUE(Reaches(first, second));
}

TEST_F(OvsChoices, AControllerIsAnAddress) {
  for (const std::string controller : {"192.0.2.1", "tcp:", "ssl:1", "tcp:1 2", "ptcp:6653"}) {
    const auto opened = OvsSwitch::Open({.instance = "ab123", .controller = controller});
    ASSERT_FALSE(opened.ok()) << controller;
    EXPECT_EQ(opened.error().code(), Code::kInvalidArgument);
  }
}

TEST_F(OvsChoices, LimitsOfRatesStayWhenPortsAreTakenIn) {
  host_.Open({});
  host_.desired.veths[0].bits_per_s_max = 20'000'000;
  host_.Apply();
  const OvsNode node = host_.StartNode(7, 0);
  host_.Apply();
  const auto limit = [&] {
    for (const ObservedLink& link : host_.space.In([] { return ObserveLinks().value(); })) {
      if (link.name == node.veth) return link.sends_bits_per_s_max;
    }
    return uint64_t{0};
  };
  EXPECT_EQ(limit(), 20'000'000u);
  // Taken in anew, with its limit on it.
  host_.Vsctl({"del-port", bridge(), node.veth});
  host_.space.In([&] {
    const Status applied = host_.ovs->Apply(host_.PlanSwitch());
    EXPECT_TRUE(applied.ok()) << applied.error().message();
  });
  EXPECT_EQ(limit(), 20'000'000u);
  host_.Vsctl({"set", "bridge", bridge(), "external_ids:other=1"});
  EXPECT_EQ(limit(), 20'000'000u);
}

TEST_F(OvsChoices, WhatIsOfSomebodyElseIsNamedAndLeftAlone) {
  host_.Open({});
  const auto expect_refusal = [&](const std::string& named) {
    const Status applied = host_.TryApply();
    ASSERT_FALSE(applied.ok());
    EXPECT_EQ(applied.error().code(), Code::kFailedPrecondition);
    EXPECT_NE(applied.error().message().find(named), std::string::npos)
        << applied.error().message();
  };
  host_.Vsctl({"add-br", bridge(), "--", "set", "bridge", bridge(), "datapath_type=netdev"});
  expect_refusal("bridge " + bridge());
  host_.Vsctl({"del-br", bridge(), "--", "add-br", "other0", "--", "set", "bridge", "other0",
               "datapath_type=netdev", "--", "add-port", "other0", "sab123x7", "--", "set",
               "interface", "sab123x7", "type=internal"});
  expect_refusal("port sab123x7 of bridge other0");
  host_.Vsctl({"del-br", "other0"});
  host_.Apply();
  host_.Vsctl(
      {"add-port", bridge(), "guest0", "--", "set", "interface", "guest0", "type=internal"});
  EXPECT_EQ(Words(host_.PlanSwitch()), "") << "another's port stays, and no flow knows it";
  host_.Vsctl({"--if-exists", "del-port", "guest0"});
}

TEST_F(OvsChoices, LinksOfWhichNothingIsKnownKeepTheirPortsAndFlows) {
  host_.Open({});
  host_.Apply();
  const OvsNode first = host_.StartNode(7, 0);
  const OvsNode second = host_.StartNode(7, 1);
  host_.desired.veths.clear();
  host_.desired.keep_unknown_veths = true;
  EXPECT_EQ(Words(host_.PlanSwitch()), "");
  host_.Apply();
  EXPECT_TRUE(Reaches(first, second));
  host_.desired.keep_unknown_veths = false;
  host_.Apply();
  EXPECT_EQ(host_.Vsctl({"list-ports", bridge()}), "sab123x7\n");
}

TEST_F(OvsChoices, BridgesOfTheLinuxDriverMakeRoom) {
  const auto make = [&] {
    const NetworkPlan plan = MakePlan(host_.desired, ObserveLinks().value()).value();
    const auto applied = ApplyPlan(plan, &host_.rules);
    EXPECT_TRUE(applied.ok()) << applied.error().message();
  };
  host_.space.In(make);
  host_.Open({});
  EXPECT_NE(Words(host_.PlanSwitch()).find("- link sab123x7\n"), std::string::npos);
  host_.Apply();
  EXPECT_EQ(Words(host_.PlanSwitch()), "");
  const OvsNode first = host_.StartNode(7, 0);
  const OvsNode second = host_.StartNode(7, 1);
  EXPECT_TRUE(Reaches(first, second));
}

TEST_F(OvsChoices, TwoStratasNeedTwoPorts) {
  host_.Open({});
  host_.Apply();
  auto other = OvsSwitch::Open({.instance = "cd456", .run_dir = host_.dir()});
  ASSERT_TRUE(other.ok());
  DesiredNetwork desired = host_.desired;
  desired.instance = "cd456";
  desired.veths.clear();
  desired.bridges[0].name = BridgeName("cd456", 7);
  const auto apply = [&]() -> Status {
    return host_.space.In([&]() -> Status {
      ASSIGN_OR_RETURN(const OvsPlan plan, other->Plan(desired, ObserveLinks().value()));
      return other->Apply(plan);
    });
  };
  const Status same = apply();
  ASSERT_FALSE(same.ok());
  EXPECT_NE(same.error().message().find("scd456x7"), std::string::npos) << same.error().message();
  desired.bridges[0].overlay->port = 8472;
  const Status applied = apply();
  EXPECT_TRUE(applied.ok()) << applied.error().message();
  EXPECT_EQ(Words(host_.PlanSwitch()), "");
}

}  // namespace
}  // namespace strata::net
