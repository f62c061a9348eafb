// Whose bytes are whose: sharing costs nothing, limits hold, and nobody learns what others have.
#include <thread>

#include "tests/unit/imaged/repository_fixture.h"

namespace strata::imaged {
namespace {

using testing::HasSubstr;

class UsageTest : public RepositoryTest {
 protected:
  std::string Tar(const std::vector<File>& files) {
    return MakeTar(directory_->path() + "/scratch", files);
  }
  v1::Usage UsageOf(uid_t uid) {
    const auto report = repository_->usage().Report(uid, {});
    EXPECT_TRUE(report.ok());
    return report->usages(0);
  }
  Status SetQuota(uid_t caller, const std::string& subject, uint64_t bytes) {
    v1::SetQuotaRequest request;
    request.set_subject(subject);
    request.set_limit_bytes(bytes);
    return repository_->usage().SetQuota(caller, request);
  }
  const std::string alice_ = std::to_string(kAlice);
};

TEST_F(UsageTest, ContentsAreChargedOnceHoweverManyImagesHaveThem) {
  const auto first = Import(kAlice, "a", Tar({{"x", std::string(5000, 'x')}}));
  ASSERT_OK(first);
  const auto second =
      Import(kAlice, "b", Tar({{"x", std::string(5000, 'x')}, {"y", std::string(3000, 'y')}}));
  ASSERT_OK(second);
  EXPECT_EQ(second->summary().new_objects(), 1u);
  const uint64_t manifests = first->summary().manifest_bytes() + second->summary().manifest_bytes();
  const v1::Usage usage = UsageOf(kAlice);
  EXPECT_EQ(usage.unique_bytes(), 8000 + manifests);
  EXPECT_EQ(usage.logical_bytes(), 13'000u);
  EXPECT_EQ(usage.images(), 2u);
}

TEST_F(UsageTest, WhatOthersShareIsNotChargedAgain) {
  ASSERT_OK(Import(kAlice, "base", tar_));
  ASSERT_OK(Share(kAlice, "base", v1::PUBLIC));
  const uint64_t before = UsageOf(kAlice).unique_bytes();
  // Bob's layer names one object of the base (as after a chmod) and one of his own.
  const auto saved = Import(
      kBob, "mine", Tar({{"big", std::string(70'000, 'b')}, {"own", std::string(2000, 'p')}}),
      [&](v1::ImportOptions* options) { options->set_base(alice_ + "/base"); });
  ASSERT_OK(saved);
  v1::TagRequest tag;
  tag.set_reference(alice_ + "/base");
  tag.set_new_reference("copy");
  ASSERT_OK(repository_->Tag(kBob, tag));
  const v1::Usage bob = UsageOf(kBob);
  EXPECT_EQ(bob.unique_bytes(), 2000 + saved->summary().manifest_bytes());
  EXPECT_EQ(bob.shared_bytes(), 79'001u);
  EXPECT_EQ(UsageOf(kAlice).unique_bytes(), before);
}

TEST_F(UsageTest, WhatItsMakerGaveUpIsChargedToThoseWhoStillHaveIt) {
  ASSERT_OK(Import(kAlice, "base", tar_));
  ASSERT_OK(Share(kAlice, "base", v1::PUBLIC));
  v1::TagRequest tag;
  tag.set_reference(alice_ + "/base");
  tag.set_new_reference("copy");
  ASSERT_OK(repository_->Tag(kBob, tag));
  EXPECT_EQ(UsageOf(kBob).unique_bytes(), 0u);
  const auto deleted = Delete(kAlice, "base");
  ASSERT_OK(deleted);
  EXPECT_EQ(deleted->freed_objects(), 2u) << "alice is charged no more";
  EXPECT_EQ(UsageOf(kAlice).unique_bytes(), 0u);
  EXPECT_GE(UsageOf(kBob).unique_bytes(), 79'000u);
  EXPECT_TRUE(repository_->objects().Has(Hasher::Of(std::string(70'000, 'b'))));
  EXPECT_EQ(Fsck().result.problems(), 0u);
}

TEST_F(UsageTest, WhatAnImageTakesIsWhatDeletingItFrees) {
  ASSERT_OK(Import(kBob, "base", tar_));
  ASSERT_OK(Share(kBob, "base", v1::PUBLIC));
  const std::string base = std::to_string(kBob) + "/base";
  const auto on_base = [&](v1::ImportOptions* options) { options->set_base(base); };
  ASSERT_OK(Import(kAlice, "a", Tar({{"x", std::string(5000, 'x')}}), on_base));
  ASSERT_OK(Import(kAlice, "b", Tar({{"x", std::string(5000, 'x')}, {"y", std::string(3000, 'y')}}),
                   on_base));
  ASSERT_OK(Import(kAlice, "b", Tar({{"y", std::string(3000, 'y')}, {"z", std::string(2000, 'z')}}),
                   [&](v1::ImportOptions* options) {
                     on_base(options);
                     options->set_replace(true);
                   }));
  const auto usages = repository_->usage().PerImage(kAlice, {});
  ASSERT_OK(usages);
  ASSERT_EQ(usages->images_size(), 3);
  uint64_t own = 0;
  for (const v1::ImageUsage& usage : usages->images()) {
    EXPECT_EQ(usage.foreign_bytes(), 79'001u) << usage.reference();
    own += usage.own_bytes();
    const uint64_t before = UsageOf(kAlice).unique_bytes();
    if (usage.reference().find("/a:") == std::string::npos) continue;
    EXPECT_EQ(usage.shared_bytes(), 5000u) << "the version before of b has it too";
    ASSERT_OK(Delete(kAlice, "a"));
    EXPECT_EQ(before - UsageOf(kAlice).unique_bytes(), usage.own_bytes());
  }
  EXPECT_GE(own, 2000u);
  v1::DiskUsageRequest all;
  all.set_all_users(true);
  EXPECT_EQ(repository_->usage().PerImage(kAlice, all).error().code(), Code::kPermissionDenied);
  EXPECT_EQ(repository_->usage().PerImage(0, all)->images_size(), 3);
}

TEST_F(UsageTest, ALimitRefusesBeforeAnythingIsNamedAndLeavesNothing) {
  ASSERT_OK(SetQuota(0, "user:" + alice_, 100'000));
  ASSERT_OK(Import(kAlice, "a", tar_));
  const size_t objects = CountFiles(Store("objects"));
  // Past the limit while it is being read, and only when all of it is known.
  const std::string much = Tar({{"m", std::string(90'000, 'm')}});
  const std::string more = Tar({{"n", std::string(20'000, 'n')}});
  for (const std::string& tar : {much, more}) {
    const auto refused = Import(kAlice, "b", tar);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code(), Code::kResourceExhausted);
  }
  EXPECT_FALSE(repository_->images().Find(kAlice, "b").ok());
  ASSERT_OK(repository_->collector().Collect());
  EXPECT_EQ(CountFiles(Store("objects")), objects);
  EXPECT_EQ(CountFiles(Store("manifests")), 1u);
  ASSERT_OK(Import(kAlice, "small", Tar({{"s", std::string(600, 's')}})));
  ASSERT_OK(Delete(kAlice, "a"));
  ASSERT_OK(Import(kAlice, "b", more));
}

TEST_F(UsageTest, TheDefaultIsForEveryUserWithoutALimitOfHisOwnButRoot) {
  ASSERT_OK(SetQuota(0, "default", 10'000));
  EXPECT_EQ(Import(kAlice, "a", tar_).error().code(), Code::kResourceExhausted);
  ASSERT_OK(SetQuota(0, "user:" + std::to_string(kBob), 1'000'000));
  ASSERT_OK(Import(kBob, "a", tar_));
  ASSERT_OK(Import(0, "a", tar_));
  ASSERT_OK(SetQuota(0, "default", 0));
  ASSERT_OK(Import(kAlice, "a", tar_));
  EXPECT_EQ(SetQuota(kAlice, "default", 0).error().code(), Code::kPermissionDenied);
  EXPECT_EQ(SetQuota(0, "nonsense", 1).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(SetQuota(0, "user:no-such-user", 1).error().code(), Code::kNotFound);
}

TEST_F(UsageTest, OfTwoAtOnceThatTogetherPassTheLimitOneIsRefused) {
  ASSERT_OK(SetQuota(0, "user:" + alice_, 100'000));
  const std::string one = Tar({{"1", std::string(60'000, '1')}});
  const std::string two = Tar({{"2", std::string(60'000, '2')}});
  std::atomic<int> taken = 0;
  {
    std::jthread first([&] { taken += Import(kAlice, "one", one).ok(); });
    std::jthread second([&] { taken += Import(kAlice, "two", two).ok(); });
  }
  EXPECT_EQ(taken, 1);
}

TEST_F(UsageTest, ObjectListsAreMadeAnewWhenTheyAreGoneOrDamaged) {
  ASSERT_OK(Import(kAlice, "a", tar_));
  const v1::Image image = *repository_->images().Find(kAlice, "a");
  const Digest layer = *Digest::Parse(image.layers(0).digest());
  const std::string path = Store("lists/") + ObjectStore::RelativePath(layer);
  const std::string good = *ReadFile(path);
  const auto expect_same = [&] {
    EXPECT_EQ((*repository_->layers().Objects(layer))->entries().size(), 2u);
    EXPECT_EQ(*ReadFile(path), good);
  };
  ASSERT_EQ(::unlink(path.c_str()), 0);
  expect_same();
  for (size_t at = 0; at < good.size(); at += 7) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    ASSERT_OK(WriteFileAtomically(path, bad));
    expect_same();
  }
  ASSERT_OK(WriteFileAtomically(path, good.substr(0, good.size() - 1)));
  expect_same();
}

TEST_F(RepositoryTest, WhoKeepsAnAbandonedLayerPaysForItsManifestToo) {
  ASSERT_OK(Import(kAlice, "base", tar_));
  ASSERT_OK(Share(kAlice, "base", v1::PUBLIC));
  const std::string more =
      MakeTar(directory_->path() + "/scratch", {{"mine", std::string(5000, 'm')}});
  ASSERT_OK(Import(kBob, "mine", more, [](v1::ImportOptions* options) {
    options->set_base(std::to_string(kAlice) + "/base");
  }));
  const uint64_t alice = repository_->usage().ChargeWithout(kAlice, {})->bytes;
  const uint64_t bob = repository_->usage().ChargeWithout(kBob, {})->bytes;
  ASSERT_OK(Delete(kAlice, "base"));
  EXPECT_EQ(repository_->usage().ChargeWithout(kBob, {})->bytes, alice + bob);
}

}  // namespace
}  // namespace strata::imaged
