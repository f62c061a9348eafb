#include "layerfs/kernel_root.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "tests/unit/layerfs_kernel/root_fixture.h"

namespace strata::layerfs {
namespace {

struct stat StatAt(int fd, const char* name) {
  struct stat st = {};
  EXPECT_EQ(::fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW), 0) << name;
  return st;
}

std::string ContentAt(int fd, const char* name) {
  const auto file = OpenAt(fd, name, O_RDONLY);
  if (!file.ok()) return file.error().message();
  const auto content = ReadAll(file->get(), 1u << 20);
  return content.ok() ? *content : content.error().message();
}

void AppendAt(int fd, const char* name, std::string_view text) {
  const auto file = OpenAt(fd, name, O_WRONLY | O_APPEND);
  ASSERT_TRUE(file.ok()) << file.error().message();
  ASSERT_TRUE(WriteAll(file->get(), text).ok());
}

TEST_F(RootTest, TheUpperOfANewRootTakesTheLooksOfTheTreesRoot) {
  const RootSpec spec = PreparedSpec("volume", IdShift{.first_id = 200000, .count = 65536});
  struct stat upper = StatAt(AT_FDCWD, spec.upper_dir.c_str());
  EXPECT_EQ(upper.st_mode & 07777, image_.tree().inode(0).mode & 07777);
  EXPECT_EQ(upper.st_uid, 200000u);
  EXPECT_EQ(upper.st_mtim.tv_sec, strata::testing::TestImage::kMtime);
  EXPECT_EQ(StatAt(AT_FDCWD, spec.work_dir.c_str()).st_uid, 200000u);
}

TEST_F(RootTest, PreparingTwiceLeavesTheUpperAsItIs) {
  const RootSpec spec = PreparedSpec();
  ASSERT_TRUE(WriteFileAtomically(spec.upper_dir + "/mine", "x").ok());
  ASSERT_EQ(::chmod(spec.upper_dir.c_str(), 0711), 0);
  ASSERT_TRUE(PrepareUpper(spec).ok());
  EXPECT_TRUE(PathExists(spec.upper_dir + "/mine"));
  EXPECT_EQ(StatAt(AT_FDCWD, spec.upper_dir.c_str()).st_mode & 07777, 0711u);
}

TEST_F(RootTest, ADetachedRootReadsObjectsAndInlineFilesAndWritesToTheUpper) {
  const RootSpec spec = PreparedSpec();
  const auto root = MountRoot(Driver::kKernel, spec);
  ASSERT_TRUE(root.ok()) << root.error().message();
  EXPECT_EQ(ContentAt(root->get(), "big"), std::string(100000, 'b'));
  EXPECT_EQ(ContentAt(root->get(), "owned"), "of user 7");
  AppendAt(root->get(), "owned", "!");
  EXPECT_EQ(ContentAt(root->get(), "owned"), "of user 7!");
  EXPECT_EQ(ContentAt(AT_FDCWD, (spec.upper_dir + "/owned").c_str()), "of user 7!");
  EXPECT_EQ(MountsNaming(base()), 0u);  // Seen by nobody until it is attached.
}

TEST_F(RootTest, AnAttachedRootAllowsDevicesAndSetuid) {
  const auto root = MountRoot(Driver::kKernel, PreparedSpec());
  ASSERT_TRUE(root.ok()) << root.error().message();
  ASSERT_TRUE(AttachMount(root->get(), mountpoint()).ok());
  const std::string null = mountpoint() + "/null";
  ASSERT_EQ(::mknod(null.c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
  EXPECT_TRUE(Open(null, O_WRONLY).ok());
}

TEST_F(RootTest, IdsOfTheImageAreShiftedAndTheUpperHoldsShiftedIds) {
  const RootSpec spec = PreparedSpec("volume", IdShift{.first_id = 300000, .count = 65536});
  const auto root = MountRoot(Driver::kKernel, spec);
  ASSERT_TRUE(root.ok()) << root.error().message();
  EXPECT_EQ(StatAt(root->get(), "owned").st_uid, 300007u);
  ASSERT_EQ(::fchmodat(root->get(), "owned", 0600, 0), 0);
  EXPECT_EQ(StatAt(AT_FDCWD, (spec.upper_dir + "/owned").c_str()).st_uid, 300007u);
}

TEST_F(RootTest, HardLinksOfTheImageStayLinkedAfterAWrite) {
  const auto root = MountRoot(Driver::kKernel, PreparedSpec());
  ASSERT_TRUE(root.ok()) << root.error().message();
  AppendAt(root->get(), "big", "+");
  EXPECT_EQ(StatAt(root->get(), "big-too").st_size, 100001);
  EXPECT_EQ(StatAt(root->get(), "big-too").st_nlink, 2u);
}

TEST_F(RootTest, AnUpperInUseIsRefusedByName) {
  const RootSpec spec = PreparedSpec();
  const auto root = MountRoot(Driver::kKernel, spec);
  ASSERT_TRUE(root.ok()) << root.error().message();
  const auto second = MountRoot(Driver::kKernel, spec);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code(), Code::kFailedPrecondition) << second.error().message();
  EXPECT_NE(second.error().message().find(spec.upper_dir), std::string::npos);
}

TEST_F(RootTest, AFileThatIsNoTreeIsCorruptAndAMissingOneIsNotFound) {
  RootSpec spec = PreparedSpec();
  spec.tree_path = base() + "/garbage";
  EXPECT_EQ(MountRoot(Driver::kKernel, spec).error().code(), Code::kNotFound);
  ASSERT_TRUE(WriteFileAtomically(spec.tree_path, std::string(8192, 'x')).ok());
  EXPECT_EQ(MountRoot(Driver::kKernel, spec).error().code(), Code::kCorrupt);
}

TEST_F(RootTest, AWorkDirectoryThatCannotBeWrittenIsAnErrorAndNotAReadOnlyRoot) {
  PreparedSpec("volume");
  // Through an idmapped mount overlayfs cannot create its own directories in the work directory.
  const auto shifted = CloneMountIdShifted(base() + "/volume", 100000, 65536);
  ASSERT_TRUE(shifted.ok()) << shifted.error().message();
  ASSERT_TRUE(AttachMount(shifted->get(), mountpoint()).ok());
  RootSpec spec = Spec("volume");
  spec.upper_dir = mountpoint() + "/upper";
  spec.work_dir = mountpoint() + "/work";
  const auto root = MountRoot(Driver::kKernel, spec);
  ASSERT_FALSE(root.ok());
  EXPECT_NE(root.error().message().find("work directory"), std::string::npos)
      << root.error().message();
}

struct FallBack {
  const char* name;
  TreeBacking backing;
  LayerLookup lookup;
};

class FallBackTest : public RootTest, public ::testing::WithParamInterface<FallBack> {};

TEST_P(FallBackTest, GivesTheSameRootAndLeavesNothingBehind) {
  const RootSpec spec = PreparedSpec("volume", IdShift{.first_id = 300000, .count = 65536});
  {
    const auto root = MountKernelRoot(spec, GetParam().backing, GetParam().lookup);
    ASSERT_TRUE(root.ok()) << root.error().message();
    EXPECT_EQ(ContentAt(root->get(), "big").size(), 100000u);
    EXPECT_EQ(StatAt(root->get(), "owned").st_uid, 300007u);
    AppendAt(root->get(), "big", "+");
    EXPECT_EQ(StatAt(root->get(), "big-too").st_size, 100001);
    EXPECT_EQ(MountsNaming(base()), 0u);
    ASSERT_TRUE(AttachMount(root->get(), mountpoint()).ok());
  }
  EXPECT_TRUE(PathExists(mountpoint() + "/big"));
  ASSERT_TRUE(Unmount(mountpoint()).ok());
  const auto again = MountKernelRoot(spec);  // Nothing holds the upper any more.
  EXPECT_TRUE(again.ok()) << again.error().message();
}

INSTANTIATE_TEST_SUITE_P(
    OlderKernels, FallBackTest,
    ::testing::Values(FallBack{"Newest", TreeBacking::kFile, LayerLookup::kDetached},
                      FallBack{"Loop", TreeBacking::kLoop, LayerLookup::kDetached},
                      FallBack{"Namespace", TreeBacking::kFile, LayerLookup::kPrivateNamespace},
                      FallBack{"Both", TreeBacking::kLoop, LayerLookup::kPrivateNamespace}),
    [](const auto& test) { return test.param.name; });

class AwkwardPathTest : public FallBackTest {
 protected:
  std::string Prefix() const override { return "a:b,c=d\\e f\"" + std::string(180, 'x') + "."; }
};

TEST_P(AwkwardPathTest, ColonsCommasBackslashesAndLengthNeedNoCare) {
  const RootSpec spec = PreparedSpec("volume:,\\" + std::string(80, 'y'));
  const auto root = MountKernelRoot(spec, GetParam().backing, GetParam().lookup);
  ASSERT_TRUE(root.ok()) << root.error().message();
  EXPECT_EQ(ContentAt(root->get(), "owned"), "of user 7");
  AppendAt(root->get(), "big", "+");
}

INSTANTIATE_TEST_SUITE_P(
    Lookups, AwkwardPathTest,
    ::testing::Values(FallBack{"Detached", TreeBacking::kFile, LayerLookup::kDetached},
                      FallBack{"Namespace", TreeBacking::kFile, LayerLookup::kPrivateNamespace}),
    [](const auto& test) { return test.param.name; });

TEST(DriverNames, AreParsedBackAndAnUnknownOneIsRefusedWithTheList) {
  EXPECT_EQ(*ParseDriver(DriverName(Driver::kKernel)), Driver::kKernel);
  EXPECT_EQ(*ParseDriver(DriverName(Driver::kFuse)), Driver::kFuse);
  EXPECT_NE(ParseDriver("overlay").error().message().find("kernel or fuse"), std::string::npos);
}

}  // namespace
}  // namespace strata::layerfs
