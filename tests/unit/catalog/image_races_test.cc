// Changes of one name that meet: no tag may be left without its image.
#include <chrono>
#include <functional>
#include <future>

#include "imaged/catalog/tables.h"
#include "tests/unit/catalog/catalog_fixture.h"

namespace strata::imaged {
namespace {

// Calls a hook, once, when a commit is asked for: where another user's call may come between.
class HookedRecords final : public records::RecordStore {
 public:
  HookedRecords(records::RecordStore* records, std::function<void()>* hook)
      : records_(records), hook_(hook) {}

  Result<std::optional<std::string>> Get(records::Table table, const std::string& key) override {
    return records_->Get(table, key);
  }
  Status Scan(records::Table table, const std::string& prefix, const Visitor& visit) override {
    return records_->Scan(table, prefix, visit);
  }
  Status Commit(const std::vector<records::RecordExpectation>& expected,
                const std::vector<records::RecordChange>& changes,
                const std::vector<records::ScopeMark>& scopes) override {
    if (const auto hook = std::exchange(*hook_, {})) hook();
    return records_->Commit(expected, changes, scopes);
  }
  records::ScopeMark Mark(const std::string& scope) override { return records_->Mark(scope); }
  Status Follow(Listener listener) override { return records_->Follow(std::move(listener)); }
  void Unfollow() override { records_->Unfollow(); }

 private:
  records::RecordStore* const records_;
  std::function<void()>* const hook_;
};

class ImageRacesTest : public CatalogTest {
 protected:
  ImageRacesTest() : records_(records::MakeMemoryRecordStore(CatalogTables())) { Reopen(); }
  ~ImageRacesTest() override { catalog_.reset(); }

  void Reopen() {
    catalog_.reset();
    Open(std::make_unique<HookedRecords>(records_.get(), &hook_));
  }
  // Lets `other` run when the next commit is on its way, for as long as it needs; when it has to
  // wait for that commit, the commit goes on.
  void Between(std::function<void()> other) {
    hook_ = [this, other = std::move(other)] {
      other_ = std::async(std::launch::async, other);
      other_.wait_for(std::chrono::milliseconds(200));
    };
  }
  void TagBetween(const std::string& from, const std::string& to) {
    Between([this, from, to] {
      v1::TagRequest request;
      request.set_reference(from);
      request.set_new_reference(to);
      tagged_ = images().Tag(kAlice, request).ok();
    });
  }
  // Nothing points to an image that is not there; `tag` is there if its writer was told so.
  void ExpectWhole(const std::string& tag) {
    other_.get();
    ASSERT_OK(
        records_->Scan(kTags, "", [&](const std::string& key, const std::string& value) -> Status {
          catalog::TagRecord record;
          EXPECT_TRUE(record.ParseFromString(value));
          const auto image =
              records_->Get(kImages, ImageKey(*ParseKey(key), *Digest::Parse(record.digest())));
          EXPECT_TRUE(image->has_value()) << key << " points to nothing";
          return Ok();
        }));
    EXPECT_EQ(Sees(kAlice, tag), tagged_);
  }

  const std::unique_ptr<records::RecordStore> records_;
  std::function<void()> hook_;
  std::future<void> other_;
  bool tagged_ = false;
};

TEST_F(ImageRacesTest, ATagThatComesWhileTheLastOneIsDeletedKeepsItsImage) {
  ASSERT_OK(Publish(kAlice, "x", "1"));
  TagBetween("x", "x:keep");
  ASSERT_OK(images().Remove(kAlice, "x"));
  ExpectWhole("x:keep");
}

TEST_F(ImageRacesTest, ATagThatComesWhileVersionsArePrunedKeepsItsImage) {
  const auto first = Publish(kAlice, "x", "1");
  ASSERT_OK(first);
  ASSERT_OK(Publish(kAlice, "x", "2", "", true));
  const auto untagged = images().Untagged(kAlice, false);
  ASSERT_OK(untagged);
  TagBetween("x@" + first->digest(), "x:keep");
  ASSERT_OK(images().RemoveVersions(*untagged));
  ExpectWhole("x:keep");
}

TEST_F(ImageRacesTest, ATagThatComesWhileItsVersionGrowsTooOldKeepsItsImage) {
  const auto first = Publish(kAlice, "x", "1");
  ASSERT_OK(first);
  for (const char* salt : {"2", "3"}) ASSERT_OK(Publish(kAlice, "x", salt, "", true));
  TagBetween("x@" + first->digest(), "x:keep");
  ASSERT_OK(Publish(kAlice, "x", "4", "", true));
  ExpectWhole("x:keep");
}

TEST_F(ImageRacesTest, AnImageThatComesWhileTheLastTagIsDeletedStays) {
  ASSERT_OK(Publish(kAlice, "x", "1"));
  ASSERT_OK(Publish(kAlice, "x", "2", "", true));
  Between([this] { tagged_ = Publish(kAlice, "x:v2", "1").ok(); });
  ASSERT_OK(images().Remove(kAlice, "x"));
  ExpectWhole("x:v2");
  EXPECT_TRUE(tagged_);
}

TEST_F(ImageRacesTest, ATagWithoutItsImageGoesWhenTheCatalogIsOpenedAndLeavesNoRights) {
  const auto image = Publish(kAlice, "x", "1");
  ASSERT_OK(image);
  v1::ShareRequest everybody;
  everybody.set_reference("x");
  everybody.set_visibility(v1::PUBLIC);
  ASSERT_OK(images().Share(kAlice, everybody));
  const Reference name{kAlice, "x", "latest", ""};
  ASSERT_OK(records_->Delete(kImages, ImageKey(name, *Digest::Parse(image->digest()))));
  Reopen();
  EXPECT_FALSE(records_->Get(kTags, TagKey(name))->has_value());
  const auto anew = Publish(kAlice, "x", "2");
  ASSERT_OK(anew);
  EXPECT_EQ(anew->visibility(), v1::PRIVATE);
}

TEST_F(ImageRacesTest, OfTwoWhoTakeOneLeaseOneHoldsItAndTheOtherIsToldSo) {
  const auto first = Publish(kAlice, "x", "1");
  const auto second = Publish(kAlice, "y", "2");
  ASSERT_OK(first);
  ASSERT_OK(second);
  Between([&] { EXPECT_TRUE(catalog_->leases().Take({"node/1"}, *second).ok()); });
  const Status taken = catalog_->leases().Take({"node/1"}, *first);
  other_.get();
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code(), Code::kAlreadyExists);
  EXPECT_EQ((*catalog_->leases().Find("node/1"))->digest(), second->digest());
  Between([&] { EXPECT_TRUE(catalog_->leases().Take({"node/2"}, *first).ok()); });
  EXPECT_TRUE(catalog_->leases().Take({"node/2"}, *first).ok()) << "both meant the same image";
  other_.get();
}

TEST_F(ImageRacesTest, ATagOfADamagedImageLeavesNoRights) {
  const auto image = Publish(kAlice, "x", "1");
  ASSERT_OK(image);
  ASSERT_OK(ShareWith(kAlice, "x", To(v1::GRANT_USER, "bob")));
  const Reference name{kAlice, "x", "latest", ""};
  const std::string key = ImageKey(name, *Digest::Parse(image->digest()));
  ASSERT_OK(records_->Put(kImages, key, "\xff\xff"));
  Reopen();
  ASSERT_TRUE(records_->Get(kTags, TagKey(name))->has_value());
  ASSERT_OK(Publish(kAlice, "x", "2"));
  EXPECT_FALSE(Sees(kBob, "alice/x"));
}

}  // namespace
}  // namespace strata::imaged
