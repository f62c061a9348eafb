// When a step of the build cache was used last: its label "build.used" (milliseconds since the
// epoch), which a build sets that finds it, or else when it was made. Thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "imaged/api/imaged.grpc.pb.h"
#include "tools/vimage/build/open_calls.h"

namespace strata::tools {

inline constexpr char kUsedLabel[] = "build.used";

int64_t LastUseUnixMs(const imaged::v1::Image& image);
// At most once an hour for each; what cannot be noted is only forgotten earlier.
void NoteUse(imaged::v1::ImageService::Stub& imaged, OpenCalls& calls, const std::string& reference,
             const imaged::v1::Image& image);

}  // namespace strata::tools
