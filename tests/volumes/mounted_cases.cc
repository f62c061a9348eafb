// Volumes with a file system of their own: mounts, images, snapshots, power cuts.
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <thread>

#include "common/mount.h"
#include "common/subprocess.h"
#include "tests/volumes/volume_fixture.h"

namespace strata::layerfs {
namespace {

class MountedVolumeTest : public VolumeTest {
 protected:
  bool IsImage() const { return backend().kind == VolumeKind::kLoop; }
};

INSTANTIATE_TEST_SUITE_P(, MountedVolumeTest, ::testing::ValuesIn(BackendsWith(&Backend::mounted)),
                         NameOf);

TEST_P(MountedVolumeTest, APlaceThatIsTakenIsNotMountedOver) {
  const std::string volume = Make("v");
  ASSERT_TRUE(store_->Deactivate("v").ok());
  ASSERT_TRUE(MakeDirectories(volume).ok());
  ASSERT_TRUE(RunChecked({"mount", "-t", "tmpfs", "none", volume}).ok());
  const auto taken = store_->Activate("v");
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code(), Code::kFailedPrecondition);
  EXPECT_NE(taken.error().message().find(volume), std::string::npos);
  ASSERT_TRUE(Unmount(volume).ok());
  EXPECT_EQ(Made("v"), volume);
}

TEST_P(MountedVolumeTest, AVolumeInUseStays) {
  const std::string volume = Make("v");
  UniqueFd file(::open((volume + "/file").c_str(), O_CREAT | O_WRONLY, 0600));
  for (const Status& refused : {store_->Deactivate("v"), store_->Remove("v")}) {
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code(), Code::kFailedPrecondition);
  }
  file.reset();
  EXPECT_TRUE(PathExists(volume + "/file"));
  EXPECT_TRUE(store_->Deactivate("v").ok());
}

TEST_P(MountedVolumeTest, ANamespaceThatWasClonedMeanwhileKeepsNothing) {
  const std::string volume = Make("v");
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t other = ::fork();
  if (other == 0) {
    if (::unshare(CLONE_NEWNS) != 0 || ::write(ready[1], "x", 1) != 1) ::_exit(1);
    ::pause();
  }
  char byte;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ::close(ready[0]);
  ::close(ready[1]);
  const auto mounts = ReadFile("/proc/" + std::to_string(other) + "/mountinfo", 16u << 20);
  EXPECT_NE(mounts->find(volume), std::string::npos) << "this test tests nothing";
  ASSERT_TRUE(store_->Deactivate("v").ok());
  EXPECT_TRUE(Eventually([&] { return LoopsBelow(directory()) == 0; }));
  ::kill(other, SIGKILL);
  ::waitpid(other, nullptr, 0);
}

TEST_P(MountedVolumeTest, AFileSystemThatSomebodyStillHoldsIsNotOpenedTwice) {
  const std::string volume = Make("v");
  const std::string held = base() + "/held";
  ASSERT_TRUE(MakeDirectories(held).ok());
  ASSERT_TRUE(RunChecked({"mount", "--bind", volume, held}).ok());
  if (IsImage()) {
    ASSERT_TRUE(store_->Deactivate("v").ok());  // As after the stop of a node that ends slowly.
    Made("v");
  }
  ASSERT_TRUE(WriteFileAtomically(held + "/file", "content").ok());
  EXPECT_EQ(ReadFile(volume + "/file").value(), "content");
  if (IsImage()) {
    EXPECT_EQ(LoopsBelow(directory()), 1u);
  }
  ASSERT_TRUE(Unmount(held).ok());
}

