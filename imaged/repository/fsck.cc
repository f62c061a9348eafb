// Verification of what is on disk against its digests.
#include <unordered_set>

#include "common/parallel.h"
#include "imaged/repository/repository.h"

namespace strata::imaged {
namespace {

struct Checked {
  Digest digest;
  std::string path;
  uint64_t size = 0;
};

// The objects of one layer that were not seen before.
Result<std::vector<Checked>> NewObjects(const ErofsReader& reader,
                                        std::unordered_set<Digest, DigestHash>* seen) {
  ASSIGN_OR_RETURN(const Tree tree, reader.LoadTree());
  std::vector<Checked> objects;
  RETURN_IF_ERROR(tree.Walk([&](const std::string& path, InodeIndex index) -> Status {
    const Inode& inode = tree.inode(index);
    if (!inode.object.IsZero() && seen->insert(inode.object).second) {
      objects.push_back({inode.object, path, inode.size});
    }
    return Ok();
  }));
  return objects;
}

}  // namespace

std::string Repository::CheckObject(const Digest& digest, const CancelToken& cancel) {
  const Status verified = objects_->Verify(digest);
  if (verified.ok()) return {};
  // Mounts look at the objects of every tree again, and not only at what a record says.
  layers_->ForgetCompleteness();
  if (!provider_.HasSources()) return verified.error().message();
  const Status provided = provider_.Provide(digest, /*verify=*/true, cancel);
  if (provided.ok()) return verified.error().message() + ": repaired";
  return provided.error().message();
}

Result<v1::FsckResult> Repository::Fsck(uid_t caller, const std::string& reference,
                                        const CancelToken& cancel, const ProgressSink& progress,
                                        const ProblemSink& problem) {
  std::vector<std::string> names = {reference};
  if (reference.empty()) {
    ASSIGN_OR_RETURN(names, images().Names(caller));
  }

  v1::FsckResult result;
  std::mutex mutex;  // Guards result and the calls of `problem`.
  const auto report = [&](const std::string& text) {
    const std::lock_guard<std::mutex> lock(mutex);
    result.set_problems(result.problems() + 1);
    problem(text);
  };
  std::set<Digest> layers_seen;
  std::unordered_set<Digest, DigestHash> objects_seen;
  v1::Progress state;
  state.set_stage("verify");
  for (const std::string& wanted : names) {
    const auto held = HoldNamed(caller, wanted);
    // One of many that was deleted since it was listed.
    if (!held.ok() && held.error().code() == Code::kNotFound && reference.empty()) continue;
    if (!held.ok()) return held.error();
    if (const Status here = CheckIsHere(held->image); !here.ok()) {
      if (reference.empty()) continue;  // Another host's.
      return here.error();
    }
    const std::string name = DisplayName(held->image);
    const LayerStack& layers = held->hold.stack();
    result.set_images(result.images() + 1);
    bool manifests_good = true;
    for (const Digest& layer : layers) {
      if (!layers_seen.insert(layer).second) continue;
      if (Status status = layers_->VerifyManifest(layer); !status.ok()) {
        report(name + ": " + status.error().message());
        manifests_good = false;
        continue;
      }
      ASSIGN_OR_RETURN(const auto reader, layers_->OpenManifest(layer));
      ASSIGN_OR_RETURN(const std::vector<Checked> objects, NewObjects(*reader, &objects_seen),
                       name);
      RETURN_IF_ERROR(ParallelFor(objects.size(), [&](size_t i) -> Status {
        RETURN_IF_ERROR(cancel.Check());
        const std::string trouble = CheckObject(objects[i].digest, cancel);
        if (!trouble.empty()) report(name + ": /" + objects[i].path + ": " + trouble);
        const std::lock_guard<std::mutex> lock(mutex);
        result.set_objects(result.objects() + 1);
        result.set_bytes(result.bytes() + objects[i].size);
        state.set_entries(result.objects());
        state.set_bytes(result.bytes());
        if (progress && result.objects() % 1024 == 0) progress(state);
        return Ok();
      }));
    }
    if (!manifests_good) continue;
    if (Status status = layers_->VerifyFlattenedTree(layers); !status.ok()) {
      report(name + ": " + status.error().message());
    }
  }
  return result;
}

}  // namespace strata::imaged
