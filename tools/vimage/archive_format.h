// The words of --format.
#pragma once

#include <string>

#include "common/result.h"
#include "imaged/api/imaged.pb.h"

namespace strata::tools {

// "tar", "oci" or "docker"; kInvalidArgument.
inline Result<imaged::v1::ArchiveFormat> ParseArchiveFormat(const std::string& word) {
  if (word == "tar") return imaged::v1::ARCHIVE_TAR;
  if (word == "oci") return imaged::v1::ARCHIVE_OCI;
  if (word == "docker") return imaged::v1::ARCHIVE_DOCKER;
  return Error(Code::kInvalidArgument, "--format " + word + ": write tar, oci or docker");
}

}  // namespace strata::tools
