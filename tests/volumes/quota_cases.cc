// A limit holds: for its own writers, through both drivers, and for nobody else.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "layerfs/upper_lock.h"
#include "tests/volumes/volume_fixture.h"

namespace strata::layerfs {
namespace {

class QuotaTest : public VolumeTest {
 protected:
  // Runs the case on a union of each driver that works on this kernel.
  template <typename Case>
  void WithBothDrivers(Case run) {
    for (const Driver driver : {Driver::kKernel, Driver::kFuse}) {
      if (driver == Driver::kKernel && *PickDriver(base()) != Driver::kKernel) continue;
      SCOPED_TRACE(DriverName(driver));
      const std::string volume = Make("full");
      const std::string root = MountUnion(volume, "full", driver);
      run(root, driver);
      UnmountUnion("full");
      ASSERT_TRUE(WaitUntilUpperFree(volume + "/upper").ok());
      const Status removed = store_->Remove("full");
      ASSERT_TRUE(removed.ok()) << removed.error().message();
    }
  }
};

INSTANTIATE_TEST_SUITE_P(, QuotaTest, ::testing::ValuesIn(BackendsWith(&Backend::limited)), NameOf);

TEST_P(QuotaTest, AFullVolumeStopsItsWriterAndNobodyElse) {
  const std::string other = Make("neighbour");
  WithBothDrivers([&](const std::string& root, Driver driver) {
    const std::string neighbour = MountUnion(other, "neighbour", driver);
    uint64_t written = 0;
    EXPECT_TRUE(IsFull(Fill(root + "/file", 4 * kLimit, &written)));
    EXPECT_GT(written, kLimit * 9 / 10 - 2 * kMiB);
    EXPECT_LE(written, kLimit);
    // Copy-up needs space as well, and what is below stays readable.
    const UniqueFd copied_up(::open((root + "/below").c_str(), O_WRONLY));
    EXPECT_TRUE(!copied_up.valid() && IsFull(errno));
    EXPECT_EQ(ReadFile(root + "/below")->size(), 2 * kMiB);

    EXPECT_EQ(Fill(neighbour + "/file", 16 * kMiB, &written), 0);
    EXPECT_EQ(Fill(host_ + "/file", 16 * kMiB, &written), 0);
    EXPECT_EQ(::unlink((neighbour + "/file").c_str()), 0);
    EXPECT_EQ(::unlink((host_ + "/file").c_str()), 0);
    UnmountUnion("neighbour");
    EXPECT_TRUE(WaitUntilUpperFree(other + "/upper").ok());
  });
}

TEST_P(QuotaTest, WhatIsDeletedCanBeWrittenAgain) {
  WithBothDrivers([&](const std::string& root, Driver) {
    for (int round = 0; round < 3; ++round) {
      uint64_t written = 0;
      EXPECT_TRUE(IsFull(Fill(root + "/file", 4 * kLimit, &written))) << round;
      EXPECT_GT(written, kLimit * 9 / 10 - 2 * kMiB) << round;
      EXPECT_EQ(::unlink((root + "/file").c_str()), 0);
      // btrfs counts when it commits, and a fuse server closes what was deleted in its own time.
      EXPECT_TRUE(Eventually([&] {
        EXPECT_TRUE(SyncFileSystem(store_->Activate("full").value()).ok());
        return store_->Usage("full")->used_bytes < 4 * kMiB;
      })) << round;
    }
  });
}

TEST_P(QuotaTest, GrowsUnderAWriterWhichGoesOn) {
  WithBothDrivers([&](const std::string& root, Driver) {
    std::mutex mutex;
    std::condition_variable changed;
    bool full = false, grown = false;
    uint64_t total = 0;
    int last_error = 0;
    std::thread writer([&] {
      const std::string block(256 * 1024, 'w');
      const UniqueFd fd(::open((root + "/file").c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600));
      while (total < kLimit * 3 / 2) {
        const ssize_t n = ::write(fd.get(), block.data(), block.size());
        if (n > 0) {
          total += static_cast<uint64_t>(n);
          continue;
        }
        last_error = errno;
        std::unique_lock lock(mutex);
        if (full || !IsFull(last_error)) return;  // Full again after growth: it did not grow.
        full = true;
        changed.notify_all();
        changed.wait(lock, [&] { return grown; });
      }
      last_error = ::fsync(fd.get()) == 0 ? 0 : errno;
    });
    {
      std::unique_lock lock(mutex);
      const bool seen = changed.wait_for(lock, std::chrono::seconds(30), [&] { return full; });
      EXPECT_TRUE(seen) << "the writer never found it full";
      const Status resized = store_->Resize("full", 2 * kLimit);
      EXPECT_TRUE(resized.ok()) << resized.error().message();
      grown = true;
      changed.notify_all();
    }
    writer.join();
    EXPECT_EQ(last_error, 0) << strerror(last_error);
    EXPECT_GE(total, kLimit * 3 / 2);
    EXPECT_EQ(store_->Usage("full")->limit_bytes, 2 * kLimit);
  });
}

TEST_P(QuotaTest, ShrinksToNoLessThanWhatItHolds) {
  const std::string volume = Make("v");
  uint64_t written = 0;
  ASSERT_EQ(Fill(volume + "/file", 24 * kMiB, &written), 0);
  const Status refused = store_->Resize("v", 20 * kMiB);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::kFailedPrecondition) << refused.error().message();
  EXPECT_EQ(store_->Usage("v")->limit_bytes, kLimit);
  const Status shrunk = store_->Resize("v", 32 * kMiB);
  ASSERT_TRUE(shrunk.ok()) << shrunk.error().message();
  EXPECT_TRUE(IsFull(Fill(volume + "/more", kLimit, &written)));
  EXPECT_LE(written, 8 * kMiB);
  EXPECT_GT(written, 4 * kMiB);
}

TEST_P(QuotaTest, ALimitHoldsAfterTheVolumeWasAway) {
  Make("v");
  ASSERT_TRUE(store_->Resize("v", 32 * kMiB).ok());
  ASSERT_TRUE(store_->Deactivate("v").ok());
  OpenStore();
  const std::string volume = Made("v");
  EXPECT_EQ(store_->Usage("v")->limit_bytes, 32 * kMiB);
  uint64_t written = 0;
  EXPECT_TRUE(IsFull(Fill(volume + "/file", 4 * kLimit, &written)));
  EXPECT_LE(written, 32 * kMiB);
}

TEST_P(QuotaTest, AnInactiveVolumeIsResized) {
  Make("v");
  ASSERT_TRUE(store_->Deactivate("v").ok());
  // Far enough that the file system itself must become larger.
  const Status resized = store_->Resize("v", 40 * kLimit);
  ASSERT_TRUE(resized.ok()) << resized.error().message();
  const std::string volume = Made("v");
  EXPECT_EQ(store_->Usage("v")->limit_bytes, 40 * kLimit);
  const UniqueFd fd(::open((volume + "/file").c_str(), O_CREAT | O_WRONLY, 0600));
  EXPECT_EQ(::fallocate(fd.get(), 0, 0, static_cast<off_t>(20 * kLimit)), 0) << strerror(errno);
}

TEST_P(QuotaTest, UsageIsWhatTheVolumeHolds) {
  const std::string volume = Make("v");
  const auto usage = [&] {
    EXPECT_TRUE(SyncFileSystem(volume).ok());
    return *store_->Usage("v");
  };
  const VolumeUsage empty = usage();
  EXPECT_EQ(empty.limit_bytes, kLimit);
  EXPECT_LT(empty.used_bytes, kMiB);
  uint64_t written = 0;
  ASSERT_EQ(Fill(volume + "/file", 10 * kMiB, &written), 0);
  const VolumeUsage filled = usage();
  EXPECT_GE(filled.used_bytes, empty.used_bytes + 10 * kMiB);
  EXPECT_LE(filled.used_bytes, empty.used_bytes + 11 * kMiB);
  if (empty.used_inodes != 0) {
    EXPECT_EQ(filled.used_inodes, empty.used_inodes + 1);
  }
  ASSERT_EQ(::unlink((volume + "/file").c_str()), 0);
  // xfs frees inodes in the background.
  EXPECT_TRUE(Eventually([&] { return usage().used_bytes <= empty.used_bytes + kMiB; }));
}

TEST_P(QuotaTest, LimitsOutOfRangeAreRefused) {
  for (const uint64_t size : {uint64_t{0}, kVolumeBytesMin - 1, kVolumeBytesMax + 1}) {
    const Status created = store_->Create("v", size);
    ASSERT_FALSE(created.ok());
    EXPECT_EQ(created.error().code(), Code::kInvalidArgument);
  }
  EXPECT_TRUE(store_->List()->empty());
}

}  // namespace
}  // namespace strata::layerfs
