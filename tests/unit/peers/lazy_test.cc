// Lazy images: usable at once, filled in the background, and no read of theirs waits for ever.
#include <future>

#include "imaged/repository/start_profile.h"
#include "tests/unit/peers/pull_fixture.h"

namespace strata::imaged {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class LazyTest : public PullTest {
 protected:
  Result<v1::PullResult> PullLazily(const std::string& reference, uint64_t bytes_per_second = 0) {
    v1::PullRequest request;
    request.set_host("a");
    request.set_reference(reference);
    request.set_lazy(true);
    request.set_bytes_per_second(bytes_per_second);
    return b_->puller->Pull(kAlice, request, {}, cancel_);
  }
  // Whether the image is filled within a minute.
  bool AwaitFilled(const std::string& reference) {
    const auto end = steady_clock::now() + std::chrono::minutes(1);
    while (steady_clock::now() < end) {
      const auto fills = b_->puller->Fills(kAlice, reference);
      if (!fills.ok()) return false;
      if (fills->fills().empty()) return true;
      std::this_thread::yield();
    }
    return false;
  }
  // Nobody answers any more, nor will.
  void EndSeed() { a_->listener.reset(); }
  Digest ObjectOf(size_t file) const { return Hasher::Of(files_[file].content); }
  size_t LazyRecords() const { return CountFiles(b_->directory + "/store/lazy"); }
};

TEST_F(LazyTest, AnImageIsThereAtOnceAndTheRestComes) {
  ASSERT_OK(Import(*a_, kAlice, "tools"));
  const auto pulled = PullLazily("tools");
  ASSERT_OK(pulled);
  EXPECT_EQ(pulled->objects(), 0u);
  EXPECT_EQ(pulled->objects_to_come(), 41u);
  EXPECT_GT(pulled->bytes_to_come(), 9'800'000u);
  EXPECT_TRUE(b_->repository->images().Find(kAlice, "tools").ok());
  ASSERT_TRUE(AwaitFilled("tools"));
  EXPECT_EQ(LazyRecords(), 0u);
  EndSeed();
  EXPECT_EQ(Export(*a_, kAlice, "tools"), Export(*b_, kAlice, "tools"));
  ExpectSound(*b_);
}

TEST_F(LazyTest, WhatTheFirstStartOpenedComesFirst) {
  const auto imported = Import(*a_, kAlice, "tools");
  ASSERT_OK(imported);
  v1::AcquireRootRequest acquire;
  acquire.set_reference("tools");
  acquire.set_on_behalf_of_uid(kAlice);
  acquire.add_leases("node/1");
  const auto root = a_->repository->AcquireRoot(acquire);
  ASSERT_OK(root);
  EXPECT_TRUE(root->start_unknown());
  v1::RecordStartRequest start;
  start.set_lease("node/1");
  for (const std::string path : {"/f7", "/etc/hostname", "/f3", "/f7", "small"}) {
    start.add_paths(path);
  }
  const auto recorded = a_->repository->RecordStart(start);
  ASSERT_OK(recorded);
  EXPECT_EQ(*recorded, 2u) << "each once, and neither what is inline nor the node's own";
  EXPECT_FALSE(a_->repository->AcquireRoot(acquire)->start_unknown());
  start.clear_paths();
  start.add_paths("/f1");
  EXPECT_EQ(*a_->repository->RecordStart(start), 2u) << "the first counts";

  const auto pulled = PullLazily("tools", /*bytes_per_second=*/4 << 20);
  ASSERT_OK(pulled);
  EXPECT_EQ(pulled->objects(), 2u);
  EXPECT_EQ(pulled->objects_to_come(), 39u);
  EXPECT_TRUE(b_->repository->objects().Has(ObjectOf(7)));
  EXPECT_TRUE(b_->repository->objects().Has(ObjectOf(3)));
  const auto layers = LayerDigests(imported->image());
  ASSERT_OK(layers);
  EXPECT_THAT(*b_->repository->layers().Profile(*layers), ElementsAre(ObjectOf(7), ObjectOf(3)))
      << "and it is handed on";
  ASSERT_TRUE(AwaitFilled("tools"));
}

TEST_F(LazyTest, AReadFetchesWhatTheBackgroundHasNotBrought) {
  ASSERT_OK(Import(*a_, kAlice, "tools"));
  ASSERT_OK(PullLazily("tools", /*bytes_per_second=*/1 << 20));
  const auto file = b_->repository->provider().Open(ObjectOf(40), cancel_);
  ASSERT_OK(file);
  EXPECT_EQ(*HashFile(file->get()), ObjectOf(40));
  EXPECT_GT(LazyRecords(), 0u) << "long before the background has it all";
  // What needs everything waits for it.
  EXPECT_EQ(Export(*a_, kAlice, "tools"), Export(*b_, kAlice, "tools"));
}

TEST_F(LazyTest, WhenTheSeedIsGoneAnotherHostHasItOrTheReadFailsInTime) {
  ASSERT_OK(Import(*a_, kAlice, "tools"));
  ASSERT_OK(Join(Add("c"), Token(*a_)));
  TestHost& c = hosts_["c"];
  for (auto& [name, host] : hosts_) ASSERT_OK(host.cluster->Refresh());
  const Digest on_c = Store(c, files_[4].content);
  // So slow that the background has brought next to nothing.
  ASSERT_OK(PullLazily("tools", /*bytes_per_second=*/20'000));
  EndSeed();
  ASSERT_OK(b_->repository->provider().Open(on_c, cancel_));
  const auto start = steady_clock::now();
  const Status refused = b_->repository->provider().Provide(ObjectOf(40), /*verify=*/false, cancel_,
                                                            {}, milliseconds(1500));
  const auto took = steady_clock::now() - start;
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::kUnavailable) << refused.error().message();
  EXPECT_THAT(refused.error().message(), HasSubstr("host a"));
  EXPECT_GE(took, milliseconds(1500)) << "it waits whether a comes back";
  EXPECT_LT(took, std::chrono::seconds(15));
}

TEST_F(LazyTest, AReadWaitsForAPeerThatComesBack) {
  ASSERT_OK(Import(*a_, kAlice, "tools"));
  const std::string address = a_->cluster->registry().Find("a")->address();
  ASSERT_OK(PullLazily("tools", /*bytes_per_second=*/20'000));
  EndSeed();
  auto waiting = std::async(std::launch::async, [&] {
    return b_->repository->provider().Provide(ObjectOf(40), /*verify=*/false, cancel_, {},
                                              std::chrono::minutes(1));
  });
  while (b_->repository->provider().waiting() == 0) std::this_thread::yield();
  a_->listener = std::make_unique<PeerListener>(a_->cluster.get(), a_->repository.get(),
                                                a_->puller.get(), address);
  ASSERT_OK(a_->listener->StartIfMember());
  ASSERT_OK(waiting.get());
}

TEST_F(LazyTest, ARestartGoesOnFilling) {
  ASSERT_OK(Import(*a_, kAlice, "tools"));
  ASSERT_OK(PullLazily("tools", /*bytes_per_second=*/20'000));
  b_->listener.reset();
  b_->puller.reset();
  b_->repository.reset();
  EXPECT_EQ(LazyRecords(), 1u);
  // The limit of the pull went with it; the new one shall not take minutes.
  const std::string record = *FirstFileIn(b_->directory + "/store/lazy");
  v1::LazyFill fill;
  ASSERT_TRUE(fill.ParseFromString(*ReadFile(record)));
  EXPECT_EQ(fill.bytes_per_second(), 20'000u);
  fill.set_bytes_per_second(0);
  ASSERT_OK(WriteFileAtomically(record, fill.SerializeAsString()));
  b_->repository = std::move(*Repository::Open(b_->directory));
  ASSERT_OK(b_->repository->collector().Collect());
  b_->puller = std::move(*ImagePuller::Open(b_->cluster.get(), b_->repository.get()));
  ASSERT_TRUE(AwaitFilled("tools"));
  EXPECT_EQ(Export(*a_, kAlice, "tools"), Export(*b_, kAlice, "tools"));
}

TEST_F(LazyTest, WhatIsToComeCountsOnce) {
  ASSERT_OK(Import(*a_, kAlice, "tools"));
  v1::SetQuotaRequest quota;
  quota.set_subject("default");
  quota.set_limit_bytes(11'000'000);  // More than the image, and less than it twice.
  ASSERT_OK(b_->repository->usage().SetQuota(0, quota));
  ASSERT_OK(PullLazily("tools"));
  EXPECT_TRUE(AwaitFilled("tools"));
  ExpectSound(*b_);
}

TEST_F(LazyTest, ADeletedImageIsFilledNoMore) {
  ASSERT_OK(Import(*a_, kAlice, "tools"));
  ASSERT_OK(PullLazily("tools", /*bytes_per_second=*/20'000));
  v1::DeleteRequest request;
  request.set_reference("tools");
  ASSERT_OK(b_->repository->Delete(kAlice, request));
  const auto end = steady_clock::now() + std::chrono::minutes(1);
  while (LazyRecords() > 0 && steady_clock::now() < end) std::this_thread::yield();
  EXPECT_EQ(LazyRecords(), 0u);
  ASSERT_OK(b_->repository->collector().Collect());
  EXPECT_EQ(CountFiles(b_->directory + "/store/objects"), 0u);
  EXPECT_EQ(CountFiles(b_->directory + "/store/manifests"), 0u);
  EXPECT_EQ(CountFiles(b_->directory + "/store/pending"), 0u);
}

TEST_F(LazyTest, OnesOwnFillsAreShownAndWhatFailsIsSaid) {
  ASSERT_OK(Import(*a_, kAlice, "tools"));
  ASSERT_OK(PullLazily("tools", /*bytes_per_second=*/20'000));
  const auto fills = b_->puller->Fills(kAlice, "");
  ASSERT_OK(fills);
  ASSERT_THAT(fills->fills(), SizeIs(1));
  EXPECT_EQ(fills->fills(0).host(), "a");
  EXPECT_GT(fills->fills(0).bytes_to_come(), 8'000'000u);
  EXPECT_THAT(b_->puller->Fills(kBob, "")->fills(), SizeIs(0)) << "what others pull is theirs";
  EXPECT_EQ(b_->puller->Fills(kBob, alice() + "/tools").error().code(), Code::kNotFound);
  EndSeed();
  const auto end = steady_clock::now() + std::chrono::minutes(1);
  std::string said;
  while (said.empty() && steady_clock::now() < end) {
    said = b_->puller->Fills(kAlice, "tools")->fills(0).error();
  }
  EXPECT_THAT(said, HasSubstr("host a"));
}

TEST(StartProfileTest, IsReadAsItWasWrittenAndNothingElseIs) {
  const StartProfile profile = {Hasher::Of("1"), Hasher::Of("2")};
  const std::string packed = PackProfile(profile);
  EXPECT_EQ(*UnpackProfile(packed), profile);
  EXPECT_EQ(UnpackProfile(packed.substr(1)).error().code(), Code::kCorrupt);
  EXPECT_EQ(UnpackProfile(std::string((kProfileObjectsMax + 1) * 32, 'x')).error().code(),
            Code::kCorrupt);
}

}  // namespace
}  // namespace strata::imaged
