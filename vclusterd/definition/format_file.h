// Writes Definitions: as the file that makes the same Vcluster again (`vcluster export`), and as
// what records keep. Defaults are left out, and keys stand in a fixed order, so that equal
// Definitions have equal texts.
//
// REQUIRES: CheckDefinition accepts what is written. Then it is read as the same. Pure,
// thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "common/result.h"
#include "vclusterd/definition/definition.h"

namespace strata::vcluster {

std::string FormatDefinition(const Definition& definition);  // YAML, for ParseDefinition.

// One line of JSON with the same keys and a "version" (docs/formats.md).
std::string FormatDefinitionJson(const Definition& definition);
// kCorrupt for anything that is none, or of another version.
Result<Definition> ParseDefinitionJson(std::string_view json);

}  // namespace strata::vcluster
