#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <functional>

#include "common/subprocess.h"
#include "net/plan.h"
#include "net/ruleset.h"

namespace strata::net {
namespace {

Ipv4Prefix P(std::string_view text) { return Ipv4Prefix::Parse(text).value(); }

DesiredNetwork Two() {
  return {
      "1a2b3",
      P("10.90.0.0/16"),
      {{BridgeName("1a2b3", 1), P("10.90.1.0/24")}, {BridgeName("1a2b3", 2), P("10.90.2.0/24")}},
      {{VethName("1a2b3", 1, 0)}}};
}

ObservedLink AsItShouldBe(const Bridge& bridge) {
  return {.name = bridge.name,
          .up = true,
          .addresses = {{bridge.gateway(), 32}},
          .mac = bridge.mac(),
          .mtu = bridge.mtu()};
}

TEST(Ipv4Prefix, RefusesWhatIsNoPrefix) {
  for (const char* text : {"", "10.0.0.0", "10.0.0.0/33", "10.0.0.1/24", "10.0.0.0/-1", "a/8",
                           "10.0.0.0/8x", "10.0.0/8"}) {
    EXPECT_FALSE(Ipv4Prefix::Parse(text).ok()) << text;
  }
  EXPECT_EQ(P("10.90.0.0/16").ToString(), "10.90.0.0/16");
}

TEST(IpAddress, IsWrittenAsOthersWriteItAndReadBack) {
  for (const char* text :
       {"::", "::1", "fd12:3456:7800:1::2", "fd12::7:0:0:2", "1:0:0:2:3:4:5:6", "1:2:3:4:5:6:7:8",
        "1:0:2:3:4:5:6:7", "fe80::", "0:0:1:1:1:1:1:1", "10.90.1.2", "::2:0:0:0:1"}) {
    const auto address = IpAddress::Parse(text);
    ASSERT_TRUE(address.ok()) << text;
    char wanted[INET6_ADDRSTRLEN];
    ::inet_ntop(AF_INET6, address->bytes.data(), wanted, sizeof(wanted));
    const std::string mapped = std::string("::ffff:") + text;
    EXPECT_EQ(address->is_ipv4() ? mapped : address->ToString(), wanted);
    EXPECT_EQ(IpAddress::Parse(address->ToString()).value(), *address);
  }
  for (const char* text : {"", "x", "fd12", "fd12::/64", "10.0.0", "1:2:3:4:5:6:7:8:9"}) {
    EXPECT_FALSE(IpAddress::Parse(text).ok()) << text;
  }
}

TEST(Ipv6Prefix, OfAPoolAreAsManyAsThereAreNetworks) {
  for (const char* text : {"", "fd12::", "fd12::/129", "fd12::1/64", "fd12::/-1", "10.0.0.0/8"}) {
    EXPECT_FALSE(Ipv6Prefix::Parse(text).ok()) << text;
  }
  const Ipv6Prefix pool = Pool6For("a");
  EXPECT_EQ(ParsePool6(pool.ToString()).value(), pool);
  EXPECT_NE(Pool6For("b"), pool);
  const Ipv6Prefix known = ParsePool6("fd12:3456:7800::/40").value();
  EXPECT_EQ(NetworkOf(known, 1).ToString(), "fd12:3456:7800:1::/64");
  EXPECT_EQ(NetworkOf(known, kVniMax).ToString(), "fd12:3456:78ff:ffff::/64");
  EXPECT_EQ(NetworkOf(known, 0x123456).Host(251).ToString(), "fd12:3456:7812:3456::fb");
  EXPECT_TRUE(known.Contains(NetworkOf(known, kVniMax).Host(9)));
  EXPECT_FALSE(known.Contains(IpAddress::Parse("fd12:3456:7900::").value()));
}

TEST(NetworkPlan, GivesABridgeItsAddressOfIpv6WhereItsLinkCanHaveOne) {
  DesiredNetwork desired = Two();
  desired.pool6 = ParsePool6("fd12:3456:7800::/40").value();
  Bridge& bridge = desired.bridges[0];
  bridge.number = 1;
  bridge.prefix6 = NetworkOf(*desired.pool6, 1);
  std::vector<ObservedLink> links = {AsItShouldBe(bridge), AsItShouldBe(desired.bridges[1])};
  NetworkPlan plan = MakePlan(desired, links).value();
  ASSERT_EQ(plan.address6_bridges.size(), 1u);
  EXPECT_EQ(plan.address6_bridges[0].gateway6().ToString(), "fd12:3456:7800:1::1");
  links[0].addresses6 = {bridge.gateway6()};
  EXPECT_TRUE(MakePlan(desired, links)->address6_bridges.empty());
  const Ipv4 local = Ipv4::Parse("192.0.2.1").value();
  bridge.overlay = {.vni = 1, .local = local, .underlay_mtu = kUnderlayMtuMin};
  links[0].addresses6.clear();
  EXPECT_TRUE(MakePlan(desired, links)->address6_bridges.empty()) << "too small an MTU";
  bridge.prefix6 = NetworkOf(*desired.pool6, 2);
  EXPECT_EQ(MakePlan(desired, links).error().code(), Code::kInvalidArgument) << "another's prefix";
}

TEST(NetworkPlan, MakesWhatIsMissingAndNothingElse) {
  const NetworkPlan all = MakePlan(Two(), {}).value();
  EXPECT_EQ(all.create_bridges.size(), 2u);
  EXPECT_EQ(all.set_bridges.size(), 2u);
  EXPECT_EQ(all.address_bridges.size(), 2u);
  EXPECT_TRUE(all.delete_links.empty());

  const std::vector<ObservedLink> complete = {{"lo", true, {}},
                                              AsItShouldBe(Two().bridges[0]),
                                              AsItShouldBe(Two().bridges[1]),
                                              {"s1a2b3v74", true, {}}};
  const NetworkPlan none = MakePlan(Two(), complete).value();
  EXPECT_TRUE(none.create_bridges.empty());
  EXPECT_TRUE(none.address_bridges.empty());
  EXPECT_TRUE(none.set_bridges.empty());
  EXPECT_TRUE(none.delete_links.empty());
}

TEST(NetworkPlan, RepairsABridgeThatIsNotAsItShouldBe) {
  const DesiredNetwork desired = Two();
  const auto planned = [&](const std::function<void(ObservedLink*)>& spoil) {
    std::vector<ObservedLink> links = {AsItShouldBe(desired.bridges[0]),
                                       AsItShouldBe(desired.bridges[1])};
    spoil(&links[1]);
    const NetworkPlan plan = MakePlan(desired, links).value();
    EXPECT_TRUE(plan.create_bridges.empty());
    std::string text;
    for (const BridgeSettings& settings : plan.set_bridges) text += "set " + settings.name;
    for (const Bridge& bridge : plan.address_bridges) text += "address " + bridge.name;
    return text;
  };
  EXPECT_EQ(planned([](ObservedLink*) {}), "");
  EXPECT_EQ(planned([](ObservedLink* link) { link->up = false; }), "set s1a2b3b2");
  EXPECT_EQ(planned([](ObservedLink* link) { link->mtu = 1400; }), "set s1a2b3b2");
  EXPECT_EQ(planned([](ObservedLink* link) { link->mac[5] ^= 1; }), "set s1a2b3b2");
  EXPECT_EQ(planned([](ObservedLink* link) { link->addresses.clear(); }), "address s1a2b3b2");
}

TEST(NetworkPlan, DeletesOnlyLinksOfThisInstance) {
  const std::vector<ObservedLink> links = {
      {"s1a2b3b9", true, {}}, {"s1a2b3v99", true, {}}, {"sfffffb9", true, {}}, {"eth0", true, {}}};
  EXPECT_EQ(MakePlan(Two(), links)->delete_links,
            (std::vector<std::string>{"s1a2b3b9", "s1a2b3v99"}));
  DesiredNetwork unsure = Two();
  unsure.keep_unknown_veths = true;
  EXPECT_EQ(MakePlan(unsure, links)->delete_links, std::vector<std::string>{"s1a2b3b9"});
}

TEST(NetworkPlan, DeletesANodeLastWhoseNetworkStays) {
  DesiredNetwork desired = Two();
  desired.bridges[0] = MakeBridge("1a2b3", 1, P("10.90.1.0/24"));
  const std::string of_rest = VethName("1a2b3", 1, 5);
  const std::string of_gone = VethName("1a2b3", 9, 5);
  const NetworkPlan plan = MakePlan(desired, {{of_rest, true, {}}, {of_gone, true, {}}}).value();
  EXPECT_EQ(plan.delete_last, std::vector<std::string>{of_rest});
  EXPECT_EQ(plan.delete_links, std::vector<std::string>{of_gone})
      << "it would be without rules for a moment";
}

TEST(NetworkPlan, NodesThatMayBeWantedStillMayOnlySpeakAsThemselves) {
  DesiredNetwork unsure = Two();
  unsure.bridges[0] = MakeBridge("1a2b3", 1, P("10.90.1.0/24"));
  unsure.veths = {MakeVeth("1a2b3", 1, 0, 0)};
  const std::string kept = VethName("1a2b3", 1, 5);
  const auto is_known = [&] {
    const NetworkPlan plan = MakePlan(unsure, {{kept, true, {}}, {"s1a2b3v", true, {}}}).value();
    const std::string text = FormatRuleset(plan.ruleset);
    const std::string mac = ToString(MacForNode(1, P("10.90.1.7/32").base));
    return text.find("\"" + kept + "\" . " + mac + " . 10.90.1.7,") != std::string::npos;
  };
  EXPECT_FALSE(is_known());
  unsure.keep_unknown_veths = true;
  EXPECT_TRUE(is_known());
}

TEST(NetworkPlan, TellsWhoseALinkIsByItsName) {
  for (const auto& [network, index] : {std::pair(1u, 0u), std::pair(kVniMax, 249u)}) {
    const auto veth = ParseVethName(VethName("1a2b3", network, index), "1a2b3");
    ASSERT_TRUE(veth.has_value());
    EXPECT_EQ(veth->network, network);
    EXPECT_EQ(veth->index, index);
  }
  for (const char* name : {"s1a2b3v", "s1a2b3v!", "s1a2b3v7 ", "s1a2b3b7", "s1a2b4v7", "s1a2b3v07",
                           "s1a2b3v-7", "s1a2b3vzzzzzzzzz", "s1a2b3v6y"}) {
    EXPECT_FALSE(ParseVethName(name, "1a2b3").has_value()) << name;
  }
}

TEST(NetworkPlan, NamesFitIntoAnInterfaceName) {
  EXPECT_LE(BridgeName("fffff", 99'999).size(), 15u);
  EXPECT_LE(VethName("fffff", 99'999, 255).size(), 15u);
  EXPECT_NE(VethName("fffff", 1, 0), VethName("fffff", 0, 255));
}

TEST(NetworkPlan, MacAddressesOfAnOverlayAreTheSameOnAllHosts) {
  const Ipv4 address = Ipv4::Parse("10.90.1.2").value();
  // They are in the tables of other hosts, of other versions: they must never change.
  EXPECT_EQ(ToString(MacForNode(7, address)), "4a:25:47:6c:60:7c");
  EXPECT_EQ(ToString(MacForGateway(7)), "06:71:f0:65:ba:6c");
  EXPECT_NE(MacForNode(8, address), MacForNode(7, address));
  EXPECT_NE(MacForNode(7, Ipv4{address.value + 1}), MacForNode(7, address));
}

TEST(NetworkPlan, MacAddressesAreLocalUnicastAndDiffer) {
  EXPECT_EQ(MacFor("a")[0] & 3, 2);
  EXPECT_NE(MacFor("a"), MacFor("b"));
}

TEST(Forwards, TwoOnOnePortOfTheHostAreRefusedAndBothAreNamed) {
  DesiredNetwork desired = Two();
  desired.bridges[0].forwards = {{Protocol::kTcp, 20000, P("10.90.1.2/32").base, 80}};
  desired.bridges[1].forwards = {{Protocol::kUdp, 20000, P("10.90.2.2/32").base, 53}};
  EXPECT_TRUE(MakePlan(desired, {}).ok()) << "another protocol is another port";
  desired.bridges[1].forwards.push_back({Protocol::kTcp, 20000, P("10.90.2.9/32").base, 8080});
  const auto plan = MakePlan(desired, {});
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().code(), Code::kInvalidArgument);
  for (const char* part : {"20000/tcp", "10.90.1.2:80", "10.90.2.9:8080"}) {
    EXPECT_NE(plan.error().message().find(part), std::string::npos) << plan.error().message();
  }
}

TEST(Forwards, LeadOnlyToWhereANodeCanBe) {
  const auto code = [](uint16_t host_port, const char* address, uint16_t node_port) {
    DesiredNetwork desired = Two();
    desired.bridges[0].forwards = {
        {Protocol::kTcp, host_port, Ipv4::Parse(address).value(), node_port}};
    const auto plan = MakePlan(desired, {});
    return plan.ok() ? "fine" : CodeName(plan.error().code());
  };
  const auto refused = CodeName(Code::kInvalidArgument);
  EXPECT_EQ(code(1, "10.90.1.2", 65535), "fine");
  EXPECT_EQ(code(0, "10.90.1.2", 80), refused);
  EXPECT_EQ(code(1, "10.90.1.2", 0), refused);
  EXPECT_EQ(code(1, "10.90.1.1", 80), refused) << "the gateway";
  EXPECT_EQ(code(1, "10.90.1.255", 80), refused) << "broadcast";
  EXPECT_EQ(code(1, "10.90.2.2", 80), refused) << "another Vcluster's";
}

TEST(Forwards, ChangeTheBridgeAndThePortsOfItsNodesOnly) {
  DesiredNetwork desired = Two();
  desired.veths.push_back({VethName("1a2b3", 2, 0)});
  desired.bridges[0].forwards = {{Protocol::kTcp, 20000, P("10.90.1.2/32").base, 80}};
  std::vector<ObservedLink> links = {AsItShouldBe(desired.bridges[0]),
                                     AsItShouldBe(desired.bridges[1]),
                                     {.name = desired.veths[0].name, .master = "s1a2b3b1"},
                                     {.name = desired.veths[1].name, .master = "s1a2b3b2"}};
  const NetworkPlan plan = MakePlan(desired, links).value();
  ASSERT_EQ(plan.set_bridges.size(), 1u);
  EXPECT_EQ(plan.set_bridges[0].name, "s1a2b3b1");
  EXPECT_TRUE(plan.set_bridges[0].route_localnet);
  ASSERT_EQ(plan.set_ports.size(), 1u);
  EXPECT_EQ(plan.set_ports[0].name, desired.veths[0].name);
  EXPECT_TRUE(plan.set_ports[0].hairpin);
  links[0].route_localnet = true;
  links[2].hairpin = true;
  const NetworkPlan done = MakePlan(desired, links).value();
  EXPECT_TRUE(done.set_bridges.empty());
  EXPECT_TRUE(done.set_ports.empty());
}

TEST(Rates, ArePlannedForLinksThatAreThereAndAreNotAsTheyShouldBe) {
  DesiredNetwork desired = Two();
  desired.bridges.clear();
  desired.veths[0].bits_per_s_max = 8'004;
  const std::string veth = desired.veths[0].name;
  EXPECT_TRUE(MakePlan(desired, {})->set_rates.empty()) << "its node is starting";
  const ObservedLink limited = {
      .name = veth, .up = true, .sends_bits_per_s_max = 8'000, .has_ingress = true};
  const ObservedLink shaper = {.name = "s1a2b3i74", .up = true, .sends_bits_per_s_max = 8'000};
  EXPECT_TRUE(MakePlan(desired, {limited, shaper})->set_rates.empty()) << "whole bytes";

  const auto planned = [&](ObservedLink link, ObservedLink its_shaper) {
    const NetworkPlan plan = MakePlan(desired, {link, its_shaper}).value();
    return plan.delete_links.empty() && plan.set_rates.size() == 1;
  };
  ObservedLink other = limited;
  other.sends_bits_per_s_max = 0;
  EXPECT_TRUE(planned(other, shaper));
  other = limited;
  other.has_ingress = false;
  EXPECT_TRUE(planned(other, shaper));
  other = shaper;
  other.sends_bits_per_s_max = 8'008;
  EXPECT_TRUE(planned(limited, other));
  other = shaper;
  other.up = false;
  EXPECT_TRUE(planned(limited, other));
  EXPECT_EQ(MakePlan(desired, {limited})->set_rates.size(), 1u);
  desired.veths[0].bits_per_s_max = 0;
  EXPECT_TRUE(planned(limited, shaper));
  EXPECT_TRUE(MakePlan(desired, {{veth, true}})->set_rates.empty());
}

TEST(Rates, OutOfRangeAreRefusedWithTheirBounds) {
  DesiredNetwork desired = Two();
  for (const uint64_t rate : {kBitsPerSecondMin - 1, kBitsPerSecondMax + 1}) {
    desired.veths[0].bits_per_s_max = rate;
    const auto plan = MakePlan(desired, {});
    ASSERT_FALSE(plan.ok());
    EXPECT_EQ(plan.error().code(), Code::kInvalidArgument);
    EXPECT_NE(plan.error().message().find("between 8000 and"), std::string::npos);
  }
}

TEST(ChoosePrefix, LeavesOutWhatIsTakenOrOnTheHost) {
  const auto prefix = ChoosePrefix(P("10.90.0.0/16"), 24, {P("10.90.1.0/24")},
                                   {{.name = "other0", .addresses = {P("10.90.2.7/32")}}});
  ASSERT_TRUE(prefix.ok());
  EXPECT_EQ(prefix->ToString(), "10.90.3.0/24");
}

TEST(ChoosePrefix, SaysWhatToDoWhenThePoolIsFull) {
  const auto prefix = ChoosePrefix(P("10.90.0.0/23"), 24, {P("10.90.1.0/24")}, {});
  ASSERT_FALSE(prefix.ok());
  EXPECT_EQ(prefix.error().code(), Code::kResourceExhausted);
  EXPECT_NE(prefix.error().message().find("--subnet-pool"), std::string::npos);
}

TEST(ChoosePrefix, SmallOnesFillTheGapsBetweenLargeOnes) {
  std::vector<Ipv4Prefix> taken = {P("10.90.1.0/24"), P("10.90.2.16/28"), P("10.90.4.0/22")};
  const auto next = [&](int length) {
    const auto prefix = ChoosePrefix(P("10.90.0.0/16"), length, taken, {});
    taken.push_back(prefix.value());
    return prefix->ToString();
  };
  EXPECT_EQ(next(28), "10.90.2.0/28");
  EXPECT_EQ(next(28), "10.90.2.32/28");
  EXPECT_EQ(next(27), "10.90.2.64/27");
  EXPECT_EQ(next(28), "10.90.2.48/28");
  EXPECT_EQ(next(24), "10.90.3.0/24");
  EXPECT_EQ(next(24), "10.90.8.0/24");
}

TEST(ChoosePrefix, EveryPrefixOfAPoolIsGivenOnce) {
  std::vector<Ipv4Prefix> taken;
  while (true) {
    const auto prefix = ChoosePrefix(P("10.90.0.0/22"), 28, taken, {});
    if (!prefix.ok()) break;
    for (const Ipv4Prefix& other : taken) ASSERT_FALSE(prefix->Overlaps(other));
    ASSERT_TRUE(P("10.90.0.0/22").Contains(prefix->base));
    taken.push_back(*prefix);
  }
  EXPECT_EQ(taken.size(), 3 * 16u);  // The first /24 is left out.
}

TEST(Networks, AreAsLargeAsTheirNodesNeed) {
  for (const auto& [nodes, length] : std::vector<std::pair<uint32_t, int>>{{1, 28},
                                                                           {13, 28},
                                                                           {14, 27},
                                                                           {29, 27},
                                                                           {30, 26},
                                                                           {61, 26},
                                                                           {62, 25},
                                                                           {125, 25},
                                                                           {126, 24},
                                                                           {250, 24}}) {
    EXPECT_EQ(PrefixLengthFor(nodes), length) << nodes;
    EXPECT_GE(NodesMaxOf({P("10.90.1.0/24").base, length}), nodes);
  }
  EXPECT_EQ(NodesMaxOf(P("10.90.1.0/28")), 13u);
  EXPECT_EQ(NodesMaxOf(P("10.90.1.0/24")), 250u);
  EXPECT_EQ(NodesMaxOf(P("10.90.1.0/31")), 0u);
}

TEST(Ruleset, IsAcceptedByNftWithAndWithoutBridgesAndForwards) {
  const DesiredNetwork plain = Two();
  DesiredNetwork with_forwards = Two();
  with_forwards.bridges[0].forwards = {{Protocol::kTcp, 20000, P("10.90.1.2/32").base, 80},
                                       {Protocol::kTcp, 20001, P("10.90.1.2/32").base, 80},
                                       {Protocol::kUdp, 20000, P("10.90.1.3/32").base, 53}};
  DesiredNetwork nothing = Two();
  nothing.bridges.clear();
  for (const DesiredNetwork& desired : {plain, with_forwards, nothing}) {
    const auto checked =
        RunChecked({"unshare", "-n", "nft", "-f", "-"}, FormatRuleset(MakeRuleset(desired)));
    EXPECT_TRUE(checked.ok()) << checked.error().message();
  }
}

TEST(Ruleset, RewritesNoSourceOfWhatStaysInThePool) {
  const DesiredNetwork desired = Two();
  const std::string rules = FormatRuleset(MakeRuleset(desired));
  const size_t line = rules.rfind(" masquerade");
  ASSERT_NE(line, std::string::npos);
  const std::string rule = rules.substr(rules.rfind('\n', line), line - rules.rfind('\n', line));
  EXPECT_NE(rule.find("ip daddr != " + desired.pool.ToString()), std::string::npos) << rule;
}

}  // namespace
}  // namespace strata::net
