#include "layerfs/fuse_launch.h"

#include <sys/stat.h>

#include "layerfs/upper_lock.h"
#include "tests/unit/layerfs_kernel/root_fixture.h"

namespace strata::layerfs {
namespace {

// Programs of our own stand in for a server that fails: the launcher knows only argv and pipes.
std::string Script(const std::string& directory, const std::string& body) {
  const std::string path = directory + "/server";
  EXPECT_TRUE(WriteFileAtomically(path, "#!/bin/sh\n" + body, 0755).ok());
  return path;
}

TEST_F(RootTest, TheReasonOfAServerThatDoesNotStartIsReported) {
  const std::string server = Script(base(), "echo the tree is odd >&4; exit 3\n");
  const auto mount = MountFuseRoot(PreparedSpec(), server);
  ASSERT_FALSE(mount.ok());
  EXPECT_NE(mount.error().message().find("the tree is odd"), std::string::npos);
}

TEST_F(RootTest, ASilentDeathTellsItsExitCode) {
  const auto mount = MountFuseRoot(PreparedSpec(), Script(base(), "exit 42\n"));
  ASSERT_FALSE(mount.ok());
  EXPECT_NE(mount.error().message().find("42"), std::string::npos);
}

TEST_F(RootTest, AMissingServerBinaryIsNotFound) {
  const auto mount = MountFuseRoot(PreparedSpec(), base() + "/no-such-binary");
  ASSERT_FALSE(mount.ok());
  EXPECT_EQ(mount.error().code(), Code::kNotFound);
}

TEST_F(RootTest, AServerThatNeverGetsReadyIsKilledAndTheUpperIsFreeAgain) {
  const RootSpec spec = PreparedSpec();
  const auto mount =
      MountFuseRoot(spec, Script(base(), "exec sleep 1000\n"), std::chrono::milliseconds(200));
  ASSERT_FALSE(mount.ok());
  EXPECT_EQ(mount.error().code(), Code::kDeadlineExceeded);
  EXPECT_TRUE(WaitUntilUpperFree(spec.upper_dir).ok());
}

TEST_F(RootTest, TheServerGetsTheWholeSpecOnItsCommandLine) {
  const RootSpec spec = PreparedSpec("v", IdShift{.first_id = 7, .count = 9});
  const auto mount = MountFuseRoot(spec, Script(base(), "echo \"$@\" >&4; exit 1\n"));
  ASSERT_FALSE(mount.ok());
  const std::string expected = "serve --fuse-fd 3 --ready-fd 4 --tree " + spec.tree_path +
                               " --objects " + spec.objects_dir + " --upper " + spec.upper_dir +
                               " --work " + spec.work_dir + " --id-shift 7:9";
  EXPECT_NE(mount.error().message().find(expected), std::string::npos) << mount.error().message();
}

}  // namespace
}  // namespace strata::layerfs
