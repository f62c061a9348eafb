// What a host may say of its nodes and itself, whatever it is that speaks there. Pure.
#pragma once

#include <optional>

#include "common/result.h"
#include "vclusterd/api/host.pb.h"

namespace strata::vcluster {

// `status` without what cannot be used: figures that are none, texts without end, states and codes
// that do not exist. kInvalidArgument: nothing of it can be used.
Result<host::v1::PartStatus> Plausible(const host::v1::PartStatus& status);

// Whether all figures are ones.
bool IsPlausible(const host::v1::Usage& usage);
// The points of it whose figures are.
host::v1::UsageHistory Plausible(const host::v1::UsageHistory& history);

// Why its order was not taken; nullopt: it was.
std::optional<Error> ProblemOf(const host::v1::PartStatus& status);

}  // namespace strata::vcluster
