// A fuse driver's server that is killed, crashes or is replaced: the programs in the root do not
// notice (layerfs/server/keeper.h, docs/takeover.md). With the real binary.
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "common/file_io.h"
#include "common/mount.h"
#include "common/subprocess.h"
#include "layerfs/fuse_launch.h"
#include "layerfs/root.h"
#include "tests/conformance/test_image.h"
#include "tests/unit/layerfs_kernel/keeper_process.h"

namespace strata::layerfs {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kBigSize = 200'000;

testing::TestImage MakeImage() {
  testing::TestImage image;
  image.Directory("dir");
  image.Directory("dir/deep");
  image.File("dir/big", std::string(kBigSize, 'b'));
  image.File("dir/tiny", "tiny");
  image.File("dir/deep/file", std::string(5000, 'f'));
  image.File("linked", std::string(9000, 'l'));
  image.HardLink("dir/linked2", "linked");
  image.Directory("many");
  for (int i = 0; i < 2000; ++i) image.File("many/name" + std::to_string(i), "x");
  image.Directory("moved");
  image.File("moved/inside", std::string(4000, 'm'));
  return image;
}

std::string ReadAt(int fd, size_t size, off_t offset = 0) {
  std::string text(size, '\0');
  const ssize_t n = ::pread(fd, text.data(), size, offset);
  if (n < 0) return "error " + std::to_string(errno);
  text.resize(static_cast<size_t>(n));
  return text;
}

// Who carries the data of open files.
enum class Io { kKernel, kServer };

class TakeoverTest : public ::testing::TestWithParam<Io> {
 protected:
  void SetUp() override {
    ::umask(022);
    // Under a sanitizer: a server that is sent a crash's signal dies of it.
    for (const char* name : {"ASAN_OPTIONS", "TSAN_OPTIONS"}) {
      ASSERT_EQ(::setenv(name, "handle_segv=0:handle_abort=0", 1), 0);
    }
    // Keepers become our children, so that the end of each can be waited for.
    ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    auto directory = TemporaryDirectory::Create("/var/tmp", "layerfs-takeover.");
    ASSERT_TRUE(directory.ok()) << directory.error().message();
    directory_.emplace(std::move(*directory));
    const std::string& base = directory_->path();
    ASSERT_TRUE(MakeImage().WriteImage(base).ok());
    ASSERT_TRUE(MakeDirectories(base + "/mnt").ok());
    spec_ = {base + "/tree", base + "/objects", base + "/upper", base + "/work", {}};
    ASSERT_TRUE(PrepareUpper(spec_).ok());
    Mount(LAYERFS_BINARY);
  }

  void Mount(const std::string& binary) {
    std::string program = binary;
    if (GetParam() == Io::kServer) {
      program = directory_->path() + "/no-passthrough";
      const std::string script = "#!/bin/sh\nexec " + binary + " \"$@\" --no-passthrough\n";
      ASSERT_TRUE(WriteFileAtomically(program, script, 0755).ok());
    }
    const auto mount = MountRoot(Driver::kFuse, spec_, program);
    ASSERT_TRUE(mount.ok()) << mount.error().message();
    ASSERT_TRUE(AttachMount(mount->get(), Path()).ok());
    keeper_ = FindKeeper("serve.*" + spec_.upper_dir + " ");
    ASSERT_GT(keeper_, 0);
  }

  // Mounts anew, with a program of its own that can be replaced.
  void MountWithCopy(const std::string& binary) {
    ASSERT_TRUE(Unmount(Path()).ok());
    int status = 0;
    while (::waitpid(-1, &status, 0) > 0) EXPECT_EQ(status, 0);
    ASSERT_EQ(strata::Run({"cp", LAYERFS_BINARY, binary})->exit_code, 0);
    Mount(binary);
  }

  void TearDown() override {
    const bool ends_well = !IsBroken();
    EXPECT_TRUE(Unmount(Path()).ok());
    int status = 0;
    while (::waitpid(-1, &status, 0) > 0) {
      EXPECT_TRUE(WIFEXITED(status)) << status;
      if (ends_well) {
        EXPECT_EQ(WEXITSTATUS(status), 0);
      }
    }
    if (HasFailure()) std::fputs(Log().c_str(), stderr);
  }

  std::string Path(const std::string& name = "") const {
    return directory_->path() + "/mnt" + (name.empty() ? "" : "/" + name);
  }
  std::string Log() const { return ReadFile(spec_.upper_dir + ".log").value_or(""); }
  bool IsBroken() const { return PathExists(BrokenFile(spec_.upper_dir)); }

