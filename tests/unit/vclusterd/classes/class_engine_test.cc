// What a class needs next, from what is recorded and known.
#include "vclusterd/classes/class_engine.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace strata::vcluster {
namespace {

using Steps = std::vector<Step>;

// A class of `count` students whose Vclusters become so at once, or as a test says.
class ClassEngineTest : public ::testing::Test {
 protected:
  ClassEngineTest() {
    facts.now_ms = 1'000'000;
    facts.starts_ms = 1'000'000;
    facts.parallel = 4;
  }
  void Students(int count) {
    for (int i = 0; i < count; ++i) {
      StudentFacts& one = students.emplace_back();
      one.user = std::string(1, static_cast<char>('a' + i));
    }
  }
  ClassPlan Decide() { return DecideClass(facts, students, &attempts); }
  // Does what was decided; Vclusters are starting then.
  ClassPlan Go() {
    ClassPlan plan = Decide();
    for (const Step& step : plan.steps) {
      const auto student = std::find_if(students.begin(), students.end(),
                                        [&](const auto& s) { return s.user == step.user; });
      switch (step.kind) {
        case StepKind::kMake:
          student->cluster = ClusterFacts{false, true, false, {}, student->resets, facts.turn};
          break;
        case StepKind::kDelete:
          student->cluster.reset();
          break;
        case StepKind::kRetry:
          break;
        default:
          student->cluster->any_wanted =
              step.kind == StepKind::kStart || (step.kind == StepKind::kReset && !facts.stopped);
          student->cluster->as_wanted = !student->cluster->any_wanted;
          student->cluster->resets = student->resets;
          student->cluster->turn = facts.turn;
      }
    }
    return plan;
  }
  void Arrive() {
    for (StudentFacts& student : students) {
      if (student.cluster && !student.cluster->problem) student.cluster->as_wanted = true;
    }
  }
  size_t Count(const ClassPlan& plan, StudentState state) {
    return static_cast<size_t>(
        std::count_if(plan.states.begin(), plan.states.end(),
                      [&](const auto& entry) { return entry.second == state; }));
  }

