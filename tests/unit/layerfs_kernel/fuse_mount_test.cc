// The launcher with the real server.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/subprocess.h"
#include "layerfs/upper_lock.h"
#include "tests/unit/layerfs_kernel/root_fixture.h"

namespace strata::layerfs {
namespace {

// Finds the server by the path on its command line; none is 0.
pid_t ServerOf(const std::string& upper) {
  const auto found = Run({"pgrep", "-f", "serve.*" + upper});
  EXPECT_TRUE(found.ok());
  return found.ok() && found->exit_code == 0 ? std::stoi(found->out) : 0;
}

CommandOutput RunCommand(const std::vector<std::string>& argv) {
  const auto output = Run(argv);
  EXPECT_TRUE(output.ok());
  return output.ok() ? *output : CommandOutput{.exit_code = -1};
}

class FuseRootTest : public RootTest {
 protected:
  // Servers become our children, so that the end of each can be waited for.
  void SetUp() override {
    RootTest::SetUp();
    ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  }
  void TearDown() override {
    EXPECT_TRUE(Unmount(mountpoint()).ok());
    int status = 0;
    while (::waitpid(-1, &status, 0) > 0) {
      EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0) << status;
    }
    RootTest::TearDown();
  }
  Result<UniqueFd> Mount(const RootSpec& spec) {
    return MountRoot(Driver::kFuse, spec, LAYERFS_BINARY);
  }
};

TEST_F(FuseRootTest, ItIsServedWhenTheCallReturnsAndTheServerIsNoChildOfTheLauncher) {
  const RootSpec spec = PreparedSpec("volume", IdShift{.first_id = 300000, .count = 65536});
  const auto root = Mount(spec);
  ASSERT_TRUE(root.ok()) << root.error().message();
  struct stat st = {};
  ASSERT_EQ(::fstatat(root->get(), "owned", &st, 0), 0);
  EXPECT_EQ(st.st_uid, 300007u);
  const pid_t server = ServerOf(spec.upper_dir);
  ASSERT_GT(server, 0);
  EXPECT_NE(::getsid(server), ::getsid(0));
  EXPECT_FALSE(WaitUntilUpperFree(spec.upper_dir, std::chrono::milliseconds(0)).ok());
}

TEST_F(FuseRootTest, ClosingTheUnattachedMountEndsTheServer) {
  const RootSpec spec = PreparedSpec();
  { ASSERT_TRUE(Mount(spec).ok()); }
  EXPECT_TRUE(WaitUntilUpperFree(spec.upper_dir).ok());
}

TEST_F(FuseRootTest, TheOtherDriverTakesOverRightAfterAnUnmount) {
  const RootSpec spec = PreparedSpec();
  for (int round = 0; round < 3; ++round) {
    for (const Driver driver : {Driver::kFuse, Driver::kKernel}) {
      {
        const auto root = MountRoot(driver, spec, LAYERFS_BINARY);
        ASSERT_TRUE(root.ok()) << root.error().message();
        ASSERT_TRUE(AttachMount(root->get(), mountpoint()).ok());
      }
      auto file = Open(mountpoint() + "/owned", O_WRONLY | O_APPEND);
      ASSERT_TRUE(file.ok()) << file.error().message();
      ASSERT_TRUE(WriteAll(file->get(), "+").ok());
      ASSERT_TRUE(file->Close().ok());
      ASSERT_TRUE(Unmount(mountpoint()).ok());
    }
  }
  const auto content = ReadFile(spec.upper_dir + "/owned");
  ASSERT_TRUE(content.ok());
  EXPECT_EQ(*content, "of user 7++++++");
}

TEST_F(FuseRootTest, AServerKilledWithItsKeeperFreesTheUpperAndTheMountAnswersWithAnError) {
  const RootSpec spec = PreparedSpec();
  const auto root = Mount(spec);
  ASSERT_TRUE(root.ok()) << root.error().message();
  ASSERT_EQ(::kill(-::getpgid(ServerOf(spec.upper_dir)), SIGKILL), 0);
  ASSERT_TRUE(WaitUntilUpperFree(spec.upper_dir).ok());
  EXPECT_EQ(OpenAt(root->get(), "big", O_RDONLY).error().sys_errno(), ENOTCONN);
}

TEST_F(FuseRootTest, ABadTreeIsReportedByTheServerWithItsPath) {
  RootSpec spec = PreparedSpec();
  spec.tree_path = base() + "/garbage";
  ASSERT_TRUE(WriteFileAtomically(spec.tree_path, std::string(8192, 'x')).ok());
  const auto root = Mount(spec);
  ASSERT_FALSE(root.ok());
  EXPECT_NE(root.error().message().find("garbage"), std::string::npos) << root.error().message();
}

TEST_F(FuseRootTest, TheCommandMountsAndUnmounts) {
  const std::string volume = base() + "/cli";
  for (const char* driver : {"kernel", "fuse"}) {
    const CommandOutput mounted =
        RunCommand({LAYERFS_BINARY, "mount", "--tree", base() + "/tree", "--objects",
                    base() + "/objects", "--volume", volume, "--driver", driver, mountpoint()});
    ASSERT_EQ(mounted.exit_code, 0) << mounted.err;
    EXPECT_TRUE(PathExists(mountpoint() + "/big"));
    const CommandOutput unmounted = RunCommand({LAYERFS_BINARY, "unmount", mountpoint()});
    EXPECT_EQ(unmounted.exit_code, 0) << unmounted.err;
    EXPECT_FALSE(PathExists(mountpoint() + "/big"));
  }
}

TEST_F(FuseRootTest, TheCommandsExitCodesTellWhatIsWrong) {
  const auto exit_code = [](const std::vector<std::string>& argv) {
    return RunCommand(argv).exit_code;
  };
  EXPECT_EQ(exit_code({LAYERFS_BINARY, "--help"}), 0);
  EXPECT_EQ(exit_code({LAYERFS_BINARY, "mount"}), 2);
  EXPECT_EQ(exit_code({LAYERFS_BINARY, "unmount", base()}), 2);
  EXPECT_EQ(exit_code({LAYERFS_BINARY, "mount", "--tree", "/none", "--objects", base(), "--volume",
                       base() + "/v", "--driver", "kernel", mountpoint()}),
            3);
  EXPECT_EQ(exit_code({LAYERFS_BINARY, "mount", "--tree", base() + "/tree", "--objects", base(),
                       "--volume", base() + "/v", "--driver", "zfs", mountpoint()}),
            2);
  EXPECT_EQ(exit_code({LAYERFS_BINARY, "probe", "--json", "--state-dir", base()}), 0);
}

}  // namespace
}  // namespace strata::layerfs
