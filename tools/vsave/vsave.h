// vsave: a node's changes as a new image. See docs/cli.md.
#pragma once

#include "tools/cli/console.h"

namespace strata::tools {

// The whole program. Returns the exit code.
int VsaveMain(int argc, const char* const* argv, Console& console);

}  // namespace strata::tools
