// Two hosts, each with a catalog over one real etcd: what one changes the other sees, and changes
// that meet leave nothing half done.
#include <set>
#include <thread>

#include "imaged/catalog/tables.h"
#include "tests/unit/catalog/catalog_fixture.h"
#include "tests/unit/records/etcd_server.h"

namespace strata::imaged {
namespace {

class SharedCatalogTest : public CatalogTest {
 protected:
  SharedCatalogTest() {
    catalog_ = OpenFor("one");
    other_ = OpenFor("two");
  }
  ~SharedCatalogTest() override {
    catalog_.reset();
    other_.reset();
  }
  std::unique_ptr<Catalog> OpenFor(const std::string& host) {
    auto records = records::EtcdRecordStore::Open(etcd_.OptionsFor(CatalogTables(), host));
    EXPECT_TRUE(records.ok()) << records.error().message();
    CatalogOptions options;
    options.accounts = &accounts_;
    options.now = [this] { return now_; };
    options.versions_kept = 2;
    options.host = host;
    auto catalog = Catalog::Open(std::move(*records), options);
    EXPECT_TRUE(catalog.ok()) << catalog.error().message();
    return std::move(*catalog);
  }
  Result<v1::Image> PublishOn(Catalog* host, const std::string& reference, const std::string& salt,
                              bool replace) {
    v1::Image draft;
    *draft.add_layers() = LayerOf(salt);
    ASSIGN_OR_RETURN(const auto name, host->images().Reserve(kAlice, reference, replace));
    return host->images().Publish(name, std::move(draft));
  }
  // Both have heard of everything.
  void Meet() {
    for (Catalog* host : {catalog_.get(), other_.get()}) {
      const std::string mark = std::to_string(++meetings_);
      ASSERT_OK(host->records().Put(kQuotas, "meet", mark));
      for (Catalog* waits : {catalog_.get(), other_.get()}) {
        while (*waits->records().Get(kQuotas, "meet") != mark) std::this_thread::yield();
      }
    }
  }
  void ExpectNoDanglingTag() {
    ASSERT_OK(catalog_->records().Scan(
        kTags, "", [&](const std::string& key, const std::string& value) -> Status {
          catalog::TagRecord record;
          EXPECT_TRUE(record.ParseFromString(value));
          const auto image = catalog_->records().Get(
              kImages, ImageKey(*ParseKey(key), *Digest::Parse(record.digest())));
          EXPECT_TRUE(image->has_value()) << key << " points to nothing";
          return Ok();
        }));
  }

  records::EtcdServer etcd_;
  std::unique_ptr<Catalog> other_;
  int meetings_ = 0;
};

TEST_F(SharedCatalogTest, WhatOneHostPublishesAndSharesTheOtherSeesUntilItIsRevoked) {
  ASSERT_OK(Publish(kAlice, "x", "1"));
  ASSERT_OK(ShareWith(kAlice, "x", To(v1::GRANT_USER, "bob")));
  Meet();
  EXPECT_TRUE(other_->images().Find(kBob, "alice/x").ok());
  EXPECT_FALSE(other_->images().Find(kCarol, "alice/x").ok());
  ASSERT_OK(Revoke(kAlice, "x", To(v1::GRANT_USER, "bob")));
  Meet();
  EXPECT_FALSE(other_->images().Find(kBob, "alice/x").ok());
}

TEST_F(SharedCatalogTest, OfTwoHostsThatMakeOneNameOneHasItAndTheOtherIsToldSo) {
  const auto here = images().Reserve(kAlice, "x", false);
  ASSERT_OK(here);
  ASSERT_OK(PublishOn(other_.get(), "x", "theirs", false));
  v1::Image draft;
  *draft.add_layers() = LayerOf("ours");
  EXPECT_EQ(images().Publish(*here, draft).error().code(), Code::kAlreadyExists);
  Meet();
  EXPECT_EQ(images().Find(kAlice, "x")->layers(0).digest(), LayerOf("theirs").digest());
}

TEST_F(SharedCatalogTest, TagsAndDeletionsOfTwoHostsThatMeetLeaveNoTagWithoutItsImage) {
  for (int round = 0; round < 20; ++round) {
    const std::string name = "x" + std::to_string(round);
    ASSERT_OK(Publish(kAlice, name, "1"));
    Meet();
    bool tagged = false;
    std::jthread deletes([&] { EXPECT_TRUE(images().Remove(kAlice, name).ok()); });
    std::jthread tags([&] {
      v1::TagRequest request;
      request.set_reference(name);
      request.set_new_reference(name + ":keep");
      tagged = other_->images().Tag(kAlice, request).ok();
    });
    deletes.join();
    tags.join();
    Meet();
    ExpectNoDanglingTag();
    EXPECT_EQ(Sees(kAlice, name + ":keep"), tagged) << round;
  }
}

TEST_F(SharedCatalogTest, ManyPublicationsOfOneOwnerOnTwoHostsAllSucceed) {
  const auto publish = [&](Catalog* host, const std::string& name) {
    for (int i = 0; i < 20; ++i) {
      ASSERT_OK(PublishOn(host, name, name + std::to_string(i), true));
    }
  };
  std::jthread a(publish, catalog_.get(), "a"), b(publish, other_.get(), "b");
  a.join();
  b.join();
  Meet();
  for (const char* name : {"a", "b"}) EXPECT_EQ(images().Versions(kAlice, name)->images_size(), 3);
  ExpectNoDanglingTag();
}

TEST_F(SharedCatalogTest, LeasesOfAllHostsCountAndEachHostReleasesItsOwn) {
  const auto image = Publish(kAlice, "x", "1");
  ASSERT_OK(image);
  ASSERT_OK(catalog_->leases().Take({"node/1"}, *image));
  ASSERT_OK(other_->leases().Take({"node/1"}, *image));
  Meet();
  EXPECT_THAT(*catalog_->leases().Of(image->digest()),
              testing::ElementsAre("node/1 on host one", "node/1 on host two"));
  ASSERT_OK(catalog_->leases().Release("node/1"));
  Meet();
  EXPECT_THAT(*other_->leases().Of(image->digest()), testing::ElementsAre("node/1 on host two"));
}

TEST_F(SharedCatalogTest, ALeaseOfAnotherHostMovesOnWhatADeletionRestsOn) {
  const auto image = Publish(kAlice, "x", "1");
  ASSERT_OK(image);
  Meet();
  const records::ScopeMark looked = catalog_->records().Mark(OwnerScope(kAlice));
  ASSERT_OK(other_->leases().Take({"node/1"}, *image));
  EXPECT_EQ(images().Remove(kAlice, "x", {looked}).error().code(), Code::kFailedPrecondition);
  EXPECT_TRUE(Sees(kAlice, "x"));
}

}  // namespace
}  // namespace strata::imaged
