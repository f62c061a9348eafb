// The whole table of rights, walked, and the same table in the docs.
#include "vclusterd/users/rights.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <set>

#include "common/file_io.h"

namespace strata::vcluster {
namespace {

using users::v1::ADMIN;
using users::v1::Role;
using users::v1::TEACHER;
using users::v1::USER;

constexpr Relation kRelations[] = {Relation::kOwn, Relation::kTaught, Relation::kOther};

std::vector<Operation> AllOperations() { return OperationSet::All().List(); }

TEST(Rights, EveryOperationHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (const Operation operation : AllOperations()) {
    const std::string_view name = NameOf(operation);
    EXPECT_TRUE(names.insert(name).second) << name;
    EXPECT_NE(name.find('.'), std::string_view::npos) << name;
    EXPECT_EQ(ParseOperation(name), operation);
  }
  EXPECT_EQ(names.size(), kOperations);
  EXPECT_EQ(ParseOperation("vcluster"), std::nullopt);
  EXPECT_EQ(ParseOperation(""), std::nullopt);
}

TEST(Rights, WhatARoleMayDoTheNextOneMayToo) {
  for (const Operation operation : AllOperations()) {
    std::string line(NameOf(operation));
    for (const Relation relation : kRelations) {
      for (const Role role : {USER, TEACHER, ADMIN}) {
        line += MayDo(role, operation, relation) ? " yes" : " -";
      }
      line += " |";
      EXPECT_LE(MayDo(USER, operation, relation), MayDo(TEACHER, operation, relation)) << line;
      EXPECT_LE(MayDo(TEACHER, operation, relation), MayDo(ADMIN, operation, relation)) << line;
    }
    std::printf("%s\n", line.c_str());
  }
}

TEST(Rights, UsersTouchNothingOfOthersAndTeachersOnlyWhatTheyTeach) {
  for (const Operation operation : AllOperations()) {
    EXPECT_FALSE(MayDo(USER, operation, Relation::kOther)) << NameOf(operation);
    EXPECT_FALSE(MayDo(USER, operation, Relation::kTaught)) << NameOf(operation);
    EXPECT_FALSE(MayDo(TEACHER, operation, Relation::kOther)) << NameOf(operation);
  }
}

TEST(Rights, WhatMakesAnAdminIsForAdmins) {
  using enum Operation;
  for (const Operation operation : {kUserCreate, kUserApprove, kUserLock, kUserUnlock, kUserRole,
                                    kUserDelete, kQuotaSet, kCreditGrant, kHostJoin, kHostDrain,
                                    kHostRemove, kGroupEnrol, kVclusterMigrate, kVclusterPreempt}) {
    for (const Relation relation : kRelations) {
      EXPECT_FALSE(MayDo(TEACHER, operation, relation)) << NameOf(operation);
      EXPECT_TRUE(MayDo(ADMIN, operation, relation)) << NameOf(operation);
    }
  }
  EXPECT_FALSE(MayDo(TEACHER, kUserPassword, Relation::kTaught));
  EXPECT_FALSE(MayDo(TEACHER, kCreditDecide, Relation::kOwn)) << "his own application";
}

TEST(Rights, NobodyActsInAnothersName) {
  using enum Operation;
  for (const Operation operation : {kTokenCreate, kCreditApply, kGroupJoin}) {
    EXPECT_TRUE(MayDo(USER, operation, Relation::kOwn));
    EXPECT_FALSE(MayDo(ADMIN, operation, Relation::kTaught));
    EXPECT_FALSE(MayDo(ADMIN, operation, Relation::kOther));
  }
}

TEST(Rights, TeachersLookAfterTheirStudents) {
  using enum Operation;
  for (const Operation operation :
       {kVclusterList, kVclusterCreate, kVclusterStart, kVclusterStop, kVclusterExec, kVclusterSave,
        kVclusterClone, kVclusterExport, kQuotaList, kCreditList, kCreditDecide}) {
    EXPECT_TRUE(MayDo(TEACHER, operation, Relation::kTaught)) << NameOf(operation);
  }
}

TEST(Rights, SetsOfOperationsIncludeOneAnother) {
  using enum Operation;
  const auto few = OperationSet::Of({kVclusterScale, kVclusterList});
  EXPECT_TRUE(OperationSet::All().Includes(few));
  EXPECT_FALSE(few.Includes(OperationSet::All()));
  EXPECT_TRUE(few.Includes(OperationSet::Of({kVclusterScale})));
  EXPECT_FALSE(few.Includes(OperationSet::Of({kVclusterExec})));
  EXPECT_EQ(few.List(), (std::vector{kVclusterList, kVclusterScale}));
}

TEST(Rights, TheDocsShowThisTable) {
  const auto docs = ReadFile(STRATA_SOURCE_DIR "/docs/users.md");
  ASSERT_TRUE(docs.ok()) << docs.error().message();
  EXPECT_NE(docs->find(RightsTable()), std::string::npos) << "docs/users.md should have\n"
                                                          << RightsTable();
}

}  // namespace
}  // namespace strata::vcluster