  pid_t Server(pid_t not_this = 0) const { return ServerOf(keeper_, not_this); }
  void KillServer(int signal = SIGKILL) { KillServerOf(keeper_, signal); }

  UniqueFd OpenFile(const std::string& name, int flags) const {
    UniqueFd fd(::open(Path(name).c_str(), flags | O_CLOEXEC, 0644));
    EXPECT_TRUE(fd.valid()) << name << ": " << Errno("open").message();
    return fd;
  }
  struct stat StatOf(const std::string& name) const {
    struct stat st = {};
    EXPECT_EQ(::lstat(Path(name).c_str(), &st), 0) << name << ": " << Errno("stat").message();
    return st;
  }
  std::string Read(const std::string& name) const {
    const auto text = ReadFile(Path(name));
    return text.ok() ? *text : text.error().message();
  }

  std::optional<TemporaryDirectory> directory_;
  RootSpec spec_;
  pid_t keeper_ = 0;
};

TEST_P(TakeoverTest, OpenFilesGoOnAndNamesAreFoundAgain) {
  const UniqueFd reader = OpenFile("dir/big", O_RDONLY);
  const UniqueFd writer = OpenFile("new", O_RDWR | O_CREAT);
  const UniqueFd tiny = OpenFile("dir/tiny", O_RDONLY);
  const struct stat before = StatOf("dir/big");
  ASSERT_EQ(::pwrite(writer.get(), "one", 3, 0), 3);
  KillServer();
  EXPECT_EQ(ReadAt(reader.get(), 3, 100), "bbb");
  EXPECT_EQ(ReadAt(tiny.get(), 10), "tiny");
  ASSERT_EQ(::pwrite(writer.get(), "two", 3, 3), 3);
  EXPECT_EQ(::fsync(writer.get()), 0);
  EXPECT_EQ(Read("new"), "onetwo");
  EXPECT_EQ(StatOf("dir/big").st_ino, before.st_ino);
  struct stat st = {};
  ASSERT_EQ(::fstat(writer.get(), &st), 0);
  EXPECT_EQ(st.st_size, 6);
  EXPECT_EQ(st.st_ino, StatOf("new").st_ino);
}

TEST_P(TakeoverTest, AFileWithoutANameStays) {
  const UniqueFd removed = OpenFile("gone", O_RDWR | O_CREAT);
  ASSERT_EQ(::pwrite(removed.get(), "still here", 10, 0), 10);
  ASSERT_EQ(::unlink(Path("gone").c_str()), 0);
  const UniqueFd lower = OpenFile("dir/deep/file", O_RDONLY);
  ASSERT_EQ(::unlink(Path("dir/deep/file").c_str()), 0);
  const UniqueFd unnamed = OpenFile("dir", O_TMPFILE | O_RDWR);
  ASSERT_EQ(::pwrite(unnamed.get(), "unnamed", 7, 0), 7);
  for (int round = 0; round < 3; ++round) {
    KillServer();
    for (const int fd : {removed.get(), lower.get(), unnamed.get()}) {
      struct stat st = {};
      ASSERT_EQ(::fstat(fd, &st), 0) << Errno("fstat").message();
      EXPECT_EQ(st.st_nlink, 0u);
      const UniqueFd again(::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDONLY));
      EXPECT_TRUE(again.valid()) << Errno("reopen").message();
    }
    EXPECT_EQ(ReadAt(removed.get(), 20), "still here");
    EXPECT_EQ(ReadAt(lower.get(), 3), "fff");
  }
  ASSERT_EQ(::linkat(unnamed.get(), "", AT_FDCWD, Path("named").c_str(), AT_EMPTY_PATH), 0)
      << Errno("link").message();
  EXPECT_EQ(Read("named"), "unnamed");
  EXPECT_FALSE(PathExists(Path("gone")));
}

TEST_P(TakeoverTest, AnOldReaderKeepsItsDataAfterTheCopyUpOfItsFile) {
  const UniqueFd reader = OpenFile("dir/big", O_RDONLY);
  const UniqueFd writer = OpenFile("dir/big", O_RDWR);
  ASSERT_EQ(::pwrite(writer.get(), "new", 3, 0), 3);
  KillServer();
  EXPECT_EQ(ReadAt(reader.get(), 3), "bbb");
  EXPECT_EQ(ReadAt(writer.get(), 4), "newb");
  const UniqueFd later = OpenFile("dir/big", O_RDWR);
  EXPECT_EQ(ReadAt(later.get(), 4), "newb");
  ASSERT_EQ(::pwrite(later.get(), "later", 5, 10), 5);
  EXPECT_EQ(ReadAt(writer.get(), 5, 10), "later");
}

