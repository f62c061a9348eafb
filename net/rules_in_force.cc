#include "net/rules_in_force.h"

#include "net/rule_counters.h"

namespace strata::net {

bool RulesInForce::Has(const Ruleset& ruleset) {
  const auto now = nft_.Generation();
  return generation_ && now.ok() && *now == *generation_ && ruleset == ruleset_;
}

Status RulesInForce::Replace(const Ruleset& ruleset) {
  std::vector<RuleCounter> counters;
  for (const RuleTable& table : ruleset.tables) {
    auto some = ReadTableCounters(table.family, table.name);
    if (some.ok()) counters.insert(counters.end(), some->begin(), some->end());
  }
  const auto done = nft_.Run(FormatRuleset(ruleset, counters));
  return done.ok() ? Ok() : Status(done.error());
}

Result<bool> RulesInForce::Put(const Ruleset& ruleset) {
  const auto before = nft_.Generation();
  const bool ours = generation_ && before.ok() && *before == *generation_;
  if (ours && ruleset == ruleset_) return false;
  std::optional<std::string> difference;
  if (ours) difference = FormatDifference(ruleset_, ruleset);
  generation_.reset();
  // Between the look and the change somebody may have changed ours; then it fails, or does not make
  // the next generation, and the next look replaces all.
  if (!difference || !nft_.Run(*difference).ok()) RETURN_IF_ERROR(Replace(ruleset));
  const auto after = nft_.Generation();
  // More than one step: others changed something, perhaps ours, perhaps after us.
  if (before.ok() && after.ok() && *after == *before + 1) {
    ruleset_ = ruleset;
    generation_ = *after;
  }
  return true;
}

void RulesInForce::Heard(const std::vector<Transaction>& transactions) {
  for (const Transaction& one : transactions) {
    if (!generation_ || one.generation <= *generation_) continue;  // Ours, or from before.
    if (one.touched) {
      generation_.reset();
    } else if (one.generation == *generation_ + 1) {
      generation_ = one.generation;
    }
  }
}

}  // namespace strata::net
