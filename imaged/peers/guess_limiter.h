// GuessLimiter: slows down who guesses secrets. After ten refusals within a minute an address is
// not listened to until a minute has passed since the first of them. Strangers beyond a number
// share one account, so that they take bounded room.
//
// Not thread-safe: its owner's mutex guards it.
#pragma once

#include <map>
#include <string>

#include "common/pki/certificate.h"
#include "common/result.h"

namespace strata::imaged {

class GuessLimiter {
 public:
  // kResourceExhausted: `caller` has guessed too often.
  Status Check(const std::string& caller, pki::Time now) const;
  // A wrong guess.
  void Count(const std::string& caller, pki::Time now);

 private:
  struct Attempts {
    pki::Time since;
    int refused = 0;
  };
  std::string AccountOf(const std::string& caller) const;

  std::map<std::string, Attempts> attempts_;  // By caller.
};

}  // namespace strata::imaged
