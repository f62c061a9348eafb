// ObjectList: which objects a layer names, sorted by digest, with their sizes. Derived from the
// layer's manifest (docs/formats.md, "Object lists") and made anew when it is not there or damaged:
// questions about many layers (who is charged for what, what may be collected) read 40 bytes per
// object instead of a tree.
//
// Immutable and memory mapped; thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/digest.h"
#include "common/result.h"
#include "imaged/manifest/tree.h"

namespace strata::imaged {

// As on disk.
struct ObjectEntry {
  Digest digest;
  uint64_t size_bytes = 0;
};
static_assert(sizeof(ObjectEntry) == 40);

class ObjectList {
 public:
  // The objects of a tree, each once.
  static std::vector<ObjectEntry> Of(const Tree& tree);
  // Replaces the file at `path`, atomically and not durably.
  static Status Write(const std::string& path, const std::vector<ObjectEntry>& entries);
  // kNotFound; kCorrupt for anything that Write did not write.
  static Result<std::shared_ptr<const ObjectList>> Open(const std::string& path);
  ~ObjectList();
  ObjectList(const ObjectList&) = delete;
  ObjectList& operator=(const ObjectList&) = delete;

  std::span<const ObjectEntry> entries() const { return entries_; }
  bool Contains(const Digest& digest) const;
  // Those whose digests start with a byte of [first, end): folders of the object store.
  std::span<const ObjectEntry> WithFirstBytes(unsigned first, unsigned end) const;

 private:
  ObjectList(void* map, size_t map_bytes, std::span<const ObjectEntry> entries)
      : map_(map), map_bytes_(map_bytes), entries_(entries) {}
  void* const map_;
  const size_t map_bytes_;
  const std::span<const ObjectEntry> entries_;
};

// Calls `visit` for every different object of the lists, in the order of digests, with the
// positions of the lists that have it.
void MergeObjectLists(
    std::span<const std::shared_ptr<const ObjectList>> lists,
    const std::function<void(const ObjectEntry&, std::span<const uint32_t> positions)>& visit);

}  // namespace strata::imaged
