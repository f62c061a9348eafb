// Builds the stages of a plan, those at once that do not wait for each other.
#pragma once

#include <map>
#include <memory>

#include "common/result.h"
#include "tools/vimage/build/stage_builder.h"

namespace strata::tools {

// By number. At most `at_once` stages at a time. The first error ends the others.
Result<std::map<size_t, std::shared_ptr<const BuiltStage>>> BuildStages(BuildContext& context,
                                                                        size_t at_once);

}  // namespace strata::tools
