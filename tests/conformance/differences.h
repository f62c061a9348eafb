// The cases that a backend does not pass, each with its reason. Anything else that fails, and
// anything here that passes, is an error.
#pragma once

#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>

#include "tests/conformance/backends.h"

namespace strata::conformance {

struct Difference {
  std::string_view case_name;
  std::initializer_list<BackendKind> kinds;
  std::string_view reason;
};

std::span<const Difference> AllDifferences();

// The reason why `case_name` is expected to fail on `kind`.
std::optional<std::string_view> KnownDifference(BackendKind kind, std::string_view case_name);

}  // namespace strata::conformance
