// The object mount with a fake source behind it, on a real mount.
#include "layerfs/objects/object_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <csignal>
#include <future>
#include <optional>
#include <thread>

#include "common/mount.h"
#include "layerfs/object_mount.h"
#include "tests/unit/layerfs_kernel/process_state.h"
#include "tests/unit/layerfs_objects/fake_source.h"

namespace strata::layerfs {
namespace {

class ObjectServerTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    descriptors_ = OpenDescriptors();
    auto directory = TemporaryDirectory::Create("/var/tmp", "object-server.");
    ASSERT_TRUE(directory.ok());
    directory_.emplace(std::move(*directory));
    ASSERT_TRUE(MakeDirectories(objects()).ok());
    ASSERT_TRUE(MakeDirectories(mountpoint()).ok());
    source_.emplace(objects());
    Serve();
  }

  void TearDown() override {
    source_->Open();
    EXPECT_TRUE(Unmount(mountpoint()).ok());
    if (server_.joinable()) server_.join();
    EXPECT_EQ(exit_code_, 0);
    EXPECT_EQ(MountsNaming(directory_->path()), 0u);
    source_.reset();
    directory_.reset();
    EXPECT_EQ(OpenDescriptors(), descriptors_);
  }

  void Serve() {
    auto fuse_fd = Open("/dev/fuse", O_RDWR);
    ASSERT_TRUE(fuse_fd.ok());
    auto mount = CreateDetachedMount({.type = "fuse",
                                      .options = {{"source", "test"},
                                                  {"fd", std::to_string(fuse_fd->get())},
                                                  {"rootmode", "40555"},
                                                  {"user_id", "0"},
                                                  {"group_id", "0"},
                                                  {"allow_other", ""},
                                                  {"default_permissions", ""}}});
    ASSERT_TRUE(mount.ok()) << mount.error().message();
    std::promise<void> ready;
    auto is_ready = ready.get_future();
    server_ = std::thread([this, fd = fuse_fd->release(), &ready] {
      ObjectServerOptions options;
      options.fuse_fd = fd;
      options.objects_dir = objects();
      options.passthrough = GetParam();
      options.on_ready = [&ready] { ready.set_value(); };
      const auto served = ServeObjects(options, *source_);
      exit_code_ = served.ok() ? *served : 100;
    });
    is_ready.wait();
    ASSERT_TRUE(AttachMount(mount->get(), mountpoint()).ok());
  }

  std::string objects() const { return directory_->path() + "/objects"; }
  std::string mountpoint() const { return directory_->path() + "/mnt"; }
  std::string At(const Digest& digest) const { return mountpoint() + "/" + digest.ObjectPath(); }
  std::string Local(const Digest& digest) const { return objects() + "/" + digest.ObjectPath(); }

  // A process that opens the object and exits with the errno of that, 0 for none.
  pid_t OpenInChild(const Digest& digest, void (*handler)(int) = nullptr) {
    const std::string path = At(digest);
    const pid_t child = ::fork();
    if (child == 0) {
      if (handler != nullptr) {
        struct sigaction action = {};  // Without SA_RESTART: open(2) would show an EINTR.
        action.sa_handler = handler;
        ::sigaction(SIGUSR1, &action, nullptr);
      }
      const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
      ::_exit(fd >= 0 ? 0 : errno);
    }
    return child;
  }

