// Which pulls through the registry are events: one for each, and not too many of strangers.
#include "imaged/registry/pull_log.h"

#include "tests/unit/imaged/repository_fixture.h"

namespace strata::imaged {
namespace {

class PullLogTest : public RepositoryTest {
 protected:
  void SetUp() override {
    RepositoryTest::SetUp();
    pulls_.emplace(repository_.get(), [this] { return now_; });
    for (const char* name : {"one:v1", "two:v1"}) ASSERT_TRUE(Import(kAlice, name, tar_).ok());
    bearer_.uid = kBob;
    bearer_.token_id = "laptop";
  }
  v1::Image ImageOf(const std::string& name) { return *repository_->images().Find(kAlice, name); }
  void Pull(const Bearer& bearer, const std::string& name, const std::string& client = "10.0.0.1") {
    pulls_->Manifest({&bearer, client}, ImageOf(name), "v1", Sha256Hasher::Of(name));
  }
  std::vector<v1::Event> Events() {
    return *repository_->events().Latest(
        0, 0, 100'000, [](const v1::Event& event) { return event.via() == "registry"; });
  }

  PullLog::Clock::time_point now_{std::chrono::hours(1000)};
  std::optional<PullLog> pulls_;
  Bearer bearer_;
};

TEST_F(PullLogTest, APullIsOneEventUntilTheClientIsSilent) {
  Pull(bearer_, "one:v1");
  for (int i = 0; i < 10; ++i) {
    now_ += kPullSilence - std::chrono::seconds(1);
    pulls_->Blob({&bearer_, "10.0.0.1"}, ImageOf("one:v1"), Sha256Hasher::Of("blob"));
  }
  Pull(bearer_, "one:v1");
  EXPECT_EQ(Events().size(), 1u);
  now_ += kPullSilence;
  Pull(bearer_, "one:v1");
  ASSERT_EQ(Events().size(), 2u);
  const v1::Event event = Events()[1];
  EXPECT_EQ(event.image(), "50001/one:v1");
  EXPECT_EQ(event.uid(), kBob);
  EXPECT_EQ(event.owner_uid(), kAlice) << "its owner sees who pulls it";
  EXPECT_EQ(event.detail(),
            "manifest " + Sha256Hasher::Of("one:v1").ToString() + " from 10.0.0.1, token laptop");
}

TEST_F(PullLogTest, AnotherImageAddressOrPasswordIsAnotherPull) {
  Pull(bearer_, "one:v1");
  Pull(bearer_, "two:v1");
  Pull(bearer_, "one:v1", "10.0.0.2");
  Bearer other = bearer_;
  other.token_id = "desk";
  Pull(other, "one:v1");
  EXPECT_EQ(Events().size(), 4u);
}

TEST_F(PullLogTest, ARefusalIsTheCallersOwnAndNoStrangers) {
  const Error error(Code::kNotFound, "there is none");
  const Bearer stranger;
  pulls_->Refused({&stranger, "10.0.0.1"}, "50001/one:v1", error);
  EXPECT_TRUE(Events().empty());
  for (int i = 0; i < 5; ++i) pulls_->Refused({&bearer_, "10.0.0.1"}, "50001/one:v1", error);
  ASSERT_EQ(Events().size(), 1u);
  EXPECT_EQ(Events()[0].owner_uid(), kBob);
  EXPECT_EQ(Events()[0].outcome(), "not found");
}

TEST_F(PullLogTest, StrangersDoNotFillTheLog) {
  const Bearer stranger;
  for (int i = 0; i < kStrangerEventsMax + 30; ++i) {
    Pull(stranger, "one:v1", "10.0.1." + std::to_string(i));
  }
  EXPECT_EQ(Events().size(), static_cast<size_t>(kStrangerEventsMax));
  Pull(bearer_, "one:v1");
  EXPECT_EQ(Events().size(), static_cast<size_t>(kStrangerEventsMax) + 1) << "users go on";
  now_ += std::chrono::minutes(1);
  Pull(stranger, "two:v1");
  EXPECT_EQ(Events().back().user(), "(nobody)");
  EXPECT_THAT(Events().back().detail(), testing::HasSubstr("; 30 pulls of strangers"));
}

}  // namespace
}  // namespace strata::imaged
