// One import call: a tar source goes to imaged while its events are shown.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"
#include "imaged/api/imaged.pb.h"
#include "tools/cli/tool.h"
#include "tools/vimage/tar_source.h"

namespace strata::tools {

// Errors of the source, and of the call. REQUIRES: no other InterruptWatcher lives.
Result<imaged::v1::ImportResult> ImportStream(Tool& tool, TarSource& source,
                                              const imaged::v1::ImportOptions& options);
// What it brought, with the source's warnings, for people or as JSON.
Result<int> ShowImport(Tool& tool, const std::vector<std::string>& warnings,
                       imaged::v1::ImportResult result);

}  // namespace strata::tools