TEST_P(TakeoverTest, AReaderOfALowerFileSeesItsCopyUpInTheNextServer) {
  const UniqueFd reader = OpenFile("dir/big", O_RDONLY);
  KillServer();
  const UniqueFd writer = OpenFile("dir/big", O_RDWR);
  ASSERT_EQ(::pwrite(writer.get(), "new", 3, 0), 3);
  EXPECT_EQ(ReadAt(reader.get(), 3), "bbb");
  EXPECT_EQ(Read("dir/big").substr(0, 4), "newb");
}

TEST_P(TakeoverTest, DirectoriesMovedAndRemovedBehaveAsBefore) {
  const UniqueFd inside = OpenFile("moved", O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(::rename(Path("moved").c_str(), Path("dir/deep/elsewhere").c_str()), 0);
  ASSERT_EQ(::mkdir(Path("fresh").c_str(), 0755), 0);
  const UniqueFd fresh = OpenFile("fresh", O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(::rmdir(Path("fresh").c_str()), 0);
  KillServer();
  struct stat st = {};
  EXPECT_EQ(::fstatat(inside.get(), "inside", &st, 0), 0) << Errno("stat").message();
  const UniqueFd made(::openat(inside.get(), "made", O_CREAT | O_WRONLY, 0644));
  EXPECT_TRUE(made.valid()) << Errno("create").message();
  EXPECT_TRUE(PathExists(Path("dir/deep/elsewhere/made")));
  EXPECT_EQ(::fstatat(inside.get(), "..", &st, 0), 0);
  EXPECT_EQ(st.st_ino, StatOf("dir/deep").st_ino);
  EXPECT_EQ(::fstat(fresh.get(), &st), 0) << Errno("stat").message();
  EXPECT_EQ(::mkdirat(fresh.get(), "x", 0755), -1);
  EXPECT_EQ(errno, ENOENT);
  // Metadata-only copy-up of a file below the moved directory, then its data.
  ASSERT_EQ(::chmod(Path("dir/deep/elsewhere/inside").c_str(), 0600), 0);
  KillServer();
  ASSERT_EQ(::rename(Path("dir/deep/elsewhere/inside").c_str(), Path("taken").c_str()), 0);
  EXPECT_EQ(Read("taken"), std::string(4000, 'm'));
}

TEST_P(TakeoverTest, HardLinksStayTogether) {
  const UniqueFd open = OpenFile("linked", O_RDONLY);
  KillServer();
  ASSERT_EQ(::chmod(Path("dir/linked2").c_str(), 0600), 0);
  EXPECT_EQ(StatOf("linked").st_ino, StatOf("dir/linked2").st_ino);
  EXPECT_EQ(StatOf("linked").st_nlink, 2u);
  KillServer();
  const UniqueFd writer = OpenFile("linked", O_RDWR);
  ASSERT_EQ(::pwrite(writer.get(), "W", 1, 0), 1);
  EXPECT_EQ(Read("dir/linked2").substr(0, 2), "Wl");
  ASSERT_EQ(::unlink(Path("linked").c_str()), 0);
  KillServer();
  EXPECT_EQ(StatOf("dir/linked2").st_nlink, 1u);
  struct stat st = {};
  ASSERT_EQ(::fstat(writer.get(), &st), 0);
  EXPECT_EQ(st.st_nlink, 1u);
}

TEST_P(TakeoverTest, AListingGoesOnWhereItWas) {
  DIR* stream = ::opendir(Path("many").c_str());
  ASSERT_NE(stream, nullptr);
  std::multiset<std::string> seen;
  while (const dirent* entry = ::readdir(stream)) {
    seen.insert(entry->d_name);
    if (seen.size() % 600 == 10) KillServer();
  }
  ::closedir(stream);
  EXPECT_EQ(seen.size(), 2002u);
  EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()).size(), 2002u);
}