TEST_P(MountedVolumeTest, AMountWithoutItsVolumeIsTakenAway) {
  if (!IsImage()) return;
  const std::string volume = Make("v");
  ASSERT_EQ(::unlink(ImageOf("v").c_str()), 0);
  const auto lost = store_->Activate("v");
  ASSERT_FALSE(lost.ok());
  EXPECT_EQ(lost.error().code(), Code::kNotFound);
  EXPECT_NE(lost.error().message().find(ImageOf("v")), std::string::npos);

  UniqueFd used(::open((volume + "/file").c_str(), O_CREAT | O_WRONLY, 0600));
  auto recovered = store_->Recover();
  ASSERT_TRUE(recovered.ok());
  ASSERT_EQ(recovered->problems.size(), 1u);
  EXPECT_EQ(recovered->problems[0].volume, "v");
  EXPECT_NE(recovered->problems[0].message.find(ImageOf("v")), std::string::npos)
      << recovered->problems[0].message;
  used.reset();
  recovered = store_->Recover();
  ASSERT_TRUE(recovered.ok());
  EXPECT_EQ(recovered->removed, std::vector<std::string>{"mount v"});
  EXPECT_FALSE(PathExists(volume));
}

TEST_P(MountedVolumeTest, ADamagedImageIsNamedWithItsRemedy) {
  if (!IsImage()) return;
  Make("v");
  ASSERT_TRUE(store_->Deactivate("v").ok());
  ASSERT_TRUE(Eventually([&] { return LoopsBelow(directory()) == 0; }));
  {
    const UniqueFd image(::open(ImageOf("v").c_str(), O_WRONLY));
    ASSERT_TRUE(PWriteAll(image.get(), std::string(4096, '\xa5'), 0).ok());
  }
  const auto damaged = store_->Activate("v");
  ASSERT_FALSE(damaged.ok());
  EXPECT_EQ(damaged.error().code(), Code::kCorrupt) << damaged.error().message();
  EXPECT_NE(damaged.error().message().find("fsck.ext4 -f " + ImageOf("v")), std::string::npos)
      << damaged.error().message();
  EXPECT_FALSE(PathExists(mount_dir() + "/v"));
  EXPECT_TRUE(Eventually([&] { return LoopsBelow(directory()) == 0; }));
}

TEST_P(MountedVolumeTest, AnEmptyImageTakesLittleAndGivesBackWhatIsDeleted) {
  if (!IsImage()) return;
  const std::string volume = Make("v");
  const auto allocated = [&] {
    EXPECT_TRUE(SyncFileSystem(volume).ok());
    struct stat st = {};
    EXPECT_EQ(::stat(ImageOf("v").c_str(), &st), 0);
    return static_cast<uint64_t>(st.st_blocks) * 512;
  };
  EXPECT_LT(allocated(), 512 * 1024u);
  uint64_t written = 0;
  ASSERT_EQ(Fill(volume + "/file", 32 * kMiB, &written), 0);
  EXPECT_GT(allocated(), 32 * kMiB);
  ASSERT_EQ(::unlink((volume + "/file").c_str()), 0);
  // ext4 discards when the transaction that frees the blocks is committed.
  EXPECT_TRUE(Eventually([&] { return allocated() < 4 * kMiB; })) << allocated();
}

class SnapshotTest : public VolumeTest {};
INSTANTIATE_TEST_SUITE_P(, SnapshotTest, ::testing::ValuesIn(BackendsWith(&Backend::snapshots)),
                         NameOf);

TEST_P(SnapshotTest, ASnapshotStaysAsItWasWhileTheVolumeIsWritten) {
  const std::string volume = Make("v");
  const std::string old(kMiB, 'o');
  ASSERT_TRUE(WriteFileDurably(volume + "/changed", old).ok());
  ASSERT_TRUE(WriteFileAtomically(volume + "/deleted", old).ok());  // Nobody syncs it.
  {
    const auto snapshot = store_->Snapshot("v");
    ASSERT_TRUE(snapshot.ok()) << snapshot.error().message();
    ASSERT_TRUE(WriteFileDurably(volume + "/changed", std::string(kMiB, 'n')).ok());
    ASSERT_EQ(::unlink((volume + "/deleted").c_str()), 0);
    ASSERT_TRUE(WriteFileDurably(volume + "/new", "new").ok());
    const std::string path = (*snapshot)->path();
    EXPECT_TRUE(ReadFile(path + "/changed").value() == old);
    EXPECT_TRUE(ReadFile(path + "/deleted").value() == old);
    EXPECT_FALSE(PathExists(path + "/new"));
    EXPECT_FALSE(WriteFileAtomically(path + "/x", "x").ok()) << "it can be written to";
    EXPECT_EQ(store_->Snapshot("v").error().code(), Code::kFailedPrecondition);
    EXPECT_EQ(store_->List().value(), std::vector<std::string>{"v"});
  }
  EXPECT_EQ(ReadFile(volume + "/changed").value(), std::string(kMiB, 'n'));
  EXPECT_TRUE(store_->Snapshot("v").ok()) << "the first is not gone";
}