  static int ExitOf(pid_t child) {
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  std::optional<TemporaryDirectory> directory_;
  std::optional<FakeSource> source_;
  std::thread server_;
  int exit_code_ = -1;
  size_t descriptors_ = 0;
};

TEST_P(ObjectServerTest, AnObjectIsFetchedWhenItIsFirstOpenedAndNotWhenItIsLookedUp) {
  const std::string content(300000, 'x');
  const Digest digest = source_->Add(content);
  struct stat st = {};
  ASSERT_EQ(::stat(At(digest).c_str(), &st), 0);
  EXPECT_EQ(st.st_size, 300000);
  EXPECT_EQ(source_->fetches(), 0);
  for (int i = 0; i < 3; ++i) {
    const auto read = ReadFile(At(digest));
    ASSERT_TRUE(read.ok()) << read.error().message();
    EXPECT_EQ(*read, content);
  }
  EXPECT_EQ(source_->fetches(), 1);
  EXPECT_TRUE(PathExists(Local(digest)));
}

TEST_P(ObjectServerTest, AMappedObjectThatJustArrivedHasAllItsBytes) {
  const std::string content(3 * 4096 + 17, 'm');
  const Digest digest = source_->Add(content);
  const auto file = Open(At(digest), O_RDONLY);
  ASSERT_TRUE(file.ok()) << file.error().message();
  void* memory = ::mmap(nullptr, content.size(), PROT_READ, MAP_SHARED, file->get(), 0);
  ASSERT_NE(memory, MAP_FAILED);
  EXPECT_EQ(std::string_view(static_cast<const char*>(memory), content.size()), content);
  ::munmap(memory, content.size());
}

TEST_P(ObjectServerTest, AHundredOpensAtOnceAreOneFetch) {
  const Digest digest = source_->Add("content of a hundred");
  source_->Shut();
  std::vector<std::future<bool>> readers;
  for (int i = 0; i < 100; ++i) {
    readers.push_back(std::async(std::launch::async, [&] {
      const auto content = ReadFile(At(digest));
      return content.ok() && *content == "content of a hundred";
    }));
  }
  source_->AwaitFetches(1);
  source_->Open();
  for (auto& reader : readers) EXPECT_TRUE(reader.get());
  EXPECT_EQ(source_->fetches(), 1);
}

TEST_P(ObjectServerTest, AFailedFetchIsEioAndTheNextOpenTriesAgain) {
  const Digest digest = source_->Add("lost and found");
  source_->Lose(digest);
  const Digest other = source_->Add("other");
  EXPECT_EQ(Open(At(digest), O_RDONLY).error().sys_errno(), EIO);
  EXPECT_TRUE(ReadFile(At(other)).ok());
  source_->Add("lost and found");
  EXPECT_TRUE(ReadFile(At(digest)).ok());
}

TEST_P(ObjectServerTest, AKilledReaderGoesAtOnceAndTheOthersGoOn) {
  const Digest digest = source_->Add("content");
  source_->Shut();
  const pid_t killed = OpenInChild(digest);
  const pid_t other = OpenInChild(digest);
  source_->AwaitFetches(1);
  AwaitOpenCall(killed);
  ASSERT_EQ(::kill(killed, SIGTERM), 0);  // No handler: as fatal as SIGKILL.
  EXPECT_EQ(ExitOf(killed), 128 + SIGTERM);
  source_->Open();
  EXPECT_EQ(ExitOf(other), 0);
}

TEST_P(ObjectServerTest, WhenTheLastReaderIsKilledTheFetchIsCancelled) {
  const Digest digest = source_->Add("content");
  source_->Shut();
  const pid_t child = OpenInChild(digest);
  source_->AwaitFetches(1);
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  EXPECT_EQ(ExitOf(child), 128 + SIGKILL);
  source_->AwaitCancelled(1);
}

TEST_P(ObjectServerTest, ASignalThatTheReaderHandlesDoesNotFailItsOpen) {
  const Digest digest = source_->Add("content");
  source_->Shut();
  const pid_t child = OpenInChild(digest, [](int) {});
  source_->AwaitFetches(1);
  ASSERT_EQ(::kill(child, SIGUSR1), 0);
  // The kernel has told the server of the signal; a kill comes later and is seen too.
  const pid_t second = OpenInChild(digest, [](int) {});
  AwaitOpenCall(second);
  ASSERT_EQ(::kill(second, SIGUSR1), 0);
  ASSERT_EQ(::kill(second, SIGKILL), 0);
  EXPECT_EQ(ExitOf(second), 128 + SIGKILL);
  source_->Open();
  EXPECT_EQ(ExitOf(child), 0);
}

TEST_P(ObjectServerTest, ProvidingReplacesADamagedObjectAndReadersSeeTheGoodOne) {
  const Digest digest = source_->Add("the right content");
  ASSERT_TRUE(MakeDirectories(objects() + "/" + digest.Hex().substr(0, 2)).ok());
  ASSERT_TRUE(WriteFileAtomically(Local(digest), "the wrong content", 0444).ok());
  ASSERT_EQ(::setxattr(At(digest).c_str(), kProvideXattr, "1", 1, 0), 0);
  EXPECT_EQ(*ReadFile(At(digest)), "the right content");
  source_->Lose(digest);
  ASSERT_TRUE(WriteFileAtomically(Local(digest), "wrong", 0444).ok());
  EXPECT_EQ(::setxattr(At(digest).c_str(), kProvideXattr, "1", 1, 0), -1);
  EXPECT_EQ(errno, EIO);
  EXPECT_EQ(::setxattr(At(digest).c_str(), "trusted.other", "1", 1, 0), -1);
}

TEST_P(ObjectServerTest, WhatIsNoDigestDoesNotExistAndNothingCanBeWritten) {
  const Digest digest = source_->Add("content");
  struct stat st = {};
  for (const std::string& name :
       {std::string("zz"), std::string("abc"), std::string("ab/short"), std::string("AB"),
        std::string("ab/") + std::string(62, 'G'), std::string("ab/..x")}) {
    EXPECT_EQ(::stat((mountpoint() + "/" + name).c_str(), &st), -1) << name;
    EXPECT_EQ(errno, ENOENT) << name;
  }
  EXPECT_EQ(Open(At(digest), O_RDWR).error().sys_errno(), EROFS);
  EXPECT_FALSE(Open(mountpoint() + "/ab/new", O_WRONLY | O_CREAT, 0644).ok());
  EXPECT_EQ(::unlink(At(digest).c_str()), -1);
}

TEST_P(ObjectServerTest, TheMountCanBeTakenAwayWhileAFetchRuns) {
  const Digest digest = source_->Add("content");
  source_->Shut();
  const pid_t child = OpenInChild(digest);
  source_->AwaitFetches(1);
  ASSERT_TRUE(Unmount(mountpoint(), /*lazy=*/true).ok());
  source_->Open();
  EXPECT_EQ(ExitOf(child), 0);
}

TEST_P(ObjectServerTest, ReadsOfAnObjectGoOnWhenItsNameIsGone) {
  const std::string content(100000, 'r');
  const Digest digest = source_->Add(content);
  const auto file = Open(At(digest), O_RDONLY);
  ASSERT_TRUE(file.ok());
  ASSERT_EQ(::unlink(Local(digest).c_str()), 0);
  EXPECT_EQ(*ReadAll(file->get(), 1u << 20), content);
  // Opened again while it is open: the same backing file, so the kernel does not object.
  EXPECT_EQ(*ReadFile(At(digest)), content);
  EXPECT_EQ(source_->fetches(), 1);
}

INSTANTIATE_TEST_SUITE_P(Passthrough, ObjectServerTest, ::testing::Bool(),
                         [](const auto& test) { return test.param ? "With" : "Without"; });

}  // namespace
}  // namespace strata::layerfs
