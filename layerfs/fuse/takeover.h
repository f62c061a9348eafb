// Takes the place of a server that died: the nodes and open files that the kernel knows are found
// again by the records in the ServerState (docs/takeover.md).
#pragma once

#include "layerfs/fuse/session.h"

namespace strata::layerfs {

// Fills the tables of `session`. REQUIRES: no request is served yet, and every descriptor that the
// records name is open.
Status TakeOver(Session& session);

}  // namespace strata::layerfs
