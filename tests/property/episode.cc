#include "tests/property/episode.h"

#include <sys/stat.h>

#include "common/file_io.h"
#include "tests/property/follower.h"
#include "tests/property/sample_image.h"

namespace strata::property {
namespace {

using conformance::Backend;

// Between two mounts; what went wrong. An error: no mount, because somebody else's mount namespace
// still holds the last one, or because the driver cannot; neither is to be shrunk.
Result<std::string> Remount(Target target, Backend* backend, Follower* follower) {
  if (std::string text = follower->CheckAll(""); !text.empty()) {
    return "before the remount: " + text;
  }
  RETURN_IF_ERROR(backend->Remount(/*other_driver=*/target == Target::kSwitching), "remount");
  follower->ForgetNumbers();
  std::string text = follower->CheckAll("");
  return text.empty() ? text : "after the remount: " + text;
}

}  // namespace

Result<EpisodeResult> RunEpisode(const EpisodeOptions& options, const Source& source,
                                 std::vector<Operation>* done) {
  ::umask(022);
  ASSIGN_OR_RETURN(const TemporaryDirectory directory,
                   TemporaryDirectory::Create(options.directory, "layerfs-property."));
  testing::TestImage image;
  Model model(QuirksOf(options.target));
  DescribeSample("", &image, &model);
  ASSIGN_OR_RETURN(const std::unique_ptr<Backend> backend,
                   Backend::Create(BackendOf(options.target), directory.path(), image));
  Follower follower(options.target, backend->mountpoint(), std::move(model));
  std::string text = follower.CheckAll("");
  while (text.empty()) {
    const std::optional<Operation> op = source(follower.model());
    if (!op) break;
    done->push_back(*op);
    text = follower.Step(*op);
    if (text.empty() && op->kind == Kind::kRemount) {
      ASSIGN_OR_RETURN(text, Remount(options.target, backend.get(), &follower));
    }
    if (text.empty() && done->size() % options.check_every == 0) text = follower.CheckAll("");
  }
  if (text.empty()) text = follower.CheckAll("");
  follower.CloseAll();
  RETURN_IF_ERROR(backend->Unmount(), text);
  EpisodeResult result;
  result.succeeded = follower.succeeded();
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
