// Roots whose objects are fetched, repaired or lacking; both drivers, nothing faked.
#include <sys/mman.h>
#include <sys/stat.h>

#include <future>

#include "common/digest.h"
#include "imaged/manifest/tree_objects.h"
#include "tests/unit/layerfs_objects/lazy_root_fixture.h"

namespace strata::layerfs {
namespace {

const std::string kBig(100000, 'b');

TEST_P(LazyRootTest, FilesAreFetchedWhenTheyAreOpenedAndNoOthersAre) {
  const auto root = Mount(LazySpec());
  ASSERT_TRUE(root.ok()) << root.error().message();
  struct stat st = {};
  ASSERT_EQ(::fstatat(root->get(), "lazy", &st, 0), 0);
  EXPECT_EQ(st.st_size, static_cast<off_t>(kLazyBytes));
  EXPECT_FALSE(PathExists(InStore(std::string(kLazyBytes, 'l'))));
  const auto content = Read(root->get(), "big");
  ASSERT_TRUE(content.ok()) << content.error().message();
  EXPECT_EQ(*content, kBig);
  EXPECT_TRUE(PathExists(InStore(kBig)));
  EXPECT_FALSE(PathExists(InStore(std::string(kLazyBytes, 'l'))));
}

TEST_P(LazyRootTest, AFetchedFileCanBeMappedAndExecuted) {
  const auto root = Mount(LazySpec());
  ASSERT_TRUE(root.ok()) << root.error().message();
  ASSERT_TRUE(AttachMount(root->get(), mountpoint()).ok());
  const auto said = RunChecked({mountpoint() + "/tool", "hello"});
  ASSERT_TRUE(said.ok()) << said.error().message();
  EXPECT_EQ(*said, "hello\n");
  const auto file = Open(mountpoint() + "/lazy", O_RDONLY);
  ASSERT_TRUE(file.ok());
  void* memory = ::mmap(nullptr, kLazyBytes, PROT_READ, MAP_SHARED, file->get(), 0);
  ASSERT_NE(memory, MAP_FAILED);
  EXPECT_EQ(static_cast<const char*>(memory)[kLazyBytes - 1], 'l');
  ::munmap(memory, kLazyBytes);
}

TEST_P(LazyRootTest, AFetchedFileIsCopiedUpAndHardLinksStayLinked) {
  const auto root = Mount(LazySpec());
  ASSERT_TRUE(root.ok()) << root.error().message();
  {
    const auto file = OpenAt(root->get(), "big", O_WRONLY | O_APPEND);
    ASSERT_TRUE(file.ok()) << file.error().message();
    ASSERT_TRUE(WriteAll(file->get(), "+").ok());
  }
  // With overlayfs this takes its index, which not every layer would leave it.
  EXPECT_EQ(*Read(root->get(), "big-too"), kBig + "+");
}

TEST_P(LazyRootTest, AnUnprivilegedUserOfAShiftedRootFetchesWhatHeMayRead) {
  const RootSpec spec = LazySpec("volume", IdShift{.first_id = 300000, .count = 65536});
  const auto root = Mount(spec);
  ASSERT_TRUE(root.ok()) << root.error().message();
  const auto open_as = [&](uid_t uid) {
    const pid_t child = ::fork();
    if (child == 0) {
      if (::setresgid(uid, uid, uid) != 0 || ::setresuid(uid, uid, uid) != 0) ::_exit(99);
      const int fd = ::openat(root->get(), "private", O_RDONLY);
      char byte = 0;
      ::_exit(fd < 0 ? errno : ::read(fd, &byte, 1) == 1 && byte == 'p' ? 0 : 98);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WEXITSTATUS(status);
  };
  EXPECT_EQ(open_as(300008), EACCES);
  EXPECT_FALSE(PathExists(InStore(std::string(5000, 'p'))));
  EXPECT_EQ(open_as(300007), 0);
}

TEST_P(LazyRootTest, UsersCannotAskTheObjectMountForDigests) {
  const auto root = Mount(LazySpec());
  ASSERT_TRUE(root.ok()) << root.error().message();
  ASSERT_TRUE(EnsureObjectMount(spec_mount(), store()).ok());
  ASSERT_EQ(::chmod(base().c_str(), 0755), 0);
  const std::string run = base() + "/run";
  const std::string object = spec_mount().mountpoint + "/" + Hasher::Of(kBig).ObjectPath();
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setresuid(12345, 12345, 12345) != 0 || ::access(run.c_str(), X_OK) != 0) ::_exit(99);
    struct stat st = {};
    ::_exit(::stat(object.c_str(), &st) == 0 ? 0 : errno);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), EACCES);
}

