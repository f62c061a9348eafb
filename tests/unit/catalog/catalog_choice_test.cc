// Which catalog a host opens, and the ways between its own and a shared one.
#include <gmock/gmock.h>

#include "imaged/catalog/own_records.h"
#include "imaged/catalog/records.pb.h"
#include "imaged/catalog/tables.h"
#include "imaged/daemon/shared_catalog.h"
#include "tests/unit/records/etcd_server.h"

namespace strata::imaged {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class CatalogChoiceTest : public testing::Test {
 protected:
  CatalogChoiceTest()
      : directory_(std::move(*TemporaryDirectory::Create("/var/tmp", "strata-cc."))) {}

  std::string State(const std::string& host) { return directory_.path() + "/" + host; }
  // A host with a catalog of its own that has these quotas, and a lease.
  void MakeHost(const std::string& host, const std::vector<std::string>& quotas) {
    ASSERT_TRUE(MakeDirectories(State(host)).ok());
    auto records = records::OpenRocksRecordStore(State(host), OwnRecords());
    ASSERT_TRUE(records.ok());
    for (const std::string& name : quotas) {
      ASSERT_TRUE((*records)->Put(kQuotas, name, "of " + host).ok());
    }
    ASSERT_TRUE((*records)->Put(kLeases, "node/1", LeaseOf("x")).ok());
  }
  static std::string LeaseOf(const std::string& image, const std::string& host = "") {
    catalog::LeaseRecord lease;
    lease.mutable_image()->set_name(image);
    lease.set_host(host);
    return lease.SerializeAsString();
  }
  Result<MigratedRecords> Migrate(const std::string& host, bool merge = false) {
    conflicts_.clear();
    return MigrateToShared(State(host), etcd_.OptionsFor(CatalogTables(), host), merge,
                           [&](const std::string& text) { conflicts_.push_back(text); });
  }
  // nullopt: it was opened.
  std::optional<Code> OpenShared(const std::string& host, const std::string& prefix = "/test") {
    const auto opened =
        OpenSharedCatalog(State(host), etcd_.OptionsFor(CatalogTables(), host, prefix));
    return opened.ok() ? std::nullopt : std::optional<Code>(opened.error().code());
  }

  records::EtcdServer etcd_;
  const TemporaryDirectory directory_;
  std::vector<std::string> conflicts_;
};

TEST_F(CatalogChoiceTest, RecordsMoveThereAndBackAndLeasesStayTheirHosts) {
  MakeHost("a", {"user/1"});
  EXPECT_EQ(OpenShared("a"), Code::kFailedPrecondition) << "it has records of its own";
  const auto moved = Migrate("a");
  ASSERT_TRUE(moved.ok()) << moved.error().message();
  EXPECT_EQ(moved->records, 2u);
  EXPECT_EQ(CheckOwnCatalog(State("a")).error().code(), Code::kFailedPrecondition);
  {
    const auto shared = OpenSharedCatalog(State("a"), etcd_.OptionsFor(CatalogTables(), "a"));
    ASSERT_TRUE(shared.ok()) << shared.error().message();
    EXPECT_EQ(*(*shared)->Get(kQuotas, "user/1"), "of a");
    EXPECT_EQ(*(*shared)->Get(kLeases, "a/node/1"), LeaseOf("x", "a"));
    ASSERT_TRUE((*shared)->Put(kLeases, "b/node/1", LeaseOf("y", "b")).ok());
  }
  const auto back = MigrateToOwn(State("a"), etcd_.OptionsFor(CatalogTables(), "a"));
  ASSERT_TRUE(back.ok()) << back.error().message();
  EXPECT_EQ(back->left_out, 1u) << "the other host's lease";
  ASSERT_TRUE(CheckOwnCatalog(State("a")).ok());
  const auto own = records::OpenRocksRecordStore(State("a"), OwnRecords());
  ASSERT_TRUE(own.ok());
  EXPECT_EQ(*(*own)->Get(kLeases, "node/1"), LeaseOf("x"));
  EXPECT_EQ(*(*own)->Get(kLeases, "b/node/1"), std::nullopt);
}

TEST_F(CatalogChoiceTest, ASecondHostJoinsOnlyOnPurposeAndWithoutConflicts) {
  MakeHost("a", {"user/1", "user/2"});
  MakeHost("b", {"user/2", "user/3"});
  ASSERT_TRUE(Migrate("a").ok());
  EXPECT_EQ(Migrate("b", /*merge=*/true).error().code(), Code::kAlreadyExists);
  EXPECT_THAT(conflicts_, ElementsAre("quotas user/2"));
  EXPECT_TRUE(CheckOwnCatalog(State("b")).ok()) << "b is as it was";
  {
    auto own = records::OpenRocksRecordStore(State("b"), OwnRecords());
    ASSERT_TRUE((*own)->Delete(kQuotas, "user/2").ok());
  }
  const auto refused = Migrate("b");
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message(), HasSubstr("--merge"));
  const auto merged = Migrate("b", /*merge=*/true);
  ASSERT_TRUE(merged.ok()) << merged.error().message();
  EXPECT_THAT(conflicts_, IsEmpty());
  const auto shared = OpenSharedCatalog(State("b"), etcd_.OptionsFor(CatalogTables(), "b"));
  ASSERT_TRUE(shared.ok());
  EXPECT_EQ(*(*shared)->Get(kQuotas, "user/3"), "of b");
  EXPECT_EQ(*(*shared)->Get(kQuotas, "user/2"), "of a");
}

TEST_F(CatalogChoiceTest, AMigrationThatBrokeOffIsRepeated) {
  MakeHost("a", {"user/1", "user/2"});
  {
    const auto shared = records::EtcdRecordStore::Open(etcd_.OptionsFor(CatalogTables(), "a"));
    ASSERT_TRUE((*shared)->Put(kQuotas, "user/1", "of a").ok());
  }
  const auto moved = Migrate("a");
  ASSERT_TRUE(moved.ok()) << moved.error().message();
  EXPECT_EQ(moved->records, 3u);
}

TEST_F(CatalogChoiceTest, AnotherCatalogIsNotOpened) {
  ASSERT_TRUE(MakeDirectories(State("a")).ok());
  ASSERT_EQ(OpenShared("a"), std::nullopt) << "an empty store may begin one";
  EXPECT_EQ(OpenShared("a", "/else"), Code::kNotFound) << "nothing is made by mistake";
  etcd_.LoseEverything();
  etcd_.Start();
  EXPECT_EQ(OpenShared("a"), Code::kNotFound);
  ASSERT_TRUE(MakeDirectories(State("b")).ok());
  ASSERT_EQ(OpenShared("b"), std::nullopt);
  EXPECT_EQ(OpenShared("a"), Code::kCorrupt) << "it is b's new one";
}

}  // namespace
}  // namespace strata::imaged
