// Power cuts: while files of the image are copied up and written, the volume's backing file is
// cloned at random moments (a reflink: one instant of the device). Each clone is mounted, and
// through both drivers every file must be what it was or what it was to become, and everything that
// fsync(2) acknowledged before the cut must be there.
//
// STRATA_POWER_CUTS: how many (10). STRATA_TEST_SEED: the moments, as far as they are ours.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

#include "tests/crash/volume_cuts.h"
#include "tests/unit/layerfs/fuse_fixture.h"

namespace strata::layerfs {
namespace {

constexpr int kFiles = 96;
constexpr int kWorkers = 3;
constexpr int kCutsPerRound = 5;
constexpr size_t kWritten = 512;  // Below one block: a cut does not tear it.

enum class Work { kWrite, kChmodThenWrite, kTruncate, kRename, kWriteLink, kKinds };

Work WorkOf(int file) { return static_cast<Work>(file % static_cast<int>(Work::kKinds)); }
std::string NameOf(int file) {
  return "dir" + std::to_string(file % 7) + "/f" + std::to_string(file);
}
std::string OtherNameOf(int file) { return "other/f" + std::to_string(file); }
std::string OldContent(int file) {
  constexpr size_t kSizes[] = {900, 3'000, 20'000, 150'000};
  return std::string(kSizes[file / 5 % 4], static_cast<char>('a' + file % 26));
}
std::string NewStart(int file) { return std::string(kWritten, static_cast<char>('A' + file % 26)); }
std::string Overwritten(int file) { return OldContent(file).replace(0, kWritten, NewStart(file)); }

testing::TestImage MakeImage() {
  testing::TestImage image;
  for (int dir = 0; dir < 7; ++dir) image.Directory("dir" + std::to_string(dir));
  image.Directory("other");
  for (int file = 0; file < kFiles; ++file) {
    image.File(NameOf(file), OldContent(file), {.mode = 0644, .xattrs = {{"user.k", "v"}}});
    if (WorkOf(file) == Work::kWriteLink) image.HardLink(OtherNameOf(file), NameOf(file));
  }
  return image;
}

// The application: what it does with each file, and what it knows to be durable.
class Application {
 public:
  explicit Application(const FuseRoot& root) : root_(root) {}

  void Start() {
    for (int worker = 0; worker < kWorkers; ++worker) {
      threads_.emplace_back([this, worker] {
        for (int file = worker; file < kFiles; file += kWorkers) {
          const bool durable = Do(file);
          const std::lock_guard lock(mutex_);
          durable_[static_cast<size_t>(file)] = durable;
          ++done_;
          changed_.notify_all();
        }
      });
    }
  }
  void Join() { threads_.clear(); }
  std::vector<bool> WaitFor(int done) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return done_ >= done; });
    return durable_;
  }
  bool EverythingWorked() const {
    return std::find(durable_.begin(), durable_.end(), false) == durable_.end();
  }

 private:
  bool Write(const std::string& name, int file, int flags) {
    const UniqueFd fd(::open(root_.path(name).c_str(), O_WRONLY | O_CLOEXEC | flags));
    const std::string bytes = NewStart(file);
    return fd.valid() &&
           ::pwrite(fd.get(), bytes.data(), bytes.size(), 0) ==
               static_cast<ssize_t>(bytes.size()) &&
           ::fsync(fd.get()) == 0;
  }
  bool Do(int file) {
    const std::string name = NameOf(file);
    switch (WorkOf(file)) {
      case Work::kWrite:
        return Write(name, file, 0);
      case Work::kChmodThenWrite:
        return ::chmod(root_.path(name).c_str(), 0600) == 0 && Write(name, file, 0);
      case Work::kTruncate:
        return Write(name, file, O_TRUNC);
      case Work::kRename: {
        const UniqueFd dir(::open(root_.path("other").c_str(), O_RDONLY | O_CLOEXEC));
        return ::rename(root_.path(name).c_str(), root_.path(OtherNameOf(file)).c_str()) == 0 &&
               ::fsync(dir.get()) == 0;
      }
      case Work::kWriteLink:
      case Work::kKinds:
        break;
    }
    return Write(OtherNameOf(file), file, 0);
  }

  const FuseRoot& root_;
  std::mutex mutex_;  // Guards what follows.
  std::condition_variable changed_;
  int done_ = 0;
  std::vector<bool> durable_ = std::vector<bool>(kFiles);
  std::vector<std::jthread> threads_;
};