TEST_P(LazyRootTest, AnObjectThatNobodyHasIsEioForItsFileAloneAndItsDigestIsLogged) {
  ASSERT_EQ(::unlink(InSource(kBig).c_str()), 0);
  const RootSpec spec = LazySpec();
  const auto root = Mount(spec);
  ASSERT_TRUE(root.ok()) << root.error().message();
  EXPECT_EQ(ErrnoOfReading(root->get(), "big"), EIO);
  EXPECT_EQ(ErrnoOfReading(root->get(), "lazy"), 0);
  EXPECT_NE(Logs(spec).find(Hasher::Of(kBig).ToString()), std::string::npos) << Logs(spec);
  // It turns up: the next open finds it.
  ASSERT_TRUE(WriteFileAtomically(InSource(kBig), kBig, 0444).ok());
  EXPECT_EQ(*Read(root->get(), "big"), kBig);
}

TEST_P(LazyRootTest, BytesThatDoNotMatchTheirDigestAreNeverServed) {
  ASSERT_TRUE(WriteFileAtomically(InSource(kBig), std::string(100000, 'x'), 0444).ok());
  const RootSpec spec = LazySpec();
  const auto root = Mount(spec);
  ASSERT_TRUE(root.ok()) << root.error().message();
  EXPECT_EQ(ErrnoOfReading(root->get(), "big"), EIO);
  EXPECT_FALSE(PathExists(InStore(kBig)));
  EXPECT_FALSE(PathExists(InStore(std::string(100000, 'x'))));
}

TEST_P(LazyRootTest, ATruncatedObjectIsRepairedFromTheSource) {
  FillStore();
  ASSERT_EQ(::truncate(InStore(kBig).c_str(), 1000), 0);
  const auto root = Mount(LazySpec());
  ASSERT_TRUE(root.ok()) << root.error().message();
  EXPECT_EQ(*Read(root->get(), "big"), kBig);
  EXPECT_EQ(*ReadFile(InStore(kBig)), kBig);
}

TEST_P(LazyRootTest, ATruncatedObjectThatCannotBeRepairedIsEioForItsFileAlone) {
  FillStore();
  ASSERT_EQ(::unlink(InSource(kBig).c_str()), 0);
  ASSERT_EQ(::truncate(InStore(kBig).c_str(), 1000), 0);
  const RootSpec spec = LazySpec();
  const auto root = Mount(spec);
  ASSERT_TRUE(root.ok()) << root.error().message();
  EXPECT_EQ(ErrnoOfReading(root->get(), "big"), EIO);
  EXPECT_EQ(ErrnoOfReading(root->get(), "big-too"), EIO);
  EXPECT_EQ(ErrnoOfReading(root->get(), "lazy"), 0);
  EXPECT_NE(Logs(spec).find(Hasher::Of(kBig).ToString()), std::string::npos) << Logs(spec);
}

TEST_P(LazyRootTest, WithoutAnObjectMountADamagedObjectIsNeverShown) {
  FillStore();
  ASSERT_EQ(::truncate(InStore(kBig).c_str(), 1000), 0);
  RootSpec spec = LazySpec();
  spec.object_mount.reset();
  const auto root = Mount(spec);
  if (GetParam() == Driver::kFuse) {
    ASSERT_TRUE(root.ok()) << root.error().message();
    EXPECT_EQ(ErrnoOfReading(root->get(), "big"), EIO);
    EXPECT_EQ(ErrnoOfReading(root->get(), "lazy"), 0);
    EXPECT_NE(Logs(spec).find(Hasher::Of(kBig).ToString()), std::string::npos) << Logs(spec);
    return;
  }
  ASSERT_FALSE(root.ok());
  EXPECT_EQ(root.error().code(), Code::kCorrupt);
  EXPECT_NE(root.error().message().find(Hasher::Of(kBig).ToString()), std::string::npos);
  EXPECT_NE(root.error().message().find("/big"), std::string::npos) << root.error().message();
}

