// Reads Vcluster files (docs/definition.md): YAML, or JSON, which is a part of it; also the JSON of
// DCSpark. Foreign bytes in, within limits (document.h); what comes out has passed CheckDefinition.
// Pure, thread-safe; nothing throws.
#pragma once

#include <string>
#include <string_view>

#include "common/result.h"
#include "vclusterd/definition/definition.h"

namespace strata::vcluster {

// kInvalidArgument: a line for each fault, up to kFaultsShownMax, "FILE:LINE:COLUMN: key: reason".
// `file_name` is what messages call it.
Result<Definition> ParseDefinition(std::string_view text, const std::string& file_name);

}  // namespace strata::vcluster
