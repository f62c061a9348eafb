#include "net/rules_in_force.h"

namespace strata::net {

Status RulesInForce::Put(const std::string& ruleset) {
  const auto before = nft_.Generation();
  if (generation_ && before.ok() && *before == *generation_ && ruleset == ruleset_) return Ok();
  generation_.reset();
  RETURN_IF_ERROR(nft_.Run(ruleset));
  const auto after = nft_.Generation();
  // More than one step: others changed something, perhaps ours, perhaps after us.
  if (before.ok() && after.ok() && *after == *before + 1) {
    ruleset_ = ruleset;
    generation_ = *after;
  }
  return Ok();
}

}  // namespace strata::net
