// Prestage: brings an image of this host to many others. They form a chain in the order they are
// named, in which each passes on what it has received while more comes, so that this host sends one
// copy (docs/transfer.md, "To many hosts").
#pragma once

#include <functional>

#include "common/cancel.h"
#include "common/result.h"
#include "imaged/api/peer.pb.h"
#include "imaged/peers/image_puller.h"

namespace strata::imaged {

// Whether PrestageImage could begin: its errors. All hosts that are named have to be known.
Status CheckPrestage(const ImagePuller& puller, uid_t caller, const v1::PrestageRequest& request);

// `report` is told of progress, and of the end of every host once; never by two threads at a time.
// A host that fails does not stop the others, and is no error of the call. Errors: kNotFound, no
// such image for the caller; kInvalidArgument, of the list of hosts; kFailedPrecondition: there are
// none; kCancelled.
Status PrestageImage(ImagePuller* puller, uid_t caller, const v1::PrestageRequest& request,
                     const std::function<void(const v1::PrestageHost&)>& report,
                     const CancelToken& cancel);

}  // namespace strata::imaged
