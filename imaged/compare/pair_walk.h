// PairWalk: the names in which two images may differ, in byte order of their full paths (as
// `LC_ALL=C sort` has them), so a directory comes before all that is below it.
//
// Images that share their lower layers can only differ where a layer above those says something.
// Then just the names in these layers are looked up in both flattened trees; what a whiteout, an
// opaque directory or a change of type cuts off is compared as a whole below that point, since the
// layers do not list it. Without a layer in common everything is compared, in one merged walk.
//
// Memory: the listings of the directories between the root and the present path.
// Ownership: the readers belong to the caller and outlive the walk. Not thread-safe.
// Errors: kCorrupt names the path; also for trees that are deeper or larger than TreeLimits allows,
// as a directory that contains itself would be.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/digest.h"
#include "common/result.h"
#include "imaged/manifest/erofs_reader.h"

namespace strata::imaged {

struct ComparedImage {
  struct Layer {
    Digest digest;
    const ErofsReader* manifest = nullptr;
  };
  const ErofsReader* tree = nullptr;  // Flattened.
  // Bottom first. REQUIRES: `tree` is what they give. Empty: nothing is known of them.
  std::vector<Layer> layers;
};

// How many of the lowest layers are the same.
size_t SharedLayers(const ComparedImage& before, const ComparedImage& after);

class PairWalk {
 public:
  // One of the two may be absent.
  using Visitor =
      std::function<Status(const std::string& path, const std::optional<ErofsInode>& before,
                           const std::optional<ErofsInode>& after)>;

  PairWalk(const ComparedImage& before, const ComparedImage& after)
      : before_(before), after_(after) {}

  // Visits every name that may differ, the root (path "") first, and the paths in `also` that are
  // in one of the trees. The first error of `visit` ends the walk.
  Status Run(const std::set<std::string>& also, const Visitor& visit);

  // Entries and inodes read so far, in all runs: what the walk's time is proportional to.
  uint64_t looked_at() const { return looked_at_; }

 private:
  struct Place {
    const ErofsReader* manifest;
    Nid directory;
  };
  // A name and its inodes; among the postponed directories only what is a directory.
  struct Item {
    std::string_view name;
    std::optional<Nid> before;
    std::optional<Nid> after;
  };
  struct Level {
    bool guided = false;  // Only what the layers mention may differ.
    std::vector<Place> mentions;
    std::vector<Item> items;
    size_t next = 0;
    std::vector<Item> postponed;  // Directories that were visited and not entered yet.
    size_t path_size = 0;
  };

  Status Start(const std::set<std::string>& also, const Visitor& visit);
  Status Step(const std::set<std::string>& also, const Visitor& visit);
  Status Visit(Item item, const Visitor& visit);
  Status Enter(const Item& directory, const std::set<std::string>& also);
  Status FollowMentions(const std::vector<Place>& above, std::string_view name, Level* level);
  Status ListMentioned(const Item& directory, const std::set<std::string>& also, Level* level);
  Status ListBoth(const Item& directory, Level* level);
  Result<std::vector<ErofsDirEntry>> List(const ErofsReader& reader, std::optional<Nid> directory);
  Result<std::optional<ErofsInode>> Get(const ErofsReader& reader, std::optional<Nid> nid);

  const ComparedImage& before_;
  const ComparedImage& after_;
  std::vector<Level> levels_;
  std::string path_;
  uint64_t visited_ = 0;
  uint64_t looked_at_ = 0;
};

}  // namespace strata::imaged
