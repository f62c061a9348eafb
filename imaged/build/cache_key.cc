#include "imaged/build/cache_key.h"

namespace strata::imaged::build {

CacheKey::CacheKey(const std::vector<std::string>& parent, std::string_view kind) {
  Add(kVersion).AddList(parent).Add(kind);
}

CacheKey& CacheKey::Add(std::string_view field) {
  hasher_.Update(std::to_string(field.size()) + ":");
  hasher_.Update(field);
  return *this;
}

CacheKey& CacheKey::AddList(const std::vector<std::string>& list) {
  hasher_.Update("[" + std::to_string(list.size()) + "]");
  for (const std::string& field : list) Add(field);
  return *this;
}

}  // namespace strata::imaged::build