TEST_P(LazyRootTest, ACorruptTreeIsNotMountedAndThePathOfWhatIsWrongIsTold) {
  const RootSpec spec = LazySpec();
  auto image = ReadFile(spec.tree_path);
  ASSERT_TRUE(image.ok());
  // A redirect that the kernel would follow to another place.
  const size_t at = image->find("/" + Hasher::Of(std::string(3000, 'z')).ObjectPath());
  ASSERT_GT(at, 4096u);
  ASSERT_NE(at, std::string::npos);
  (*image)[at + 1] = '.';
  ASSERT_TRUE(WriteFileAtomically(spec.tree_path, *image, 0444).ok());
  const auto root = Mount(spec);
  ASSERT_FALSE(root.ok());
  EXPECT_EQ(root.error().code(), Code::kCorrupt);
  EXPECT_NE(root.error().message().find("/zz/last: "), std::string::npos) << root.error().message();
}

TEST_P(LazyRootTest, WhenEverythingIsHereNewRootsUseTheFolderAndOldOnesGoOn) {
  const RootSpec first_spec = LazySpec("first");
  const auto first = Mount(first_spec);
  ASSERT_TRUE(first.ok()) << first.error().message();
  EXPECT_EQ(*Read(first->get(), "big"), kBig);
  EXPECT_FALSE(PathExists(imaged::CompletenessRecord(first_spec.tree_path)));
  FillStore();
  const auto second = Mount(LazySpec("second"));
  ASSERT_TRUE(second.ok()) << second.error().message();
  EXPECT_TRUE(PathExists(imaged::CompletenessRecord(first_spec.tree_path)));
  // Without the object mount's server and without imaged.
  KillObjectMount();
  StopImaged();
  EXPECT_EQ(*Read(second->get(), "big"), kBig);
  EXPECT_EQ(ErrnoOfReading(second->get(), "lazy"), 0);
  EXPECT_EQ(ErrnoOfReading(first->get(), "lazy"), 0);  // It has come since: from the folder.
  const auto third = Mount(LazySpec("third"));
  ASSERT_TRUE(third.ok()) << third.error().message();
  EXPECT_EQ(ErrnoOfReading(third->get(), "tool"), 0);
}

TEST_P(LazyRootTest, AnObjectMountWhoseServerIsKilledGoesOnForRootsThatAreMounted) {
  const auto root = Mount(LazySpec());
  ASSERT_TRUE(root.ok()) << root.error().message();
  const auto open_file = OpenAt(root->get(), "big", O_RDONLY);
  ASSERT_TRUE(open_file.ok()) << open_file.error().message();
  for (const char* name : {"lazy", "private", "tool"}) {
    KillObjectServer();
    EXPECT_EQ(ErrnoOfReading(root->get(), name), 0) << name;
    EXPECT_EQ(*ReadAll(open_file->get(), 1u << 20), kBig);
    EXPECT_EQ(::lseek(open_file->get(), 0, SEEK_SET), 0);
  }
  // Fetches that are under way are begun again.
  std::vector<std::future<int>> readers;
  for (int i = 0; i < 8; ++i) {
    readers.push_back(
        std::async(std::launch::async, [&] { return ErrnoOfReading(root->get(), "zz/last"); }));
  }
  KillObjectServer();
  for (auto& reader : readers) EXPECT_EQ(reader.get(), 0);
}

