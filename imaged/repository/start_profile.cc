#include "imaged/repository/start_profile.h"

#include <algorithm>
#include <cstring>

namespace strata::imaged {

std::string PackProfile(const StartProfile& profile) {
  std::string packed;
  for (size_t i = 0; i < std::min(profile.size(), kProfileObjectsMax); ++i) {
    packed.append(reinterpret_cast<const char*>(profile[i].bytes().data()), Digest::kSize);
  }
  return packed;
}

Result<StartProfile> UnpackProfile(std::string_view packed) {
  if (packed.size() % Digest::kSize != 0 || packed.size() / Digest::kSize > kProfileObjectsMax) {
    return Error(Code::kCorrupt, "a start profile of " + std::to_string(packed.size()) + " bytes");
  }
  StartProfile profile;
  for (; !packed.empty(); packed.remove_prefix(Digest::kSize)) {
    Digest::Bytes bytes;
    std::memcpy(bytes.data(), packed.data(), bytes.size());
    profile.emplace_back(bytes);
  }
  return profile;
}

}  // namespace strata::imaged
