// Names of what a store keeps in its directory: volumes, and what is half-made or temporary.
// Internal to layerfs/volume. Thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace strata::layerfs {

// What is made becomes `name` by a rename once it is finished; no volume's name starts with a dot.
inline constexpr std::string_view kHalfMadePrefix = ".new-";
inline constexpr std::string_view kSnapshotPrefix = ".snapshot-";

inline std::string HalfMade(const std::string& name) { return std::string(kHalfMadePrefix) + name; }
inline std::string SnapshotOf(const std::string& name) {
  return std::string(kSnapshotPrefix) + name;
}

// True for what only a crash leaves.
bool IsLeftover(std::string_view entry);

// Names in a directory, sorted, without "." and "..".
Result<std::vector<std::string>> EntriesOf(const std::string& directory);

// The volumes among the entries of a directory: names that end in `suffix`, without it.
Result<std::vector<std::string>> VolumesIn(const std::string& directory, std::string_view suffix);

Error NoSuchVolume(const std::string& name, const std::string& what_is_gone);
Error VolumeExists(const std::string& name);

}  // namespace strata::layerfs
