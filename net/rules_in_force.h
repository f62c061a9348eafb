// The rules that this process put in force, so that the same ones are not put again. The kernel
// numbers the generations of a network namespace's rules, and whoever changes any of them makes a
// new one (nf_tables_api.c); so while the number is the one from after our own change, ours are in
// force.
//
// Of one network namespace; used by one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/result.h"
#include "net/nft.h"

namespace strata::net {

class RulesInForce {
 public:
  // Puts `ruleset`, commands of nft(8), in force, in one transaction; nothing is done when it is.
  // Errors are nft's, and the rules are the ones from before.
  Status Put(const std::string& ruleset);
  Nft& nft() { return nft_; }

 private:
  Nft nft_;
  std::string ruleset_;
  std::optional<uint32_t> generation_;  // Known: `ruleset_` made this one.
};

}  // namespace strata::net
