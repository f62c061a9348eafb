// Who may use an image: users, groups and classes, until when, and what nobody else can tell.
#include "imaged/catalog/tables.h"
#include "tests/unit/catalog/catalog_fixture.h"

namespace strata::imaged {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class SharingTest : public CatalogTest {
 protected:
  void SetUp() override { ASSERT_OK(Publish(kAlice, "spark:v1", "a")); }
};

TEST_F(SharingTest, ANamedUserMayUseItAndNobodyElse) {
  ASSERT_OK(ShareWith(kAlice, "spark:v1", To(v1::GRANT_USER, "bob")));
  EXPECT_TRUE(Sees(kBob, "alice/spark:v1"));
  EXPECT_FALSE(Sees(kCarol, "alice/spark:v1"));
  EXPECT_EQ(images().Find(kBob, "alice/spark:v1")->access(), "user");
  EXPECT_EQ(images().Find(kAlice, "spark:v1")->access(), "owner");
}

TEST_F(SharingTest, WhatIsSharedIsWhatWasLookedAt) {
  const auto first = Publish(kAlice, "x", "1");
  ASSERT_OK(first);
  ASSERT_OK(Publish(kAlice, "x", "2", "", true));
  v1::ShareRequest request;
  request.set_reference("x");
  request.set_visibility(v1::PUBLIC);
  EXPECT_EQ(images().Share(kAlice, request, first->digest()).error().code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(images().Find(kAlice, "x")->visibility(), v1::PRIVATE);
  ASSERT_OK(images().Share(kAlice, request, images().Find(kAlice, "x")->digest()));
}

TEST_F(SharingTest, AGroupMayUseItAsLongAsOneIsInIt) {
  ASSERT_OK(ShareWith(kAlice, "spark:v1", To(v1::GRANT_GROUP, "students")));
  EXPECT_TRUE(Sees(kBob, "alice/spark:v1"));
  EXPECT_FALSE(Sees(kCarol, "alice/spark:v1"));
  EXPECT_EQ(images().Find(kBob, "alice/spark:v1")->access(), "group students");
  accounts_.LeaveGroup(kStudents, kBob);
  EXPECT_FALSE(Sees(kBob, "alice/spark:v1"));
}

TEST_F(SharingTest, AClassMayUseItAsItsMembersComeAndGo) {
  ASSERT_OK(ChangeClass(kAlice, "os", {"bob", "carol"}));
  ASSERT_OK(ShareWith(kAlice, "spark:v1", To(v1::GRANT_CLASS, "os")));
  EXPECT_TRUE(Sees(kBob, "alice/spark:v1"));
  EXPECT_EQ(images().Find(kCarol, "alice/spark:v1")->access(), "class alice/os");
  ASSERT_OK(ChangeClass(kAlice, "os", {}, {"bob"}));
  EXPECT_FALSE(Sees(kBob, "alice/spark:v1"));
  EXPECT_TRUE(Sees(kCarol, "alice/spark:v1"));
}

TEST_F(SharingTest, AClassThatIsMadeAnewInheritsNothingWhateverTheClockSays) {
  ASSERT_OK(ChangeClass(kAlice, "c", {"bob"}));
  ASSERT_OK(Publish(kAlice, "x", "1"));
  ASSERT_OK(ShareWith(kAlice, "x", To(v1::GRANT_CLASS, "c")));
  ASSERT_TRUE(Sees(kBob, "alice/x"));
  ASSERT_OK(catalog_->classes().Delete(kAlice, "c"));
  now_ -= kHour;
  ASSERT_OK(ChangeClass(kAlice, "c", {"bob"}));
  EXPECT_FALSE(Sees(kBob, "alice/x"));
}

TEST_F(SharingTest, AClassThatIsMadeAnewInheritsNothing) {
  ASSERT_OK(ChangeClass(kAlice, "os", {"bob"}));
  ASSERT_OK(ShareWith(kAlice, "spark:v1", To(v1::GRANT_CLASS, "os")));
  ASSERT_OK(catalog_->classes().Delete(kAlice, "os"));
  EXPECT_FALSE(Sees(kBob, "alice/spark:v1"));
  now_ += kHour;
  ASSERT_OK(ChangeClass(kAlice, "os", {"carol"}));
  EXPECT_FALSE(Sees(kCarol, "alice/spark:v1"));
}

TEST_F(SharingTest, AShareEndsWhenItWasSaidTo) {
  ASSERT_OK(ShareWith(kAlice, "spark:v1", To(v1::GRANT_USER, "bob", now_ + kHour)));
  EXPECT_TRUE(Sees(kBob, "alice/spark:v1"));
  now_ += kHour;
  EXPECT_FALSE(Sees(kBob, "alice/spark:v1"));
  EXPECT_EQ(images().Find(kAlice, "spark:v1")->grants_size(), 0);
  EXPECT_EQ(ShareWith(kAlice, "spark:v1", To(v1::GRANT_USER, "bob", now_)).error().code(),
            Code::kInvalidArgument);
}

TEST_F(SharingTest, SharingAgainChangesTheEnd) {
  ASSERT_OK(ShareWith(kAlice, "spark:v1", To(v1::GRANT_USER, "bob", now_ + kHour)));
  const auto again = ShareWith(kAlice, "spark:v1", To(v1::GRANT_USER, "bob"));
  ASSERT_OK(again);
  ASSERT_EQ(again->grants_size(), 1);
  EXPECT_EQ(again->grants(0).expires_unix_ms(), 0);
  EXPECT_EQ(again->grants(0).granted_by(), "alice");
}

TEST_F(SharingTest, WhatIsRevokedIsGoneAtOnce) {
  ASSERT_OK(ShareWith(kAlice, "spark:v1", To(v1::GRANT_USER, "bob")));
  ASSERT_OK(Revoke(kAlice, "spark:v1", To(v1::GRANT_USER, "bob")));
  EXPECT_FALSE(Sees(kBob, "alice/spark:v1"));
  EXPECT_EQ(Revoke(kAlice, "spark:v1", To(v1::GRANT_USER, "bob")).error().code(), Code::kNotFound);
  ASSERT_OK(ShareWith(kAlice, "spark:v1", To(v1::GRANT_GROUP, "students")));
  v1::ShareRequest all;
  all.set_reference("spark:v1");
  all.set_revoke_all(true);
  ASSERT_OK(images().Share(kAlice, all));
  EXPECT_FALSE(Sees(kBob, "alice/spark:v1"));
}

TEST_F(SharingTest, RightsBelongToATagAndStayWhenItMoves) {
  ASSERT_OK(Publish(kAlice, "spark:draft", "b"));
  ASSERT_OK(ShareWith(kAlice, "spark:v1", To(v1::GRANT_USER, "bob")));
  EXPECT_FALSE(Sees(kBob, "alice/spark:draft"));
  const std::string before = images().Find(kBob, "alice/spark:v1")->digest();
  const auto moved = Publish(kAlice, "spark:v1", "c", "", /*replace=*/true);
  ASSERT_OK(moved);
  EXPECT_EQ(images().Find(kBob, "alice/spark:v1")->digest(), moved->digest());
  // The version before can be had by digest, by its owner alone.
  EXPECT_TRUE(Sees(kAlice, "spark@" + before));
  EXPECT_FALSE(Sees(kBob, "alice/spark@" + before));
  EXPECT_TRUE(Sees(kBob, "alice/spark@" + moved->digest()));
}

TEST_F(SharingTest, OnlyTheOwnerSharesAndSeesWithWhom) {
  ASSERT_OK(ShareWith(kAlice, "spark:v1", To(v1::GRANT_USER, "bob")));
  EXPECT_EQ(ShareWith(kBob, "alice/spark:v1", To(v1::GRANT_USER, "carol")).error().code(),
            Code::kPermissionDenied);
  EXPECT_EQ(images().Find(kBob, "alice/spark:v1")->grants_size(), 0);
  EXPECT_EQ(images().Find(0, "alice/spark:v1")->grants_size(), 1);
  EXPECT_EQ(ShareWith(kCarol, "alice/spark:v1", To(v1::GRANT_USER, "carol")).error().code(),
            Code::kNotFound);
}

TEST_F(SharingTest, UnknownGranteesAreNamed) {
  EXPECT_THAT(ShareWith(kAlice, "spark:v1", To(v1::GRANT_USER, "dave")).error().message(),
              HasSubstr("no user 'dave'"));
  EXPECT_THAT(ShareWith(kAlice, "spark:v1", To(v1::GRANT_GROUP, "x")).error().message(),
              HasSubstr("no group 'x'"));
  // A class of somebody else is not there for one who does not keep it.
  ASSERT_OK(ChangeClass(kBob, "his", {"carol"}));
  std::string hidden =
      ShareWith(kAlice, "spark:v1", To(v1::GRANT_CLASS, "bob/his")).error().message();
  hidden.replace(hidden.find("his"), 3, "not");
  EXPECT_EQ(hidden,
            ShareWith(kAlice, "spark:v1", To(v1::GRANT_CLASS, "bob/not")).error().message());
}

TEST_F(SharingTest, AClassShowsItsMembersToItsOwnerOnly) {
  ASSERT_OK(ChangeClass(kAlice, "os", {"bob", "carol"}));
  const auto own = catalog_->classes().List(kAlice);
  ASSERT_EQ(own->size(), 1u);
  EXPECT_THAT((*own)[0].members(), ElementsAre("bob", "carol"));
  const auto members = catalog_->classes().List(kBob);
  ASSERT_EQ(members->size(), 1u);
  EXPECT_EQ((*members)[0].members_size(), 0);
  EXPECT_EQ((*members)[0].member_count(), 2u);
  EXPECT_EQ(ChangeClass(kBob, "alice/os", {"bob"}).error().code(), Code::kNotFound);
  EXPECT_EQ(ChangeClass(kAlice, "os", {"dave"}).error().code(), Code::kNotFound);
  EXPECT_EQ(ChangeClass(kAlice, "none", {}, {"bob"}).error().code(), Code::kNotFound);
}

TEST_F(SharingTest, WhatIsSharedOutlivesARestart) {
  ASSERT_OK(ChangeClass(kAlice, "os", {"bob"}));
  ASSERT_OK(ShareWith(kAlice, "spark:v1", To(v1::GRANT_CLASS, "os")));
  // The records of the one, copied into another.
  auto copy = records::MakeMemoryRecordStore(CatalogTables());
  for (const records::Table table : CatalogTables()) {
    ASSERT_OK(catalog_->records().Scan(table, "", [&](const auto& key, const auto& value) {
      return copy->Put(table, key, value);
    }));
  }
  Open(std::move(copy));
  EXPECT_TRUE(Sees(kBob, "alice/spark:v1"));
  EXPECT_FALSE(Sees(kCarol, "alice/spark:v1"));
}

TEST_F(SharingTest, WillBeSharedTellsWhatThePublicationMeans) {
  {
    const auto fresh = images().Reserve(kAlice, "new", false);
    ASSERT_OK(fresh);
    EXPECT_FALSE(*images().WillBeShared(*fresh, v1::VISIBILITY_UNSPECIFIED));
    EXPECT_TRUE(*images().WillBeShared(*fresh, v1::PUBLIC));
  }
  ASSERT_OK(ShareWith(kAlice, "spark:v1", To(v1::GRANT_USER, "bob", now_ + kHour)));
  const auto known = images().Reserve(kAlice, "spark:v1", true);
  ASSERT_OK(known);
  EXPECT_TRUE(*images().WillBeShared(*known, v1::VISIBILITY_UNSPECIFIED));
  now_ += kHour;
  EXPECT_FALSE(*images().WillBeShared(*known, v1::VISIBILITY_UNSPECIFIED));
}

}  // namespace
}  // namespace strata::imaged
