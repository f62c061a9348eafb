// The driver under a real kernel: passthrough, node numbers across copy-up, files without names.
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <thread>

#include "tests/unit/layerfs/fuse_fixture.h"

namespace strata::layerfs {
namespace {

constexpr size_t kBigSize = 300'000;

testing::TestImage MakeImage() {
  testing::TestImage image;
  image.Directory("dir");
  image.File("dir/big", std::string(kBigSize, 'b'));
  image.File("dir/tiny", "tiny");
  image.File("dir/suid", std::string(2000, 's'), {.mode = 04777});
  image.Directory("many");
  for (int i = 0; i < 3000; ++i) image.File("many/lower" + std::to_string(i), "x");
  return image;
}

std::string ReadFd(int fd, size_t size, off_t offset = 0) {
  std::string text(size, '\0');
  const ssize_t n = ::pread(fd, text.data(), size, offset);
  text.resize(n < 0 ? 0 : static_cast<size_t>(n));
  return text;
}

class FuseDriverTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    ::umask(022);
    root_ = FuseRoot::Create(MakeImage());
    root_->Mount(Driver::kFuse, /*passthrough=*/GetParam());
  }
  void TearDown() override { root_.reset(); }
  UniqueFd OpenAt(const std::string& name, int flags) {
    UniqueFd fd(::open(root_->path(name).c_str(), flags | O_CLOEXEC, 0644));
    EXPECT_TRUE(fd.valid()) << name << ": " << Errno("open").message();
    return fd;
  }
  size_t ServerDescriptors() const {
    size_t count = 0;
    DIR* stream = ::opendir(("/proc/" + std::to_string(root_->server()) + "/fd").c_str());
    if (stream == nullptr) return 0;
    while (::readdir(stream) != nullptr) ++count;
    ::closedir(stream);
    return count;
  }

  std::unique_ptr<FuseRoot> root_;
};

TEST_P(FuseDriverTest, AWriterMayOpenAFileThatOthersRead) {
  const UniqueFd reader = OpenAt("dir/big", O_RDONLY);
  const struct stat before = StatOf(root_->path("dir/big"));
  const UniqueFd writer = OpenAt("dir/big", O_RDWR);
  ASSERT_EQ(::pwrite(writer.get(), "new", 3, 0), 3);
  EXPECT_EQ(ReadFd(reader.get(), 3), "bbb");  // As on overlayfs.
  EXPECT_EQ(ReadFd(writer.get(), 4), "newb");
  const UniqueFd later = OpenAt("dir/big", O_RDONLY);
  EXPECT_EQ(ReadFd(later.get(), 3), "new");
  EXPECT_EQ(StatOf(root_->path("dir/big")).st_ino, before.st_ino);
}

