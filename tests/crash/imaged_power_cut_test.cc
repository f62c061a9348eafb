// Power cuts of the disk that holds imaged's state, at random moments of an imaged that works for
// several clients. On each image of the disk an imaged starts and has everything that was
// acknowledged before the cut, and nothing that is half there.
//
// STRATA_POWER_CUTS: how many (20). STRATA_TEST_SEED: the work and the moments, as far as they are
// ours.
#include <gtest/gtest.h>

#include "tests/crash/image_workload.h"
#include "tests/crash/imaged_process.h"
#include "tests/crash/volume_cuts.h"

namespace strata {
namespace {

constexpr int kCutsPerRound = 10;

class ImagedPowerCutTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_.emplace(std::move(*TemporaryDirectory::Create("/var/tmp", "strata-cut.")));
    volume_ = std::make_unique<VolumeCuts>(192);
    imaged_ = std::make_unique<ImagedProcess>(STRATA_IMAGED, directory_->path() + "/run");
  }
  void Start() { Must(imaged_->Start(volume_->path())); }

  std::optional<TemporaryDirectory> directory_;
  std::unique_ptr<VolumeCuts> volume_;
  std::unique_ptr<ImagedProcess> imaged_;
};

TEST_F(ImagedPowerCutTest, EverythingAcknowledgedBeforeTheCutIsThere) {
  const uint64_t seed = FromEnvironment("STRATA_TEST_SEED", std::random_device()());
  SCOPED_TRACE("STRATA_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto wanted = static_cast<int>(FromEnvironment("STRATA_POWER_CUTS", 20));
  for (int verified = 0; verified < wanted && !HasFailure();) {
    volume_->MountFresh();
    ImageWorkload workload(directory_->path() + "/scratch", random());
    Start();
    Must(workload.Calibrate(imaged_->channel()));
    Must(workload.Start(imaged_->channel(), imaged_->socket()));
    std::vector<ExpectedState::Outcomes> right;
    for (int number = 0; number < kCutsPerRound; ++number) {
      workload.WaitForDone(workload.done() + random() % 12);
      SpinSomewhereWithin(std::chrono::milliseconds(10), &random);
      const ExpectedState::Snapshot before = workload.expected().Take();
      volume_->Cut(number);
      right.push_back(workload.expected().Right(before));
    }
    workload.Stop();
    EXPECT_EQ(workload.Failures(), std::vector<std::string>());
    imaged_->Stop();
    Must(volume_->Unmount());
    for (int number = 0; number < kCutsPerRound && !HasFailure(); ++number, ++verified) {
      SCOPED_TRACE("cut " + std::to_string(number));
      volume_->MountCut(number);
      Start();
      EXPECT_EQ(workload.Compare(imaged_->channel(), imaged_->socket(),
                                 right[static_cast<size_t>(number)], /*settle=*/false),
                std::vector<std::string>());
      imaged_->Stop();
      Must(volume_->Unmount());
    }
  }
}

}  // namespace
}  // namespace strata
