// Room is made by removing copies, least recently used first, and nothing else.
#include "imaged/repository/eviction.h"

#include <fcntl.h>

#include "tests/unit/imaged/repository_fixture.h"

namespace strata::imaged {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint64_t kEach = 20'000;

class EvictionTest : public RepositoryTest {
 protected:
  void SetUp() override {
    options_.now = [this] { return now_ms_; };
    RepositoryTest::SetUp();
  }
  // A copy of its own content, that came `seconds` after the epoch.
  void Add(const std::string& name, int64_t seconds, bool cached = true) {
    now_ms_ = seconds * 1000;
    ASSERT_OK(
        Import(kAlice, name,
               MakeTar(directory_->path() + "/scratch", {{name, std::string(kEach, name[0])}})));
    if (cached) Mark(name);
  }
  void Mark(const std::string& name) {
    v1::EditRequest mark;
    mark.set_reference(name);
    (*mark.mutable_set_labels())[kCachedLabel] = "b";
    ASSERT_OK(repository_->images().Edit(kAlice, mark));
  }
  std::vector<std::string> EvictAt(uint64_t capacity) {
    EXPECT_TRUE(repository_->collector().Collect().ok());
    const auto evicted = Evict(*repository_, {0.8, capacity}, CancelToken());
    EXPECT_TRUE(evicted.ok());
    std::vector<std::string> names;
    for (const v1::Image& image : evicted->images) names.push_back(image.name());
    return names;
  }
  bool Has(const std::string& name) { return repository_->images().Find(kAlice, name).ok(); }
  void Use(const std::string& name, const std::string& lease) {
    v1::AcquireRootRequest request;
    request.set_reference(name);
    request.set_on_behalf_of_uid(kAlice);
    request.add_leases(lease);
    ASSERT_OK(repository_->AcquireRoot(request));
  }

  int64_t now_ms_ = 0;
};

TEST_F(EvictionTest, TheOldestCopiesGoUntilHalfIsFree) {
  for (const auto& [name, seconds] : {std::pair{"a", 300}, {"b", 100}, {"c", 200}, {"d", 400}}) {
    Add(name, seconds);
  }
  EXPECT_THAT(EvictAt(5 * kEach), IsEmpty()) << "80 % is not above the threshold";
  EXPECT_THAT(EvictAt(4 * kEach), ElementsAre("b", "c"));
  EXPECT_TRUE(Has("a") && Has("d"));
  EXPECT_EQ(CountFiles(Store("objects")), 2u);
}

TEST_F(EvictionTest, WhatIsUsedComesLastAndWhatALeaseHoldsStays) {
  for (const auto& [name, seconds] : {std::pair{"a", 100}, {"b", 200}, {"c", 300}}) {
    Add(name, seconds);
  }
  Use("a", "node/1");  // Now, which is later than all of them.
  EXPECT_THAT(EvictAt(kEach), ElementsAre("b", "c"));
  EXPECT_TRUE(Has("a"));
  ASSERT_OK(repository_->ReleaseRoot("node/1"));
  Add("d", 400);
  EXPECT_THAT(EvictAt(2 * kEach), ElementsAre("d")) << "a was used later";
}

TEST_F(EvictionTest, ImagesThatAreKeptStayHoweverFullItIs) {
  Add("a", 100, /*cached=*/false);
  Add("b", 200);
  Add("c", 300);
  v1::TagRequest tag;
  tag.set_reference("b");
  tag.set_new_reference("mine");
  ASSERT_OK(repository_->Tag(kAlice, tag));
  EXPECT_THAT(EvictAt(1), ElementsAre("b", "c")) << "the copy's own name goes";
  EXPECT_TRUE(Has("a") && Has("mine") && !Has("b"));
  EXPECT_EQ(CountFiles(Store("objects")), 2u) << "and its content stays for the other one";
}

TEST_F(EvictionTest, ItIsOffAtZeroAndBeforeAnythingWasCounted) {
  Add("a", 100);
  EXPECT_THAT(Evict(*repository_, {0.8, 1}, CancelToken())->images, IsEmpty());
  ASSERT_OK(repository_->collector().Collect());
  EXPECT_THAT(Evict(*repository_, {0, 1}, CancelToken())->images, IsEmpty());
  EXPECT_TRUE(Has("a"));
}

}  // namespace
}  // namespace strata::imaged