TEST_P(TakeoverTest, AListingGoesOnThoughNamesComeAndGo) {
  DIR* stream = ::opendir(Path("many").c_str());
  ASSERT_NE(stream, nullptr);
  std::multiset<std::string> seen;
  std::set<std::string> removed;
  int changes = 0;
  while (const dirent* entry = ::readdir(stream)) {
    seen.insert(entry->d_name);
    if (seen.size() % 100 != 10) continue;
    const std::string gone = "name" + std::to_string(changes * 17);
    ASSERT_EQ(::unlink(Path("many/" + gone).c_str()), 0);
    removed.insert(gone);
    OpenFile("many/new" + std::to_string(changes++), O_WRONLY | O_CREAT);
    if (changes % 6 == 0) KillServer();
  }
  ::closedir(stream);
  EXPECT_GT(changes, 12);
  for (int i = 0; i < 2000; ++i) {
    const std::string name = "name" + std::to_string(i);
    EXPECT_TRUE(removed.contains(name) || seen.count(name) == 1) << name;
  }
  for (const std::string& name : seen) EXPECT_EQ(seen.count(name), 1u) << name;
}

TEST_P(TakeoverTest, AMappingStaysSharedWithItsFile) {
  const UniqueFd writer = OpenFile("mapped", O_RDWR | O_CREAT);
  ASSERT_EQ(::ftruncate(writer.get(), 8192), 0);
  void* map = ::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, writer.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  static_cast<char*>(map)[0] = 'A';
  KillServer();
  static_cast<char*>(map)[5000] = 'B';
  const UniqueFd reader = OpenFile("mapped", O_RDONLY);
  EXPECT_EQ(ReadAt(reader.get(), 1), "A");
  EXPECT_EQ(ReadAt(reader.get(), 1, 5000), "B");
  EXPECT_EQ(::munmap(map, 8192), 0);
}

TEST_P(TakeoverTest, NoDescriptorOfADeadServerIsKept) {
  const auto descriptors = [&] {
    size_t count = 0;
    DIR* stream = ::opendir(("/proc/" + std::to_string(keeper_) + "/fd").c_str());
    while (::readdir(stream) != nullptr) ++count;
    ::closedir(stream);
    return count;
  };
  KillServer();
  Read("dir/tiny");
  const size_t before = descriptors();
  for (int i = 0; i < 10; ++i) {
    const UniqueFd file = OpenFile("f" + std::to_string(i), O_RDWR | O_CREAT);
    ASSERT_EQ(::unlink(Path("f" + std::to_string(i)).c_str()), 0);
    KillServer();
    Read("dir/tiny");
  }
  KillServer();
  Read("dir/tiny");
  EXPECT_LE(descriptors(), before + 2);
}

// One process's share of the load: it checks all that it does.
class Worker {
 public:
  Worker(std::string directory, unsigned seed, std::atomic<size_t>& steps)
      : directory_(std::move(directory)), seed_(seed), steps_(steps) {}

  // The first thing that went wrong, or "".
  std::string Run(const std::atomic<bool>& stop) {
    if (!Did(::mkdir(directory_.c_str(), 0755), "mkdir")) return problem_;
    while (!stop && problem_.empty()) Round();
    return problem_;
  }
  size_t rounds() const { return rounds_; }

 private:
  std::string At(const std::string& name) const { return directory_ + "/" + name; }
  bool Did(int result, const std::string& what) {
    ++steps_;
    if (result < 0 && problem_.empty()) problem_ = Errno(what).message();
    return result >= 0;
  }
  void Expect(bool holds, const std::string& what) {
    if (!holds && problem_.empty()) problem_ = what;
  }
  std::string Content(const std::string& name) {
    const auto text = ReadFile(At(name));
    if (!text.ok() && problem_.empty()) problem_ = text.error().message();
    return text.ok() ? *text : "";
  }

