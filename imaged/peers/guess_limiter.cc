#include "imaged/peers/guess_limiter.h"

#include <chrono>

namespace strata::imaged {
namespace {

constexpr int kRefusalsMax = 10;
constexpr size_t kCallersMax = 1024;
constexpr std::chrono::minutes kRefusalsForget{1};

}  // namespace

std::string GuessLimiter::AccountOf(const std::string& caller) const {
  const bool crowded = attempts_.size() >= kCallersMax && !attempts_.contains(caller);
  return crowded ? "" : caller;
}

void GuessLimiter::Count(const std::string& caller, pki::Time now) {
  std::erase_if(attempts_,
                [&](const auto& entry) { return now - entry.second.since > kRefusalsForget; });
  Attempts& attempts = attempts_[AccountOf(caller)];
  if (attempts.refused == 0) attempts.since = now;
  ++attempts.refused;
}

Status GuessLimiter::Check(const std::string& caller, pki::Time now) const {
  const auto attempts = attempts_.find(AccountOf(caller));
  if (attempts != attempts_.end() && attempts->second.refused >= kRefusalsMax &&
      now - attempts->second.since <= kRefusalsForget) {
    return Error(Code::kResourceExhausted, "too many wrong tokens: try again in a minute");
  }
  return Ok();
}

}  // namespace strata::imaged
