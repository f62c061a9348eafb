// The fuse driver against its oracle, kernel overlayfs: the same operations on the same image must
// give the same answers and the same view, also after each has taken over the other's upper.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <random>

#include "tests/unit/layerfs/fuse_fixture.h"

namespace strata::layerfs {
namespace {

constexpr std::array kNames = {"a", "b", "c", "d", "e"};

// A tree in which most paths over kNames exist, as files of all sizes, hard links and directories.
testing::TestImage MakeImage() {
  testing::TestImage image;
  for (const char* top : {"a", "b", "c"}) {
    const std::string dir = top;
    image.Directory(dir);
    image.File(dir + "/a", "tiny " + dir);
    image.File(dir + "/b", std::string(5000, top[0]), {.mode = 0600, .uid = 7, .gid = 8});
    image.Directory(dir + "/c", {.mode = 0711});
    image.File(dir + "/c/a", std::string(100'000, top[0]), {.xattrs = {{"user.lower", "yes"}}});
    image.HardLink(dir + "/c/b", dir + "/b");
    image.Symlink(dir + "/c/d", "../a");
    image.Directory(dir + "/c/e");
    image.File(dir + "/c/e/a", std::string(700, 'z'));
    image.HardLink(dir + "/d", dir + "/c/e/a");
    image.Special(dir + "/e", S_IFIFO, 0);
  }
  image.File("d", std::string(3000, 'd'));
  return image;
}

// One operation, decided by the seed alone, so that it can be carried out on both mounts.
struct Operation {
  int kind = 0;
  std::string path;
  std::string other;
  uint64_t number = 0;

  std::string Text() const {
    return std::to_string(kind) + " " + path + " " + other + " " + std::to_string(number);
  }
};

constexpr int kKinds = 16;

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}
  Operation Next() {
    Operation operation;
    operation.kind = static_cast<int>(random_() % kKinds);
    operation.path = Path();
    operation.other = Path();
    operation.number = random_();
    return operation;
  }

 private:
  std::string Path() {
    std::string path;
    const size_t depth = 1 + random_() % 4;
    for (size_t i = 0; i < depth; ++i) path += std::string("/") + kNames[random_() % kNames.size()];
    return path;
  }
  std::mt19937_64 random_;
};

int ErrnoOf(long result) { return result < 0 ? errno : 0; }

int WriteSome(const std::string& path, int flags, uint64_t number) {
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_NONBLOCK | flags, 0640));
  if (!fd.valid()) return errno;
  const std::string data(1 + number % 3000, static_cast<char>('A' + number % 26));
  const off_t offset = static_cast<off_t>(number % 9000);
  return ErrnoOf((flags & O_APPEND) != 0 ? ::write(fd.get(), data.data(), data.size())
                                         : ::pwrite(fd.get(), data.data(), data.size(), offset));
}

int CheckedWrite(const std::string& path, int flags, uint64_t number) {
  struct stat st;
  if (::lstat(path.c_str(), &st) == 0 && S_ISFIFO(st.st_mode)) return 0;
  return WriteSome(path, flags, number);
}