  ClassFacts facts;
  std::vector<StudentFacts> students;
  std::map<std::string, Attempt> attempts;
};

TEST_F(ClassEngineTest, NobodyIsServedBeforeTheStart) {
  Students(3);
  facts.now_ms = facts.starts_ms - 5'000;
  const ClassPlan plan = Decide();
  EXPECT_TRUE(plan.steps.empty());
  EXPECT_EQ(plan.next_ms, facts.starts_ms);
  EXPECT_EQ(Count(plan, StudentState::kWaiting), 3u);
}

TEST_F(ClassEngineTest, SoManyStartAtATime) {
  Students(10);
  ClassPlan plan = Go();
  EXPECT_EQ(plan.steps.size(), 4u);
  EXPECT_EQ(Count(plan, StudentState::kStarting), 4u);
  EXPECT_EQ(Count(plan, StudentState::kQueued), 6u);
  EXPECT_TRUE(Go().steps.empty());
  students[0].cluster->as_wanted = true;
  plan = Go();
  EXPECT_EQ(plan.steps, (Steps{{StepKind::kMake, "e"}}));
  for (int i = 0; i < 5; ++i) {
    Arrive();
    Go();
  }
  EXPECT_EQ(Count(Decide(), StudentState::kReady), 10u);
}

TEST_F(ClassEngineTest, OneThatFailsHoldsNobodyUpAndIsTriedAgainLater) {
  Students(5);
  facts.parallel = 1;
  Go();
  students[0].cluster->problem = "no such image";
  ClassPlan plan = Go();
  EXPECT_EQ(plan.steps, (Steps{{StepKind::kMake, "b"}}));
  EXPECT_EQ(plan.states["a"], StudentState::kFailed);
  EXPECT_EQ(attempts["a"].problem, "no such image");
  const int64_t first = attempts["a"].next_ms;
  EXPECT_EQ(first, facts.now_ms + 5'000);
  facts.now_ms = first;
  plan = Go();
  EXPECT_TRUE(std::count(plan.steps.begin(), plan.steps.end(), (Step{StepKind::kRetry, "a"})));
  EXPECT_EQ(attempts["a"].next_ms, facts.now_ms + 10'000);
  students[0].cluster->problem.reset();
  students[0].cluster->as_wanted = true;
  plan = Go();
  EXPECT_EQ(plan.states["a"], StudentState::kReady);
  EXPECT_TRUE(attempts.empty());
}

TEST_F(ClassEngineTest, PausesGrowAndHaveABound) {
  Attempt attempt;
  int64_t last = 0;
  for (int i = 0; i < 20; ++i) {
    NoteFailure("x", 0, &attempt);
    EXPECT_GE(attempt.next_ms, last);
    last = attempt.next_ms;
  }
  EXPECT_EQ(last, 300'000);
}

TEST_F(ClassEngineTest, OneThatCannotEvenBeMadePauses) {
  Students(2);
  facts.parallel = 1;
  NoteFailure("the name is taken", facts.now_ms, &attempts["a"]);
  ClassPlan plan = Go();
  EXPECT_EQ(plan.steps, (Steps{{StepKind::kMake, "b"}}));
  EXPECT_EQ(plan.states["a"], StudentState::kFailed);
  Arrive();
  facts.now_ms += 5'000;
  EXPECT_EQ(Go().steps, (Steps{{StepKind::kMake, "a"}}));
}

TEST_F(ClassEngineTest, ThoseWhoseStartIsRefusedLeaveTheRoomToOthers) {
  Students(7);
  for (int i = 0; i < 2; ++i) {
    Go();
    Arrive();
  }
  facts.stopped = true;
  ++facts.turn;
  Go();
  facts.stopped = false;
  ++facts.turn;
  // The quotas of the first four do not let them.
  ClassPlan plan = Decide();
  ASSERT_EQ(plan.steps.size(), 4u);
  for (const Step& step : plan.steps) {
    NoteFailure("no credit", facts.now_ms, &attempts[step.user]);
  }
  facts.now_ms += 1'000;
  plan = Decide();
  EXPECT_EQ(plan.steps,
            (Steps{{StepKind::kStart, "e"}, {StepKind::kStart, "f"}, {StepKind::kStart, "g"}}));
  EXPECT_EQ(Count(plan, StudentState::kFailed), 4u);
  EXPECT_EQ(plan.next_ms, attempts["a"].next_ms);
  Go();
  Arrive();
  facts.now_ms = attempts["a"].next_ms;
  NoteFailure("no credit", facts.now_ms, &attempts["a"]);
  EXPECT_EQ(attempts["a"].next_ms, facts.now_ms + 10'000);
  EXPECT_EQ(Go().steps,
            (Steps{{StepKind::kStart, "b"}, {StepKind::kStart, "c"}, {StepKind::kStart, "d"}}));
}

TEST_F(ClassEngineTest, ThoseWhoseResetIsRefusedLeaveTheRoomToOthersToo) {
  Students(2);
  facts.parallel = 1;
  for (int i = 0; i < 2; ++i) {
    Go();
    Arrive();
  }
  for (StudentFacts& student : students) student.resets = 1;
  EXPECT_EQ(Decide().steps, (Steps{{StepKind::kReset, "a"}}));
  NoteFailure("the disk is too large", facts.now_ms, &attempts["a"]);
  ClassPlan plan = Go();
  EXPECT_EQ(plan.steps, (Steps{{StepKind::kReset, "b"}}));
  EXPECT_EQ(plan.states["a"], StudentState::kFailed);
  EXPECT_EQ(attempts["a"].problem, "the disk is too large");
  Arrive();
  facts.now_ms += 5'000;
  EXPECT_EQ(Go().steps, (Steps{{StepKind::kReset, "a"}}));
}

TEST_F(ClassEngineTest, AStopThatCannotBeStoredPausesAsWell) {
  Students(1);
  Go();
  Arrive();
  facts.stopped = true;
  ++facts.turn;
  EXPECT_EQ(Decide().steps, (Steps{{StepKind::kStop, "a"}}));
  NoteFailure("no answer", facts.now_ms, &attempts["a"]);
  EXPECT_TRUE(Decide().steps.empty());
  facts.now_ms += 5'000;
  EXPECT_EQ(Go().steps, (Steps{{StepKind::kStop, "a"}}));
}

TEST_F(ClassEngineTest, AfterATakeoverOnlyWhatIsMissingIsMade) {
  Students(6);
  Go();
  attempts.clear();  // The next master remembers nothing…
  Arrive();
  const ClassPlan plan = Go();  // …and finds the records.
  EXPECT_EQ(plan.steps, (Steps{{StepKind::kMake, "e"}, {StepKind::kMake, "f"}}));
}

TEST_F(ClassEngineTest, AStopIsFollowedOnceAndThenStudentsMayStartTheirs) {
  Students(3);
  Go();
  Arrive();
  facts.stopped = true;
  ++facts.turn;
  EXPECT_EQ(Go().steps.size(), 3u);
  EXPECT_TRUE(Go().steps.empty());
  students[1].cluster->any_wanted = true;  // He starts his own.
  const ClassPlan plan = Go();
  EXPECT_TRUE(plan.steps.empty());
  EXPECT_EQ(plan.states.at("b"), StudentState::kReady);
  EXPECT_EQ(plan.states.at("a"), StudentState::kStopped);
  facts.stopped = false;
  ++facts.turn;
  EXPECT_EQ(Go().steps.size(), 3u);
}

TEST_F(ClassEngineTest, AtItsEndAClassIsStoppedAndCanBeExtended) {
  Students(2);
  facts.ends_ms = facts.now_ms + 60'000;
  EXPECT_EQ(Go().next_ms, facts.ends_ms);
  Arrive();
  facts.now_ms = facts.ends_ms;
  const ClassPlan over = Go();
  EXPECT_TRUE(over.end);
  EXPECT_TRUE(over.steps.empty());
  facts.ended = true;
  ++facts.turn;
  EXPECT_EQ(Go().steps, (Steps{{StepKind::kStop, "a"}, {StepKind::kStop, "b"}}));
  EXPECT_FALSE(Decide().end);
  facts.ended = false;
  facts.ends_ms += 60'000;
  ++facts.turn;
  EXPECT_EQ(Go().steps, (Steps{{StepKind::kStart, "a"}, {StepKind::kStart, "b"}}));
}

TEST_F(ClassEngineTest, AtItsEndAClassIsDeletedWhenThatWasAskedForAndStaysListed) {
  Students(2);
  facts.deletes_at_end = true;
  Go();
  facts.ended = true;
  ++facts.turn;
  EXPECT_EQ(Go().steps.size(), 2u);
  const ClassPlan plan = Decide();
  EXPECT_TRUE(plan.steps.empty());
  EXPECT_FALSE(plan.gone);
  EXPECT_EQ(Count(plan, StudentState::kGone), 2u);
}

TEST_F(ClassEngineTest, ADeletedClassIsGoneWhenAllOfItIs) {
  Students(2);
  Go();
  facts.deleting = true;
  students[0].cluster->deleting = true;
  const ClassPlan plan = Go();
  EXPECT_EQ(plan.steps, (Steps{{StepKind::kDelete, "b"}}));
  EXPECT_FALSE(plan.gone);
  students[0].cluster.reset();
  EXPECT_TRUE(Decide().gone);
}

TEST_F(ClassEngineTest, AResetIsDoneOnceAlsoWhileTheClassIsStopped) {
  Students(2);
  Go();
  Arrive();
  students[1].resets = 1;
  EXPECT_EQ(Go().steps, (Steps{{StepKind::kReset, "b"}}));
  EXPECT_TRUE(Go().steps.empty());
  facts.stopped = true;
  ++facts.turn;
  Go();
  students[0].resets = 1;
  const ClassPlan plan = Go();
  EXPECT_EQ(plan.steps, (Steps{{StepKind::kReset, "a"}}));
  EXPECT_EQ(plan.states.at("a"), StudentState::kStopped);
}

TEST_F(ClassEngineTest, NobodyStartsWhileImagesAreOnTheirWay) {
  Students(2);
  facts.held = true;
  EXPECT_TRUE(Go().steps.empty());
  facts.held = false;
  EXPECT_EQ(Go().steps.size(), 2u);
}

}  // namespace
}  // namespace strata::vcluster
