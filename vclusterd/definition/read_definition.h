// From a document's values to a Definition: what files and stored records have in common.
#pragma once

#include <string>

#include "common/result.h"
#include "vclusterd/definition/definition.h"
#include "vclusterd/definition/document.h"

namespace strata::vcluster::file {

// The only version so far, of the keys and what they mean. A file may say it, a record must.
inline constexpr int kDefinitionVersion = 1;

// kInvalidArgument as ParseDefinition. `prefix` ("create."): where the document stands in another.
Result<Definition> ReadDefinition(const Value& root, const std::string& file_name,
                                  const std::string& prefix = {});

}  // namespace strata::vcluster::file
