// The images that the nodes of a Vcluster are made from, exactly (`vcluster export --pin`): a file
// with them makes the same Vcluster again wherever, and whatever their names mean by then.
//
// Pure, thread-safe.
#pragma once

#include "common/result.h"
#include "vclusterd/definition/definition.h"
#include "vclusterd/master/orders.h"
#include "vclusterd/master/vcluster.h"

namespace strata::vcluster {

// The definition with NAME@DIGEST in the place of names. A role whose nodes are of several images
// gets all of them (Role::images), by ordinal; further nodes get what the last node of its `image`
// has. An `image` that no node has stays a name. kFailedPrecondition names a node that was not made
// yet, or whose host is not there.
Result<Definition> PinImages(const Vcluster& vcluster, const NodeStates& states);

}  // namespace strata::vcluster
