// Tables of nftables as values: their text, and what leads from one to another. Pure.
//
// A change of a few elements, or of one chain, is a transaction of a few lines, whatever else the
// tables hold; and what the kernel keeps beside the rules stays: counters, and what dynamic sets
// have learnt.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strata::net {

// "set" or "map", as nft(8) declares it. Elements are "a . b" or "a : b".
struct RuleCollection {
  std::string kind = "set";
  std::string type;  // "type ifname . ipv4_addr; flags interval"
  std::vector<std::string> elements;

  bool operator==(const RuleCollection&) const = default;
};

struct RuleChain {
  std::string hook;  // "type filter hook input priority filter; policy accept;" or "".
  std::vector<std::string> rules;

  bool operator==(const RuleChain&) const = default;
};

struct RuleTable {
  std::string family;  // "inet", "bridge", "arp".
  std::string name;
  std::vector<std::string> counters;          // Names.
  std::map<std::string, std::string> limits;  // Name to "rate over …".
  std::map<std::string, RuleCollection> collections;
  std::map<std::string, RuleChain> chains;

  std::string Spec() const { return family + " " + name; }
  bool operator==(const RuleTable&) const = default;
};

// All of an instance. A table without chains is one that must not be.
struct Ruleset {
  std::vector<RuleTable> tables;

  bool operator==(const Ruleset&) const = default;
};

// The lines of `text` as rules, those that are indented by four spaces or more with the one before;
// comments are left out.
std::vector<std::string> RulesOf(std::string_view text);

// Sorts what has no order of its own and drops what is there twice: operator== and Difference ask
// for it.
void Normalize(Ruleset* ruleset);

struct RuleCounter {
  std::string family;
  std::string name;
  uint64_t packets = 0;
  uint64_t bytes = 0;
};

// Commands of nft(8) that put `ruleset` in place of whatever is there, with counters that go on
// from `counters`.
std::string FormatRuleset(const Ruleset& ruleset, const std::vector<RuleCounter>& counters = {});
// Commands that lead from one to the other; nothing when only FormatRuleset can.
std::optional<std::string> FormatDifference(const Ruleset& from, const Ruleset& to);

}  // namespace strata::net
