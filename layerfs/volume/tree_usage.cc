#include "layerfs/volume/tree_usage.h"

#include <fts.h>
#include <sys/stat.h>

#include <memory>
#include <set>
#include <utility>

namespace strata::layerfs {

Result<TreeUsage> MeasureTree(const std::string& path) {
  constexpr uint64_t kEntriesMax = 2'000'000;
  std::string root = path;
  char* const roots[] = {root.data(), nullptr};
  struct Close {
    void operator()(FTS* fts) const { ::fts_close(fts); }
  };
  const std::unique_ptr<FTS, Close> walk(
      ::fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, nullptr));
  if (walk == nullptr) return Errno("walk " + path);
  TreeUsage usage;
  std::set<std::pair<dev_t, ino_t>> linked;
  FTSENT* entry;
  for (uint64_t n = 0; n < kEntriesMax && (entry = ::fts_read(walk.get())) != nullptr; ++n) {
    if (entry->fts_info == FTS_DP || entry->fts_info == FTS_NS || entry->fts_info == FTS_ERR) {
      continue;
    }
    const struct stat& st = *entry->fts_statp;
    if (st.st_nlink > 1 && !S_ISDIR(st.st_mode) && !linked.emplace(st.st_dev, st.st_ino).second) {
      continue;
    }
    usage.bytes += static_cast<uint64_t>(st.st_blocks) * 512;
    ++usage.inodes;
  }
  return usage;
}

}  // namespace strata::layerfs
