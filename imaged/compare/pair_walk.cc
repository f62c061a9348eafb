#include "imaged/compare/pair_walk.h"

#include <dirent.h>

#include <algorithm>
#include <utility>

#include "common/printable.h"

namespace strata::imaged {
namespace {

// Whether "<directory>/…" comes before `name`. REQUIRES: directory < name.
bool SubtreeIsBefore(std::string_view directory, std::string_view name) {
  return !name.starts_with(directory) || static_cast<uint8_t>(name[directory.size()]) > '/';
}

}  // namespace

size_t SharedLayers(const ComparedImage& before, const ComparedImage& after) {
  size_t shared = 0;
  while (shared < before.layers.size() && shared < after.layers.size() &&
         before.layers[shared].digest == after.layers[shared].digest) {
    ++shared;
  }
  return shared;
}

Status PairWalk::Run(const std::set<std::string>& also, const Visitor& visit) {
  levels_.clear();
  path_.clear();
  visited_ = 0;
  Status status = Start(also, visit);
  while (status.ok() && !levels_.empty()) status = Step(also, visit);
  if (status.ok()) return status;
  return status.error().Wrap(Printable("/" + path_));
}

Status PairWalk::Start(const std::set<std::string>& also, const Visitor& visit) {
  const size_t shared = SharedLayers(before_, after_);
  Level above;  // Of which the root is the only entry.
  above.guided = shared > 0;
  for (const ComparedImage* side : {&before_, &after_}) {
    for (size_t i = shared; i < side->layers.size(); ++i) {
      const ErofsReader* manifest = side->layers[i].manifest;
      above.mentions.push_back({manifest, manifest->root()});
    }
  }
  levels_.push_back(std::move(above));
  RETURN_IF_ERROR(Visit({"", before_.tree->root(), after_.tree->root()}, visit));
  const Item root = levels_.back().postponed.back();
  levels_.back().postponed.clear();
  return Enter(root, also);
}

// The next name of the innermost directory, or one step in or out.
Status PairWalk::Step(const std::set<std::string>& also, const Visitor& visit) {
  Level& level = levels_.back();
  path_.resize(level.path_size);
  const bool at_end = level.next == level.items.size();
  if (!level.postponed.empty() &&
      (at_end || SubtreeIsBefore(level.postponed.back().name, level.items[level.next].name))) {
    const Item directory = level.postponed.back();
    level.postponed.pop_back();
    if (!path_.empty()) path_ += '/';
    path_ += directory.name;
    return Enter(directory, also);
  }
  if (at_end) {
    levels_.pop_back();
    return Ok();
  }
  const Item item = level.items[level.next++];
  if (!path_.empty()) path_ += '/';
  path_ += item.name;
  return Visit(item, visit);
}

Status PairWalk::Visit(Item item, const Visitor& visit) {
  if (++visited_ > 2 * TreeLimits().entries_max) {
    return Error(Code::kCorrupt, "more entries than two images may have");
  }
  ASSIGN_OR_RETURN(const auto before, Get(*before_.tree, item.before));
  ASSIGN_OR_RETURN(const auto after, Get(*after_.tree, item.after));
  RETURN_IF_ERROR(visit(path_, before, after));
  if (!before || !S_ISDIR(before->mode)) item.before.reset();
  if (!after || !S_ISDIR(after->mode)) item.after.reset();
  if (item.before || item.after) levels_.back().postponed.push_back(item);
  return Ok();
}

Status PairWalk::Enter(const Item& directory, const std::set<std::string>& also) {
  if (levels_.size() > TreeLimits().depth_max + 1) {
    return Error(Code::kCorrupt, "deeper than an image may be");
  }
  Level level;
  level.path_size = path_.size();
  // What one side lacks is listed from the other, whoever cut it off.
  level.guided = levels_.back().guided && directory.before && directory.after;
  if (level.guided) {
    RETURN_IF_ERROR(FollowMentions(levels_.back().mentions, directory.name, &level));
  }
  RETURN_IF_ERROR(level.guided ? ListMentioned(directory, also, &level)
                               : ListBoth(directory, &level));
  levels_.push_back(std::move(level));
  return Ok();
}

// The layers that have the directory too. One that hides what is below it ends the guidance.
Status PairWalk::FollowMentions(const std::vector<Place>& above, std::string_view name,
                                Level* level) {
  for (const Place& place : above) {
    Nid nid = place.directory;
    if (!name.empty()) {  // The root's place is itself.
      ASSIGN_OR_RETURN(const auto entry, place.manifest->Lookup(place.directory, name));
      ++looked_at_;
      if (!entry) continue;
      nid = entry->nid;
      if (entry->type != DT_DIR) level->guided = false;
    }
    if (level->guided) {
      ASSIGN_OR_RETURN(const bool opaque, place.manifest->IsOpaque(nid));
      if (opaque) level->guided = false;
    }
    if (!level->guided) return Ok();
    level->mentions.push_back({place.manifest, nid});
  }
  return Ok();
}

Status PairWalk::ListMentioned(const Item& directory, const std::set<std::string>& also,
                               Level* level) {
  std::vector<std::string_view> names;
  for (const Place& place : level->mentions) {
    ASSIGN_OR_RETURN(const auto entries, List(*place.manifest, place.directory));
    for (const ErofsDirEntry& entry : entries) names.push_back(entry.name);
  }
  const std::string prefix = path_.empty() ? "" : path_ + "/";
  for (auto at = also.lower_bound(prefix); at != also.end() && at->starts_with(prefix); ++at) {
    const std::string_view rest = std::string_view(*at).substr(prefix.size());
    names.push_back(rest.substr(0, rest.find('/')));
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  for (const std::string_view name : names) {
    ASSIGN_OR_RETURN(const auto before, before_.tree->Lookup(*directory.before, name));
    ASSIGN_OR_RETURN(const auto after, after_.tree->Lookup(*directory.after, name));
    looked_at_ += 2;
    if (!before && !after) continue;  // Came and went, or a whiteout of nothing.
    level->items.push_back({name, before ? std::optional<Nid>(before->nid) : std::nullopt,
                            after ? std::optional<Nid>(after->nid) : std::nullopt});
  }
  return Ok();
}

Status PairWalk::ListBoth(const Item& directory, Level* level) {
  ASSIGN_OR_RETURN(const auto before, List(*before_.tree, directory.before));
  ASSIGN_OR_RETURN(const auto after, List(*after_.tree, directory.after));
  level->items.reserve(std::max(before.size(), after.size()));
  auto b = before.begin();
  auto a = after.begin();
  while (b != before.end() || a != after.end()) {
    const int order = b == before.end() ? 1 : a == after.end() ? -1 : b->name.compare(a->name);
    Item item{order <= 0 ? b->name : a->name, std::nullopt, std::nullopt};
    if (order <= 0) item.before = (b++)->nid;
    if (order >= 0) item.after = (a++)->nid;
    level->items.push_back(item);
  }
  return Ok();
}

Result<std::vector<ErofsDirEntry>> PairWalk::List(const ErofsReader& reader,
                                                  std::optional<Nid> directory) {
  std::vector<ErofsDirEntry> entries;
  if (!directory) return entries;
  RETURN_IF_ERROR(reader.ReadDirectory(*directory, 0, [&](const ErofsDirEntry& entry) {
    entries.push_back(entry);
    return true;
  }));
  looked_at_ += entries.size();
  return entries;
}

Result<std::optional<ErofsInode>> PairWalk::Get(const ErofsReader& reader, std::optional<Nid> nid) {
  if (!nid) return std::optional<ErofsInode>();
  ++looked_at_;
  ASSIGN_OR_RETURN(const ErofsInode inode, reader.GetInode(*nid));
  return std::optional<ErofsInode>(inode);
}

}  // namespace strata::imaged
