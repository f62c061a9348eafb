// PasswordHasher: passwords as Argon2id hashes (RFC 9106, by libargon2). The hash string carries
// its salt and cost, so hashes of an earlier cost stay good; IsStale tells when to make a new one.
//
// A hash takes cost.memory_kib of memory while it is computed: at most `at_once` are, others wait,
// and give up after half a minute. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <semaphore>
#include <string>
#include <string_view>

#include "common/result.h"

namespace strata::vcluster {

// The second recommended choice of RFC 9106, section 4, but with one lane: a sign-in takes one
// core.
struct HashCost {
  uint32_t memory_kib = 64 << 10;
  uint32_t passes = 3;
  uint32_t lanes = 1;
  bool operator==(const HashCost&) const = default;
};

class PasswordHasher {
 public:
  static Result<std::unique_ptr<PasswordHasher>> Create(HashCost cost, int at_once = 2);

  // kResourceExhausted: too many at once, or no memory.
  Result<std::string> Hash(std::string_view password);
  // Whether it is the password of this hash. kCorrupt for a string that is no hash, or whose cost
  // is beyond all reason.
  Result<bool> Verify(std::string_view password, const std::string& hash);
  // Takes as long as Verify: for names that are nobody's.
  Status VerifyNobody(std::string_view password);
  // Whether the hash was made at another cost than is asked for now.
  bool IsStale(const std::string& hash) const;

 private:
  PasswordHasher(HashCost cost, int at_once) : cost_(cost), free_(at_once) {}

  const HashCost cost_;
  std::counting_semaphore<> free_;
  std::string nobody_;  // A hash of a password that was thrown away.
};

}  // namespace strata::vcluster
