#include "tests/volumes/volume_fixture.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>

#include "common/capability.h"
#include "common/mount.h"
#include "common/subprocess.h"
#include "tests/unit/layerfs_kernel/root_fixture.h"

namespace strata::layerfs {
namespace {

void MakeHost(const std::string& type, const std::string& image, const std::string& mountpoint) {
  ASSERT_TRUE(MakeDirectories(mountpoint).ok());
  const UniqueFd file(::open(image.c_str(), O_CREAT | O_RDWR, 0600));
  ASSERT_EQ(::ftruncate(file.get(), static_cast<off_t>(1536 * kMiB)), 0);
  const auto made = RunChecked({"mkfs." + type, "-q", image});
  ASSERT_TRUE(made.ok()) << made.error().message();
  const auto mounted = RunChecked({"mount", "-t", type, "-o", "loop", image, mountpoint});
  ASSERT_TRUE(mounted.ok()) << mounted.error().message();
}

}  // namespace

std::vector<Backend> Backends() {
  std::vector<Backend> backends = {
      {.name = "none", .kind = VolumeKind::kNone},
      {.name = "loop", .kind = VolumeKind::kLoop, .limited = true, .mounted = true},
      {.name = "loop_on_xfs",
       .kind = VolumeKind::kLoop,
       .make_host = "xfs",
       .limited = true,
       .mounted = true,
       .snapshots = true},
      {.name = "btrfs",
       .kind = VolumeKind::kBtrfs,
       .make_host = "btrfs",
       .limited = true,
       .snapshots = true},
  };
  if (const char* directory = std::getenv("STRATA_TEST_PROJECT_DIR"); directory != nullptr) {
    backends.push_back({.name = "project",
                        .kind = VolumeKind::kProject,
                        .given_host = directory,
                        .limited = true});
  }
  if (const char* directory = std::getenv("STRATA_TEST_PROJECT_XFS_DIR"); directory != nullptr) {
    backends.push_back({.name = "project_on_xfs",
                        .kind = VolumeKind::kProject,
                        .given_host = directory,
                        .limited = true});
  }
  if (const char* pool = std::getenv("STRATA_TEST_LVM_POOL"); pool != nullptr) {
    backends.push_back({.name = "lvm_thin",
                        .kind = VolumeKind::kLvmThin,
                        .lvm_pool = pool,
                        .limited = true,
                        .mounted = true,
                        .snapshots = true});
  }
  // A kernel without btrfs modules, or a run of one kind: "none,loop".
  const char* only = std::getenv("STRATA_TEST_VOLUMES");
  const std::string wanted = only == nullptr ? "" : "," + std::string(only) + ",";
  std::erase_if(backends, [&](const Backend& backend) {
    return !wanted.empty() && wanted.find("," + backend.name + ",") == std::string::npos;
  });
  return backends;
}

std::vector<Backend> BackendsWith(bool Backend::*property) {
  std::vector<Backend> backends = Backends();
  std::erase_if(backends, [&](const Backend& backend) { return !(backend.*property); });
  return backends;
}

void VolumeTest::SetUp() {
  descriptors_ = OpenDescriptors();
  auto base = TemporaryDirectory::Create("/var/tmp", "strata-volumes.");
  ASSERT_TRUE(base.ok()) << base.error().message();
  base_.emplace(std::move(*base));
  host_ = backend().given_host.empty() ? this->base() + "/host" : backend().given_host;
  ASSERT_TRUE(MakeDirectories(host_).ok());
  if (!backend().make_host.empty()) {
    ASSERT_NO_FATAL_FAILURE(MakeHost(backend().make_host, this->base() + "/host.image", host_));
  }
  image_.File("below", std::string(2 * kMiB, 'b'));
  const Status written = image_.WriteImage(this->base());
  ASSERT_TRUE(written.ok()) << written.error().message();
  OpenStore();
}

void VolumeTest::TearDown() {
  if (!base_.has_value()) return;
  if (store_ != nullptr) {
    const auto volumes = store_->List();
    EXPECT_TRUE(volumes.ok());
    for (const std::string& name : volumes.ok() ? *volumes : std::vector<std::string>()) {
      const Status removed = store_->Remove(name);
      EXPECT_TRUE(removed.ok()) << removed.error().message();
    }
  }
  store_.reset();
  const std::string path = base();
  EXPECT_EQ(MountsNaming(mount_dir()), 0u);
  if (!backend().make_host.empty()) {
    EXPECT_TRUE(Unmount(host_).ok());
  } else {
    EXPECT_TRUE(RemoveTree(directory()).ok());
  }
  EXPECT_EQ(MountsNaming(path), 0u);
  EXPECT_TRUE(Eventually([&] { return LoopsBelow(path) == 0; }));
  base_.reset();
  EXPECT_FALSE(PathExists(path));
  EXPECT_EQ(OpenDescriptors(), descriptors_);
}

VolumeOptions VolumeTest::Options() const {
  return {.directory = directory(),
          .mount_dir = mount_dir(),
          .lvm_pool = backend().lvm_pool,
          .lvm_prefix = "stratatest"};
}

void VolumeTest::OpenStore() {
  auto store = OpenVolumeStore(backend().kind, Options());
  ASSERT_TRUE(store.ok()) << store.error().message();
  store_ = std::move(*store);
  const auto recovered = store_->Recover();
  ASSERT_TRUE(recovered.ok()) << recovered.error().message();
}

std::string VolumeTest::Make(const std::string& name) {
  const Status created = store_->Create(name, Limit());
  EXPECT_TRUE(created.ok()) << created.error().message();
  return Made(name);
}

std::string VolumeTest::Made(const std::string& name) {
  const auto path = store_->Activate(name);
  EXPECT_TRUE(path.ok()) << path.error().message();
  return path.ok() ? *path : "/nowhere";
}

std::string VolumeTest::MountUnion(const std::string& volume_dir, const std::string& name,
                                   Driver driver) {
  const RootSpec spec{.tree_path = base() + "/tree",
                      .objects_dir = base() + "/objects",
                      .upper_dir = volume_dir + "/upper",
                      .work_dir = volume_dir + "/work"};
  const Status prepared = PrepareUpper(spec);
  EXPECT_TRUE(prepared.ok()) << prepared.error().message();
  const std::string path = base() + "/" + name + ".union";
  EXPECT_TRUE(MakeDirectories(path).ok());
  const auto mount = MountRoot(driver, spec, LAYERFS_BINARY);
  EXPECT_TRUE(mount.ok()) << mount.error().message();
  EXPECT_TRUE(mount.ok() && AttachMount(mount->get(), path).ok());
  return path;
}

void VolumeTest::UnmountUnion(const std::string& name) {
  const std::string path = base() + "/" + name + ".union";
  const Status unmounted = Unmount(path);
  EXPECT_TRUE(unmounted.ok()) << unmounted.error().message();
  // A namespace that another test cloned meanwhile has a copy, which would keep the server.
  EXPECT_EQ(::rmdir(path.c_str()), 0);
}

int Fill(const std::string& path, uint64_t bytes, uint64_t* written) {
  const std::string block(kMiB, 'f');
  // Quotas do not hold for who has it; no driver of layerfs writes with it.
  const LoweredCapability no_resource(CAP_SYS_RESOURCE);
  const UniqueFd fd(::open(path.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600));
  if (!fd.valid()) return errno;
  for (*written = 0; *written < bytes;) {
    const ssize_t n = ::write(fd.get(), block.data(), block.size());
    if (n < 0) return errno;
    *written += static_cast<uint64_t>(n);
  }
  return ::fsync(fd.get()) == 0 ? 0 : errno;
}

bool IsFull(int error) { return error == ENOSPC || error == EDQUOT; }

bool Eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    ::poll(nullptr, 0, 5);  // The kernel tells nobody when it frees a loop device.
  }
  return true;
}

size_t LoopsBelow(const std::string& directory) { return LoopDevicesOf(directory); }

}  // namespace strata::layerfs
