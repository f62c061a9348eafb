// Where the cases run. All hold the same content at <mountpoint>/case.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "tests/conformance/test_image.h"

namespace strata::conformance {

enum class BackendKind {
  kPlain,    // A directory of the host's file system: what POSIX cases must pass on.
  kOverlay,  // Kernel overlayfs over plain directories, with our options: the oracle.
  kKernel,   // Our kernel driver.
  kFuse,     // Our fuse driver.
};

std::string_view BackendName(BackendKind kind);
std::vector<BackendKind> AvailableBackends();

class Backend {
 public:
  // Below `base`, an existing directory of its own, which the caller removes after Unmount.
  static Result<std::unique_ptr<Backend>> Create(BackendKind kind, const std::string& base,
                                                 const testing::TestImage& image);
  virtual ~Backend() = default;
  virtual std::string mountpoint() const = 0;
  virtual Status Unmount() = 0;
  // Unmounts and mounts again; `other_driver`: our drivers take turns.
  virtual Status Remount(bool other_driver) = 0;
};

}  // namespace strata::conformance
