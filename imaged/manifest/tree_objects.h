// Whether everything that a flattened tree names is in the object folder, and a record of it, so
// that a mount need not look at 30,000 files.
//
// The record is the file `<tree>.complete`, beside the tree: which file the tree was and where its
// objects are. It is not durable and need not be: imaged drops all records when it starts and when
// fsck finds damage (LayerStore), and the next mount looks again. Collections keep the objects of
// trees that are leased; a tree that is removed takes its record along.
//
// Thread-safe. Several processes may ask at the same time: one of them looks (flock of the tree).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/digest.h"
#include "common/result.h"

namespace strata::imaged {

// An object that is not as the tree says.
struct ObjectDefect {
  Digest digest;
  std::string path;  // The first file that needs it, from the tree's root, without a leading slash.
  uint64_t size_bytes = 0;              // As the tree has it.
  std::optional<uint64_t> found_bytes;  // Absent: there is no such object.
  std::string Describe() const;
};

// The record of the tree at `tree_path`.
std::string CompletenessRecord(const std::string& tree_path);

// Reads the whole tree, checking everything (kCorrupt names the path of what is wrong), and looks
// at every object of it: its presence and size, not its bytes.
Result<std::vector<ObjectDefect>> CheckTreeObjects(const std::string& tree_path,
                                                   const std::string& objects_dir);

// Empty when the record says so; otherwise what CheckTreeObjects finds, after `repair` (which may
// be empty) was given it and everything was looked at again. Writes the record when nothing is
// left.
using RepairObjects = std::function<void(const std::vector<ObjectDefect>&)>;
Result<std::vector<ObjectDefect>> EnsureTreeObjects(const std::string& tree_path,
                                                    const std::string& objects_dir,
                                                    const RepairObjects& repair);

}  // namespace strata::imaged
