// A master that ends at every single commit of what is done to classes and templates. What was
// asked for comes true at the next master, or is gone; nothing is left of it, and what the teacher
// was told is so.
#include <gtest/gtest.h>

#include <future>

#include "tests/sim/commit_crash.h"
#include "tests/unit/vclusterd/classes/classes_fixture.h"

namespace strata::vcluster {
namespace {

constexpr int kClassSize = 3;
constexpr int kPointsMax = 200;

class CrashedClass : public ClassesTest {
 public:
  // It ends at the commit of this number from Operate on, before that is made or after it.
  CrashedClass(int point, bool is_made) : point_(point), is_made_(is_made), crash_(point, is_made) {
    SetUp();
  }
  ~CrashedClass() override { TearDown(); }
  void TestBody() override {}

  using Operation = std::function<Status(CrashedClass&)>;
  // Whether it came to the commit.
  bool Operate(const Operation& operation) {
    SetFate([this](const auto&) { return crash_.Meet(); });
    crash_.Arm();
    auto done = std::async(std::launch::async, [&] { return operation(*this); });
    while (!crash_.dead() &&
           done.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
    }
    const bool crashed = crash_.dead();
    // Who dies says nothing any more.
    if (crashed) master_->EndWaits();
    const Status said = done.get();
    told_ = !crashed && said.ok();
    EXPECT_TRUE(crashed || said.ok()) << said.error().message();
    SetFate({});
    if (crashed) Open();
    return crashed;
  }
  bool told() const { return told_; }

  Status Make() { return StatusOf(CreateClass(kClassSize)); }
  Status Ask(ClassChange change) {
    return StatusOf(classes_->Change(teacher_, "os-lab", change, {}, 0));
  }
  Status SaveTemplate() { return StatusOf(Save()); }
  Status DeleteTemplate() { return classes_->templates().Delete(teacher_, "course:v1"); }

  bool IsThere() { return !classes_->List(teacher_, "").value().empty(); }
  bool TemplateIsThere() { return !classes_->templates().List(teacher_).empty(); }
  // Once all is as it should be, or the master ends.
  size_t CountOf(StudentState state) {
    const auto view = classes_->Watch(teacher_, "os-lab", Ignore, CancelToken());
    return view.ok() ? Count(*view, state) : 0;
  }
  // Vclusters of students.
  size_t Vclusters() {
    size_t count = 0;
    for (int i = 0; i < kClassSize; ++i) count += Of(i).vcluster != nullptr ? 1 : 0;
    return count;
  }
  uint32_t Resets(int student) { return Of(student).vcluster->record.class_resets(); }
  size_t Kept() { return Images().size(); }
  template <typename Condition>
  void Comes(const char* what, Condition condition) {
    EXPECT_TRUE(Await(condition)) << what << ", at commit " << point_
                                  << (is_made_ ? ", made" : ", not made");
  }

 private:
  template <typename T>
  static Status StatusOf(const Result<T>& result) {
    return result.ok() ? Ok() : Status(result.error());
  }

