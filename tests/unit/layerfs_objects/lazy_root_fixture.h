// A root whose objects are not (all) in the store: a real imaged that fetches from the directory of
// a whole image, the real object mount, both drivers.
#pragma once

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <csignal>
#include <optional>
#include <string>

#include "common/subprocess.h"
#include "layerfs/object_mount.h"
#include "layerfs/upper_lock.h"
#include "tests/unit/layerfs_kernel/keeper_process.h"
#include "tests/unit/layerfs_kernel/root_fixture.h"

namespace strata::layerfs {

class LazyRootTest : public RootTest, public ::testing::WithParamInterface<Driver> {
 protected:
  static constexpr size_t kLazyBytes = 200000;

  void SetUp() override {
    const auto program = ReadFile("/bin/echo");
    ASSERT_TRUE(program.ok());
    image_.File("tool", *program, {.mode = 0755});
    image_.File("lazy", std::string(kLazyBytes, 'l'));
    image_.File("private", std::string(5000, 'p'), {.mode = 0600, .uid = 7, .gid = 7});
    // The first block of a tree has a checksum; what comes last is in another block.
    for (int i = 0; i < 80; ++i) image_.File("empty" + std::to_string(i), "");
    image_.Directory("zz");
    image_.File("zz/last", std::string(3000, 'z'));
    RootTest::SetUp();
    // Servers become our children, so that the end of each can be waited for.
    ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    StartImaged();
  }

  void TearDown() override {
    EXPECT_TRUE(Unmount(mountpoint()).ok());
    EXPECT_TRUE(Unmount(spec_mount().mountpoint).ok());
    StopImaged();
    int status = 0;
    while (::waitpid(-1, &status, 0) > 0) {
      EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0) << status;
    }
    RootTest::TearDown();
  }

  void StartImaged() {
    int pipe_fds[2];
    ASSERT_EQ(::pipe2(pipe_fds, O_CLOEXEC), 0);
    const UniqueFd log(pipe_fds[0]);
    UniqueFd write_end(pipe_fds[1]);
    SubprocessOptions options;
    options.argv = {IMAGED_BINARY,  "--state-dir", base() + "/state", "--run-dir", base() + "/run",
                    "--fetch-from", base()};
    options.stderr_fd = write_end.get();
    auto started = Subprocess::Start(options);
    ASSERT_TRUE(started.ok()) << started.error().message();
    imaged_.emplace(std::move(*started));
    write_end.reset();
    std::string text;
    char byte;
    while (text.find("serves at") == std::string::npos && ::read(log.get(), &byte, 1) == 1) {
      text += byte;
    }
    ASSERT_NE(text.find("serves at"), std::string::npos) << text;
  }

  void StopImaged() {
    if (!imaged_.has_value()) return;
    imaged_->Kill(SIGTERM);
    EXPECT_EQ(*imaged_->Wait(), 0);
    imaged_.reset();
  }

  ObjectMountSpec spec_mount() const {
    return {.mountpoint = base() + "/run/objects",
            .imaged_socket = base() + "/run/imaged.sock",
            .binary = LAYERFS_OBJECTS_BINARY};
  }
  // The store, empty at first; base()/objects is where everything can be had.
  std::string store() const { return base() + "/state/imaged/store/objects"; }
  std::string InStore(std::string_view content) const {
    return store() + "/" + Hasher::Of(content).ObjectPath();
  }
  std::string InSource(std::string_view content) const {
    return base() + "/objects/" + Hasher::Of(content).ObjectPath();
  }
  RootSpec LazySpec(const std::string& volume = "volume",
                    std::optional<IdShift> shift = std::nullopt) const {
    RootSpec spec = Spec(volume, shift);
    spec.objects_dir = store();
    spec.object_mount = spec_mount();
    const Status prepared = PrepareUpper(spec);
    EXPECT_TRUE(prepared.ok()) << prepared.error().message();
    return spec;
  }
  Result<UniqueFd> Mount(const RootSpec& spec) {
    return MountRoot(GetParam(), spec, LAYERFS_BINARY);
  }
  // A spec whose tree is complete: every object is in the store.
  void FillStore() { ASSERT_TRUE(RunChecked({"cp", "-a", base() + "/objects/.", store()}).ok()); }

  static Result<std::string> Read(int root, const char* name) {
    ASSIGN_OR_RETURN(const UniqueFd file, OpenAt(root, name, O_RDONLY));
    return ReadAll(file.get(), 1u << 22);
  }
  static int ErrnoOfReading(int root, const char* name) {
    const auto content = Read(root, name);
    return content.ok() ? 0 : content.error().sys_errno();
  }
  // Everything that the servers of this test have logged.
  std::string Logs(const RootSpec& spec) const {
    std::string text;
    for (const std::string& path : {spec_mount().mountpoint + ".log", spec.upper_dir + ".log"}) {
      if (const auto log = ReadFile(path); log.ok()) text += *log;
    }
    return text;
  }
  pid_t ObjectKeeper() const { return FindKeeper("layerfs-objects.*" + base()); }
  void KillObjectServer() { KillServerOf(ObjectKeeper()); }
  // The server and its keeper.
  void KillObjectMount() {
    const pid_t keeper = ObjectKeeper();
    ASSERT_GT(keeper, 0);
    const pid_t group = ::getpgid(keeper);
    ASSERT_EQ(::kill(-group, SIGKILL), 0);
    while (::waitpid(-group, nullptr, 0) > 0) {
    }
  }

  std::optional<Subprocess> imaged_;
};

}  // namespace strata::layerfs
