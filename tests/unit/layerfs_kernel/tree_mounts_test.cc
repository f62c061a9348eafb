#include "layerfs/tree_mounts.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <thread>
#include <vector>

#include "tests/unit/layerfs_kernel/root_fixture.h"

namespace strata::layerfs {
namespace {

dev_t DeviceOf(int mount) {
  struct stat st = {};
  EXPECT_EQ(::fstat(mount, &st), 0);
  return st.st_dev;
}

TEST_F(RootTest, OneTreeIsOneSuperblockForAllShifts) {
  TreeMounts trees;
  const std::string path = base() + "/tree";
  const auto plain = trees.Get(path, std::nullopt);
  ASSERT_TRUE(plain.ok()) << plain.error().message();
  const auto again = trees.Get(path, std::nullopt);
  const auto shifted = trees.Get(path, IdShift{.first_id = 500000, .count = 65536});
  ASSERT_TRUE(shifted.ok()) << shifted.error().message();
  EXPECT_EQ(plain->get(), again->get());
  EXPECT_EQ(trees.Get(path, IdShift{.first_id = 500000, .count = 65536})->get(), shifted->get());
  EXPECT_EQ(DeviceOf((*plain)->get()), DeviceOf((*shifted)->get()));
  struct stat st = {};
  ASSERT_EQ(::fstat((*shifted)->get(), &st), 0);
  EXPECT_EQ(st.st_uid, 500000u);
}

TEST_F(RootTest, ATreeThatWasReplacedIsMountedAnew) {
  TreeMounts trees;
  const std::string path = base() + "/tree";
  const auto before = trees.Get(path, std::nullopt);
  ASSERT_TRUE(before.ok());
  strata::testing::TestImage other;
  other.File("other", "");
  ASSERT_TRUE(MakeDirectories(base() + "/second").ok());
  ASSERT_TRUE(other.WriteImage(base() + "/second").ok());
  ASSERT_EQ(::rename((base() + "/second/tree").c_str(), path.c_str()), 0);
  const auto after = trees.Get(path, std::nullopt);
  ASSERT_TRUE(after.ok());
  EXPECT_TRUE(OpenAt((*after)->get(), "other", O_RDONLY).ok());
}

TEST_F(RootTest, ForgettingAndEvictingATreeDisturbsNoRoot) {
  TreeMounts trees(1);
  const auto root = MountRoot(Driver::kKernel, PreparedSpec(), trees);
  ASSERT_TRUE(root.ok()) << root.error().message();
  ASSERT_TRUE(MakeDirectories(base() + "/second").ok());
  ASSERT_TRUE(image_.WriteImage(base() + "/second").ok());
  ASSERT_TRUE(trees.Get(base() + "/second/tree", std::nullopt).ok());  // Evicts the first.
  trees.Forget(base() + "/second/tree");
  trees.Forget("/never/seen");
  EXPECT_TRUE(OpenAt(root->get(), "big", O_RDONLY).ok());
}

TEST_F(RootTest, AMissingTreeIsNotFoundAndLeavesTheCacheUsable) {
  TreeMounts trees;
  EXPECT_EQ(trees.Get(base() + "/nothing", std::nullopt).error().code(), Code::kNotFound);
  EXPECT_TRUE(trees.Get(base() + "/tree", std::nullopt).ok());
}

TEST_F(RootTest, TwentyRootsOfOneImageAreMountedInParallel) {
  TreeMounts trees;
  constexpr size_t kRoots = 20;
  std::vector<Result<UniqueFd>> roots;
  for (size_t i = 0; i < kRoots; ++i) roots.emplace_back(Error(Code::kInternal, "not run"));
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < kRoots; ++i) {
      threads.emplace_back([&, i] {
        const RootSpec spec =
            PreparedSpec("volume" + std::to_string(i), IdShift{.first_id = 100000, .count = 65536});
        roots[i] = MountRoot(Driver::kKernel, spec, trees);
      });
    }
  }
  for (const auto& root : roots) {
    ASSERT_TRUE(root.ok()) << root.error().message();
    EXPECT_TRUE(OpenAt(root->get(), "big", O_RDWR).ok());
  }
}

}  // namespace
}  // namespace strata::layerfs