  const int point_;
  const bool is_made_;
  sim::CommitCrash crash_;
  bool told_ = false;
};

// `before` is done without a crash; `check` looks what has become of it.
void AtEveryCommit(const CrashedClass::Operation& before, const CrashedClass::Operation& operation,
                   const std::function<void(CrashedClass&)>& check) {
  for (const bool is_made : {false, true}) {
    int point = 1;
    for (bool crashed = true; crashed && !::testing::Test::HasFailure(); ++point) {
      ASSERT_LT(point, kPointsMax) << "it commits without end";
      CrashedClass world(point, is_made);
      const Status prepared = before(world);
      ASSERT_TRUE(prepared.ok()) << prepared.error().message();
      crashed = world.Operate(operation);
      check(world);
    }
    EXPECT_GT(point, 2) << "nothing was committed";
  }
}

Status WithTemplate(CrashedClass& world) { return world.SaveTemplate(); }

Status WithClass(CrashedClass& world) {
  RETURN_IF_ERROR(world.SaveTemplate());
  RETURN_IF_ERROR(world.Make());
  if (world.CountOf(StudentState::kReady) == kClassSize) return Ok();
  return Error(Code::kInternal, "not all are ready");
}

void EndsWithoutARest(CrashedClass& world) {
  EXPECT_TRUE(world.Ask(ClassChange::kDelete).ok());
  world.Comes("the class is gone", [&] { return !world.IsThere() && world.Vclusters() == 0; });
}

TEST(ClassCrashPoints, AClassThatIsMadeServesAllOrIsNotThere) {
  AtEveryCommit(
      WithTemplate,
      [](CrashedClass& world) -> Status {
        RETURN_IF_ERROR(world.Make());
        EXPECT_EQ(world.Make().ok(), false) << "another of that name";
        return Ok();
      },
      [](CrashedClass& world) {
        EXPECT_TRUE(!world.told() || world.IsThere());
        world.Comes("all students are served, or nobody", [&] {
          return world.IsThere() ? world.CountOf(StudentState::kReady) == kClassSize
                                 : world.Vclusters() == 0;
        });
        if (world.IsThere()) EndsWithoutARest(world);
      });
}

TEST(ClassCrashPoints, StudentsAreServedWhereverTheMasterEnds) {
  AtEveryCommit(
      WithTemplate,
      [](CrashedClass& world) -> Status {
        RETURN_IF_ERROR(world.Make());
        (void)world.CountOf(StudentState::kReady);
        return Ok();
      },
      [](CrashedClass& world) {
        world.Comes("all students are served, or nobody", [&] {
          return world.IsThere() ? world.CountOf(StudentState::kReady) == kClassSize
                                 : world.Vclusters() == 0;
        });
      });
}

TEST(ClassCrashPoints, AClassIsStoppedAltogetherOrRunsOn) {
  AtEveryCommit(
      WithClass,
      [](CrashedClass& world) -> Status {
        RETURN_IF_ERROR(world.Ask(ClassChange::kStop));
        (void)world.CountOf(StudentState::kStopped);
        return Ok();
      },
      [](CrashedClass& world) {
        world.Comes("all are alike", [&] {
          const size_t stopped = world.CountOf(StudentState::kStopped);
          return stopped == kClassSize ||
                 (!world.told() && world.CountOf(StudentState::kReady) == kClassSize);
        });
      });
}

TEST(ClassCrashPoints, AResetIsDoneOnceOrNotAtAll) {
  AtEveryCommit(
      WithClass,
      [](CrashedClass& world) -> Status {
        RETURN_IF_ERROR(world.Ask(ClassChange::kReset));
        (void)world.CountOf(StudentState::kReady);
        return Ok();
      },
      [](CrashedClass& world) {
        world.Comes("all are ready",
                    [&] { return world.CountOf(StudentState::kReady) == kClassSize; });
        for (int i = 0; i < kClassSize; ++i) {
          EXPECT_LE(world.Resets(i), 1u);
          EXPECT_TRUE(!world.told() || world.Resets(i) == 1u);
        }
      });
}

TEST(ClassCrashPoints, AClassIsDeletedWithAllThatItHasOrCanBe) {
  AtEveryCommit(
      WithClass, [](CrashedClass& world) { return world.Ask(ClassChange::kDelete); },
      [](CrashedClass& world) {
        // Asked once more where nobody was told that it is.
        if (!world.told()) (void)world.Ask(ClassChange::kDelete);
        world.Comes("the class is gone",
                    [&] { return !world.IsThere() && world.Vclusters() == 0; });
      });
}

TEST(ClassCrashPoints, ATemplateHasAllItsImagesOrNoneIsLeft) {
  AtEveryCommit([](CrashedClass&) { return Ok(); },
                [](CrashedClass& world) { return world.SaveTemplate(); },
                [](CrashedClass& world) {
                  EXPECT_TRUE(!world.told() || world.TemplateIsThere());
                  world.Comes("three images, or none",
                              [&] { return world.Kept() == (world.TemplateIsThere() ? 3u : 0u); });
                });
}

TEST(ClassCrashPoints, ATemplateIsDeletedWithItsImages) {
  AtEveryCommit(
      WithTemplate, [](CrashedClass& world) { return world.DeleteTemplate(); },
      [](CrashedClass& world) {
        EXPECT_TRUE(!world.told() || !world.TemplateIsThere());
        world.Comes("three images, or none",
                    [&] { return world.Kept() == (world.TemplateIsThere() ? 3u : 0u); });
      });
}

}  // namespace
}  // namespace strata::vcluster
