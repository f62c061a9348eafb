#include "imaged/repository/save_operation.h"

#include <algorithm>
#include <unordered_set>

#include "imaged/repository/scrub.h"

namespace strata::imaged {
namespace {

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

}  // namespace

Result<bool> SaveOperation::ShouldScrub() const {
  if (start_.scrub() != v1::SCRUB_DEFAULT) return start_.scrub() == v1::SCRUB_ALWAYS;
  return repository_->images().WillBeShared(name_, start_.visibility());
}

Result<std::unique_ptr<SaveOperation>> SaveOperation::Start(Repository* repository,
                                                            const v1::SaveStart& start,
                                                            const CancelToken* cancel,
                                                            ProgressSink progress) {
  ASSIGN_OR_RETURN(auto name, repository->images().Reserve(start.on_behalf_of_uid(),
                                                           start.reference(), start.replace()));
  ASSIGN_OR_RETURN(auto ingest, repository->StartIngest(name, *cancel));
  ASSIGN_OR_RETURN(Liveness::HeldImage base, repository->HoldLeased(start.lease()));
  ASSIGN_OR_RETURN(const std::string tree, repository->layers().FlattenedTree(base.hold.stack()));

  std::unique_ptr<SaveOperation> operation(
      new SaveOperation(repository, std::move(name), std::move(base), start, cancel));
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

Result<std::vector<ScrubFinding>> SaveOperation::Scrub(BuiltLayer* layer, v1::Image* draft) {
  std::vector<ScrubFinding> secrets;
  const ErofsReader* below = base_tree_.get();
  std::unique_ptr<ErofsReader> clean_tree;
  if (!IsCleanBase(base_.image)) {
    ASSIGN_OR_RETURN(Repository::CleanLayers clean,
                     repository_->CleanLayersOf(base_.image, name_, *cancel_), "the base");
    secrets = std::move(clean.findings);
    draft->mutable_layers()->Assign(clean.layers.begin(), clean.layers.end());
    clean_layers_ = std::move(clean.holds);
    ASSIGN_OR_RETURN(const LayerStack stack, LayerDigests(*draft));
    // What the layer has as its base had it is a secret of its own where that has it no more.
    ASSIGN_OR_RETURN(const std::string tree, repository_->layers().FlattenedTree(stack));
    ASSIGN_OR_RETURN(clean_tree, ErofsReader::Open(tree), tree);
    below = clean_tree.get();
  }
  const OpenContent open = [this](const Digest& digest) { return ingest_->OpenContent(digest); };
  ASSIGN_OR_RETURN(std::vector<ScrubFinding> found, ScrubSecrets(*below, open, &layer->tree));
  layer->content_bytes = ContentBytes(layer->tree);
  // A path is reported once.
  std::erase_if(secrets, [&](const ScrubFinding& in_base) {
    return std::any_of(found.begin(), found.end(),
                       [&](const ScrubFinding& own) { return own.path == in_base.path; });
  });
  secrets.insert(secrets.end(), found.begin(), found.end());
  return secrets;
}

Result<v1::ImportResult> SaveOperation::Finish() {
  ASSIGN_OR_RETURN(BuiltLayer layer,
                   BuildLayer(scan_->snapshot(), *base_tree_,
                              {start_.id_shift_first(), start_.id_shift_count()}));
  const v1::Image& base = base_.image;
  v1::Image draft;
  *draft.mutable_layers() = base.layers();
  std::vector<ScrubFinding> secrets;
  ASSIGN_OR_RETURN(const bool scrub, ShouldScrub());
  if (scrub) {
    ASSIGN_OR_RETURN(secrets, Scrub(&layer, &draft), "secrets");
  }
  RETURN_IF_ERROR(KeepNamedOnly(layer.tree, ingest_.get()));
  *draft.mutable_config() = base.config();
  *draft.mutable_lineage() = start_.lineage();
  draft.mutable_lineage()->set_parent_reference(DisplayName(base));
  draft.mutable_lineage()->set_parent_digest(base.digest());
  draft.set_description(start_.description());
  draft.set_visibility(start_.visibility());
  draft.set_secrets_checked(scrub);
  ASSIGN_OR_RETURN(v1::ImportResult result,
                   repository_->Publish(name_, std::move(draft),
                                        {layer.tree, layer.content_bytes, ingest_.get()}));
  v1::IngestSummary* summary = result.mutable_summary();
  for (const std::string& warning : layer.warnings) summary->add_warnings(warning);
  DescribeFindings(secrets, summary);
  return result;
}

}  // namespace strata::imaged
