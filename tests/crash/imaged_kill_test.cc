// imaged is killed at random moments while several clients change what it keeps. After every kill
// it starts, says everything that it acknowledged, and of what was under way the state before or
// after; all bytes are what they should be, and nothing half-made is left.
//
// STRATA_KILLS: how many times (25). STRATA_TEST_SEED: the work and the moments, as far as they are
// ours.
#include <gtest/gtest.h>

#include <filesystem>

#include "common/file_io.h"
#include "tests/crash/image_workload.h"
#include "tests/crash/imaged_process.h"
#include "tests/crash/volume_cuts.h"

namespace strata {
namespace {

namespace fs = std::filesystem;

class ImagedKillTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_.emplace(std::move(*TemporaryDirectory::Create("/var/tmp", "strata-kill.")));
    imaged_ = std::make_unique<ImagedProcess>(STRATA_IMAGED, directory_->path() + "/run");
  }
  std::string State() const { return directory_->path() + "/state"; }
  std::string Below(const std::string& path) const { return State() + "/imaged/" + path; }

  void Start() {
    const Status started = imaged_->Start(State());
    ASSERT_TRUE(started.ok()) << started.error().message();
  }
  size_t Files(const std::string& path) const {
    size_t files = 0;
    std::error_code error;
    for (const auto& entry : fs::recursive_directory_iterator(Below(path), error)) {
      files += entry.is_regular_file();
    }
    return files;
  }
  // What operations that were killed must not leave behind once imaged runs again.
  void ExpectNoLeftovers() const {
    EXPECT_TRUE(fs::is_empty(Below("store/staging")));
    EXPECT_EQ(Files("store/pending"), 0u);
    EXPECT_EQ(Files("store/damaged"), 0u);
    for (const std::string path : {"store/trees", "records", ""}) {
      for (const auto& entry : fs::directory_iterator(Below(path))) {
        EXPECT_FALSE(entry.path().filename().string().ends_with(".new")) << entry.path();
      }
    }
  }

  std::optional<TemporaryDirectory> directory_;
  std::unique_ptr<ImagedProcess> imaged_;
};

TEST_F(ImagedKillTest, NothingAcknowledgedIsLostAndNothingIsHalfThere) {
  const uint64_t seed = FromEnvironment("STRATA_TEST_SEED", std::random_device()());
  SCOPED_TRACE("STRATA_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const uint64_t kills = FromEnvironment("STRATA_KILLS", 25);
  ImageWorkload workload(directory_->path() + "/scratch", random());
  Start();
  const Status calibrated = workload.Calibrate(imaged_->channel());
  ASSERT_TRUE(calibrated.ok()) << calibrated.error().message();
  for (uint64_t kill = 1; kill <= kills && !HasFailure(); ++kill) {
    SCOPED_TRACE("kill " + std::to_string(kill));
    const Status started = workload.Start(imaged_->channel(), imaged_->socket());
    ASSERT_TRUE(started.ok()) << started.error().message();
    workload.WaitForDone(workload.done() + random() % 12);
    SpinSomewhereWithin(std::chrono::milliseconds(10), &random);
    imaged_->Kill();
    workload.Stop();
    EXPECT_EQ(workload.Failures(), std::vector<std::string>());
    if (kill % 25 == 0) {
      const auto checked = imaged_->Offline(State(), "fsck");
      ASSERT_TRUE(checked.ok());
      EXPECT_EQ(checked->exit_code, 0) << checked->out << checked->err;
    }
    // RocksDB is not needed: now and then it is gone.
    if (kill % 10 == 0) {
      ASSERT_TRUE(RemoveTree(Below("catalog")).ok());
    }
    Start();
    ExpectNoLeftovers();
    EXPECT_EQ(workload.Compare(imaged_->channel(), imaged_->socket(),
                               workload.expected().Right(workload.expected().Take()),
                               /*settle=*/true),
              std::vector<std::string>());
  }
  EXPECT_GT(workload.done(), kills) << "most kills came too early";
  RecordProperty("kills", static_cast<int>(kills));
  RecordProperty("operations", static_cast<int>(workload.done()));
  EXPECT_EQ(workload.Clear(imaged_->channel(), imaged_->socket()), std::vector<std::string>());
  EXPECT_EQ(Files("store/objects"), 0u);
  EXPECT_EQ(Files("store/manifests"), 0u);
  imaged_->Stop();
}

}  // namespace
}  // namespace strata
