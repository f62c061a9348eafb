// That differences lead where whole rulesets do, as the kernel sees it; and that counters go on.
#include "net/rule_table.h"

#include <gtest/gtest.h>

#include <functional>

#include "net/rule_counters.h"
#include "net/rules_in_force.h"
#include "net/ruleset.h"
#include "tests/unit/net/namespaces.h"
#include "tests/unit/net/policy.h"

namespace strata::net {
namespace {

std::string Must(Nft& nft, const std::string& commands) {
  const auto done = nft.Run(commands);
  EXPECT_TRUE(done.ok()) << done.error().message() << "\n" << commands;
  return done.ok() ? *done : "";
}

// In its own order: that of elements is by hash.
std::vector<std::string> Listed(Nft& nft) {
  std::string text = Must(nft, "list ruleset");
  for (char& c : text) {
    if (c == ',') c = '\n';
  }
  std::vector<std::string> lines;
  for (std::string line : RulesOf(text)) {
    std::erase_if(line, [](char c) { return c == '\t' || c == '{' || c == '}'; });
    line.erase(0, line.starts_with("elements = ") ? 11 : 0);
    while (line.starts_with(' ')) line.erase(0, 1);
    while (line.ends_with(' ')) line.pop_back();
    lines.push_back(line);
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

using Change = std::function<void(DesiredNetwork*)>;

const std::vector<std::pair<const char*, Change>>& Changes() {
  static const auto* const changes = new std::vector<std::pair<const char*, Change>>{
      {"a node goes", [](DesiredNetwork* desired) { desired->veths.pop_back(); }},
      {"a network goes",
       [](DesiredNetwork* desired) {
         desired->bridges.pop_back();
         desired->veths.resize(2);
       }},
      {"a user's limit changes",
       [](DesiredNetwork* desired) { desired->user_limits[0].bits_per_s_max *= 2; }},
      {"no limit any more", [](DesiredNetwork* desired) { desired->user_limits.clear(); }},
      {"a target is down",
       [](DesiredNetwork* desired) { desired->bridges[0].balanced[0].targets[1].up = false; }},
      {"a forward leads elsewhere",
       [](DesiredNetwork* desired) {
         desired->bridges[0].forwards[0].address = desired->bridges[0].prefix.Host(9);
       }},
      {"no forwards",
       [](DesiredNetwork* desired) {
         desired->bridges[0].forwards.clear();
         desired->bridges[0].balanced.clear();
       }},
      {"a rule of a group changes",
       [](DesiredNetwork* desired) { desired->bridges[0].group_rules[0].port_last = 99; }},
      {"no groups", [](DesiredNetwork* desired) { desired->bridges[0].group_rules.clear(); }},
      {"a node changes its group", [](DesiredNetwork* desired) { desired->veths[0].group = 2; }},
      {"peers no more", [](DesiredNetwork* desired) { desired->bridges[1].peers.clear(); }},
      {"a remote node moves",
       [](DesiredNetwork* desired) {
         desired->bridges[0].overlay->remotes[0].host = Address4("192.0.2.3");
         desired->bridges[0].balanced.clear();
       }},
  };
  return *changes;
}

TEST(RuleTables, DifferencesLeadWhereWholeRulesetsDo) {
  const NetNamespace space;
  space.In([] {
    Nft nft;
    const Ruleset full = MakeRuleset(MakePolicy());
    for (const auto& [name, change] : Changes()) {
      SCOPED_TRACE(name);
      DesiredNetwork changed = MakePolicy();
      change(&changed);
      const Ruleset other = MakeRuleset(changed);
      ASSERT_NE(full, other);
      for (const auto& [from, to] : {std::pair(full, other), std::pair(other, full)}) {
        Must(nft, FormatRuleset(to));
        const auto wanted = Listed(nft);
        Must(nft, FormatRuleset(from));
        const auto difference = FormatDifference(from, to);
        ASSERT_TRUE(difference.has_value());
        EXPECT_LT(std::count(difference->begin(), difference->end(), '\n'), 80) << *difference;
        Must(nft, *difference);
        EXPECT_EQ(Listed(nft), wanted);
      }
    }
  });
}

TEST(RuleTables, AreTakenAwayWithTheLastNetwork) {
  const NetNamespace space;
  space.In([] {
    RulesInForce rules;
    DesiredNetwork desired = MakePolicy();
    ASSERT_TRUE(rules.Put(MakeRuleset(desired)).ok());
    EXPECT_NE(Must(rules.nft(), "list tables").find("bridge strata_1a2b3"), std::string::npos);
    desired.bridges.clear();
    desired.veths.clear();
    ASSERT_TRUE(rules.Put(MakeRuleset(desired)).ok());
    EXPECT_EQ(Must(rules.nft(), "list tables"), "");
  });
}

TEST(RuleTables, AreMadeAnewWhenSomebodyElseChangedThem) {
  const NetNamespace space;
  space.In([] {
    RulesInForce rules;
    const DesiredNetwork desired = MakePolicy();
    ASSERT_TRUE(rules.Put(MakeRuleset(desired)).ok());
    const auto wanted = Listed(rules.nft());
    ASSERT_FALSE(rules.Put(MakeRuleset(desired)).value_or(true));
    for (const char* meddling :
         {"flush chain bridge strata_1a2b3 from_node", "delete table inet strata_1a2b3",
          "flush set bridge strata_1a2b3 sources", "delete table bridge strata_1a2b3"}) {
      Nft other;
      Must(other, meddling);
      EXPECT_NE(Listed(rules.nft()), wanted);
      ASSERT_TRUE(rules.Put(MakeRuleset(desired)).value_or(false));
      EXPECT_EQ(Listed(rules.nft()), wanted);
    }
  });
}

uint64_t PacketsOf(const std::string& family, const std::string& name) {
  const auto counters = ReadCounters(kPolicyInstance);
  EXPECT_TRUE(counters.ok()) << counters.error().message();
  for (const RuleCounter& one : counters.value_or(std::vector<RuleCounter>())) {
    if (one.family == family && one.name == name) return one.packets;
  }
  ADD_FAILURE() << "no counter " << name;
  return 0;
}

TEST(RuleCounters, GoOnWhateverChanges) {
  const NetNamespace space;
  space.In([] {
    EXPECT_TRUE(ReadCounters(kPolicyInstance)->empty());
    RulesInForce rules;
    const Ruleset full = MakeRuleset(MakePolicy());
    Must(rules.nft(), FormatRuleset(full, {{"bridge", "spoofed_mac", 42, 4200},
                                           {"inet", "to_host", 7, 700},
                                           {"inet", "forward.tcp.20001.in", 5, 500}}));
    EXPECT_EQ(PacketsOf("bridge", "spoofed_mac"), 42u);
    // A process that starts knows nothing of the rules: it replaces them.
    ASSERT_TRUE(rules.Put(full).value_or(false));
    EXPECT_EQ(PacketsOf("bridge", "spoofed_mac"), 42u);
    EXPECT_EQ(PacketsOf("inet", "to_host"), 7u);
    for (const auto& [name, change] : Changes()) {
      DesiredNetwork changed = MakePolicy();
      change(&changed);
      ASSERT_TRUE(rules.Put(MakeRuleset(changed)).value_or(false)) << name;
      EXPECT_EQ(PacketsOf("bridge", "spoofed_mac"), 42u) << name;
    }
    ASSERT_TRUE(rules.Put(full).ok());
    EXPECT_EQ(PacketsOf("inet", "to_host"), 7u);
    EXPECT_EQ(PacketsOf("inet", "forward.tcp.20001.in"), 0u) << "a forward that was gone is new";
  });
}

}  // namespace
}  // namespace strata::net
