// Streams a local directory as a pax archive: `vimage import DIR` sends it to imaged. Attributes,
// ACLs, hard links and holes are kept; sockets and what is mounted below are left out with a
// warning. A client's library: it knows nothing of the store.
//
// Errors name the path. kFailedPrecondition: a file became shorter while it was read. kCancelled.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "common/cancel.h"
#include "common/result.h"
#include "imaged/archive/pax_writer.h"

namespace strata::imaged {

struct DirectoryTarOptions {
  const CancelToken* cancel = nullptr;              // Optional.
  std::function<void(const std::string&)> warning;  // Optional.
};

struct DirectoryTarStats {
  uint64_t entries = 0;
  uint64_t content_bytes = 0;
};

Result<DirectoryTarStats> WriteDirectoryTar(const std::string& directory, const ByteSink& sink,
                                            const DirectoryTarOptions& options = {});

}  // namespace strata::imaged