TEST_P(LazyRootTest, AnObjectMountKilledWithItsKeeperLeavesWhatIsOpenAndHereAndIsReplaced) {
  const RootSpec first_spec = LazySpec("first");
  const auto first = Mount(first_spec);
  ASSERT_TRUE(first.ok()) << first.error().message();
  const auto open_file = OpenAt(first->get(), "big", O_RDONLY);
  ASSERT_TRUE(open_file.ok()) << open_file.error().message();
  KillObjectMount();
  EXPECT_EQ(*ReadAll(open_file->get(), 1u << 20), kBig);
  // A new root starts a new server. The fuse driver's roots ask by path and find it too.
  const auto second = Mount(LazySpec("second"));
  ASSERT_TRUE(second.ok()) << second.error().message();
  EXPECT_EQ(ErrnoOfReading(second->get(), "lazy"), 0);
  const int old_root = ErrnoOfReading(first->get(), "private");
  if (GetParam() == Driver::kFuse) {
    EXPECT_EQ(old_root, 0);
  } else {
    EXPECT_EQ(old_root, ENOTCONN);
    // What the new server fetched is in the folder, where the old root looks first.
    EXPECT_EQ(ErrnoOfReading(first->get(), "lazy"), 0);
  }
}

TEST_P(LazyRootTest, TwentyFirstReadersOfAFileAreServedAndItIsFetchedOnce) {
  const auto root = Mount(LazySpec());
  ASSERT_TRUE(root.ok()) << root.error().message();
  std::vector<std::future<int>> readers;
  for (int i = 0; i < 20; ++i) {
    readers.push_back(
        std::async(std::launch::async, [&] { return ErrnoOfReading(root->get(), "lazy"); }));
  }
  for (auto& reader : readers) EXPECT_EQ(reader.get(), 0);
}

TEST_P(LazyRootTest, RootsMountedAtOnceStartOneObjectMount) {
  std::vector<std::future<bool>> mounts;
  for (int i = 0; i < 8; ++i) {
    mounts.push_back(std::async(std::launch::async, [&, i] {
      const auto root = Mount(LazySpec("volume" + std::to_string(i)));
      return root.ok() && ErrnoOfReading(root->get(), "big") == 0;
    }));
  }
  for (auto& mount : mounts) EXPECT_TRUE(mount.get());
  EXPECT_EQ(MountsNaming(spec_mount().mountpoint), 1u);
}

TEST_P(LazyRootTest, AnObjectThatGoesMissingUnderAMountedCompleteTreeIsFetchedByTheFuseDriver) {
  FillStore();
  const RootSpec spec = LazySpec();
  const auto root = Mount(spec);
  ASSERT_TRUE(root.ok()) << root.error().message();
  ASSERT_EQ(::unlink(InStore(kBig).c_str()), 0);
  // Nobody of ours stands between overlayfs and the folder: it says what open(2) said to it, and
  // the kernel's log names the file (docs/overview.md, limits).
  EXPECT_EQ(ErrnoOfReading(root->get(), "big"), GetParam() == Driver::kFuse ? 0 : ENOENT);
  EXPECT_EQ(ErrnoOfReading(root->get(), "lazy"), 0);
}

TEST_P(LazyRootTest, TheFuseDriverRepairsAnObjectThatIsTruncatedUnderAMountedRoot) {
  if (GetParam() == Driver::kKernel) return;  // As above: nobody of ours would see it.
  FillStore();
  const auto root = Mount(LazySpec());
  ASSERT_TRUE(root.ok()) << root.error().message();
  ASSERT_EQ(::truncate(InStore(kBig).c_str(), 5000), 0);
  EXPECT_EQ(*Read(root->get(), "big"), kBig);
  EXPECT_EQ(*ReadFile(InStore(kBig)), kBig);
  ASSERT_EQ(::truncate(InStore(std::string(kLazyBytes, 'l')).c_str(), 5000), 0);
  const auto file = OpenAt(root->get(), "lazy", O_WRONLY | O_APPEND);  // A copy-up.
  ASSERT_TRUE(file.ok()) << file.error().message();
  EXPECT_EQ(Read(root->get(), "lazy")->size(), kLazyBytes);
}

INSTANTIATE_TEST_SUITE_P(Drivers, LazyRootTest, ::testing::Values(Driver::kKernel, Driver::kFuse),
                         [](const auto& test) { return std::string(DriverName(test.param)); });

}  // namespace
}  // namespace strata::layerfs
