#include "vclusterd/jobs/new_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strata::vcluster {
namespace {

using testing::ElementsAre;

TEST(NewJobTest, TheRecordSaysWhatTheFileDoes) {
  const auto definition = ParseJob(R"(
name: j
create: {image: i}
keep: always
timeout: 2h
tasks:
  b: {run: [c, d], on: node/0, after: a, timeout: 5s, retries: 3, retry-delay: 7s, env: {A: b},
      user: 1:2, directory: /d, allow-failure: true}
  a: {run: x, on: all}
)",
                                   "j.yaml", {});
  ASSERT_TRUE(definition.ok()) << definition.error().message();
  const jobs::v1::Job job = NewJob(*definition, 42);
  EXPECT_EQ(job.name(), "j");
  EXPECT_TRUE(job.created());
  EXPECT_EQ(job.keep(), jobs::v1::ALWAYS);
  EXPECT_EQ(job.timeout_s(), 7200u);
  EXPECT_EQ(job.submitted_unix_ms(), 42);
  EXPECT_EQ(job.phase(), jobs::v1::PREPARING);
  ASSERT_EQ(job.tasks_size(), 2);
  const jobs::v1::Task& task = job.tasks(0);
  EXPECT_THAT(task.argv(), ElementsAre("c", "d"));
  EXPECT_EQ(task.on().role(), "node");
  EXPECT_TRUE(task.on().has_ordinal());
  EXPECT_THAT(task.after(), ElementsAre(1));
  EXPECT_EQ(task.timeout_s(), 5u);
  EXPECT_EQ(task.retries(), 3u);
  EXPECT_EQ(task.retry_delay_s(), 7u);
  EXPECT_THAT(task.env(), ElementsAre("A=b"));
  EXPECT_EQ(task.uid(), 1u);
  EXPECT_EQ(task.gid(), 2u);
  EXPECT_EQ(task.directory(), "/d");
  EXPECT_TRUE(task.allow_failure());
  EXPECT_TRUE(job.tasks(1).on().all());
  EXPECT_FALSE(job.tasks(1).on().has_ordinal());
}

TEST(NewJobTest, TheNameOfAVclusterThatIsMadeIsNoOtherJobs) {
  EXPECT_EQ(CreatedName("pi", 17), "pi-17");
  EXPECT_EQ(CreatedName(std::string(40, 'a'), 123).size(), kNameSizeMax);
  for (const std::string& name : {std::string("pi"), std::string(40, 'a'),
                                  std::string(36, 'a') + "-bcd", std::string("a-b")}) {
    EXPECT_TRUE(CheckClusterName(CreatedName(name, 4294967295u)).ok()) << name;
    EXPECT_TRUE(CheckClusterName(CreatedName(name, 999)).ok()) << CreatedName(name, 999);
  }
}

}  // namespace
}  // namespace strata::vcluster
