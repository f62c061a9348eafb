// What a provider's program answers, read as foreign bytes: everything is checked, and bounded.
// kInvalidArgument names what is wrong. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "vclusterd/providers/provider.h"

namespace strata::vcluster {

inline constexpr size_t kAnswerBytesMax = 1u << 20;

Result<std::vector<Offer>> ParseOffers(std::string_view json);
Result<std::string> ParseStarted(std::string_view json);
Status ParseStopped(std::string_view json);
// Those of other tags are left out.
Result<std::vector<Machine>> ParseMachines(std::string_view json, const std::string& tag_prefix);

}  // namespace strata::vcluster