  void Round() {
    const std::string text = "round " + std::to_string(rounds_++) + " " + std::to_string(seed_);
    const UniqueFd file(::open(At("a").c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640));
    if (!Did(file.get(), "create")) return;
    Expect(::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()),
           "write");
    Did(::link(At("a").c_str(), At("b").c_str()), "link");
    Did(::mkdir(At("d").c_str(), 0755), "mkdir d");
    Did(::symlink("a", At("s").c_str()), "symlink");
    Did(::mknod(At("p").c_str(), S_IFIFO | 0600, 0), "mknod");
    Did(::rename(At("a").c_str(), At("d/c").c_str()), "rename");
    Did(::setxattr(At("d/c").c_str(), "user.x", "v", 1, XATTR_CREATE), "setxattr");
    Did(::removexattr(At("d/c").c_str(), "user.x"), "removexattr");
    const UniqueFd other(::open(At("e").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!Did(other.get(), "create e")) return;
    Expect(::write(other.get(), "other", 5) == 5, "write other");
    Did(::renameat2(AT_FDCWD, At("e").c_str(), AT_FDCWD, At("b").c_str(), RENAME_EXCHANGE),
        "exchange");
    Expect(Content("e") == text, "e is '" + Content("e") + "'");
    Expect(Content("b") == "other", "b is '" + Content("b") + "'");
    Did(::chmod(At("b").c_str(), 0600), "chmod");
    struct stat st = {};
    Did(::fstat(file.get(), &st), "fstat");
    Expect(st.st_nlink == 2, "links " + std::to_string(st.st_nlink));
    Did(::ftruncate(file.get(), 3), "truncate");
    Expect(Content("d/c") == text.substr(0, 3), "d/c is '" + Content("d/c") + "'");
    for (const char* name : {"b", "e", "s", "p", "d/c"}) {
      Did(::unlink(At(name).c_str()), std::string("unlink ") + name);
    }
    Did(::rmdir(At("d").c_str()), "rmdir");
    Did(::fstat(file.get(), &st), "fstat 2");
    Expect(st.st_nlink == 0, "links after removal");
    Expect(ReadAt(file.get(), 100) == text.substr(0, 3), "data after removal");
  }

  std::string directory_;
  unsigned seed_;
  std::atomic<size_t>& steps_;
  std::string problem_;
  size_t rounds_ = 0;
};

TEST_P(TakeoverTest, ProgramsUnderLoadDoNotNoticeKills) {
  constexpr int kWorkers = 4;
  constexpr int kKills = 60;
  std::atomic<bool> stop{false};
  std::atomic<size_t> steps{0};
  std::vector<std::string> problems(kWorkers);
  std::vector<size_t> rounds(kWorkers);
  std::vector<std::thread> threads;
  for (int i = 0; i < kWorkers; ++i) {
    threads.emplace_back([&, i] {
      Worker worker(Path((i % 2 == 0 ? "w" : "dir/w") + std::to_string(i)), i, steps);
      problems[i] = worker.Run(stop);
      rounds[i] = worker.rounds();
    });
  }
  unsigned seed = 7;
  for (int i = 0; i < kKills && !HasFatalFailure(); ++i) {
    // At any moment of the load.
    const size_t until = steps + static_cast<size_t>(::rand_r(&seed) % 100);
    const auto deadline = Clock::now() + kServerPatience;
    while (steps < until) {
      ASSERT_LT(Clock::now(), deadline) << "the load stands still";
      std::this_thread::yield();
    }
    KillServer();
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < kWorkers; ++i) {
    EXPECT_EQ(problems[i], "") << "worker " << i << " after " << rounds[i] << " rounds";
    EXPECT_GT(rounds[i], 10u);
  }
}

TEST_P(TakeoverTest, RequestsAreCountedAcrossServers) {
  const auto created = [&]() -> int64_t {
    const auto shown =
        strata::Run({LAYERFS_BINARY, "requests", "--json", "--upper", spec_.upper_dir});
    EXPECT_EQ(shown->exit_code, 0) << shown->err;
    const auto json = nlohmann::json::parse(shown->out);
    EXPECT_EQ(json[0]["upper"], spec_.upper_dir);
    for (const auto& row : json[0]["requests"]) {
      if (row["request"] == "CREATE") return row["count"];
    }
    return 0;
  };
  // A request is counted when it was answered, so a moment after its caller goes on.
  const auto await_created = [&](int64_t count) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (created() != count && std::chrono::steady_clock::now() < end) {
    }
    EXPECT_EQ(created(), count);
  };
  EXPECT_EQ(created(), 0);
  OpenFile("one", O_WRONLY | O_CREAT);
  await_created(1);
  KillServer();
  OpenFile("two", O_WRONLY | O_CREAT);
  await_created(2);
  const auto unknown =
      strata::Run({LAYERFS_BINARY, "requests", "--upper", spec_.upper_dir + "-not"});
  EXPECT_NE(unknown->exit_code, 0);
}

