// Volumes: where a node's upper/ and work/ live, with a hard limit on what they may hold. One
// implementation per mechanism; docs/overview.md says when which is picked.
//
//   none      a directory, no limit
//   project   a directory with a project quota (ext4, xfs)
//   btrfs     a subvolume with a qgroup limit
//   loop      a sparse ext4 image on a loop device
//   lvm-thin  a thin logical volume with ext4
//
// A writer that reaches the limit gets ENOSPC or EDQUOT from the kernel, with both drivers of
// layerfs and past any page cache; other volumes and the host do not notice.
//
// Life of a volume: Create -> Activate <-> Deactivate -> Remove. Activation survives the process
// (nodes run on without their daemon) and every call may be repeated after a crash.
//
// Thread-safe for different volumes. Calls that change one volume exclude each other by the caller;
// Usage and Resize of an active volume may run beside its writers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "common/subprocess.h"

namespace strata::layerfs {

enum class VolumeKind { kNone, kProject, kBtrfs, kLvmThin, kLoop };

std::string_view VolumeKindName(VolumeKind kind);           // "none", "lvm-thin", …
Result<VolumeKind> ParseVolumeKind(std::string_view name);  // kInvalidArgument lists the names.
const std::vector<VolumeKind>& AllVolumeKinds();

// Limits of volumes, so that the smallest file system fits and the sums below cannot overflow.
inline constexpr uint64_t kVolumeBytesMin = 16ull << 20;
inline constexpr uint64_t kVolumeBytesMax = 64ull << 40;

struct VolumeUsage {
  uint64_t used_bytes = 0;
  uint64_t limit_bytes = 0;   // 0: none of its own.
  uint64_t used_inodes = 0;   // 0 where the kind cannot tell.
  uint64_t limit_inodes = 0;  // 0: none of its own.
};

// A read-only view of a volume as it was at one moment. Gone with this object.
class VolumeSnapshot {
 public:
  virtual ~VolumeSnapshot() = default;
  virtual const std::string& path() const = 0;  // Holds upper/ and work/.
};

struct RecoveredVolumes {
  struct Problem {
    std::string volume;
    std::string message;  // What is wrong and what helps.
  };
  std::vector<std::string> removed;  // What a crash had left, by name.
  std::vector<Problem> problems;     // Volumes that are there and cannot be used.
};

class VolumeStore {
 public:
  virtual ~VolumeStore() = default;
  virtual VolumeKind kind() const = 0;

  // A new, empty, inactive volume that holds `limit_bytes` of data. Durable. Made under another
  // name first: what has the name is finished. kNone takes 0 only.
  // kAlreadyExists; kResourceExhausted: the disk is full.
  virtual Status Create(const std::string& name, uint64_t limit_bytes) = 0;

  // The directory for upper/ and work/, ready for use and the same until Deactivate. An active
  // volume stays as it is. A file system that was not unmounted replays its journal here.
  // kNotFound: no such volume, or what backs it is lost (the message says what). kCorrupt: it
  // cannot be mounted; the message names file and remedy. kFailedPrecondition: the place where it
  // would appear is taken.
  virtual Result<std::string> Activate(const std::string& name) = 0;
  // kFailedPrecondition: it is in use. An inactive volume, and none, is Ok.
  virtual Status Deactivate(const std::string& name) = 0;

  // A new limit, at once and while it is used. Durable.
  // kFailedPrecondition: more than that is in use, or (the message says so) not while active.
  virtual Status Resize(const std::string& name, uint64_t limit_bytes) = 0;

  // REQUIRES: it is active.
  virtual Result<VolumeUsage> Usage(const std::string& name) = 0;

  // One at a time per volume. REQUIRES: it is active. kUnsupported where the kind cannot.
  virtual Result<std::unique_ptr<VolumeSnapshot>> Snapshot(const std::string& name) = 0;

  // Deactivates and deletes. Durable. None of that name is Ok.
  virtual Status Remove(const std::string& name) = 0;

  virtual Result<std::vector<std::string>> List() = 0;

  // Takes over after a crash: removes half-made volumes, snapshots, and mounts of volumes that are
  // gone. Active volumes stay active. Call before anything else.
  virtual Result<RecoveredVolumes> Recover() = 0;
};

// Runs a program to its end; answers its standard output, or an error with its last words.
using CommandRunner = std::function<Result<std::string>(const std::vector<std::string>& argv)>;

struct VolumeOptions {
  std::string directory;  // Durable, this store's own; made when missing.
  std::string mount_dir;  // Where kinds with a file system of their own appear; made when missing.
  std::string lvm_pool;   // lvm-thin: "GROUP/POOL".
  std::string lvm_prefix = "strata";  // lvm-thin: of the names of its logical volumes.
  CommandRunner run_command;          // Empty: really runs it.
};

// kUnsupported where this kernel or file system cannot (see ProbeVolumeKind).
Result<std::unique_ptr<VolumeStore>> OpenVolumeStore(VolumeKind kind, VolumeOptions options);

// Lower-case letters, digits and '-', at most 60; kInvalidArgument otherwise.
Status CheckVolumeName(std::string_view name);
// kInvalidArgument outside of kVolumeBytesMin … kVolumeBytesMax.
Status CheckVolumeSize(uint64_t limit_bytes);

}  // namespace strata::layerfs
