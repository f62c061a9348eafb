// The check of all stored bytes while the store is in use: found, moved away, healed, reported.
#include "imaged/repository/background_check.h"

#include <filesystem>

#include "common/mount.h"
#include "common/subprocess.h"
#include "imaged/fetch/fetchers.h"
#include "tests/unit/imaged/repository_fixture.h"

namespace strata::imaged {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kBig(70'000, 'b');
constexpr int64_t kNow = 1'800'000'000'000;

// Time passes when somebody waits.
class FakeClock final : public transfer::Clock {
 public:
  TimePoint Now() override { return now_; }
  void WaitUntil(TimePoint when) override { now_ = std::max(now_, when); }

 private:
  TimePoint now_;
};

class BackgroundCheckTest : public RepositoryTest {
 protected:
  void SetUp() override {
    RepositoryTest::SetUp();
    ASSERT_OK(Import(kAlice, "x", tar_));
    Schedule(1u << 30);
  }
  void Schedule(uint64_t bytes_per_second) {
    BackgroundCheck::Schedule schedule;
    schedule.bytes_per_second = bytes_per_second;
    schedule.clock = &clock_;
    Check().SetSchedule(schedule);
  }
  void OpenWith(const std::vector<std::string>& sources) {
    repository_.reset();
    auto fetchers = OpenFetchers(sources);
    ASSERT_OK(fetchers);
    auto opened = Repository::Open(State(), std::move(*fetchers));
    ASSERT_OK(opened);
    repository_ = std::move(*opened);
    Schedule(1u << 30);
  }
  std::string CopyOfStore() {
    const std::string copy = directory_->path() + "/copy";
    std::filesystem::copy(Store(""), copy, std::filesystem::copy_options::recursive);
    return copy;
  }
  BackgroundCheck& Check() { return repository_->background_check(); }
  // One pass, from where it stands.
  v1::BackgroundCheck Pass() {
    const uint64_t before = Check().State().passes();
    while (Check().State().passes() == before) {
      const Status checked = Check().CheckNextFolder(kNow, cancel_);
      EXPECT_TRUE(checked.ok()) << checked.error().message();
      if (!checked.ok()) break;
    }
    return Check().State();
  }

  FakeClock clock_;
  const Digest big_ = Hasher::Of(kBig);
};

TEST_F(BackgroundCheckTest, APassReadsEverythingAndTheNextOneIsDueAWeekLater) {
  EXPECT_TRUE(Check().IsDue(kNow));
  const v1::BackgroundCheck state = Pass();
  EXPECT_EQ(state.objects(), 2u);
  EXPECT_GE(state.bytes(), 79'000u);
  EXPECT_EQ(state.damaged(), 0u);
  constexpr int64_t kWeek = 7LL * 24 * 3600 * 1000;
  EXPECT_FALSE(Check().IsDue(kNow + kWeek - 1));
  EXPECT_TRUE(Check().IsDue(kNow + kWeek));
  EXPECT_TRUE(Check().IsDue(kNow - 1)) << "the clock was set back";
}

TEST_F(BackgroundCheckTest, AFlippedBitIsFoundAndHealedFromASource) {
  OpenWith({CopyOfStore()});
  std::string bytes = kBig;
  bytes[12'345] ^= 1;
  ASSERT_OK(WriteFileAtomically(AnObject(big_), bytes, 0444));
  const v1::BackgroundCheck state = Pass();
  EXPECT_EQ(state.damaged(), 1u);
  EXPECT_EQ(state.healed(), 1u);
  EXPECT_THAT(state.unhealed(), IsEmpty());
  EXPECT_EQ(ReadFile(AnObject(big_)).value_or(""), kBig);
  EXPECT_EQ(CountFiles(Store("damaged")), 0u);
}

TEST_F(BackgroundCheckTest, WhatNobodyHasIsReportedOnceAndHealedWhenSomebodyHasIt) {
  const std::string copy = CopyOfStore();
  Overwrite(AnObject(big_));
  for (int pass = 0; pass < 3; ++pass) {
    const v1::BackgroundCheck state = Pass();
    EXPECT_EQ(state.damaged(), 1u);
    EXPECT_EQ(state.healed(), 0u);
    EXPECT_THAT(state.unhealed(), ElementsAre("object " + big_.ToString()));
    EXPECT_FALSE(PathExists(AnObject(big_))) << "damage can be read";
    EXPECT_TRUE(PathExists(Store("damaged/") + big_.Hex()));
  }
  OpenWith({copy});
  const v1::BackgroundCheck state = Pass();
  EXPECT_EQ(state.healed(), 1u);
  EXPECT_THAT(state.unhealed(), IsEmpty());
  EXPECT_EQ(ReadFile(AnObject(big_)).value_or(""), kBig);
  EXPECT_EQ(CountFiles(Store("damaged")), 0u);
}

TEST_F(BackgroundCheckTest, WhatNobodyNeedsAnyMoreIsForgotten) {
  Overwrite(AnObject(big_));
  EXPECT_EQ(Pass().unhealed_size(), 1);
  ASSERT_OK(Delete(kAlice, "x"));
  EXPECT_THAT(Pass().unhealed(), IsEmpty());
  EXPECT_EQ(CountFiles(Store("damaged")), 0u);
}

TEST_F(BackgroundCheckTest, ADamagedManifestStaysAndIsReportedOnce) {
  const std::string layer = repository_->images().Find(kAlice, "x")->layers(0).digest();
  const std::string path = repository_->layers().ManifestPath(*Digest::Parse(layer));
  Overwrite(path);
  for (int pass = 0; pass < 2; ++pass) {
    const v1::BackgroundCheck state = Pass();
    EXPECT_EQ(state.damaged(), 1u);
    EXPECT_THAT(state.unhealed(), ElementsAre("layer " + layer));
    EXPECT_TRUE(PathExists(path));
  }
}

TEST_F(BackgroundCheckTest, ItGoesOnWhereItWasAfterARestart) {
  for (int folder = 0; folder < 100; ++folder) {
    ASSERT_OK(Check().CheckNextFolder(kNow, cancel_));
  }
  OpenWith({});
  EXPECT_EQ(Check().State().next_folder(), 100u);
  EXPECT_EQ(Check().State().pass_started_unix_ms(), kNow);
  EXPECT_TRUE(Check().IsDue(kNow));
  EXPECT_EQ(Pass().objects(), 2u);
  ASSERT_OK(WriteFileAtomically(State() + "/background_check.json", "{ \"passes\": "));
  OpenWith({});
  EXPECT_EQ(Check().State().passes(), 0u);
}

TEST_F(BackgroundCheckTest, ItReadsNoFasterThanItIsTold) {
  Schedule(10'000);
  const auto start = clock_.Now();
  Pass();
  const std::chrono::duration<double> took = clock_.Now() - start;
  // 79,000 bytes of objects and some of the manifest, in whole blocks.
  EXPECT_GT(took.count(), 7.5);
  EXPECT_LT(took.count(), 15);
}

TEST_F(BackgroundCheckTest, ACancelledFolderIsCheckedAgain) {
  cancel_.Cancel();
  Status checked = Ok();
  while (checked.ok()) checked = Check().CheckNextFolder(kNow, cancel_);
  EXPECT_EQ(checked.error().code(), Code::kCancelled);
  EXPECT_LE(Check().State().next_folder(), big_.bytes()[0]);
}

// Damage of the disk that the page cache hides from everybody else.
TEST(BackgroundCheckOnDiskTest, CachedPagesDoNotHideDamage) {
  const auto directory = TemporaryDirectory::Create("/dev/shm", "strata-disk.");
  ASSERT_OK(directory);
  const std::string disk = directory->path() + "/disk";
  const std::string mounted = directory->path() + "/mounted";
  ASSERT_OK(MakeDirectories(mounted));
  ASSERT_OK(RunChecked({"truncate", "-s", "64M", disk}));
  ASSERT_OK(RunChecked({"mkfs.ext4", "-q", disk}));
  ASSERT_OK(RunChecked({"mount", "-o", "loop", disk, mounted}));
  {
    const auto repository = Repository::Open(mounted + "/imaged");
    ASSERT_OK(repository);
    const std::string content = "found by its start" + std::string(50'000, 'x');
    const auto ingest = (*repository)->objects().StartIngest();
    const Digest digest = *(*ingest)->Add(content);
    ASSERT_OK((*ingest)->Commit());
    ASSERT_OK(SyncFileSystem(mounted));
    const size_t at = ReadFile(disk, 128u << 20)->find("found by its start");
    ASSERT_NE(at, std::string::npos);
    const auto device = Open(disk, O_WRONLY);
    ASSERT_OK(device);
    ASSERT_OK(PWriteAll(device->get(), "F", at));
    ASSERT_OK((*repository)->objects().Verify(digest));
    const CancelToken cancel;
    BackgroundCheck& check = (*repository)->background_check();
    while (check.State().passes() == 0) ASSERT_OK(check.CheckNextFolder(kNow, cancel));
    EXPECT_EQ(check.State().damaged(), 1u);
    EXPECT_FALSE((*repository)->objects().Has(digest));
  }
  ASSERT_OK(Unmount(mounted));
}

}  // namespace
}  // namespace strata::imaged
