#include "imaged/build/build_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strata::imaged::build {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kFile[] =
    "ARG BASE=debian\n"
    "FROM ${BASE}:12 AS tools\n"
    "FROM scratch AS unused\n"
    "FROM tools AS left\n"
    "FROM tools AS right\n"
    "FROM scratch\n"
    "COPY --from=left /a /a\n"
    "COPY --from=3 /b /b\n"
    "COPY --from=other:v1 /c /c\n"
    "RUN --mount=from=unused,target=/u --mount=type=cache,target=/c true\n";

std::vector<size_t> Stages(const BuildPlan& plan) {
  std::vector<size_t> stages;
  for (const PlannedStage& stage : plan.stages) stages.push_back(stage.stage);
  return stages;
}

TEST(BuildPlan, HoldsWhatTheTargetNeedsAndNothingElse) {
  const auto file = ParseDockerfile(kFile, "D");
  ASSERT_TRUE(file.ok());
  const auto plan = PlanBuild(*file, {{"BASE", "alice/own"}}, {""});
  ASSERT_TRUE(plan.ok()) << plan.error().message();
  EXPECT_THAT(Stages(*plan), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(plan->stages[0].base.image, "alice/own:12");
  EXPECT_EQ(plan->stages[2].base.stage, 0u);
  EXPECT_THAT(plan->stages[4].waits_for, ElementsAre(1, 2, 3));
  EXPECT_THAT(plan->stages[4].images, ElementsAre("other:v1"));
  EXPECT_THAT(Stages(*PlanBuild(*file, {}, {"RIGHT", "1"})), ElementsAre(0, 1, 3));
}

TEST(BuildPlan, FaultsAreNamedWithTheirLine) {
  const auto file = ParseDockerfile(
      "FROM a AS one\nCOPY --from=1 a b\nFROM $NONE AS two\nFROM --platform=linux/s390x a AS three",
      "D");
  ASSERT_TRUE(file.ok());
  EXPECT_THAT(PlanBuild(*file, {}, {"one"}).error().message(), HasSubstr("D:2: --from=1"));
  EXPECT_THAT(PlanBuild(*file, {}, {"two"}).error().message(), HasSubstr("D:3: FROM"));
  EXPECT_THAT(PlanBuild(*file, {}, {"three"}).error().message(), HasSubstr("D:4: --platform"));
  EXPECT_EQ(PlanBuild(*file, {}, {"four"}).error().code(), Code::kNotFound);
}

}  // namespace
}  // namespace strata::imaged::build
