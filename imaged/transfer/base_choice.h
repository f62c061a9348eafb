// What a receiver asks for, and against which of its own objects it is to come: for each object of
// the wanted trees that is missing, a base that is likely alike.
//
// In order of preference, in each of the held trees (the most alike tree first):
//   1. the same path;
//   2. a file of the same directory whose name differs in its numbers only ("libfoo.so.1.2.3" and
//      "libfoo.so.1.2.4"), the closest in size. Directories are matched in the same way, so that
//      lib/python3.11/os.py is found for lib/python3.12/os.py;
//   3. for larger files, one of that name (numbers aside) anywhere, as when a directory moved.
//
// A wrong guess costs the sender's time and never correctness.
//
// Thread-safe (no state). Time: proportional to the entries of all trees. Memory: an index entry
// per larger file of the held trees and per entry of the directories on the way down, both bounded.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/digest.h"
#include "imaged/manifest/tree.h"

namespace strata::imaged::transfer {

struct WantedObject {
  Digest digest;
  uint64_t size_bytes = 0;
  std::optional<Digest> base;
  bool whole = false;  // Not in chunks: those have led to wrong bytes.
};

enum class WantOrder {
  kAsGiven,    // The order of the trees' walks: for a caller who orders the result himself.
  kSmallFirst  // Small objects, then large ones: much of the image soon, large files unbroken.
};

// `holds`: whether the receiver's store has an object now. Each object is in the answer once, with
// the base of its first path that has one.
std::vector<WantedObject> ChooseBases(std::span<const Tree* const> wanted,
                                      std::span<const Tree* const> held,
                                      const std::function<bool(const Digest&)>& holds,
                                      WantOrder order = WantOrder::kSmallFirst);

// `name` with each number, or dotted row of numbers, as one '#'.
std::string NameWithoutNumbers(std::string_view name);

}  // namespace strata::imaged::transfer
