// Takes the place of a server that died: the nodes and open files that the kernel knows are found
// again by the records in the ServerState (docs/takeover.md).
#pragma once

#include <vector>

#include "layerfs/fuse/session.h"

namespace strata::layerfs {

// The descriptors that this process was given, by the process that keeps them (layerfs/keeper.h):
// to be called before any other is opened.
Result<std::vector<int>> InheritedDescriptors();

// Fills the tables of `session`. Of `inherited`, what nobody uses any more is closed; `kept` stays
// open too. REQUIRES: no request is served yet.
Status TakeOver(Session& session, const std::vector<int>& inherited, const std::vector<int>& kept);

}  // namespace strata::layerfs