TEST_P(TakeoverTest, AnUpgradeRunsTheNewBinaryAndKeepsOpenFiles) {
  const std::string binary = directory_->path() + "/layerfs";
  MountWithCopy(binary);
  const UniqueFd writer = OpenFile("new", O_RDWR | O_CREAT);
  ASSERT_EQ(::pwrite(writer.get(), "one", 3, 0), 3);
  const UniqueFd removed = OpenFile("gone", O_RDWR | O_CREAT);
  ASSERT_EQ(::pwrite(removed.get(), "still", 5, 0), 5);
  ASSERT_EQ(::unlink(Path("gone").c_str()), 0);
  for (int round = 0; round < 2; ++round) {
    ASSERT_EQ(strata::Run({"cp", LAYERFS_BINARY, binary + ".new"})->exit_code, 0);
    ASSERT_EQ(::rename((binary + ".new").c_str(), binary.c_str()), 0);
    struct stat installed = {};
    ASSERT_EQ(::stat(binary.c_str(), &installed), 0);
    const pid_t old = Server();
    const auto upgraded = strata::Run({binary, "upgrade", "--upper", spec_.upper_dir});
    ASSERT_EQ(upgraded->exit_code, 0) << upgraded->err << Log();
    const pid_t server = Server(old);
    struct stat running = {};
    ASSERT_EQ(::stat(("/proc/" + std::to_string(server) + "/exe").c_str(), &running), 0);
    EXPECT_EQ(running.st_ino, installed.st_ino);
    ASSERT_EQ(::pwrite(writer.get(), "two", 3, 3), 3);
    EXPECT_EQ(Read("new"), "onetwo");
    EXPECT_EQ(ReadAt(removed.get(), 10), "still");
    struct stat st = {};
    EXPECT_EQ(::fstat(removed.get(), &st), 0);
  }
}

TEST_P(TakeoverTest, ABinaryThatCannotGoOnIsRefused) {
  const std::string binary = directory_->path() + "/layerfs";
  MountWithCopy(binary);
  const pid_t server = Server();
  ASSERT_EQ(strata::Run({"cp", "/bin/true", binary + ".new"})->exit_code, 0);
  ASSERT_EQ(::rename((binary + ".new").c_str(), binary.c_str()), 0);
  ASSERT_EQ(::kill(keeper_, SIGHUP), 0);
  const auto deadline = Clock::now() + kServerPatience;
  while (Log().find("cannot go on") == std::string::npos && Clock::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_NE(Log().find("the old version goes on"), std::string::npos) << Log();
  EXPECT_EQ(Server(), server);
  EXPECT_EQ(Read("dir/tiny"), "tiny");
}

TEST_P(TakeoverTest, AServerThatCrashesAgainAndAgainIsGivenUpAndSaysSo) {
  const UniqueFd reader = OpenFile("dir/big", O_RDONLY);
  for (int i = 0; i < 4; ++i) KillServer(SIGSEGV);
  EXPECT_EQ(Read("dir/tiny"), "tiny");
  EXPECT_FALSE(IsBroken());
  const pid_t last = Server();
  ASSERT_GT(last, 0);
  ASSERT_EQ(::kill(last, SIGSEGV), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(keeper_, &status, 0), keeper_);
  EXPECT_EQ(WEXITSTATUS(status), 1);
  struct stat st;
  EXPECT_EQ(::stat(Path("dir/deep").c_str(), &st), -1);
  EXPECT_EQ(errno, ENOTCONN);
  const auto reason = ReadFile(BrokenFile(spec_.upper_dir));
  ASSERT_TRUE(reason.ok());
  EXPECT_NE(reason->find("Segmentation fault"), std::string::npos) << *reason;
}

TEST_P(TakeoverTest, ANewMountOfABrokenRootWorks) {
  for (int i = 0; i < 4; ++i) KillServer(SIGABRT);
  const pid_t last = Server();
  ASSERT_GT(last, 0);
  ASSERT_EQ(::kill(last, SIGABRT), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(keeper_, &status, 0), keeper_);
  ASSERT_TRUE(IsBroken());
  ASSERT_TRUE(Unmount(Path()).ok());
  Mount(LAYERFS_BINARY);
  EXPECT_FALSE(IsBroken());
  EXPECT_EQ(Read("dir/tiny"), "tiny");
}

INSTANTIATE_TEST_SUITE_P(IoBy, TakeoverTest, ::testing::Values(Io::kKernel, Io::kServer),
                         [](const auto& param) {
                           return param.param == Io::kKernel ? "Kernel" : "Server";
                         });

}  // namespace
}  // namespace strata::layerfs
