#include "net/rules_in_force.h"

namespace strata::net {

bool RulesInForce::Has(const std::string& ruleset) {
  const auto now = nft_.Generation();
  return generation_ && now.ok() && *now == *generation_ && ruleset == ruleset_;
}

Result<bool> RulesInForce::Put(const std::string& ruleset) {
  if (Has(ruleset)) return false;
  const auto before = nft_.Generation();
  generation_.reset();
  RETURN_IF_ERROR(nft_.Run(ruleset));
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
