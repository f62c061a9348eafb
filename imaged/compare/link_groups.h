// LinkGroups: which names share an inode, for the names that a PairWalk visits. Hard links are the
// one property of a name that another name can change: where a layer replaces one of several names,
// the others are in no layer. They are found by one pass over the names of that tree, which is made
// only when a layer really took a part of a group. (A layer brings whole inodes and never a name of
// one below it. So a group that is visited in part has lost names on one side: it differs.)
//
// Memory: proportional to the hard-linked inodes that are visited. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "common/result.h"
#include "imaged/compare/pair_walk.h"

namespace strata::imaged {

class LinkGroups {
 public:
  // Runs `walk` once. A later run must be given also_visit(), the names that it did not visit.
  static Result<LinkGroups> Collect(PairWalk* walk, const ComparedImage& before,
                                    const ComparedImage& after);

  const std::set<std::string>& also_visit() const { return also_visit_; }
  // Whether a name is one of another set of names than it was. Neither is a directory.
  bool Differ(const ErofsInode& before, const ErofsInode& after) const;
  // Entries read beyond the walk's own.
  uint64_t looked_at() const { return looked_at_; }

 private:
  // Names are known by the sum of their digests: equal sets have equal sums, in any order.
  struct Group {
    uint32_t names = 0;
    uint32_t nlink = 0;
    std::array<uint64_t, 2> sum{};
  };
  using Groups = std::unordered_map<Nid, Group>;

  static void Add(const std::string& path, const std::optional<ErofsInode>& inode, Groups* groups);
  static bool IsPartial(const Group& group) { return group.names < group.nlink; }
  // Adds the names of the groups that were not visited completely to also_visit_.
  Status FindOtherNames(const ErofsReader& tree, const Groups& groups);

  Groups before_;
  Groups after_;
  std::set<std::string> also_visit_;
  uint64_t looked_at_ = 0;
};

}  // namespace strata::imaged
