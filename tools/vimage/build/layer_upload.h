// One import call: entries that this process makes become a layer on an image.
#pragma once

#include <functional>

#include "common/result.h"
#include "imaged/api/imaged.grpc.pb.h"
#include "imaged/archive/pax_writer.h"
#include "tools/vimage/build/open_calls.h"

namespace strata::tools {

// `write` gives the entries; when it fails, no image is made. Finish is called for it.
Result<imaged::v1::ImportResult> UploadLayer(
    imaged::v1::ImageService::Stub& imaged, OpenCalls& calls,
    const imaged::v1::ImportOptions& options,
    const std::function<Status(imaged::PaxWriter&)>& write);

}  // namespace strata::tools
