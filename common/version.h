// The version of everything that was built together with this: the project's, from CMakeLists.txt.
#pragma once

#include <string>

namespace strata {

// "0.1.0".
std::string Version();

}  // namespace strata