TEST_P(SnapshotTest, ASnapshotOfAKilledDaemonIsRemoved) {
  const std::string volume = Make("v");
  const pid_t child = ::fork();
  if (child == 0) {
    const auto snapshot = store_->Snapshot("v");
    if (snapshot.ok()) ::raise(SIGKILL);
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  OpenStore();
  EXPECT_TRUE(store_->Snapshot("v").ok());
}

TEST_P(SnapshotTest, APowerCutLosesNothingThatWasSynced) {
  if (backend().kind != VolumeKind::kLoop) return;
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const std::string volume = Make("v");
  std::atomic<int> synced{0};
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int i = 0; !stop; ++i) {
      const std::string name = volume + "/f" + std::to_string(i % 64);
      if (!WriteFileDurably(name, std::to_string(i) + std::string(20'000, 'd')).ok()) return;
      synced = i;
    }
  });
  for (int cut = 0; cut < 10; ++cut) {
    const int target = synced + 1 + static_cast<int>(random() % 20);
    EXPECT_TRUE(Eventually([&] { return synced >= target; }));
    // What the disk holds at this moment: a reflink is made at once.
    const int at_least = synced;
    const std::string copy = ImageOf("cut");
    {
      const UniqueFd from(::open(ImageOf("v").c_str(), O_RDONLY));
      const UniqueFd to(::open(copy.c_str(), O_CREAT | O_EXCL | O_RDWR, 0600));
      ASSERT_EQ(::ioctl(to.get(), FICLONE, from.get()), 0);
    }
    const std::string recovered = Made("cut");
    int newest = -1;
    for (int i = 0; i < 64; ++i) {
      const auto text = ReadFile(recovered + "/f" + std::to_string(i));
      if (!text.ok()) continue;
      EXPECT_EQ(text->substr(text->size() - 20'000), std::string(20'000, 'd'));
      newest = std::max(newest, std::atoi(text->c_str()));
    }
    EXPECT_GE(newest, at_least);
    ASSERT_TRUE(store_->Deactivate("cut").ok());
    const auto checked = strata::Run({"e2fsck", "-f", "-n", copy});
    EXPECT_EQ(checked->exit_code, 0) << checked->out;
    ASSERT_TRUE(store_->Remove("cut").ok());
  }
  stop = true;
  writer.join();
}

class NoSnapshotTest : public VolumeTest {};
std::vector<Backend> BackendsWithoutSnapshots() {
  std::vector<Backend> backends = Backends();
  std::erase_if(backends, [](const Backend& backend) { return backend.snapshots; });
  return backends;
}
INSTANTIATE_TEST_SUITE_P(, NoSnapshotTest, ::testing::ValuesIn(BackendsWithoutSnapshots()), NameOf);

TEST_P(NoSnapshotTest, SaysThatItCannot) {
  Make("v");
  const auto snapshot = store_->Snapshot("v");
  ASSERT_FALSE(snapshot.ok());
  EXPECT_EQ(snapshot.error().code(), Code::kUnsupported);
  EXPECT_EQ(store_->List().value(), std::vector<std::string>{"v"});
}

}  // namespace
}  // namespace strata::layerfs