TEST_P(FuseDriverTest, AMappingOfAReplacedFileIsSharedByItsNewReaders) {
  const UniqueFd reader = OpenAt("dir/big", O_RDONLY);
  const UniqueFd writer = OpenAt("dir/big", O_RDWR);
  void* map = ::mmap(nullptr, kBigSize, PROT_READ | PROT_WRITE, MAP_SHARED, writer.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  static_cast<char*>(map)[5] = 'M';
  const UniqueFd later = OpenAt("dir/big", O_RDONLY);
  EXPECT_EQ(ReadFd(later.get(), 1, 5), "M");
  ASSERT_EQ(::msync(map, kBigSize, MS_SYNC), 0);
  ASSERT_EQ(::munmap(map, kBigSize), 0);
  EXPECT_EQ(ReadText(root_->upper("dir/big"))[5], 'M');
}

TEST_P(FuseDriverTest, ASmallFileOfTheTreeCanBeReplacedWhileItIsRead) {
  const UniqueFd reader = OpenAt("dir/tiny", O_RDONLY);
  EXPECT_EQ(ReadFd(reader.get(), 10), "tiny");
  WriteText(root_->path("dir/tiny"), "replaced");
  EXPECT_EQ(ReadText(root_->path("dir/tiny")), "replaced");
  EXPECT_EQ(StatOf(root_->path("dir/tiny")).st_size, 8);
}

TEST_P(FuseDriverTest, AttributesOfAnOldReaderAreThoseOfTheFile) {
  const UniqueFd reader = OpenAt("dir/big", O_RDONLY);
  WriteText(root_->path("dir/big"), "short");
  ASSERT_EQ(::chmod(root_->path("dir/big").c_str(), 0600), 0);
  struct stat st;
  ASSERT_EQ(::fstat(reader.get(), &st), 0);
  EXPECT_EQ(st.st_size, 5);
  EXPECT_EQ(st.st_mode & 07777, 0600u);
}

TEST_P(FuseDriverTest, AnUnlinkedOpenFileIsReadWrittenAndReopened) {
  const UniqueFd fd = OpenAt("new", O_RDWR | O_CREAT | O_EXCL);
  ASSERT_EQ(::pwrite(fd.get(), "hello", 5, 0), 5);
  ASSERT_EQ(::unlink(root_->path("new").c_str()), 0);
  struct stat st;
  ASSERT_EQ(::fstat(fd.get(), &st), 0);
  EXPECT_EQ(st.st_nlink, 0u);
  EXPECT_EQ(st.st_size, 5);
  const std::string link = "/proc/self/fd/" + std::to_string(fd.get());
  const UniqueFd again(::open(link.c_str(), O_RDWR));
  ASSERT_TRUE(again.valid()) << Errno("reopen").message();
  EXPECT_EQ(ReadFd(again.get(), 5), "hello");
  ASSERT_EQ(::ftruncate(again.get(), 2), 0);
  EXPECT_EQ(ReadFd(fd.get(), 5), "he");
}

TEST_P(FuseDriverTest, AnUnlinkedLowerFileStaysReadable) {
  const UniqueFd fd = OpenAt("dir/big", O_RDONLY);
  ASSERT_EQ(::unlink(root_->path("dir/big").c_str()), 0);
  struct stat st;
  ASSERT_EQ(::fstat(fd.get(), &st), 0);
  EXPECT_EQ(st.st_nlink, 0u);
  EXPECT_EQ(ReadFd(fd.get(), 3), "bbb");
  const std::string link = "/proc/self/fd/" + std::to_string(fd.get());
  const UniqueFd again(::open(link.c_str(), O_RDONLY));
  ASSERT_TRUE(again.valid()) << Errno("reopen").message();
  EXPECT_EQ(ReadFd(again.get(), 3, 1000), "bbb");
}

TEST_P(FuseDriverTest, ATemporaryFileCanBeGivenAName) {
  const UniqueFd fd(::open(root_->path("dir").c_str(), O_TMPFILE | O_RDWR, 0640));
  ASSERT_TRUE(fd.valid()) << Errno("O_TMPFILE").message();
  ASSERT_EQ(::write(fd.get(), "anonymous", 9), 9);
  const std::string link = "/proc/self/fd/" + std::to_string(fd.get());
  ASSERT_EQ(::linkat(AT_FDCWD, link.c_str(), AT_FDCWD, root_->path("dir/named").c_str(),
                     AT_SYMLINK_FOLLOW),
            0)
      << Errno("linkat").message();
  EXPECT_EQ(ReadText(root_->path("dir/named")), "anonymous");
  EXPECT_EQ(StatOf(root_->path("dir/named")).st_nlink, 1u);
  EXPECT_EQ(StatOf(root_->path("dir/named")).st_mode & 07777, 0640u);
}

TEST_P(FuseDriverTest, AnUnprivilegedWriteClearsSetuid) {
  ASSERT_EQ(::chmod(root_->path().c_str(), 0755), 0);
  const UniqueFd fd = OpenAt("dir/suid", O_RDONLY);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setresgid(1000, 1000, 1000) != 0 || ::setresuid(1000, 1000, 1000) != 0) ::_exit(2);
    const int writer = ::openat(AT_FDCWD, root_->path("dir/suid").c_str(), O_WRONLY);
    ::_exit(writer >= 0 && ::write(writer, "x", 1) == 1 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  EXPECT_EQ(StatOf(root_->path("dir/suid")).st_mode & 07777, 0777u);
}

TEST_P(FuseDriverTest, ALongListingIsCompleteAndSurvivesChangesInBetween) {
  for (int i = 0; i < 200; ++i) WriteText(root_->path("many/upper" + std::to_string(i)), "y");
  std::set<std::string> seen;
  DIR* stream = ::opendir(root_->path("many").c_str());
  ASSERT_NE(stream, nullptr);
  int count = 0;
  while (const dirent* entry = ::readdir(stream)) {
    EXPECT_TRUE(seen.insert(entry->d_name).second) << entry->d_name << " is listed twice";
    if (++count == 500) {
      // Names that are already listed: nothing that follows may be lost.
      for (const std::string& name : seen) {
        if (!name.starts_with("lower")) continue;
        ASSERT_EQ(::unlink(root_->path("many/" + name).c_str()), 0);
      }
    }
  }
  EXPECT_EQ(seen.size(), 3202u);
  ::rewinddir(stream);
  size_t left = 0;
  while (::readdir(stream) != nullptr) ++left;
  ::closedir(stream);
  EXPECT_LT(left, 3202u);
}

TEST_P(FuseDriverTest, TheServerHoldsNoDescriptorPerInode) {
  const size_t before = ServerDescriptors();
  ASSERT_GT(before, 0u);
  for (int i = 0; i < 1000; ++i) WriteText(root_->path("many/new" + std::to_string(i)), "z");
  Describe(root_->path());
  EXPECT_LT(ServerDescriptors(), before + 50);
}

TEST_P(FuseDriverTest, ParallelWritersAndReadersOfOneTreeAgree) {
  std::vector<std::thread> threads;
  std::atomic<int> failures{0};
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 150; ++i) {
        const std::string mine = root_->path("many/t" + std::to_string(t));
        const std::string shared = root_->path("many/lower" + std::to_string(i));
        const UniqueFd fd(::open(shared.c_str(), (t % 2 == 0 ? O_RDWR : O_RDONLY) | O_APPEND));
        if (!fd.valid()) ++failures;
        if (t % 2 == 0 && ::write(fd.get(), "+", 1) != 1) ++failures;
        const UniqueFd own(::open(mine.c_str(), O_CREAT | O_WRONLY, 0600));
        if (!own.valid() || ::write(own.get(), "o", 1) != 1) ++failures;
        if (::rename(mine.c_str(), (mine + "r").c_str()) != 0) ++failures;
        if (::unlink((mine + "r").c_str()) != 0) ++failures;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  for (int i = 0; i < 150; ++i) {
    EXPECT_EQ(ReadText(root_->path("many/lower" + std::to_string(i))), "x+++") << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Io, FuseDriverTest, ::testing::Bool(), [](const auto& parameter) {
  return parameter.param ? "Passthrough" : "ThroughTheDaemon";
});

}  // namespace
}  // namespace strata::layerfs
