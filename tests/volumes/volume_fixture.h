// The file systems on which volumes are tested, and a fixture that ends by proving that no mount,
// loop device or descriptor stayed behind.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/file_io.h"
#include "layerfs/root.h"
#include "layerfs/volume/volume_store.h"
#include "tests/conformance/test_image.h"

namespace strata::layerfs {

inline constexpr uint64_t kMiB = 1u << 20;
inline constexpr uint64_t kLimit = 48 * kMiB;

// One kind on one file system.
struct Backend {
  std::string name;  // "loop_on_xfs"
  VolumeKind kind = VolumeKind::kNone;
  std::string make_host;   // "xfs", "btrfs": made for the test; empty: what /var/tmp is on.
  std::string given_host;  // Or this directory, provided from outside.
  std::string lvm_pool;    // Provided from outside.
  bool limited = false;    // Has a limit.
  bool mounted = false;    // Has a file system of its own.
  bool snapshots = false;  // Can make snapshots.
};
inline void PrintTo(const Backend& backend, std::ostream* out) { *out << backend.name; }
inline std::string NameOf(const ::testing::TestParamInfo<Backend>& info) { return info.param.name; }

// What works on this machine: always none, loop and btrfs; project where STRATA_TEST_PROJECT_DIR
// (ext4) or STRATA_TEST_PROJECT_XFS_DIR is a directory, lvm-thin where STRATA_TEST_LVM_POOL is a
// pool (tests/vm sets them).
std::vector<Backend> Backends();
std::vector<Backend> BackendsWith(bool Backend::*property);

class VolumeTest : public ::testing::TestWithParam<Backend> {
 protected:
  void SetUp() override;
  void TearDown() override;

  const Backend& backend() const { return GetParam(); }
  const std::string& base() const { return base_->path(); }
  std::string directory() const { return host_ + "/volumes"; }
  std::string mount_dir() const { return base() + "/mounts"; }
  std::string ImageOf(const std::string& name) const { return directory() + "/" + name + ".ext4"; }
  VolumeOptions Options() const;
  // As a daemon that starts: opens the store anew and lets it recover.
  void OpenStore();
  uint64_t Limit() const { return backend().limited ? kLimit : 0; }
  // Creates and activates; the volume's directory.
  std::string Make(const std::string& name);
  std::string Made(const std::string& name);  // Only activates.

  // A union on a volume at base()/<name>.union.
  std::string MountUnion(const std::string& volume_dir, const std::string& name, Driver driver);
  void UnmountUnion(const std::string& name);

  std::unique_ptr<VolumeStore> store_;
  std::optional<TemporaryDirectory> base_;
  std::string host_;
  testing::TestImage image_;
  size_t descriptors_ = 0;
};

// Writes 1 MiB blocks to the file until `bytes` are there or an error stops it; `*written` tells
// how much went in. The errno of the first failing write or fsync, or 0.
int Fill(const std::string& path, uint64_t bytes, uint64_t* written);
bool IsFull(int error);  // ENOSPC or EDQUOT.
// True when `condition` comes true within ten seconds.
bool Eventually(const std::function<bool()>& condition);
size_t LoopsBelow(const std::string& directory);

}  // namespace strata::layerfs
