#include "vclusterd/jobs/task_orders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vclusterd/jobs/world.h"

namespace strata::vcluster {
namespace {

using testing::Contains;
using testing::ElementsAre;

host::v1::Part PartOf(const World& world) {
  host::v1::Part part;
  for (const NodeSeen& node : world.seen.nodes) {
    host::v1::NodeOrder* order = part.add_nodes();
    order->set_index(node.index);
    order->set_incarnation(node.incarnation);
  }
  return part;
}

TEST(TaskOrdersTest, RunsThatAreUnderWayAreOrderedAndTheirCommandOnce) {
  World world(
      "tasks:\n  a: {run: x, on: worker, env: {A: b}, timeout: 9s, user: 5}\n"
      "  b: {run: x, after: a}\n");
  host::v1::Part part = PartOf(world);
  AddTaskOrders(world.job, &part);
  EXPECT_TRUE(part.task_commands().empty()) << "nothing has begun yet";
  world.Advance();
  AddTaskOrders(world.job, &part);
  ASSERT_EQ(part.task_commands_size(), 1);
  const host::v1::TaskCommand& command = part.task_commands(0);
  EXPECT_EQ(command.key(), "7.0");
  EXPECT_THAT(command.argv(), ElementsAre("/bin/sh", "-c", "x"));
  EXPECT_THAT(command.env(), ElementsAre("A=b", "STRATA_JOB=7", "STRATA_TASK=a"));
  EXPECT_EQ(command.timeout_s(), 9u);
  EXPECT_EQ(command.uid(), 5u);
  EXPECT_TRUE(part.nodes(0).tasks().empty());
  ASSERT_EQ(part.nodes(1).tasks_size(), 1);
  EXPECT_EQ(part.nodes(1).tasks(0).id(), "7.0.1.1");
  EXPECT_FALSE(part.nodes(1).tasks(0).stop());
  EXPECT_EQ(part.nodes(2).tasks(0).id(), "7.0.2.1");

  world.End("a", "worker-0", 0);
  part = PartOf(world);
  AddTaskOrders(world.job, &part);
  EXPECT_TRUE(part.nodes(1).tasks().empty()) << "its end is in the record";
  EXPECT_EQ(part.nodes(2).tasks_size(), 1);

  world.job.set_cancel(true);
  world.Advance();
  part = PartOf(world);
  AddTaskOrders(world.job, &part);
  EXPECT_TRUE(part.nodes(2).tasks(0).stop());
}

TEST(TaskOrdersTest, ANodeThatWasMadeAnewGetsNoRunOfTheOneBefore) {
  World world("tasks:\n  a: {run: x, on: worker}\n");
  world.Advance();
  world.Node("worker-0").incarnation = 2;
  host::v1::Part part = PartOf(world);
  AddTaskOrders(world.job, &part);
  EXPECT_TRUE(part.nodes(1).tasks().empty());
  EXPECT_EQ(part.nodes(2).tasks_size(), 1);
}

}  // namespace
}  // namespace strata::vcluster
