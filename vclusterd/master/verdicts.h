// Whether what somebody waits for has come (Master::Await). Pure.
#pragma once

#include <optional>

#include "vclusterd/master/master.h"

namespace strata::vcluster {

// Every node is as it is wanted to be; what should leave is gone.
std::optional<Status> AsWanted(const VclusterView& view);
uint32_t CountAsWanted(const VclusterView& view);
std::optional<Status> IsGone(const VclusterView& view);
// The node, or all, run and are ready; or have stopped.
std::optional<Status> AllRun(const VclusterView& view, std::optional<uint32_t> index);
std::optional<Status> AllStopped(const VclusterView& view, std::optional<uint32_t> index);

}  // namespace strata::vcluster
