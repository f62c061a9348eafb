// What all importers share: options, the layer they make, and the warnings on the way.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "common/cancel.h"
#include "common/result.h"
#include "imaged/manifest/tree.h"
#include "imaged/store/object_store.h"

namespace strata::imaged {

// Entries that were taken with a reservation; those past `kMax` are only counted.
class ImportWarnings {
 public:
  static constexpr size_t kMax = 100;
  void Add(std::string text) {
    if (texts_.size() < kMax) texts_.push_back(std::move(text));
    ++count_;
  }
  const std::vector<std::string>& texts() const { return texts_; }
  uint64_t count() const { return count_; }

 private:
  std::vector<std::string> texts_;
  uint64_t count_ = 0;
};

struct ImportLimits {
  TreeLimits tree;
  // Of all files together, holes included: what a sparse bomb costs to hash.
  uint64_t content_bytes_max = 1ull << 40;
};

struct ImportControl {
  const CancelToken* cancel = nullptr;  // Optional.
  // Called now and then on the importing thread, and once at the end. Optional.
  std::function<void(uint64_t entries, uint64_t bytes)> progress;

  Status Check() const { return cancel == nullptr ? Ok() : cancel->Check(); }
};

struct ImportedLayer {
  Tree tree;
  uint64_t entries = 0;        // Read from the source.
  uint64_t content_bytes = 0;  // Of its files.
  ImportWarnings warnings;
};

}  // namespace strata::imaged