// What is wrong with `file` in `root`; "": nothing.
std::string Judge(const FuseRoot& root, int file, bool durable) {
  const std::string path = root.path(NameOf(file)), other = root.path(OtherNameOf(file));
  struct stat st = {}, other_st = {};
  const bool there = ::lstat(path.c_str(), &st) == 0;
  const bool other_there = ::lstat(other.c_str(), &other_st) == 0;
  const Work work = WorkOf(file);
  if (work == Work::kRename) {
    if (there == other_there) return there ? "is in both places" : "is nowhere";
    if (durable && there) return "the rename is lost";
  } else if (!there) {
    return "is gone";
  }
  const auto content = ReadFile(there ? path : other);
  if (!content.ok()) return content.error().message();
  const std::string old_content = OldContent(file);
  const std::string size = " (" + std::to_string(content->size()) + " bytes)";
  if (!there) st = other_st;
  if (work == Work::kRename) {
    return *content == old_content ? "" : "is not what was renamed" + size;
  }
  const bool is_new = *content == (work == Work::kTruncate ? NewStart(file) : Overwritten(file));
  // What an application adds to a file may show as zeros until it is synced: ext4's own doing
  // (dioread_nolock enters the size before the data is there).
  const bool is_empty =
      work == Work::kTruncate && (content->empty() || *content == std::string(kWritten, '\0'));
  if (durable && !is_new) return "what fsync acknowledged is lost" + size;
  if (!is_new && !is_empty && *content != old_content) return "is neither old nor new" + size;
  if (static_cast<size_t>(st.st_size) != content->size()) return "st_size is wrong" + size;
  if (work == Work::kChmodThenWrite && durable && (st.st_mode & 07777) != 0600) {
    return "the mode is lost";
  }
  if (work == Work::kWriteLink &&
      (!other_there || st.st_ino != other_st.st_ino || st.st_nlink != 2)) {
    return "the link is broken, link count " + std::to_string(st.st_nlink);
  }
  return XattrAt(there ? path : other, "user.k") == "v" ? "" : "an attribute is lost";
}

class PowerCutTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::umask(022);
    volume_ = std::make_unique<VolumeCuts>(64);
    root_ = FuseRoot::Create(MakeImage(), "/dev/shm");
  }
  void TearDown() override {
    root_.reset();
    volume_.reset();
  }

  // Runs the application on a fresh volume, and cuts meanwhile. What was durable at each cut.
  std::vector<std::vector<bool>> Run(std::mt19937_64* random) {
    volume_->MountFresh();
    root_->UseVolume(volume_->path());
    root_->Mount(Driver::kFuse);
    std::vector<int> moments(kCutsPerRound);
    for (int& moment : moments) moment = static_cast<int>((*random)() % kFiles);
    std::sort(moments.begin(), moments.end());
    std::vector<std::vector<bool>> durable;
    Application application(*root_);
    application.Start();
    for (int cut = 0; cut < kCutsPerRound; ++cut) {
      durable.push_back(application.WaitFor(moments[static_cast<size_t>(cut)]));
      SpinSomewhereWithin(std::chrono::microseconds(1500), random);
      volume_->Cut(cut);
    }
    application.Join();
    EXPECT_TRUE(application.EverythingWorked());
    root_->Unmount();
    Must(volume_->Unmount());
    return durable;
  }

  void Verify(int cut, const std::vector<bool>& durable) {
    volume_->MountCut(cut);
    if (!PathExists(volume_->path() + "/upper")) {
      // It was cut before the volume had been prepared.
      Must(volume_->Unmount());
      return;
    }
    const Driver first = cut % 2 == 0 ? Driver::kFuse : Driver::kKernel;
    for (const Driver driver : {first, Driver::kFuse, Driver::kKernel}) {
      root_->Mount(driver);
      for (int file = 0; file < kFiles; ++file) {
        const std::string wrong = Judge(*root_, file, durable[static_cast<size_t>(file)]);
        EXPECT_EQ(wrong, "") << NameOf(file) << " (kind " << file % 5 << ") through "
                             << DriverName(driver) << ", cut " << cut;
      }
      root_->Unmount();
    }
    Must(volume_->Unmount());
    ++verified_;
  }

  std::unique_ptr<VolumeCuts> volume_;
  std::unique_ptr<FuseRoot> root_;
  int verified_ = 0;
};

TEST_F(PowerCutTest, EveryFileIsWholeAndNothingAcknowledgedIsLost) {
  const uint64_t seed = FromEnvironment("STRATA_TEST_SEED", std::random_device()());
  SCOPED_TRACE("STRATA_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto wanted = static_cast<int>(FromEnvironment("STRATA_POWER_CUTS", 10));
  for (int rounds = 0; verified_ < wanted && !HasFailure(); ++rounds) {
    ASSERT_LT(rounds, wanted) << "most cuts come too early";
    const auto durable = Run(&random);
    for (int cut = 0; cut < kCutsPerRound && !HasFatalFailure(); ++cut) {
      Verify(cut, durable[static_cast<size_t>(cut)]);
    }
  }
  RecordProperty("cuts", verified_);
}

}  // namespace
}  // namespace strata::layerfs
