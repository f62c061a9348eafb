// What the host's own daemons (as root) ask of imaged: roots for containers, and saves.
// Thread-safe. Errors are imaged's own, with its messages.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/cancel.h"
#include "common/result.h"

namespace strata::imaged {

struct AcquiredRoot {
  std::string image_digest;
  std::string reference;  // Complete: owner/name:tag.
  std::string tree_path;  // The flattened tree, an EROFS image.
  std::string objects_dir;
  std::vector<std::string> command;
  std::vector<std::string> env;
  bool start_unknown = false;  // RecordStart is welcome.
};

// Whether secrets stay out of a saved image. kDefault: when others than the owner may use it.
enum class ScrubMode { kDefault, kAlways, kNever };

struct SaveParameters {
  std::string lease;  // Holds the base image.
  std::string upper_dir;
  std::string work_dir;
  uint32_t id_shift_first = 0;
  uint32_t id_shift_count = 0;  // 0: ids are not shifted.
  uint32_t on_behalf_of_uid = 0;
  std::string reference;
  std::string description;
  bool is_public = false;
  bool replace = false;
  std::string origin;  // For the lineage: "node hpc/0".
  std::string command_line;
  ScrubMode scrub = ScrubMode::kDefault;
};

// A secret that was found, and what became of it (imaged/api/imaged.proto, same fields).
struct ScrubbedSecret {
  std::string path;
  std::string category;
  std::string action;
  std::string reason;
};

struct SavedImage {
  std::string reference;
  std::string digest;
  uint64_t entries = 0;
  uint64_t layer_bytes = 0;
  uint64_t new_bytes = 0;
  std::vector<ScrubbedSecret> scrubbed;  // The first 1000.
  uint64_t scrubbed_count = 0;           // All of them.
};

// One save in progress. The steps are called in this order, each once; destroying the session
// before Finish saves nothing. Used by one thread.
class SaveSession {
 public:
  virtual ~SaveSession() = default;
  // Copies the upper while the container runs.
  virtual Status FirstRound() = 0;
  // Takes what changed since. REQUIRES: the container is frozen.
  virtual Status SecondRound() = 0;
  // Publishes. The container may run again already.
  virtual Result<SavedImage> Finish() = 0;
};

class HostImageClient {
 public:
  static Result<std::unique_ptr<HostImageClient>> Connect(const std::string& socket_path);
  virtual ~HostImageClient() = default;

  static constexpr size_t kLeasesMax = 64;  // Of a call: etcd commits 128 operations at most.

  // The image's tree, ready to be mounted, kept until the last of these leases is released; all are
  // taken or none. Taking one again with the same image is fine (after a restart), with another it
  // is kAlreadyExists. Many in one call cost little more than one.
  virtual Result<AcquiredRoot> AcquireRoot(const std::string& reference, uint32_t on_behalf_of_uid,
                                           const std::vector<std::string>& leases) = 0;
  virtual Status ReleaseRoot(const std::string& lease) = 0;
  // The files that the root's start opened, in their order.
  virtual Status RecordStart(const std::string& lease, const std::vector<std::string>& paths) = 0;
  virtual Result<std::unique_ptr<SaveSession>> StartSave(const SaveParameters& parameters) = 0;

  // Below: what root may do with images of others. A client that cannot answers kUnsupported.
  // How many secrets containers left in its layers (docs/save.md).
  virtual Result<uint64_t> CountSecrets(const std::string& reference) {
    return Error(Code::kUnsupported, "secrets cannot be counted here: " + reference);
  }
  // Brings it to other hosts of the cluster; returns when each has it or has failed, with a line
  // "HOST: why" for the latter.
  virtual Result<std::vector<std::string>> PrestageImage(const std::string& reference,
                                                         const std::vector<std::string>&) {
    return Error(Code::kUnsupported, "images cannot be sent from here: " + reference);
  }
  // Brings an image of root's from another host of the cluster, under the same name. It is all here
  // when this returns; nothing is done when it was. kUnavailable: the host does not answer.
  virtual Status PullImage(const std::string& host, const std::string& reference,
                           const CancelToken& cancel) = 0;
  // Takes the name away, and what nothing else needs. Ok when there is none. kFailedPrecondition,
  // unless `force`: containers run from it; those go on in any case.
  virtual Status DeleteImage(const std::string& reference, bool force) = 0;
};

}  // namespace strata::imaged
