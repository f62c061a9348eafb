// The rules that this process put in force, so that the same ones are not put again, and others
// only where they differ. The kernel numbers the generations of a network namespace's rules, and
// whoever changes any of them makes a new one (nf_tables_api.c); so while the number is the one
// from after our own change, ours are in force.
//
// Of one network namespace; used by one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "net/nft.h"
#include "net/rule_table.h"

namespace strata::net {

class RulesInForce {
 public:
  struct Transaction {
    uint32_t generation = 0;  // That it made.
    bool touched = false;     // It changed a table of ours.
  };

  // Puts `ruleset` in force, in one transaction; false: it is, and nothing was done. What it does
  // not change keeps its counters, and what it does change too: when the tables have to be made
  // anew, they go on from where they were. Errors are nft's, and the rules are the ones from
  // before.
  Result<bool> Put(const Ruleset& ruleset);
  // Whether it is known to be in force.
  bool Has(const Ruleset& ruleset);
  // What has become known of others' transactions, so that one which left our tables alone is no
  // reason to put the same rules again. Ours may be among them.
  void Heard(const std::vector<Transaction>& transactions);
  Nft& nft() { return nft_; }

 private:
  Status Replace(const Ruleset& ruleset);

  Nft nft_;
  Ruleset ruleset_;
  std::optional<uint32_t> generation_;  // Known: `ruleset_` made this one.
};

}  // namespace strata::net
