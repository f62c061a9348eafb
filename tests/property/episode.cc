#include "tests/property/episode.h"

#include <errno.h>
#include <sys/stat.h>

#include "common/file_io.h"
#include "tests/property/checker.h"
#include "tests/property/executor.h"
#include "tests/property/sample_image.h"

namespace strata::property {
namespace {

using conformance::Backend;
using conformance::BackendKind;

constexpr std::string_view kTargetNames[] = {"plain", "overlay", "kernel", "fuse", "switching"};

BackendKind KindOf(Target target) {
  switch (target) {
    case Target::kPlain:
      return BackendKind::kPlain;
    case Target::kOverlay:
      return BackendKind::kOverlay;
    case Target::kKernel:
      return BackendKind::kKernel;
    case Target::kFuse:
    case Target::kSwitching:
      break;
  }
  return BackendKind::kFuse;
}

bool MayBeFuse(Target target) { return target == Target::kFuse || target == Target::kSwitching; }

bool MayBeOverlayfs(Target target) { return target != Target::kPlain && target != Target::kFuse; }

class Episode {
 public:
  Episode(const EpisodeOptions& options, std::unique_ptr<Backend> backend, Model model)
      : options_(options),
        backend_(std::move(backend)),
        model_(std::move(model)),
        executor_(backend_->mountpoint()),
        checker_(model_, MayBeFuse(options.target)) {}

  Model& model() { return model_; }
  Backend& backend() { return *backend_; }
  uint64_t succeeded() const { return succeeded_; }

  // What went wrong with it; empty: nothing.
  std::string Step(const Operation& op) {
    const std::optional<Id> refused = MayRefuse(op);
    const Inode before = refused ? model_.inode(*refused) : Inode();
    const bool from_image = op.kind == Kind::kReopen && model_.handle(op.slot) &&
                            model_.handle(op.slot)->image_data != nullptr;
    const Expected expected = model_.Apply(op);
    if (expected.skip) return "";
    if (op.kind == Kind::kRemount) return Remount();
    const Outcome outcome = executor_.Apply(op);
    if (outcome.error == 0) ++succeeded_;
    // What the drivers are known to do otherwise: tests/conformance/differences.cc.
    if (refused && expected.error == 0 && IsRefusal(op, outcome.error)) {
      model_.Restore(*refused, before);
      return "";
    }
    const bool reopen_refused = (MayBeFuse(options_.target) && outcome.error == ESTALE) ||
                                (MayBeOverlayfs(options_.target) && outcome.error == EEXIST);
    if (from_image && reopen_refused) {
      model_.CloseSlot(op.other_slot);
      executor_.Close(op.other_slot);
      return "";
    }
    return checker_.CheckOutcome(op, expected, outcome);
  }

  std::string CheckAll() {
    if (std::string text = checker_.CheckTree(backend_->mountpoint()); !text.empty()) return text;
    return checker_.CheckHandles(executor_);
  }

  std::string End() {
    std::string text = CheckAll();
    executor_.CloseAll();
    return text;
  }

 private:
  std::string Remount() {
    executor_.CloseAll();
    if (std::string text = CheckAll(); !text.empty()) return "before the remount: " + text;
    const bool switches = options_.target == Target::kSwitching;
    if (Status status = backend_->Remount(switches); !status.ok()) return status.error().message();
    checker_.ForgetNumbers();
    if (std::string text = CheckAll(); !text.empty()) return "after the remount: " + text;
    return "";
  }

  // The inode on which overlayfs may refuse `op`: ACLs of what is only in the lower, attributes of
  // what was there and has lost its name, copies from another file system.
  std::optional<Id> MayRefuse(const Operation& op) const {
    if (!MayBeOverlayfs(options_.target)) return std::nullopt;
    if (op.kind == Kind::kSetAcl || op.kind == Kind::kRemoveAcl) {
      return model_.Find(op.path, /*follow=*/true);
    }
    if (op.kind == Kind::kCopyRange && model_.handle(op.other_slot)) {
      return model_.handle(op.other_slot)->inode;
    }
    const auto& handle = model_.handle(op.slot);
    if ((op.kind != Kind::kFchmod && op.kind != Kind::kFutimens) || !handle) return std::nullopt;
    const Inode& inode = model_.inode(handle->inode);
    if (!inode.from_image || inode.links != 0) return std::nullopt;
    return handle->inode;
  }
  static bool IsRefusal(const Operation& op, int error) {
    if (op.kind == Kind::kSetAcl) return error == EOPNOTSUPP;
    if (op.kind == Kind::kRemoveAcl) return error == EOPNOTSUPP || error == ENODATA;
    return error == (op.kind == Kind::kCopyRange ? EXDEV : EEXIST);
  }

  const EpisodeOptions& options_;
  std::unique_ptr<Backend> backend_;
  Model model_;
  Executor executor_;
  Checker checker_;
  uint64_t succeeded_ = 0;
};

}  // namespace

std::string_view TargetName(Target target) { return kTargetNames[static_cast<size_t>(target)]; }

Result<Target> ParseTarget(std::string_view name) {
  for (const Target target :
       {Target::kPlain, Target::kOverlay, Target::kKernel, Target::kFuse, Target::kSwitching}) {
    if (name == TargetName(target)) return target;
  }
  return Error(Code::kInvalidArgument, "no driver is called '" + std::string(name) +
                                           "': use plain, overlay, kernel, fuse or switching");
}

Result<EpisodeResult> RunEpisode(const EpisodeOptions& options, const Source& source,
                                 std::vector<Operation>* done) {
  ::umask(022);
  ASSIGN_OR_RETURN(const TemporaryDirectory directory,
                   TemporaryDirectory::Create(options.directory, "layerfs-property."));
  testing::TestImage image;
  const bool overlayfs = MayBeOverlayfs(options.target);
  Model model({.opening_sets_mtime = overlayfs,
               .directory_times_vary = overlayfs,
               .unlinked_files_stay_lower = overlayfs});
  DescribeSample("", &image, &model);
  ASSIGN_OR_RETURN(std::unique_ptr<Backend> backend,
                   Backend::Create(KindOf(options.target), directory.path(), image));
  Episode episode(options, std::move(backend), std::move(model));
  std::string text = episode.CheckAll();
  while (text.empty()) {
    const std::optional<Operation> op = source(episode.model());
    if (!op) break;
    done->push_back(*op);
    text = episode.Step(*op);
    if (text.empty() && done->size() % options.check_every == 0) text = episode.CheckAll();
  }
  const std::string at_the_end = episode.End();
  if (text.empty()) text = at_the_end;
  RETURN_IF_ERROR(episode.backend().Unmount(), text);
  EpisodeResult result;
  result.succeeded = episode.succeeded();
  if (!text.empty()) {
    result.failure = Failure{done->empty() ? 0 : done->size() - 1, std::move(text)};
  }
  return result;
}

Result<EpisodeResult> Replay(const EpisodeOptions& options,
                             const std::vector<Operation>& operations) {
  size_t next = 0;
  std::vector<Operation> done;
  return RunEpisode(
      options,
      [&](const Model&) -> std::optional<Operation> {
        if (next == operations.size()) return std::nullopt;
        return operations[next++];
      },
      &done);
}

}  // namespace strata::property