int Apply(const std::string& mount, const Operation& op) {
  const std::string full = mount + op.path;
  const std::string full_other = mount + op.other;
  const char* path = full.c_str();
  const char* other = full_other.c_str();
  const timespec times[2] = {{1'600'000'000, 0}, {static_cast<time_t>(op.number % 1'000'000), 5}};
  switch (op.kind) {
    case 0:
      return CheckedWrite(full, O_CREAT | O_EXCL, op.number);
    case 1:
      return CheckedWrite(full, 0, op.number);
    case 2:
      return CheckedWrite(full, O_APPEND, op.number);
    case 3:
      return CheckedWrite(full, O_TRUNC | O_CREAT, op.number);
    case 4:
      return ErrnoOf(::truncate(path, static_cast<off_t>(op.number % 9000)));
    case 5:
      return ErrnoOf(::chmod(path, static_cast<mode_t>(op.number % 01000)));
    case 6:
      return ErrnoOf(::lchown(path, op.number % 50, op.number % 60));
    case 7:
      return ErrnoOf(::utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW));
    case 8:
      return ErrnoOf(::mkdir(path, 0750));
    case 9:
      return ErrnoOf(::rmdir(path));
    case 10:
      return ErrnoOf(::unlink(path));
    case 11:
      return ErrnoOf(::rename(path, other));
    case 12:
      return ErrnoOf(::renameat2(AT_FDCWD, path, AT_FDCWD, other,
                                 op.number % 2 == 0 ? RENAME_EXCHANGE : RENAME_NOREPLACE));
    case 13:
      return ErrnoOf(::link(path, other));
    case 14:
      return ErrnoOf(::symlink(op.other.c_str() + 1, path));
    default:
      return op.number % 3 == 0 ? ErrnoOf(::lremovexattr(path, "user.test"))
                                : ErrnoOf(::lsetxattr(path, "user.test", "value", 5, 0));
  }
}

uint64_t Seed() {
  const char* text = std::getenv("STRATA_TEST_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : std::random_device()();
}

class DriverEquivalence : public ::testing::Test {
 protected:
  void SetUp() override {
    ::umask(022);
    const testing::TestImage image = MakeImage();
    ours_ = FuseRoot::Create(image);
    oracle_ = FuseRoot::Create(image);
  }

  void MountBoth(Driver ours, Driver oracle) {
    ours_->Mount(ours);
    oracle_->Mount(oracle);
  }
  void UnmountBoth() {
    ours_->Unmount();
    oracle_->Unmount();
  }

  // Runs `count` operations on both. Stops at the first difference.
  void Run(Generator* generator, int count, int compare_every) {
    for (int i = 1; i <= count; ++i) {
      const Operation op = generator->Next();
      const int expected = Apply(oracle_->path(), op);
      const int got = Apply(ours_->path(), op);
      history_ += op.Text() + " -> " + std::to_string(expected) + "\n";
      ASSERT_EQ(got, expected) << "operation " << op.Text() << "\n" << Tail();
      if (i % compare_every == 0) Compare();
      if (HasFatalFailure()) return;
    }
  }

  void Compare() { ASSERT_EQ(Describe(ours_->path()), Describe(oracle_->path())) << Tail(); }

  std::string Tail() const {
    constexpr size_t kShown = 4000;
    return history_.size() < kShown ? history_ : history_.substr(history_.size() - kShown);
  }

  std::unique_ptr<FuseRoot> ours_;
  std::unique_ptr<FuseRoot> oracle_;
  std::string history_;
};

TEST_F(DriverEquivalence, AnUntouchedRootLooksTheSame) {
  MountBoth(Driver::kFuse, Driver::kKernel);
  Compare();
}

TEST_F(DriverEquivalence, RandomOperationsGiveTheSameAnswersAndView) {
  const uint64_t seed = Seed();
  RecordProperty("seed", std::to_string(seed));
  SCOPED_TRACE("STRATA_TEST_SEED=" + std::to_string(seed));
  Generator generator(seed);
  MountBoth(Driver::kFuse, Driver::kKernel);
  Run(&generator, 3000, 100);
}

TEST_F(DriverEquivalence, EachDriverContinuesWhatTheOtherBegan) {
  const uint64_t seed = Seed();
  RecordProperty("seed", std::to_string(seed));
  SCOPED_TRACE("STRATA_TEST_SEED=" + std::to_string(seed));
  Generator generator(seed);
  for (int round = 0; round < 6 && !HasFatalFailure(); ++round) {
    const bool swapped = round % 2 == 1;
    MountBoth(swapped ? Driver::kKernel : Driver::kFuse, swapped ? Driver::kFuse : Driver::kKernel);
    SCOPED_TRACE("round " + std::to_string(round));
    Compare();
    if (HasFatalFailure()) break;
    Run(&generator, 250, 50);
    UnmountBoth();
  }
}

}  // namespace
}  // namespace strata::layerfs
