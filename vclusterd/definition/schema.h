// docs/vcluster.schema.json, which editors check Vcluster files with, as `vcluster schema` prints
// it: JSON Schema, draft 2020-12. It knows keys and forms of values; names of other roles, ranges
// of sizes and the like only CheckDefinition knows.
#pragma once

#include <string_view>

namespace strata::vcluster {

std::string_view VclusterSchema();

}  // namespace strata::vcluster
