#include "imaged/repository/save_operation.h"

#include <unordered_set>

#include "common/printable.h"
#include "imaged/save/layer_builder.h"
#include "imaged/save/secret_scrub.h"

namespace strata::imaged {
namespace {

constexpr size_t kScrubbedListedMax = 1000;

// What the rounds staged and the tree does not name must not come into the store: secrets that were
// taken out, and content of the first round that changed before the second.
Status KeepNamedOnly(const Tree& tree, Ingest* ingest) {
  std::unordered_set<Digest, DigestHash> named;
  for (InodeIndex i = 0; i < tree.inode_count(); ++i) {
    const Inode& inode = tree.inode(i);
    if (inode.nlink > 0 && !inode.object.IsZero()) named.insert(inode.object);
  }
  return ingest->KeepOnly(named);
}

std::string_view OutcomeName(ScrubFinding::Outcome outcome) {
  switch (outcome) {
    case ScrubFinding::Outcome::kRemoved:
      return "removed";
    case ScrubFinding::Outcome::kEmptied:
      return "emptied";
    case ScrubFinding::Outcome::kInBase:
      return "in the base image";
  }
  return "";
}

void AddToSummary(const std::vector<ScrubFinding>& secrets, v1::IngestSummary* summary) {
  summary->set_scrubbed_count(secrets.size());
  for (size_t i = 0; i < std::min(secrets.size(), kScrubbedListedMax); ++i) {
    v1::ScrubbedSecret* scrubbed = summary->add_scrubbed();
    scrubbed->set_path(Printable(secrets[i].path));
    scrubbed->set_category(std::string(CategoryName(secrets[i].rule->category)));
    scrubbed->set_action(std::string(OutcomeName(secrets[i].outcome)));
    scrubbed->set_reason(std::string(secrets[i].rule->why));
  }
}

}  // namespace

bool ShouldScrub(v1::ScrubMode mode, v1::Visibility visibility) {
  if (mode == v1::SCRUB_NEVER) return false;
  return mode == v1::SCRUB_ALWAYS || visibility == v1::PUBLIC;
}

Result<std::unique_ptr<SaveOperation>> SaveOperation::Start(Repository* repository,
                                                            const v1::SaveStart& start,
                                                            const CancelToken* cancel,
                                                            ProgressSink progress) {
  ASSIGN_OR_RETURN(
      auto name, repository->Reserve(start.on_behalf_of_uid(), start.reference(), start.replace()));
  ASSIGN_OR_RETURN(auto ingest, repository->objects().StartIngest());
  ASSIGN_OR_RETURN(v1::Image base, repository->LeasedImage(start.lease()));
  ASSIGN_OR_RETURN(const std::vector<Digest> layers, LayerDigests(base));
  ASSIGN_OR_RETURN(const std::string tree, repository->layers().FlattenedTree(layers));

  std::unique_ptr<SaveOperation> operation(
      new SaveOperation(repository, std::move(name), std::move(base), start));
  ASSIGN_OR_RETURN(operation->base_tree_, ErofsReader::Open(tree), tree);
  UpperScan::Options options;
  options.cancel = cancel;
  options.progress = [progress = std::move(progress)](uint64_t entries, uint64_t bytes) {
    v1::Progress state;
    state.set_stage("copy");
    state.set_entries(entries);
    state.set_bytes(bytes);
    if (progress) progress(state);
  };
  ASSIGN_OR_RETURN(operation->scan_, UpperScan::Open(start.upper_dir(), start.work_dir(),
                                                     ingest.get(), std::move(options)));
  operation->ingest_ = std::move(ingest);
  return operation;
}

Result<v1::ImportResult> SaveOperation::Finish() {
  ASSIGN_OR_RETURN(BuiltLayer layer,
                   BuildLayer(scan_->snapshot(), *base_tree_,
                              {start_.id_shift_first(), start_.id_shift_count()}));
  std::vector<ScrubFinding> secrets;
  if (ShouldScrub(start_.scrub(), start_.visibility())) {
    const OpenContent open = [this](const Digest& digest) { return ingest_->OpenContent(digest); };
    ASSIGN_OR_RETURN(secrets, ScrubSecrets(*base_tree_, open, &layer.tree), "secrets");
    layer.content_bytes = ContentBytes(layer.tree);
  }
  RETURN_IF_ERROR(KeepNamedOnly(layer.tree, ingest_.get()));
  v1::Image draft;
  *draft.mutable_layers() = base_.layers();
  *draft.mutable_config() = base_.config();
  *draft.mutable_lineage() = start_.lineage();
  draft.mutable_lineage()->set_parent_reference(DisplayName(base_));
  draft.mutable_lineage()->set_parent_digest(base_.digest());
  draft.set_description(start_.description());
  draft.set_visibility(start_.visibility());

  v1::ImportResult result;
  ASSIGN_OR_RETURN(*result.mutable_image(),
                   repository_->Publish(name_, std::move(draft), layer.tree, layer.content_bytes,
                                        ingest_.get()));
  const IngestStats stats = ingest_->stats();
  v1::IngestSummary* summary = result.mutable_summary();
  summary->set_entries(layer.tree.entry_count());
  summary->set_objects(stats.objects);
  summary->set_bytes(layer.content_bytes);
  summary->set_new_objects(stats.new_objects);
  summary->set_new_bytes(stats.new_bytes);
  summary->set_manifest_bytes(result.image().layers().rbegin()->manifest_bytes());
  for (const std::string& warning : layer.warnings) summary->add_warnings(warning);
  AddToSummary(secrets, summary);
  return result;
}

}  // namespace strata::imaged
