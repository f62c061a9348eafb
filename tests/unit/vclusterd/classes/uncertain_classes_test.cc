// Templates and classes when the record store does not answer: what was told to have failed may
// have been made, and what was made stays so.
#include "tests/unit/vclusterd/classes/classes_fixture.h"

namespace strata::vcluster {
namespace {

using sim::CommitFate;

class UncertainClassesTest : public ClassesTest {
 protected:
  // Commits that change the table meet with these, one after the other, and then with the last.
  void FailCommitsOf(records::Table table, std::vector<CommitFate> fates) {
    SetFate([=, next = size_t{0}](const auto& changes) mutable {
      const bool is_of_it = std::any_of(changes.begin(), changes.end(),
                                        [&](const auto& change) { return change.table == table; });
      if (!is_of_it) return CommitFate::kMade;
      const CommitFate fate = fates[std::min(next, fates.size() - 1)];
      ++next;
      return fate;
    });
  }
  StudentView Student(size_t index) {
    const auto views = classes_->List(teacher_, "os-lab");
    EXPECT_TRUE(views.ok());
    return views.ok() ? (*views)[0].students[index] : StudentView();
  }
};

TEST_F(UncertainClassesTest, ImagesOfATemplateStayAsLongAsARecordMaySayThatItIsThere) {
  FailCommitsOf(kTemplatesTable,
                {CommitFate::kMade, CommitFate::kAnswerLost, CommitFate::kNotMade});
  ASSERT_FALSE(Save().ok());
  classes_->templates().CleanUp();
  EXPECT_EQ(Images().size(), 3u);
  Close();
  SetFate({});
  Open();  // For the next master it is one.
  ASSERT_EQ(classes_->templates().List(teacher_).size(), 1u);
  EXPECT_EQ(Images().size(), 3u);
}

TEST_F(UncertainClassesTest, ASaveThatWasToldToHaveFailedGoesWhenTheStoreAnswersAgain) {
  FailCommitsOf(kTemplatesTable,
                {CommitFate::kMade, CommitFate::kAnswerLost, CommitFate::kNotMade});
  ASSERT_FALSE(Save().ok());
  SetFate({});
  classes_->templates().CleanUp();
  EXPECT_TRUE(Images().empty());
  EXPECT_FALSE(
      store_->Get(kTemplatesTable, TemplateKey(teacher_.uid, "course", "v1"))->has_value());
  EXPECT_TRUE(Save().ok());
}

TEST_F(UncertainClassesTest, WhatWasWithdrawnWithoutAnAnswerCounts) {
  ASSERT_TRUE(Save().ok());
  ShareTemplateParameters share;
  share.add_uids = {other_.uid};
  ASSERT_TRUE(classes_->templates().Share(teacher_, "course:v1", share).ok());
  ShareTemplateParameters withdraw;
  withdraw.remove_uids = {other_.uid};
  FailCommitsOf(kTemplatesTable, {CommitFate::kAnswerLost});
  EXPECT_EQ(classes_->templates().Share(teacher_, "course:v1", withdraw).error().code(),
            Code::kUnavailable);
  SetFate({});
  EXPECT_EQ(classes_->templates().Hold(other_, "teacher/course:v1").error().code(),
            Code::kNotFound);
  // And what was not made does not.
  FailCommitsOf(kTemplatesTable, {CommitFate::kNotMade});
  EXPECT_FALSE(classes_->templates().Share(teacher_, "course:v1", share).ok());
  SetFate({});
  EXPECT_FALSE(classes_->templates().Hold(other_, "teacher/course:v1").ok());
}

TEST_F(UncertainClassesTest, ADeletionWithoutAnAnswerIsNotForgotten) {
  ASSERT_TRUE(Save().ok());
  FailCommitsOf(kTemplatesTable, {CommitFate::kAnswerLost});
  EXPECT_FALSE(classes_->templates().Delete(teacher_, "course:v1").ok());
  SetFate({});
  // Nothing is made of it whose images the next master would remove.
  EXPECT_FALSE(classes_->templates().Hold(teacher_, "course:v1").ok());
  classes_->templates().CleanUp();
  EXPECT_TRUE(Images().empty());
}

TEST_F(UncertainClassesTest, WhatAClassWasAskedForWithoutAnAnswerIsDone) {
  ASSERT_TRUE(Save().ok());
  ASSERT_TRUE(CreateClass(2).ok());
  ASSERT_EQ(Count(Watch(), StudentState::kReady), 2u);
  FailCommitsOf(kClassesTable, {CommitFate::kAnswerLost});
  EXPECT_FALSE(classes_->Change(teacher_, "os-lab", ClassChange::kStop, {}, 0).ok());
  SetFate({});
  EXPECT_TRUE(Await([&] { return Count(Watch(), StudentState::kStopped) == 2; }));
  FailCommitsOf(kStudentsTable, {CommitFate::kAnswerLost});
  EXPECT_FALSE(classes_->Change(teacher_, "os-lab", ClassChange::kReset, {"s1"}, 0).ok());
  SetFate({});
  EXPECT_TRUE(Await([&] { return Of(1).vcluster->record.class_resets() == 1; }));
  EXPECT_EQ(Student(1).record.resets(), 1u);
  EXPECT_EQ(Student(0).record.resets(), 0u);
}

// More than one commit takes: a class without Vclusters, because it has not begun.
TEST_F(UncertainClassesTest, OfManyStudentsThoseThatWereStoredAreKnown) {
  Classes::Class record;
  record.set_version(1);
  record.set_owner_uid(teacher_.uid);
  record.set_name("os-lab");
  record.set_ready(true);
  record.set_starts_unix_s(now_ms_ / 1000 + 3600);
  const std::string key = ClassKey(teacher_.uid, "os-lab");
  ASSERT_TRUE(store_->Put(kClassesTable, key, record.SerializeAsString()).ok());
  for (uint32_t i = 0; i < 150; ++i) {
    Classes::Student student;
    student.set_version(1);
    student.set_class_key(key);
    student.set_user("u" + std::to_string(1000 + i));
    student.set_uid(70'000 + i);
    ASSERT_TRUE(
        store_->Put(kStudentsTable, StudentKey(key, student.user()), student.SerializeAsString())
            .ok());
  }
  Open();
  FailCommitsOf(kStudentsTable, {CommitFate::kMade, CommitFate::kNotMade});
  EXPECT_FALSE(classes_->Change(teacher_, "os-lab", ClassChange::kReset, {}, 0).ok());
  SetFate({});
  EXPECT_EQ(Student(0).record.resets(), 1u);
  EXPECT_EQ(Student(149).record.resets(), 0u);
  ASSERT_TRUE(classes_->Change(teacher_, "os-lab", ClassChange::kReset, {}, 0).ok());
  EXPECT_EQ(Student(0).record.resets(), 2u);
  EXPECT_EQ(Student(149).record.resets(), 1u);
  EXPECT_EQ(classes_->List(teacher_, "os-lab")->front().students.size(), 150u);
}

TEST_F(UncertainClassesTest, AClassWhoseCreationWasToldToHaveFailedGoes) {
  ASSERT_TRUE(Save().ok());
  int commits = 0;
  bool leaving = false;  // It is recorded that it goes…
  bool gone_at_once = false;
  SetFate([&](const std::vector<records::RecordChange>& changes) {
    for (const records::RecordChange& change : changes) {
      if (change.table != kClassesTable) continue;
      if (++commits == 2) return CommitFate::kAnswerLost;  // With the students: it is ready.
      Classes::Class record;
      if (change.value.has_value() && record.ParseFromString(*change.value)) {
        leaving |= record.deleting();
      } else {
        gone_at_once |= !leaving;  // …before anything of it does.
      }
    }
    return CommitFate::kMade;
  });
  ASSERT_FALSE(CreateClass(3).ok());
  const std::string key = ClassKey(teacher_.uid, "os-lab");
  EXPECT_TRUE(Await([&] { return !store_->Get(kClassesTable, key)->has_value(); }));
  SetFate({});
  EXPECT_TRUE(leaving);
  EXPECT_FALSE(gone_at_once);
  EXPECT_FALSE(store_->Get(kStudentsTable, StudentKey(key, "s0"))->has_value());
  EXPECT_EQ(Of(0).vcluster, nullptr);
}

TEST_F(UncertainClassesTest, WhatIsRecordedAsCollectedIsNotRemoved) {
  ASSERT_TRUE(Save().ok());
  ASSERT_TRUE(CreateClass(1).ok());
  Watch();
  const size_t before = Images().size();
  FailCommitsOf(kStudentsTable, {CommitFate::kMade, CommitFate::kAnswerLost, CommitFate::kMade});
  const auto collected = classes_->Collect(teacher_, "os-lab", {}, Ignore, CancelToken());
  ASSERT_TRUE(collected.ok());
  EXPECT_EQ(collected->failures.size(), 1u);  // It is not known.
  EXPECT_EQ(Images().size(), before + 3);
  EXPECT_EQ(Student(0).record.collected_size(), 3);
  EXPECT_TRUE(Student(0).record.pending().empty());
}

}  // namespace
}  // namespace strata::vcluster
