// Secrets in images that exist already: found before others get to see them, and taken out.
#include "imaged/repository/scrub.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <set>

#include "common/printable.h"
#include "imaged/repository/repository.h"
#include "imaged/save/layer_builder.h"

namespace strata::imaged {
namespace {

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

// What the lowest layer of an image lies on.
Result<std::unique_ptr<ErofsReader>> EmptyTree() {
  const UniqueFd fd(::memfd_create("empty-tree", MFD_CLOEXEC));
  if (!fd.valid()) return Errno("memfd_create");
  RETURN_IF_ERROR(WriteErofs(Tree(), fd.get()));
  return ErofsReader::Open("/proc/self/fd/" + std::to_string(fd.get()));
}

}  // namespace

bool IsImported(const v1::Layer& layer) { return layer.history().origin().starts_with("import"); }

bool IsCleanBase(const v1::Image& base) {
  return base.secrets_checked() ||
         std::all_of(base.layers().begin(), base.layers().end(), IsImported);
}

v1::ScrubbedSecret DescribeFinding(const ScrubFinding& finding) {
  v1::ScrubbedSecret scrubbed;
  scrubbed.set_path(Printable(finding.path));
  scrubbed.set_category(std::string(CategoryName(finding.rule->category)));
  scrubbed.set_action(std::string(OutcomeName(finding.outcome)));
  scrubbed.set_reason(std::string(finding.rule->why));
  return scrubbed;
}

// The layers of an image on their way to those of a clean one, from the bottom up.
class Repository::LayerScrub {
 public:
  // `ingest` null: only looks.
  LayerScrub(Repository& repository, Ingest* ingest, const CancelToken& cancel)
      : repository_(repository), ingest_(ingest), cancel_(cancel) {}

  Status Run(const v1::Image& image) {
    for (const v1::Layer& layer : image.layers()) RETURN_IF_ERROR(Add(layer), layer.digest());
    return Ok();
  }
  const std::vector<ScrubFinding>& findings() const { return findings_; }
  const std::vector<v1::Layer>& layers() const { return layers_; }
  CleanLayers Take() && { return {std::move(layers_), std::move(findings_), std::move(holds_)}; }

 private:
  Status Add(const v1::Layer& layer) {
    ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(layer.digest()));
    if (IsImported(layer)) return Keep(layer, digest);
    ASSIGN_OR_RETURN(const auto below, Below());
    ASSIGN_OR_RETURN(const auto manifest, repository_.layers_->OpenManifest(digest));
    ASSIGN_OR_RETURN(Tree tree, manifest->LoadTree());
    ASSIGN_OR_RETURN(std::vector<ScrubFinding> found,
                     ScrubSecrets(
                         *below,
                         [this](const Digest& object) -> Result<UniqueFd> {
                           RETURN_IF_ERROR(cancel_.Check());
                           return repository_.provider_.Open(object, cancel_);
                         },
                         &tree));
    std::erase_if(found, [](const auto& finding) {
      return finding.outcome == ScrubFinding::Outcome::kInBase;
    });
    if (found.empty()) return Keep(layer, digest);
    for (const ScrubFinding& finding : found) {
      if (paths_.insert(finding.path).second) findings_.push_back(finding);
    }
    if (ingest_ == nullptr) return Keep(layer, digest);
    ASSIGN_OR_RETURN(CommittedLayer clean,
                     repository_.CommitLayer({tree, ContentBytes(tree), ingest_}));
    *clean.layer.mutable_history() = layer.history();
    ASSIGN_OR_RETURN(const Digest clean_digest, Digest::Parse(clean.layer.digest()));
    holds_.push_back(std::move(clean.hold));
    return Keep(clean.layer, clean_digest);
  }

  Status Keep(const v1::Layer& layer, const Digest& digest) {
    layers_.push_back(layer);
    stack_.push_back(digest);
    holds_.push_back(repository_.liveness_.HoldStack(stack_));
    return Ok();
  }

