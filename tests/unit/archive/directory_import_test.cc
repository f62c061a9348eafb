// What an import of a directory takes, leaves out and refuses. That it equals the tar of the same
// directory is in real_archives_test.cc.
#include "imaged/archive/directory_import.h"

#include <sys/mount.h>

#include <atomic>
#include <thread>

#include "imaged/archive/file_capture.h"
#include "tests/unit/archive/archive_fixture.h"

namespace strata::imaged {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class DirectoryImportTest : public ArchiveTest {
 protected:
  void SetUp() override {
    ArchiveTest::SetUp();
    MakeDir("", 0755);
  }
  Result<ImportedLayer> ImportSource(bool as_root, const ImportLimits& limits = {},
                                     const ImportControl& control = {}) {
    const auto ingest = Start();
    return ImportDirectory(source(), *ingest, {as_root, limits}, control);
  }
};

TEST_F(DirectoryImportTest, MountsBelowAreNotEntered) {
  MakeDir("disk", 0755);
  MakeDir("bound", 0755);
  MakeFile("bound-file", "under");
  ASSERT_EQ(::mount("tmpfs", At("disk").c_str(), "tmpfs", 0, "size=1m"), 0);
  MakeFile("disk/secret", "s");
  // The same file system, so only the mount tells.
  ASSERT_EQ(::mount("/usr/share", At("bound").c_str(), nullptr, MS_BIND, nullptr), 0);
  ASSERT_EQ(::mount("/etc/hostname", At("bound-file").c_str(), nullptr, MS_BIND, nullptr), 0);
  const auto imported = ImportSource(true);
  for (const char* path : {"disk", "bound", "bound-file"}) {
    EXPECT_EQ(::umount2(At(path).c_str(), 0), 0);
  }
  ASSERT_TRUE(imported.ok()) << imported.error().message();
  const Tree& tree = imported->tree;
  EXPECT_TRUE(tree.Find("disk").has_value());
  EXPECT_EQ(tree.Find("disk/secret"), std::nullopt);
  EXPECT_TRUE(tree.inode(*tree.Find("bound")).children->empty());
  EXPECT_EQ(tree.Find("bound-file"), std::nullopt);
  EXPECT_THAT(
      imported->warnings.texts(),
      testing::ElementsAre(HasSubstr("bound:"), HasSubstr("bound-file:"), HasSubstr("disk:")));
}

TEST_F(DirectoryImportTest, OnlyRootImportsDevicesAndTrustedAttributes) {
  MakeFile("f", "f");
  Attribute("f", "trusted.t", "1");
  Attribute("f", "user.u", "1");
  ASSERT_EQ(::mknod(At("gone").c_str(), S_IFCHR, 0), 0);
  const auto user = ImportSource(false);
  ASSERT_TRUE(user.ok()) << user.error().message();
  EXPECT_EQ(user->tree.inode(*user->tree.Find("f")).xattrs.size(), 1u);
  EXPECT_TRUE(user->tree.inode(*user->tree.Find("gone")).IsWhiteout());
  ASSERT_EQ(::mknod(At("null").c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
  const auto refused = ImportSource(false);
  EXPECT_EQ(refused.error().code(), Code::kPermissionDenied);
  EXPECT_THAT(refused.error().message(), HasSubstr("null"));
  EXPECT_TRUE(ImportSource(true).ok());
}

TEST_F(DirectoryImportTest, ADeepTreeNeedsFewDescriptors) {
  std::string name(200, 'd');
  UniqueFd at = std::move(*Open(source(), O_RDONLY | O_DIRECTORY));
  constexpr int kDepth = 600;  // 120 kB of path: no call takes it as a whole.
  for (int i = 0; i < kDepth; ++i) {
    ASSERT_EQ(::mkdirat(at.get(), name.c_str(), 0755), 0);
    at = std::move(*OpenAt(at.get(), name, O_RDONLY | O_DIRECTORY));
  }
  UniqueFd file = std::move(*OpenAt(at.get(), "leaf", O_WRONLY | O_CREAT, 0644));
  file.reset();
  at.reset();
  const auto imported = ImportSource(true);
  ASSERT_TRUE(imported.ok()) << imported.error().message().substr(0, 200);
  EXPECT_EQ(imported->entries, kDepth + 2u);
  ImportLimits limits;
  limits.tree.depth_max = 100;
  const auto limited = ImportSource(true, limits);
  EXPECT_EQ(limited.error().code(), Code::kResourceExhausted);
  EXPECT_THAT(limited.error().message(), HasSubstr("100 directories"));
}

TEST_F(DirectoryImportTest, CancelAndLimitsStopIt) {
  for (int i = 0; i < 600; ++i) MakeFile(std::to_string(i), std::string(2000, 'x'));
  CancelToken cancel;
  ImportControl control;
  control.cancel = &cancel;
  control.progress = [&](uint64_t, uint64_t) { cancel.Cancel(); };
  EXPECT_EQ(ImportSource(true, {}, control).error().code(), Code::kCancelled);
  EXPECT_EQ(StagedCount(), 0u);
  ImportLimits limits;
  limits.content_bytes_max = 100'000;
  EXPECT_THAT(ImportSource(true, limits).error().message(), HasSubstr("100000 bytes of content"));
}

TEST_F(DirectoryImportTest, AMissingDirectoryIsNamed) {
  const auto ingest = Start();
  const auto imported = ImportDirectory(dir() + "/nowhere", *ingest, {});
  EXPECT_EQ(imported.error().code(), Code::kNotFound);
  EXPECT_THAT(imported.error().message(), HasSubstr("nowhere"));
}

TEST_F(DirectoryImportTest, ContentSizeAndDigestAgreeWhileAFileGrows) {
  MakeFile("log", "start");
  const std::string path = At("log");
  std::atomic<bool> stop{false};
  std::jthread writer([&] {
    UniqueFd fd = std::move(*Open(path, O_WRONLY | O_APPEND));
    const std::string line(40'000, 'l');
    for (int i = 0; i < 2000 && !stop; ++i) EXPECT_TRUE(WriteAll(fd.get(), line).ok());
  });
  const auto ingest = Start();
  for (int i = 0; i < 30; ++i) {
    UniqueFd fd = std::move(*Open(path, O_PATH));
    Inode inode;
    ASSERT_TRUE(CaptureContent(fd.get(), *ingest, &inode).ok());
    if (inode.size <= kInlineSizeMax) continue;
    UniqueFd readable = std::move(*Open(path, O_RDONLY));
    std::string content(inode.size, '\0');  // It only grows: the captured part is still there.
    ASSERT_TRUE(PReadExactly(readable.get(), content.data(), content.size(), 0).ok());
    EXPECT_EQ(Hasher::Of(content), inode.object);
  }
  stop = true;
}

TEST_F(DirectoryImportTest, OnlyRegularFilesHaveContent) {
  ASSERT_EQ(::mkfifo(At("fifo").c_str(), 0600), 0);
  const auto ingest = Start();
  UniqueFd fd = std::move(*Open(At("fifo"), O_PATH));
  Inode inode;
  EXPECT_EQ(CaptureContent(fd.get(), *ingest, &inode).error().code(), Code::kInvalidArgument);
}

TEST_F(DirectoryImportTest, TheClientsArchiveNamesAFileThatShrinks) {
  MakeFile("shrinks", std::string(4 << 20, 's'));
  // The first bytes of the archive leave when the file has been looked at and not yet been read.
  const auto written = WriteDirectoryTar(source(), [&](std::string_view) -> Status {
    EXPECT_EQ(::truncate(At("shrinks").c_str(), 1 << 20), 0);
    return Ok();
  });
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().code(), Code::kFailedPrecondition);
  EXPECT_THAT(written.error().message(), AllOf(HasSubstr("shrinks"), HasSubstr("became shorter")));
}

}  // namespace
}  // namespace strata::imaged
