// What differs between images, and an image put on another base.
#include <algorithm>

#include "imaged/compare/image_diff.h"
#include "imaged/compare/rebase.h"
#include "imaged/repository/file_info.h"
#include "imaged/repository/repository.h"
#include "imaged/repository/scrub.h"
#include "imaged/save/layer_builder.h"

namespace strata::imaged {
namespace {

constexpr int kEntriesPerEvent = 256;
constexpr int kReportedMax = 1000;

v1::DiffEntry::Change ChangeOf(Change change) {
  switch (change) {
    case Change::kAdded:
      return v1::DiffEntry::ADDED;
    case Change::kRemoved:
      return v1::DiffEntry::REMOVED;
    case Change::kChanged:
      return v1::DiffEntry::CHANGED;
  }
  return v1::DiffEntry::CHANGE_UNSPECIFIED;
}

v1::DiffEntry Describe(const DiffEntry& entry) {
  static constexpr std::pair<uint32_t, const char*> kNames[] = {
      {kType, "type"},   {kContent, "content"}, {kTarget, "target"}, {kMode, "mode"},
      {kOwner, "owner"}, {kXattrs, "xattrs"},   {kMtime, "mtime"},   {kLinks, "links"}};
  v1::DiffEntry described;
  described.set_path(entry.path);
  described.set_change(ChangeOf(entry.change));
  for (const auto& [bit, name] : kNames) {
    if ((entry.differences & bit) != 0) described.add_differences(name);
  }
  if (entry.before != nullptr) *described.mutable_before() = FileInfoOf(*entry.before);
  if (entry.after != nullptr) *described.mutable_after() = FileInfoOf(*entry.after);
  return described;
}

v1::DiffSummary Describe(const DiffSummary& summary) {
  v1::DiffSummary described;
  described.set_added(summary.added);
  described.set_removed(summary.removed);
  described.set_changed(summary.changed);
  described.set_times_only(summary.times_only);
  described.set_added_bytes(summary.added_bytes);
  described.set_removed_bytes(summary.removed_bytes);
  described.set_changed_bytes(summary.changed_bytes);
  described.set_new_objects(summary.new_objects);
  described.set_new_object_bytes(summary.new_object_bytes);
  described.set_shared_layers(summary.shared_layers);
  return described;
}

const char* NameOf(ConflictKind kind) {
  switch (kind) {
    case ConflictKind::kBothContent:
      return "both changed the content";
    case ConflictKind::kBothAttributes:
      return "both changed the same attribute";
    case ConflictKind::kBothAdded:
      return "both added it, differently";
    case ConflictKind::kTypeDiffers:
      return "it is of another type in one of them";
    case ConflictKind::kRemovedHere:
      return "the image removed it, the new base changed it";
    case ConflictKind::kRemovedThere:
      return "the image changed it, the new base removed it";
    case ConflictKind::kParentGone:
      return "the new base has no such directory";
  }
  return "";
}

std::optional<Side> SideOf(v1::RebaseSide side) {
  if (side == v1::REBASE_IMAGE) return Side::kImage;
  if (side == v1::REBASE_BASE) return Side::kBase;
  return std::nullopt;
}

Result<RebasePolicy> PolicyOf(const v1::RebaseRequest& request) {
  RebasePolicy policy;
  policy.otherwise = SideOf(request.prefer());
  for (const v1::RebaseOverride& one : request.overrides()) {
    const auto side = SideOf(one.side());
    if (!side) {
      return Error(Code::kInvalidArgument, "/" + one.path() + ": say whose side is taken");
    }
    policy.overrides.push_back({one.path(), *side});
  }
  return policy;
}

void Report(const RebaseResult& result, v1::RebaseResponse* response) {
  response->set_conflict_count(result.conflicts.size());
  for (const RebaseConflict& conflict : result.conflicts) {
    if (!conflict.side) response->set_open_conflicts(response->open_conflicts() + 1);
    if (response->conflicts_size() == kReportedMax) continue;
    v1::RebaseConflict* reported = response->add_conflicts();
    reported->set_path(conflict.path);
    reported->set_kind(NameOf(conflict.kind));
    if (conflict.side) {
      reported->set_side(*conflict.side == Side::kImage ? v1::REBASE_IMAGE : v1::REBASE_BASE);
    }
  }
  for (const std::string& path : result.split_links) {
    if (response->split_links_size() < kReportedMax) response->add_split_links(path);
  }
}

// "owner/name" of a reference as it was shown once.
std::string WithoutTag(const std::string& reference) {
  return reference.substr(0, reference.find(':'));
}

}  // namespace

struct Repository::OpenedImage {
  std::vector<std::unique_ptr<ErofsReader>> manifests;
  std::unique_ptr<ErofsReader> tree;
  ComparedImage compared;
};

Result<Repository::OpenedImage> Repository::OpenForComparison(const LayerStack& layers) {
  OpenedImage opened;
  ASSIGN_OR_RETURN(const std::string path, layers_->FlattenedTree(layers));
  ASSIGN_OR_RETURN(opened.tree, ErofsReader::Open(path), path);
  opened.compared.tree = opened.tree.get();
  for (const Digest& layer : layers) {
    ASSIGN_OR_RETURN(opened.manifests.emplace_back(), layers_->OpenManifest(layer));
    opened.compared.layers.push_back({layer, opened.manifests.back().get()});
  }
  return opened;
}

Status Repository::Diff(uid_t caller, const v1::DiffRequest& request, const DiffSink& sink,
                        const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const Liveness::HeldImage before, HoldImage(caller, request.before()));
  ASSIGN_OR_RETURN(const Liveness::HeldImage after, HoldImage(caller, request.after()));
  ASSIGN_OR_RETURN(const OpenedImage from, OpenForComparison(before.hold.stack()));
  ASSIGN_OR_RETURN(const OpenedImage to, OpenForComparison(after.hold.stack()));
  v1::DiffEvent event;
  ASSIGN_OR_RETURN(
      const DiffSummary summary,
      DiffImages(from.compared, to.compared, {}, [&](const DiffEntry& entry) -> Status {
        RETURN_IF_ERROR(cancel.Check());
        if (entry.differences == kMtime && !request.times()) return Ok();
        *event.add_entries() = Describe(entry);
        if (event.entries_size() < kEntriesPerEvent) return Ok();
        RETURN_IF_ERROR(sink(event));
        event.clear_entries();
        return Ok();
      }));
  *event.mutable_summary() = Describe(summary);
  return sink(event);
}

