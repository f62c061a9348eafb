// The life of a volume, of every kind: made, used, left by a crash, lost.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>

#include "common/mount.h"
#include "tests/volumes/volume_fixture.h"

namespace strata::layerfs {
namespace {

INSTANTIATE_TEST_SUITE_P(, VolumeTest, ::testing::ValuesIn(Backends()), NameOf);

TEST_P(VolumeTest, KeepsWhatIsWrittenUntilItIsRemoved) {
  const std::string volume = Make("1-0");
  const auto again = store_->Create("1-0", Limit());
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code(), Code::kAlreadyExists);
  ASSERT_TRUE(WriteFileDurably(volume + "/file", "content").ok());
  EXPECT_EQ(store_->Activate("1-0").value(), volume) << "activated twice";
  OpenStore();  // The daemon is restarted while the volume is active.
  EXPECT_EQ(Made("1-0"), volume);
  EXPECT_EQ(ReadFile(volume + "/file").value(), "content");
  ASSERT_TRUE(store_->Deactivate("1-0").ok());
  ASSERT_TRUE(store_->Deactivate("1-0").ok());
  EXPECT_EQ(ReadFile(Made("1-0") + "/file").value(), "content");
  EXPECT_EQ(store_->List().value(), std::vector<std::string>{"1-0"});
  ASSERT_TRUE(store_->Remove("1-0").ok());
  ASSERT_TRUE(store_->Remove("1-0").ok());
  EXPECT_TRUE(store_->List()->empty());
  const auto gone = store_->Activate("1-0");
  ASSERT_FALSE(gone.ok());
  EXPECT_EQ(gone.error().code(), Code::kNotFound);
}

TEST_P(VolumeTest, NamesThatLeadElsewhereAreRefused) {
  for (const char* name : {"", "..", ".new-x", "a/b", "-a", "A", "a b"}) {
    EXPECT_EQ(store_->Create(name, Limit()).error().code(), Code::kInvalidArgument) << name;
    EXPECT_EQ(store_->Activate(name).error().code(), Code::kInvalidArgument) << name;
    EXPECT_EQ(store_->Remove(name).error().code(), Code::kInvalidArgument) << name;
  }
}

TEST_P(VolumeTest, AKilledDaemonLeavesNothingHalfMade) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  Make("kept");  // And the template, so that the children spend their time on volumes.
  ASSERT_TRUE(WriteFileDurably(Made("kept") + "/file", "content").ok());
  for (int round = 0; round < 15; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (int i = 0;; ++i) {
        const std::string name = "r" + std::to_string(round) + "-" + std::to_string(i);
        if (!store_->Create(name, Limit()).ok()) ::_exit(1);
        if (!store_->Activate(name).ok()) ::_exit(1);
        if (i % 2 == 1 && !store_->Remove(name).ok()) ::_exit(1);
      }
    }
    ASSERT_GT(child, 0);
    ::poll(nullptr, 0, static_cast<int>(random() % 40));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) != 0) << "the child's own calls failed";
    OpenStore();
    const std::vector<std::string> volumes = store_->List().value();
    for (const std::string& name : volumes) {
      const std::string volume = Made(name);
      EXPECT_TRUE(WriteFileDurably(volume + "/probe", "x").ok()) << name;
      if (backend().limited) {
        EXPECT_EQ(store_->Usage(name)->limit_bytes, kLimit) << name;
      }
      if (name == "kept") continue;
      const Status removed = store_->Remove(name);
      EXPECT_TRUE(removed.ok()) << removed.error().message();
    }
    EXPECT_EQ(ReadFile(Made("kept") + "/file").value(), "content");
    EXPECT_EQ(store_->List().value(), std::vector<std::string>{"kept"});
  }
  if (!backend().mounted) return;
  EXPECT_TRUE(Eventually([&] { return LoopsBelow(directory()) <= 1; }));
}

TEST_P(VolumeTest, AVolumeAppearsWhenItIsWhole) {
  if (!backend().limited || !backend().lvm_pool.empty()) return;
  const UniqueFd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  ASSERT_GE(::inotify_add_watch(watch.get(), directory().c_str(), IN_CREATE | IN_MOVED_TO), 0);
  Make("v");
  const std::string final_name = backend().kind == VolumeKind::kLoop ? "v.ext4" : "v";
  alignas(inotify_event) char buffer[16384];
  const ssize_t n = ::read(watch.get(), buffer, sizeof(buffer));
  int moved = 0;
  for (ssize_t at = 0; at < n;) {
    const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
    if (event->len > 0 && event->name == final_name) {
      EXPECT_NE(event->mask & IN_MOVED_TO, 0u) << "it was made under its own name";
      ++moved;
    }
    at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
  }
  EXPECT_EQ(moved, 1);
}

TEST_P(VolumeTest, WhatACrashLeftIsRemovedAndNamed) {
  if (!backend().lvm_pool.empty()) return;  // Its leftovers are no files.
  const std::string leftover = backend().kind == VolumeKind::kLoop ? ".new-x.ext4" : ".new-x";
  const std::string path = directory() + "/" + leftover;
  if (backend().kind == VolumeKind::kLoop) {
    ASSERT_TRUE(WriteFileDurably(path, "half").ok());
  } else {
    const std::string made = Make("x");
    ASSERT_EQ(::rename(made.c_str(), path.c_str()), 0);
  }
  auto store = OpenVolumeStore(backend().kind, Options());
  ASSERT_TRUE(store.ok());
  const auto recovered = (*store)->Recover();
  ASSERT_TRUE(recovered.ok()) << recovered.error().message();
  EXPECT_EQ(recovered->removed, std::vector<std::string>{".new-x"});
  EXPECT_FALSE(PathExists(path));
}

TEST_P(VolumeTest, ALostDirectoryIsNamed) {
  if (!backend().lvm_pool.empty()) return;
  Make("v");
  ASSERT_TRUE(store_->Deactivate("v").ok());
  const std::string away = directory() + ".away";
  ASSERT_EQ(::rename(directory().c_str(), away.c_str()), 0);
  const auto lost = store_->Activate("v");
  ASSERT_FALSE(lost.ok());
  EXPECT_EQ(lost.error().code(), Code::kNotFound);
  EXPECT_NE(lost.error().message().find(directory()), std::string::npos) << lost.error().message();
  ASSERT_EQ(::rename(away.c_str(), directory().c_str()), 0);
  Made("v");
}

}  // namespace
}  // namespace strata::layerfs
