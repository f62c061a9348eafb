// Random layers over few names and few values, so that several sides often touch the same path, do
// the same, or differ in one field.
#pragma once

#include <cstdint>
#include <random>

#include "imaged/manifest/tree.h"

namespace strata::imaged::testing {

// A layer with about `size` marks for the top of `below`: new and replaced entries, single changed
// fields, whiteouts, opaque directories, hard links.
Tree RandomLayer(std::mt19937_64* random, const Tree& below, size_t size);

}  // namespace strata::imaged::testing