Result<size_t> Repository::BaseLayers(uid_t caller, const v1::Image& image, const v1::Image& base,
                                      const std::string& from) {
  ASSIGN_OR_RETURN(const LayerStack layers, LayerDigests(image));
  if (!from.empty()) {
    ASSIGN_OR_RETURN(const v1::Image origin, images().Find(caller, from));
    ASSIGN_OR_RETURN(const LayerStack below, LayerDigests(origin));
    const bool stands_on =
        below.size() < layers.size() && std::equal(below.begin(), below.end(), layers.begin());
    if (stands_on) return below.size();
    return Error(Code::kInvalidArgument, DisplayName(image) + " was not made from " +
                                             DisplayName(origin) +
                                             " ('vimage lineage' tells what it was made from)");
  }
  // The last layer that was an image of the new base's name; otherwise what it was saved on.
  const std::string wanted = base.owner() + "/" + base.name();
  for (size_t count = layers.size() - 1; count > 0; --count) {
    const v1::LayerHistory& history = image.layers(static_cast<int>(count) - 1).history();
    if (WithoutTag(history.image_reference()) == wanted) return count;
  }
  if (layers.size() > 1) return layers.size() - 1;
  return Error(Code::kFailedPrecondition,
               DisplayName(image) + " was made from no other image: there is nothing to put it on");
}

Result<v1::RebaseResponse> Repository::Rebase(uid_t caller, const v1::RebaseRequest& request,
                                              const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const RebasePolicy policy, PolicyOf(request));
  ASSIGN_OR_RETURN(const Liveness::HeldImage image, HoldImage(caller, request.reference()));
  ASSIGN_OR_RETURN(const Liveness::HeldImage base, HoldImage(caller, request.onto()));
  std::optional<Images::Reservation> name;
  if (!request.dry_run()) {
    const std::string& target =
        request.new_reference().empty() ? request.reference() : request.new_reference();
    ASSIGN_OR_RETURN(Images::Reservation reserved,
                     images().Reserve(caller, target, request.replace()));
    name.emplace(std::move(reserved));
  }
  ASSIGN_OR_RETURN(const size_t below, BaseLayers(caller, image.image, base.image, request.from()));
  const LayerStack& stack = image.hold.stack();
  const Liveness::Hold origin_hold =
      liveness_.HoldStack(LayerStack(stack.begin(), stack.begin() + static_cast<ptrdiff_t>(below)));
  ASSIGN_OR_RETURN(const OpenedImage origin, OpenForComparison(origin_hold.stack()));
  RETURN_IF_ERROR(cancel.Check());
  ASSIGN_OR_RETURN(const OpenedImage changed, OpenForComparison(stack));
  ASSIGN_OR_RETURN(const OpenedImage onto, OpenForComparison(base.hold.stack()));
  RETURN_IF_ERROR(cancel.Check());
  ASSIGN_OR_RETURN(const RebaseResult result,
                   RebaseImage(origin.compared, changed.compared, *onto.tree, policy));
  v1::RebaseResponse response;
  const v1::LayerHistory& origin_history =
      image.image.layers(static_cast<int>(below) - 1).history();
  response.set_from(origin_history.image_reference());
  Report(result, &response);
  if (!result.layer || !name) return response;
  RETURN_IF_ERROR(cancel.Check());

  ASSIGN_OR_RETURN(const auto ingest, StartIngest(*name, cancel));
  v1::Image draft = image.image;
  draft.set_visibility(v1::VISIBILITY_UNSPECIFIED);
  draft.set_secrets_checked(image.image.secrets_checked() && IsCleanBase(base.image));
  *draft.mutable_layers() = base.image.layers();
  v1::Lineage* lineage = draft.mutable_lineage();
  lineage->set_parent_reference(DisplayName(base.image));
  lineage->set_parent_digest(base.image.digest());
  lineage->set_origin("rebase of " + DisplayName(image.image) + " from " + response.from());
  ASSIGN_OR_RETURN(const CommittedLayer committed,
                   CommitLayer({*result.layer, ContentBytes(*result.layer), ingest.get()}));
  *draft.add_layers() = committed.layer;
  RETURN_IF_ERROR(CheckSecretsUnder(*name, draft, v1::VISIBILITY_UNSPECIFIED, cancel));
  ASSIGN_OR_RETURN(v1::ImportResult published,
                   PublishCommitted(*name, std::move(draft), committed, *ingest));
  *response.mutable_image() = std::move(*published.mutable_image());
  *response.mutable_summary() = std::move(*published.mutable_summary());
  return response;
}

}  // namespace strata::imaged
