// Images from host to host: what moves, who may ask, and what a break or a liar leaves behind.
#include <future>

#include "imaged/peers/image_offer.h"
#include "imaged/peers/prestager.h"
#include "tests/unit/peers/pull_fixture.h"

namespace strata::imaged {
namespace {

using testing::HasSubstr;

TEST_F(PullTest, AnImageArrivesAsItIsAndItsNextVersionMovesWhatChanged) {
  const auto imported = Import(*a_, kAlice, "tools:v1");
  ASSERT_OK(imported);
  const auto first = Pull(kAlice, "tools:v1");
  ASSERT_OK(first);
  EXPECT_EQ(first->image().digest(), imported->image().digest());
  EXPECT_EQ(first->image().layers(0).history().origin(), "import");
  EXPECT_EQ(first->objects(), 41u);
  EXPECT_GE(first->wire_bytes(), 9'800'000u) << "noise does not compress";
  EXPECT_EQ(Export(*a_, kAlice, "tools:v1"), Export(*b_, kAlice, "tools:v1"));
  ExpectSound(*b_);
  EXPECT_EQ(CountFiles(b_->directory + "/store/pending"), 0u);

  files_[3].content += "changed";
  files_[40].content.insert(4'000'000, "changed too");
  ASSERT_OK(Import(*a_, kAlice, "tools:v2"));
  const auto second = Pull(kAlice, "tools:v2");
  ASSERT_OK(second);
  EXPECT_EQ(second->objects(), 2u);
  EXPECT_LT(second->wire_bytes(), 100'000u) << "only what differs from version 1";
  EXPECT_EQ(Export(*a_, kAlice, "tools:v2"), Export(*b_, kAlice, "tools:v2"));

  const auto again = Pull(kAlice, "tools:v2");
  ASSERT_OK(again);
  EXPECT_EQ(again->objects(), 0u);
  EXPECT_EQ(again->wire_bytes(), 0u);
}

TEST_F(PullTest, ALargeFileOfAnotherImageIsFoundInPartsByWhoMayReadIt) {
  ASSERT_OK(Import(*a_, kAlice, "data"));
  ASSERT_OK(Pull(kAlice, "data"));
  // Another image, another name, another place in the file.
  files_ = {{"archive", Noise(7, 1'500'000) + files_[40].content}};
  ASSERT_OK(Import(*a_, kAlice, "backup"));
  Share("backup");
  const auto stranger = Pull(kBob, alice() + "/backup");
  ASSERT_OK(stranger);
  EXPECT_GT(stranger->wire_bytes(), 10'500'000u) << "alice's image on this host is not bob's";
  v1::DeleteRequest request;
  request.set_reference("backup");
  ASSERT_OK(b_->repository->Delete(kBob, request));

  const auto owner = Pull(kAlice, "backup");
  ASSERT_OK(owner);
  EXPECT_EQ(owner->objects(), 1u);
  EXPECT_LT(owner->wire_bytes(), 2'100'000u) << "only what is new in it";
  EXPECT_EQ(Export(*a_, kAlice, "backup"), Export(*b_, kAlice, "backup"));

  // Changed all over: the chunks differ, and come as deltas against what both hosts have.
  for (size_t i = 50'000; i < files_[0].content.size(); i += 100'000) ++files_[0].content[i];
  files_[0].path = "another";
  ASSERT_OK(Import(*a_, kAlice, "changed"));
  const auto changed = Pull(kAlice, "changed");
  ASSERT_OK(changed);
  EXPECT_LT(changed->wire_bytes(), 500'000u);
  EXPECT_EQ(Export(*a_, kAlice, "changed"), Export(*b_, kAlice, "changed"));
  ExpectSound(*b_);
}

TEST_F(PullTest, OnlyWhatTheUserMayUseIsThereForHim) {
  ASSERT_OK(Import(*a_, kAlice, "tools"));
  const auto refused = Pull(kBob, alice() + "/tools");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::kNotFound);
  EXPECT_THAT(refused.error().message(), HasSubstr("host a"));
  Share("tools");
  const auto pulled = Pull(kBob, alice() + "/tools");
  ASSERT_OK(pulled);
  EXPECT_EQ(DisplayName(pulled->image()), std::to_string(kBob) + "/tools:latest")
      << "bob may not write alice's names";
  EXPECT_EQ(pulled->image().visibility(), v1::PRIVATE);
}

TEST_F(PullTest, AnOfferIsTheImageAndNothingElse) {
  ASSERT_OK(Import(*a_, kAlice, "tools"));
  Share("tools");
  files_ = {{"hidden", Noise(7, 5000)}};
  const auto hidden = Import(*a_, kAlice, "private");
  ASSERT_OK(hidden);
  v1::PeerImage image;
  image.set_reference(alice() + "/tools");
  image.set_user("no-such-user");
  const auto offer = ImageOffer::Open(a_->repository.get(), a_->puller->pending(), image);
  ASSERT_OK(offer);
  EXPECT_TRUE((*offer)->OpenObject(Hasher::Of(Noise(0, 20'000))).ok());
  const Digest secret = Hasher::Of(Noise(7, 5000));
  EXPECT_TRUE(a_->repository->objects().Has(secret));
  EXPECT_EQ((*offer)->OpenObject(secret).error().code(), Code::kNotFound);
  const std::string layer = hidden->image().layers(0).digest();
  EXPECT_EQ((*offer)->OpenManifest(layer).error().code(), Code::kNotFound);
  google::protobuf::RepeatedPtrField<std::string> bases;
  bases.Add(std::string(layer));
  ASSERT_OK((*offer)->AllowBases(bases));
  EXPECT_EQ((*offer)->OpenObject(secret).error().code(), Code::kNotFound)
      << "a base that the user may not read is none";
  image.set_reference(alice() + "/private");
  EXPECT_EQ(ImageOffer::Open(a_->repository.get(), a_->puller->pending(), image).error().code(),
            Code::kNotFound);
}

TEST_F(PullTest, ABreakKeepsWhatCameThoughACollectionRuns) {
  ASSERT_OK(Import(*a_, kAlice, "tools"));
  CancelToken cancel;
  const auto broken = Pull(
      kAlice, "tools",
      [&](const v1::PullProgress& state) {
        if (state.bytes() > 5'000'000) cancel.Cancel();
      },
      cancel);
  ASSERT_FALSE(broken.ok());
  EXPECT_EQ(broken.error().code(), Code::kCancelled);
  EXPECT_FALSE(b_->repository->images().Find(kAlice, "tools").ok());
  EXPECT_EQ(CountFiles(b_->directory + "/store/manifests"), 0u) << "nothing half is visible";
  const size_t came = CountFiles(b_->directory + "/store/objects");
  EXPECT_GE(came, 40u) << "small ones come first";
  ASSERT_OK(b_->repository->collector().Collect());
  EXPECT_EQ(CountFiles(b_->directory + "/store/objects"), came);
  const auto resumed = Pull(kAlice, "tools");
  ASSERT_OK(resumed);
  EXPECT_LT(resumed->wire_bytes(), 6'500'000u);
  EXPECT_TRUE(resumed->resumed_bytes() > 0 || resumed->objects() < 41);
  EXPECT_EQ(Export(*a_, kAlice, "tools"), Export(*b_, kAlice, "tools"));
  ExpectSound(*b_);
}

TEST_F(PullTest, OfTwoPullsOfOneImageOneTransfers) {
  ASSERT_OK(Import(*a_, kAlice, "tools"));
  Share("tools");
  Result<v1::PullResult> alices = v1::PullResult();
  Result<v1::PullResult> bobs = v1::PullResult();
  {
    std::jthread one([&] { alices = Pull(kAlice, "tools"); });
    std::jthread two([&] { bobs = Pull(kBob, alice() + "/tools"); });
  }
  ASSERT_OK(alices);
  ASSERT_OK(bobs);
  EXPECT_EQ(alices->objects() + bobs->objects(), 41u);
  EXPECT_EQ(alices->image().digest(), bobs->image().digest());
}

TEST_F(PullTest, APushIsAPullFromTheOtherSide) {
  ASSERT_OK(Import(*a_, kAlice, "tools"));
  v1::PushRequest request;
  request.set_reference("tools");
  request.set_host("b");
  bool progressed = false;
  const auto pushed = a_->puller->Push(
      kAlice, request, [&](const v1::PullProgress&) { progressed = true; }, cancel_);
  ASSERT_OK(pushed);
  EXPECT_EQ(pushed->objects(), 41u);
  EXPECT_EQ(Export(*a_, kAlice, "tools"), Export(*b_, kAlice, "tools"));
  const auto again = a_->puller->Push(kAlice, request, {}, cancel_);
  ASSERT_OK(again);
  EXPECT_EQ(again->objects(), 0u);
  files_[0].content += "changed";
  ASSERT_OK(Import(*a_, kAlice, "tools"));
  const auto taken = a_->puller->Push(kAlice, request, {}, cancel_);
  ASSERT_FALSE(taken.ok()) << "another image by that name";
  EXPECT_EQ(taken.error().code(), Code::kAlreadyExists);
  request.set_reference("absent");
  EXPECT_EQ(a_->puller->Push(kAlice, request, {}, cancel_).error().code(), Code::kNotFound);
  request.set_host("c");
  request.set_reference("tools");
  EXPECT_EQ(a_->puller->Push(kAlice, request, {}, cancel_).error().code(), Code::kNotFound);
}

TEST_F(PullTest, ALimitOfTheReceiverHoldsAndNothingIsNamed) {
  ASSERT_OK(Import(*a_, kAlice, "tools"));
  v1::SetQuotaRequest quota;
  quota.set_subject("default");
  quota.set_limit_bytes(1'000'000);
  ASSERT_OK(b_->repository->usage().SetQuota(0, quota));
  const auto refused = Pull(kAlice, "tools");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::kResourceExhausted);
  EXPECT_FALSE(b_->repository->images().Find(kAlice, "tools").ok());
  EXPECT_EQ(CountFiles(b_->directory + "/store/objects"), 0u) << "nothing was fetched for nothing";
}

TEST_F(PullTest, WhatIsNotWhatItsDigestSaysIsRefused) {
  const auto imported = Import(*a_, kAlice, "tools");
  ASSERT_OK(imported);
  const Digest layer = *Digest::Parse(imported->image().layers(0).digest());
  const std::string manifest = a_->repository->layers().ManifestPath(layer);
  const std::string good = *ReadFile(manifest);
  Overwrite(manifest);
  const auto bad_manifest = Pull(kAlice, "tools");
  ASSERT_FALSE(bad_manifest.ok());
  EXPECT_EQ(bad_manifest.error().code(), Code::kCorrupt) << bad_manifest.error().message();
  EXPECT_EQ(CountFiles(b_->directory + "/store/pending"), 0u);
  ASSERT_OK(WriteFileAtomically(manifest, good));

  Overwrite(a_->repository->objects().PathOf(Hasher::Of(Noise(5, 20'005))));
  const auto bad_object = Pull(kAlice, "tools");
  ASSERT_FALSE(bad_object.ok());
  EXPECT_EQ(bad_object.error().code(), Code::kCorrupt) << bad_object.error().message();
  EXPECT_FALSE(b_->repository->images().Find(kAlice, "tools").ok());
  EXPECT_EQ(CountFiles(b_->directory + "/store/manifests"), 0u);
}

TEST_F(PullTest, APrestageIsAChainThatGoesRoundADeadHost) {
  ASSERT_OK(Import(*a_, kAlice, "tools"));
  v1::PrestageRequest request;
  request.set_reference("tools");
  for (const std::string name : {"b", "c", "d", "e", "f"}) {
    if (name != "b") ASSERT_OK(Join(Add(name), Token(*a_)));
    request.add_hosts(name);
  }
  for (auto& [name, host] : hosts_) ASSERT_OK(host.cluster->Refresh());
  hosts_["d"].listener.reset();
  std::map<std::string, v1::PrestageHost> ends;
  ASSERT_OK(PrestageImage(
      a_->puller.get(), kAlice, request,
      [&](const v1::PrestageHost& state) { ends[state.host()] = state; }, cancel_));
  EXPECT_TRUE(ends["d"].has_error());
  for (const std::string name : {"b", "c", "e", "f"}) {
    ASSERT_TRUE(ends[name].has_result()) << name << ": " << ends[name].error();
    EXPECT_EQ(Export(*a_, kAlice, "tools"), Export(hosts_[name], kAlice, "tools"));
  }
  EXPECT_EQ(ends["e"].result().source(), "c") << "past the dead host";
  EXPECT_EQ(ends["f"].result().source(), "e");
  EXPECT_LT(a_->puller->sent_bytes(), 11'000'000u) << "one copy";
}

TEST_F(PullTest, APendingImageGivesAnObjectWhenItHasComeAndRefusesWhenItWillNot) {
  const auto imported = Import(*a_, kAlice, "tools");
  ASSERT_OK(imported);
  const std::string late = Noise(500, 5000);
  const Digest object = Hasher::Of(late);
  PendingImages images;
  PendingImages::Announcement announcement(
      &images, std::make_shared<PendingImage>(a_->repository.get(), kAlice, imported->image(),
                                              std::set<Digest>{object}));
  PendingImage& pending = announcement.image();
  const std::chrono::minutes long_time(5);
  EXPECT_EQ(pending.WaitForObject(Hasher::Of("another"), long_time).error().code(), Code::kNotFound)
      << "whoever asks for what is not the image's does not wait";
  EXPECT_EQ(pending.WaitForObject(object, std::chrono::milliseconds(1)).error().code(),
            Code::kUnavailable);

  auto waiting =
      std::async(std::launch::async, [&] { return pending.WaitForObject(object, long_time).ok(); });
  const std::shared_ptr<Ingest> ingest = std::move(*a_->repository->objects().StartIngest());
  pending.arrivals().Staged(*ingest->Add("another"), ingest);  // It goes on waiting.
  EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  ASSERT_OK(ingest->Add(late));
  pending.arrivals().Staged(object, ingest);
  EXPECT_TRUE(waiting.get()) << "before it is committed";
  ASSERT_OK(ingest->Commit());
  EXPECT_TRUE(pending.WaitForObject(object, long_time).ok()) << "and after it";

  const Digest never = Hasher::Of("never");
  std::optional<PendingImages::Announcement> broken(
      std::in_place, &images,
      std::make_shared<PendingImage>(a_->repository.get(), kAlice, imported->image(),
                                     std::set<Digest>{never}));
  const std::string reference = "any/name@" + imported->image().digest();
  const auto held = images.Find(kAlice, reference);
  ASSERT_NE(held, nullptr);
  EXPECT_EQ(images.Find(kBob, reference), nullptr) << "it is there for nobody else";
  auto ended = std::async(std::launch::async,
                          [&] { return broken->image().WaitForObject(never, long_time); });
  EXPECT_EQ(ended.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  const auto kept = images.Find(kAlice, reference);
  broken->image().arrivals().End();
  EXPECT_EQ(ended.get().error().code(), Code::kNotFound);
}

TEST_F(PullTest, AChainGoesRoundAHostThatEndsOrLiesInTheMiddle) {
  ASSERT_OK(Import(*a_, kAlice, "tools"));
  for (const std::string name : {"c", "d", "e"}) ASSERT_OK(Join(Add(name), Token(*a_)));
  for (auto& [name, host] : hosts_) ASSERT_OK(host.cluster->Refresh());
  // b has an object with other bytes, which nobody looked at since; c ends while it passes on.
  ASSERT_OK(Pull(kAlice, "tools"));
  Overwrite(b_->repository->objects().PathOf(Hasher::Of(Noise(99, 9'000'000))));
  v1::PrestageRequest request;
  request.set_reference("tools");
  request.set_replace(true);
  for (const std::string name : {"b", "c", "d", "e"}) request.add_hosts(name);
  std::map<std::string, v1::PrestageHost> ends;
  std::jthread killer;
  ASSERT_OK(PrestageImage(
      a_->puller.get(), kAlice, request,
      [&](const v1::PrestageHost& state) {
        if (state.host() == "d" && state.has_progress() && !killer.joinable()) {
          killer = std::jthread([this] { hosts_["c"].listener.reset(); });
        }
        ends[state.host()] = state;
      },
      cancel_));
  for (const std::string name : {"c", "d", "e"}) {
    if (name == "c" && !ends[name].has_result()) continue;  // It may be cut off from the news.
    ASSERT_TRUE(ends[name].has_result()) << name << ": " << ends[name].error();
    EXPECT_EQ(Export(*a_, kAlice, "tools"), Export(hosts_[name], kAlice, "tools")) << name;
    ExpectSound(hosts_[name]);
  }
}

TEST_F(PullTest, APrestageThatIsCancelledLeavesNoHostWithHalfAnImage) {
  ASSERT_OK(Import(*a_, kAlice, "tools"));
  for (const std::string name : {"c", "d", "e"}) ASSERT_OK(Join(Add(name), Token(*a_)));
  for (auto& [name, host] : hosts_) ASSERT_OK(host.cluster->Refresh());
  v1::PrestageRequest request;
  request.set_reference("tools");
  request.set_bytes_per_second(1'000'000);
  for (const std::string name : {"b", "c", "d", "e"}) request.add_hosts(name);
  CancelToken cancel;
  size_t told = 0;
  const Status ended = PrestageImage(
      a_->puller.get(), kAlice, request,
      [&](const v1::PrestageHost& state) {
        if (state.has_progress() && ++told > 3) cancel.Cancel();
      },
      cancel);
  ASSERT_FALSE(ended.ok());
  EXPECT_EQ(ended.error().code(), Code::kCancelled);
  // The hosts hear of it when their answers find nobody.
  for (const std::string name : {"b", "c", "d", "e"}) {
    hosts_[name].listener.reset();
    EXPECT_FALSE(hosts_[name].repository->images().Find(kAlice, "tools").ok()) << name;
  }
}

}  // namespace
}  // namespace strata::imaged
