// The name of a step's result: the same parent, instruction, environment and files give the same
// key, on any day and host. Fields are told apart by their lengths, so no two lists of fields meet.
// A new kVersion makes all old entries misses.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/digest.h"

namespace strata::imaged::build {

class CacheKey {
 public:
  // `parent`: digests of the layers below, bottom first. `kind`: "run", "copy", …
  CacheKey(const std::vector<std::string>& parent, std::string_view kind);
  CacheKey& Add(std::string_view field);
  CacheKey& AddList(const std::vector<std::string>& list);
  // 64 hex digits.
  std::string Finish() const { return hasher_.Finish().Hex(); }

 private:
  static constexpr std::string_view kVersion = "strata build 1";
  Hasher hasher_;
};

}  // namespace strata::imaged::build
