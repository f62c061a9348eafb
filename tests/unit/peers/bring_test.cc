// Images of one catalog in a real etcd: layers come to the host where they are used.
#include <thread>

#include "imaged/catalog/tables.h"
#include "imaged/peers/image_offer.h"
#include "tests/unit/peers/pull_fixture.h"
#include "tests/unit/records/etcd_server.h"

namespace strata::imaged {
namespace {

using testing::HasSubstr;

class BringTest : public PullTest {
 protected:
  std::unique_ptr<Repository> OpenRepository(const std::string& name,
                                             const std::string& directory) override {
    auto records = records::EtcdRecordStore::Open(etcd_.OptionsFor(CatalogTables(), name));
    EXPECT_TRUE(records.ok()) << records.error().message();
    CatalogOptions options;
    options.host = name;
    return std::move(*Repository::OpenShared(directory, std::move(*records), {}, options));
  }
  // What another host did is here when etcd has told it.
  void AwaitImage(TestHost& host, uid_t uid, const std::string& reference) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!host.repository->images().Find(uid, reference).ok()) {
      ASSERT_LT(std::chrono::steady_clock::now(), end) << reference << " does not appear";
      std::this_thread::yield();
    }
  }
  void ImportPublic(const std::string& name) {
    ASSERT_OK(Import(*a_, kAlice, name));
    Share(name);
    AwaitImage(*b_, kBob, alice() + "/" + name);
  }
  Status Bring(TestHost& host, uid_t uid, const std::string& reference) {
    return host.puller->Bring(uid, reference, {}, cancel_);
  }
  static bool IsHere(TestHost& host, uid_t uid, const std::string& reference) {
    return host.repository->HoldImage(uid, reference).ok();
  }

  records::EtcdServer etcd_;
};

TEST_F(BringTest, WhatIsUsedComesFromTheHostThatHasItAndGetsNoSecondName) {
  ImportPublic("x");
  ASSERT_FALSE(IsHere(*b_, kBob, alice() + "/x"));
  std::string stage;
  uint64_t total = 0;
  ASSERT_OK(b_->puller->Bring(
      kBob, alice() + "/x",
      [&](const v1::Progress& state) {
        stage = state.stage();
        total = state.bytes_total();
      },
      cancel_));
  EXPECT_EQ(stage, "bring from a");
  EXPECT_GT(total, 9'000'000u);
  EXPECT_EQ(Export(*b_, kBob, alice() + "/x"), Export(*a_, kAlice, "x"));
  v1::ListRequest browse;
  browse.set_all_visible(true);
  EXPECT_EQ(b_->repository->images().List(kBob, browse)->total(), 1u);
  const uint64_t sent = a_->puller->sent_bytes();
  ASSERT_OK(Bring(*b_, kBob, alice() + "/x"));
  EXPECT_EQ(a_->puller->sent_bytes(), sent) << "what is here was brought again";
  ExpectSound(*b_);
}

TEST_F(BringTest, OfManyWhoUseItAtOnceOneBringsIt) {
  ImportPublic("x");
  std::vector<std::jthread> users;
  std::atomic<int> well = 0;
  for (int i = 0; i < 4; ++i) {
    users.emplace_back([&] { well += Bring(*b_, kBob, alice() + "/x").ok(); });
  }
  users.clear();
  EXPECT_EQ(well, 4);
  EXPECT_TRUE(IsHere(*b_, kBob, alice() + "/x"));
  EXPECT_LT(a_->puller->sent_bytes(), 12'000'000u) << "it came more than once";
}

TEST_F(BringTest, WhoMayNotUseItBringsNothing) {
  ASSERT_OK(Import(*a_, kAlice, "x"));
  AwaitImage(*b_, kAlice, "x");
  ASSERT_OK(Bring(*b_, kBob, alice() + "/x"));
  EXPECT_FALSE(IsHere(*b_, 0, alice() + "/x"));
  EXPECT_EQ(a_->puller->sent_bytes(), 0u);
}

TEST_F(BringTest, WhatAnotherHostAsksForIsNotBrought) {
  ImportPublic("x");
  v1::PeerImage wanted;
  wanted.set_reference(alice() + "/x");
  wanted.set_user(std::to_string(kBob));
  const auto offer = ImageOffer::Open(b_->repository.get(), b_->puller->pending(), wanted);
  EXPECT_FALSE(offer.ok());
  std::vector<std::string> problems;
  ASSERT_OK(b_->repository->Fsck(0, "", cancel_, {},
                                 [&](const std::string& problem) { problems.push_back(problem); }));
  EXPECT_THAT(problems, testing::IsEmpty());
  EXPECT_FALSE(IsHere(*b_, kBob, alice() + "/x"));
  EXPECT_EQ(a_->puller->sent_bytes(), 0u);
}

TEST_F(BringTest, AHostThatJoinedLaterIsAskedToo) {
  TestHost& c = Add("c");
  ASSERT_OK(Join(c, Token(*a_)));
  ASSERT_OK(Import(c, kAlice, "x"));
  AwaitImage(*b_, kAlice, "x");
  ASSERT_OK(Bring(*b_, kAlice, "x"));
  EXPECT_TRUE(IsHere(*b_, kAlice, "x"));
}

TEST_F(BringTest, ThatNoHostHasItIsSaidAndWhichDidNotAnswer) {
  TestHost& c = Add("c");
  ASSERT_OK(Join(c, Token(*a_)));
  ImportPublic("x");
  AwaitImage(c, kBob, alice() + "/x");
  const std::string reference = alice() + "/x";
  a_->listener.reset();
  const Status silent = Bring(c, kBob, reference);
  ASSERT_FALSE(silent.ok());
  EXPECT_EQ(silent.error().code(), Code::kUnavailable);
  EXPECT_THAT(silent.error().message(), HasSubstr("not on this host; no other host gives it"));
  EXPECT_THAT(silent.error().message(), HasSubstr("host a"));
  EXPECT_THAT(silent.error().message(), HasSubstr("host b"));
  EXPECT_FALSE(IsHere(c, kBob, reference));
}

}  // namespace
}  // namespace strata::imaged
