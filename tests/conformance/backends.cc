#include "tests/conformance/backends.h"

#include <poll.h>

#include <chrono>

#include "common/file_io.h"
#include "common/mount.h"
#include "layerfs/root.h"

namespace strata::conformance {
namespace {

class PlainBackend : public Backend {
 public:
  explicit PlainBackend(std::string base) : base_(std::move(base)) {}
  std::string mountpoint() const override { return base_ + "/mnt"; }
  Status Unmount() override { return Ok(); }
  Status Remount(bool) override { return Ok(); }

 private:
  std::string base_;
};

// A namespace that was made meanwhile (a container that starts, next to this test) keeps the last
// mount of the upper for a while.
template <typename Mount>
Status MountWhenFree(const Mount& mount) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (true) {
    Status status = mount();
    const bool busy = !status.ok() && (status.error().sys_errno() == EBUSY ||
                                       status.error().code() == Code::kFailedPrecondition);
    if (!busy || std::chrono::steady_clock::now() > deadline) return status;
    ::poll(nullptr, 0, 20);
  }
}

class OverlayBackend : public Backend {
 public:
  explicit OverlayBackend(std::string base) : base_(std::move(base)) {}
  std::string mountpoint() const override { return base_ + "/mnt"; }
  Status Unmount() override { return strata::Unmount(mountpoint()); }
  Status Remount(bool) override {
    RETURN_IF_ERROR(Unmount());
    return MountWhenFree([this] { return Mount(); });
  }
  Status Mount() {
    ASSIGN_OR_RETURN(const UniqueFd mount,
                     CreateDetachedMount({.type = "overlay",
                                          .options = {{"source", "oracle"},
                                                      {"lowerdir", base_ + "/lower"},
                                                      {"upperdir", base_ + "/upper"},
                                                      {"workdir", base_ + "/work"},
                                                      {"metacopy", "on"},
                                                      {"redirect_dir", "on"},
                                                      {"index", "on"},
                                                      {"xino", "off"}}}));
    return AttachMount(mount.get(), mountpoint());
  }

 private:
  std::string base_;
};

// An older kernel has only one of them.
bool BothDriversWork() {
  static const auto best = layerfs::PickDriver("/var/tmp");
  return best.ok() && *best == layerfs::Driver::kKernel;
}

class DriverBackend : public Backend {
 public:
  DriverBackend(std::string base, layerfs::Driver driver)
      : base_(std::move(base)), driver_(driver) {
    spec_.tree_path = base_ + "/tree";
    spec_.objects_dir = base_ + "/objects";
    spec_.upper_dir = base_ + "/upper";
    spec_.work_dir = base_ + "/work";
  }
  std::string mountpoint() const override { return base_ + "/mnt"; }
  Status Unmount() override { return strata::Unmount(mountpoint()); }
  Status Remount(bool other_driver) override {
    RETURN_IF_ERROR(Unmount());
    if (other_driver && BothDriversWork()) {
      driver_ =
          driver_ == layerfs::Driver::kKernel ? layerfs::Driver::kFuse : layerfs::Driver::kKernel;
    }
    return MountWhenFree([this] { return Mount(); });
  }
  Status Mount() {
    RETURN_IF_ERROR(layerfs::PrepareUpper(spec_));
    ASSIGN_OR_RETURN(const UniqueFd mount, layerfs::MountRoot(driver_, spec_, LAYERFS_BINARY));
    return AttachMount(mount.get(), mountpoint());
  }

 private:
  std::string base_;
  layerfs::Driver driver_;
  layerfs::RootSpec spec_;
};

template <typename T, typename... Arguments>
Result<std::unique_ptr<Backend>> Mounted(Arguments... arguments) {
  auto backend = std::make_unique<T>(arguments...);
  RETURN_IF_ERROR(backend->Mount());
  return std::unique_ptr<Backend>(std::move(backend));
}

}  // namespace

std::string_view BackendName(BackendKind kind) {
  switch (kind) {
    case BackendKind::kPlain:
      return "Plain";
    case BackendKind::kOverlay:
      return "Overlay";
    case BackendKind::kKernel:
      return "Kernel";
    case BackendKind::kFuse:
      return "Fuse";
  }
  return "?";
}

std::vector<BackendKind> AvailableBackends() {
  return {BackendKind::kPlain, BackendKind::kOverlay, BackendKind::kKernel, BackendKind::kFuse};
}

Result<std::unique_ptr<Backend>> Backend::Create(BackendKind kind, const std::string& base,
                                                 const testing::TestImage& image) {
  RETURN_IF_ERROR(MakeDirectories(base + "/mnt"));
  switch (kind) {
    case BackendKind::kPlain:
      RETURN_IF_ERROR(image.WritePlain(base + "/mnt"));
      return std::unique_ptr<Backend>(std::make_unique<PlainBackend>(base));
    case BackendKind::kOverlay:
      for (const char* name : {"/lower", "/upper", "/work"}) {
        RETURN_IF_ERROR(MakeDirectories(base + name));
      }
      RETURN_IF_ERROR(image.WritePlain(base + "/lower"));
      return Mounted<OverlayBackend>(base);
    case BackendKind::kKernel:
    case BackendKind::kFuse:
      break;
  }
  RETURN_IF_ERROR(image.WriteImage(base));
  return Mounted<DriverBackend>(
      base, kind == BackendKind::kKernel ? layerfs::Driver::kKernel : layerfs::Driver::kFuse);
}

}  // namespace strata::conformance