  Result<std::unique_ptr<ErofsReader>> Below() {
    if (stack_.empty()) return EmptyTree();
    ASSIGN_OR_RETURN(const std::string path, repository_.layers_->FlattenedTree(stack_));
    return ErofsReader::Open(path);
  }

  Repository& repository_;
  Ingest* const ingest_;
  const CancelToken& cancel_;
  std::set<std::string> paths_;  // Of findings_: a path is reported once.
  std::vector<ScrubFinding> findings_;
  std::vector<v1::Layer> layers_;
  LayerStack stack_;
  std::vector<Liveness::Hold> holds_;
};

Result<v1::ScrubResponse> Repository::Scrub(uid_t caller, const v1::ScrubRequest& request,
                                            const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const Liveness::HeldImage held, HoldImage(caller, request.reference()));
  v1::ScrubResponse response;
  if (request.dry_run()) {
    LayerScrub look(*this, nullptr, cancel);
    RETURN_IF_ERROR(look.Run(held.image));
    DescribeFindings(look.findings(), &response);
    return response;
  }
  const std::string& target =
      request.new_reference().empty() ? request.reference() : request.new_reference();
  ASSIGN_OR_RETURN(const Images::Reservation name,
                   images().Reserve(caller, target, request.replace()));
  ASSIGN_OR_RETURN(const auto ingest, StartIngest(name, cancel));
  LayerScrub scrub(*this, ingest.get(), cancel);
  RETURN_IF_ERROR(scrub.Run(held.image));
  DescribeFindings(scrub.findings(), &response);
  v1::Image draft = held.image;
  draft.set_visibility(v1::VISIBILITY_UNSPECIFIED);
  draft.set_secrets_checked(true);
  draft.clear_layers();
  for (const v1::Layer& layer : scrub.layers()) *draft.add_layers() = layer;
  ASSIGN_OR_RETURN(v1::ImportResult published, PublishStack(name, std::move(draft)));
  *response.mutable_image() = std::move(*published.mutable_image());
  return response;
}

Result<Repository::CleanLayers> Repository::CleanLayersOf(const v1::Image& image,
                                                          const Images::Reservation& name,
                                                          const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const auto ingest, StartIngest(name, cancel));
  LayerScrub scrub(*this, ingest.get(), cancel);
  RETURN_IF_ERROR(scrub.Run(image));
  return std::move(scrub).Take();
}

Status Repository::CheckSecrets(const v1::Image& image, const CancelToken& cancel) {
  if (image.secrets_checked()) return Ok();
  RETURN_IF_ERROR(CheckIsHere(image));
  LayerScrub look(*this, nullptr, cancel);
  RETURN_IF_ERROR(look.Run(image));
  const auto& found = look.findings();
  if (found.empty()) return Ok();
  return Error(Code::kFailedPrecondition,
               DisplayName(image) + " holds " + std::to_string(found.size()) +
                   (found.size() == 1 ? " secret" : " secrets") + ", among them /" +
                   Printable(found.front().path) + ": 'vimage scrub' shows and removes them, and " +
                   "--keep-secrets shares it as it is");
}

Status Repository::CheckSecretsUnder(const Images::Reservation& name, const v1::Image& draft,
                                     v1::Visibility visibility, const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const bool shared, images().WillBeShared(name, visibility));
  return shared ? CheckSecrets(draft, cancel) : Ok();
}

Result<v1::Image> Repository::Share(uid_t caller, const v1::ShareRequest& request,
                                    const CancelToken& cancel) {
  const bool widens = request.visibility() == v1::PUBLIC || request.add_size() > 0;
  if (!widens || request.keep_secrets()) return images().Share(caller, request);
  RETURN_IF_ERROR(images().FindOwned(caller, request.reference()));
  ASSIGN_OR_RETURN(const Liveness::HeldImage held, HoldNamed(caller, request.reference()));
  RETURN_IF_ERROR(CheckSecrets(held.image, cancel));
  return images().Share(caller, request, held.image.digest());
}

}  // namespace strata::imaged
