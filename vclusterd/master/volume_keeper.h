// VolumeKeeper: what a master does about the directories of volumes: it knows whether this cluster
// has any, and deletes them, behind its caller's back because that may take long.
//
// Thread-safe.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "common/cancel.h"
#include "common/result.h"
#include "common/work_queue.h"
#include "vclusterd/volumes/shared_dir.h"

namespace strata::vcluster {

class VolumeKeeper {
 public:
  // `problem`: why `shared` cannot be used, where it cannot; then nothing is deleted.
  VolumeKeeper(std::optional<SharedDir> shared, std::string id, std::optional<Error> problem);
  // What is being deleted goes on at the next start.
  ~VolumeKeeper();

  // Whether there can be volumes.
  Status Usable() const;
  // Of the shared directory; empty where it is not usable.
  const std::string& id() const { return id_; }

  // Takes a directory away (SharedDir::Discard), and calls `done` from a thread of its own. Its
  // space is free some time later.
  void Discard(const std::string& directory, std::function<void(const Status&)> done);

 private:
  void EmptyTrash();

  const std::optional<SharedDir> shared_;
  const std::string id_;
  const std::optional<Error> problem_;
  CancelToken closing_;
  WorkQueue discards_{1};
  WorkQueue emptying_{1};  // Large directories must not hold others up.
};

}  // namespace strata::vcluster
