// One import call: what this process makes becomes an image, or a layer on one.
#pragma once

#include <functional>

#include "common/result.h"
#include "imaged/api/imaged.grpc.pb.h"
#include "imaged/archive/pax_writer.h"
#include "tools/vimage/build/open_calls.h"

namespace strata::tools {

// `write` gives the bytes of an archive of at most kSinkBytesMax at once; when it fails, no image
// is made.
Result<imaged::v1::ImportResult> UploadArchive(
    imaged::v1::ImageService::Stub& imaged, OpenCalls& calls,
    const imaged::v1::ImportOptions& options,
    const std::function<Status(const imaged::ByteSink&)>& write);
// `write` gives the entries; when it fails, no image is made. Finish is called for it.
Result<imaged::v1::ImportResult> UploadLayer(
    imaged::v1::ImageService::Stub& imaged, OpenCalls& calls,
    const imaged::v1::ImportOptions& options,
    const std::function<Status(imaged::PaxWriter&)>& write);

}  // namespace strata::tools
