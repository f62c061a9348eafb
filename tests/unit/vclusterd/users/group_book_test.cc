// Groups: invitations, owners, changes at once, and who teaches whom.
#include "vclusterd/users/group_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/unit/vclusterd/users/users_fixture.h"

namespace strata::vcluster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint32_t kTeacher = 1000;
constexpr uint32_t kStudent = 2000;

class GroupBookTest : public testing::Test {
 protected:
  void SetUp() override { Open(); }
  void Open() {
    book_ = std::make_unique<GroupBook>(*store_, clock_.clock());
    ASSERT_TRUE(store_->Follow([this](const auto& changes) { book_->Apply(changes); }).ok());
  }
  uint32_t Make(const std::string& name, uint32_t owner = kTeacher) {
    const auto made = book_->Create(name, "", owner);
    EXPECT_TRUE(made.ok()) << made.error().message();
    return made.ok() ? (*made)->number() : 0;
  }
  void Edit(uint32_t number, const GroupEdit& edit) {
    const auto edited = book_->Edit(number, edit);
    EXPECT_TRUE(edited.ok()) << edited.error().message();
  }
  std::vector<std::string> GroupsOf(uint32_t uid) {
    std::vector<std::string> names;
    for (const auto& group : book_->Of(uid)) names.push_back(group->name());
    return names;
  }

  FakeClock clock_;
  std::unique_ptr<records::RecordStore> store_ = records::MakeMemoryRecordStore(UserTables());
  std::unique_ptr<GroupBook> book_;
};

TEST_F(GroupBookTest, WhoIsInvitedIsTaughtOnlyAfterHeJoined) {
  const uint32_t os = Make("os");
  Edit(os, {.invite = {kStudent}});
  EXPECT_FALSE(book_->Teaches(kTeacher, kStudent));
  EXPECT_THAT(GroupsOf(kStudent), IsEmpty());
  EXPECT_EQ(CodeOf(book_->Join(os, kStudent + 1)), Code::kNotFound) << "he is not invited";
  ASSERT_TRUE(book_->Join(os, kStudent).ok());
  EXPECT_TRUE(book_->Teaches(kTeacher, kStudent));
  EXPECT_FALSE(book_->Teaches(kStudent, kTeacher));
  EXPECT_FALSE(book_->Teaches(kTeacher + 1, kStudent));
  Open();
  EXPECT_THAT(GroupsOf(kStudent), ElementsAre("os"));
  ASSERT_TRUE(book_->Leave(os, kStudent).ok());
  EXPECT_FALSE(book_->Teaches(kTeacher, kStudent));
  EXPECT_EQ(CodeOf(book_->Join(os, kStudent)), Code::kNotFound) << "the invitation is used up";
}

TEST_F(GroupBookTest, AnInvitationOfAMemberChangesNothing) {
  const uint32_t os = Make("os");
  Edit(os, {.enrol = {kStudent}, .invite = {kStudent}});
  EXPECT_TRUE(book_->Find(os)->invited_uids().empty());
  EXPECT_TRUE(book_->Teaches(kTeacher, kStudent));
}

TEST_F(GroupBookTest, AGroupHasAnOwnerAlways) {
  const uint32_t os = Make("os");
  EXPECT_EQ(CodeOf(book_->Edit(os, {.remove_owners = {kTeacher}})), Code::kInvalidArgument);
  Edit(os, {.add_owners = {kTeacher + 1}, .remove_owners = {kTeacher}});
  EXPECT_FALSE(book_->IsOwner(os, kTeacher));
  EXPECT_TRUE(book_->IsOwner(os, kTeacher + 1));
}

TEST_F(GroupBookTest, NamesAreUniqueAndNumbersAreNotUsedAgain) {
  const uint32_t os = Make("os");
  EXPECT_EQ(CodeOf(book_->Create("os", "", kTeacher)), Code::kAlreadyExists);
  EXPECT_EQ(CodeOf(book_->Create("O S", "", kTeacher)), Code::kInvalidArgument);
  Edit(os, {.enrol = {kStudent}});
  ASSERT_TRUE(book_->Delete(os).ok());
  EXPECT_THAT(GroupsOf(kStudent), IsEmpty());
  EXPECT_EQ(book_->FindByName("os"), nullptr);
  EXPECT_NE(Make("os"), os);
  EXPECT_THAT(GroupsOf(kStudent), IsEmpty()) << "of another group of that name";
}

TEST_F(GroupBookTest, OfTwoOwnersAtOnceOneWinsAndTheOtherHearsIt) {
  const uint32_t os = Make("os");
  const uint64_t seen = book_->Find(os)->revision();
  Edit(os, {.revision = seen, .invite = {kStudent}});
  EXPECT_EQ(CodeOf(book_->Edit(os, {.revision = seen, .description = "x"})),
            Code::kFailedPrecondition);
  EXPECT_EQ(CodeOf(book_->Delete(os, seen)), Code::kFailedPrecondition);
}

TEST_F(GroupBookTest, ManyWhoJoinAtOnceAreAllMembers) {
  const uint32_t os = Make("os");
  std::vector<uint32_t> students;
  for (uint32_t i = 0; i < 40; ++i) students.push_back(kStudent + i);
  Edit(os, {.invite = students});
  std::vector<std::thread> threads;
  for (uint32_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (uint32_t i = thread; i < 40; i += 4) EXPECT_TRUE(book_->Join(os, kStudent + i).ok());
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(book_->Find(os)->member_uids_size(), 40);
}

TEST_F(GroupBookTest, SizesAreBounded) {
  const uint32_t os = Make("os");
  std::vector<uint32_t> many;
  for (int i = 0; i <= kGroupMembersMax; ++i) many.push_back(kStudent + static_cast<uint32_t>(i));
  EXPECT_EQ(CodeOf(book_->Edit(os, {.enrol = many})), Code::kResourceExhausted);
  many.pop_back();
  Edit(os, {.enrol = many});
  for (size_t i = 1; i < kGroupsPerOwnerMax; ++i) Make("g" + std::to_string(i));
  EXPECT_EQ(CodeOf(book_->Create("one-more", "", kTeacher)), Code::kResourceExhausted);
}

TEST_F(GroupBookTest, WhoIsDeletedLeavesAllGroups) {
  const uint32_t a = Make("a");
  const uint32_t b = Make("b");
  Edit(a, {.enrol = {kStudent}});
  Edit(b, {.invite = {kStudent}});
  ASSERT_TRUE(book_->LeaveAll(kStudent).ok());
  EXPECT_THAT(GroupsOf(kStudent), IsEmpty());
  EXPECT_EQ(CodeOf(book_->Join(b, kStudent)), Code::kNotFound);
}

}  // namespace
}  // namespace strata::vcluster
