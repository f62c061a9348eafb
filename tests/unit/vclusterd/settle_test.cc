// When a node is ready, and what goes wrong on the way there and back.
#include <future>

#include "tests/unit/vclusterd/clusters_fixture.h"

namespace strata::vcluster {
namespace {

class SettleTest : public ClustersTest {
 protected:
  host::v1::NodeStatus StatusOf(uint32_t number) {
    const host::v1::PartStatus status = host_->nodes().StatusOf(number, /*with_usage=*/false);
    return status.nodes().empty() ? host::v1::NodeStatus() : status.nodes(0);
  }
  template <typename Condition>
  bool Await(const Condition& condition) {
    const auto deadline = std::chrono::steady_clock::now() + seconds(30);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }
  bool AwaitLog(const std::string& node, const std::string& text) {
    return Await([&] { return Run(kAlice, node, {"cat", "/log"}) == text; });
  }
  static Hook WaitsForGo(const std::string& says) {
    return Hook{{"/bin/sh", "-c",
                 "echo " + says +
                     " >> /log; while [ ! -e /go ]; do sleep 0.1; done; echo done >> "
                     "/log"}};
  }
};

TEST_F(SettleTest, ANodeWhosePortIsTakenCanBeStoppedAndGetsItsLimits) {
  config_.restart_pause = milliseconds(10);
  config_.restart_pause_max = milliseconds(100);
  Open();
  Definition first = PlainDefinition("first", "tiny", 1, {});
  first.roles[0].ports = {{80, 17780, Protocol::kTcp}};
  ASSERT_TRUE(clusters_->Create(kAlice, first, "", Ignore, {}).ok());
  Definition second = PlainDefinition("second", "tiny", 1, {});
  ASSERT_TRUE(clusters_->Create(kAlice, second, "", Ignore, {}).ok());
  second.roles[0].ports = first.roles[0].ports;
  second.roles[0].limits.processes = 16;
  const auto applied = clusters_->Apply(kAlice, second, false, false, Ignore, {});
  ASSERT_FALSE(applied.ok());
  EXPECT_NE(applied.error().message().find("17780"), std::string::npos)
      << applied.error().message();
  EXPECT_NE(StatusOf(2).init_pid(), 0);
  const std::string pids =
      "/sys/fs/cgroup/pids/lxc.payload.s" + config_.host.instance + "-2-0/pids.max";
  EXPECT_EQ(ReadFile(pids).value(), "16\n");
  const auto stopped = clusters_->Stop(kAlice, "second", seconds(5));
  EXPECT_EQ(StatusOf(2).init_pid(), 0) << (stopped.ok() ? "" : stopped.error().message());
  // Once the port is free, it has it, and is ready.
  ASSERT_TRUE(clusters_->Delete(kAlice, "first").ok());
  const auto started = clusters_->Start(kAlice, "second");
  EXPECT_TRUE(started.ok()) << started.error().message();
}

TEST_F(SettleTest, WorkThatFailedOnARunningNodeIsDoneAgainAndTheNodeIsReady) {
  config_.restart_pause = milliseconds(10);
  config_.restart_pause_max = milliseconds(100);
  Open();
  Definition first = PlainDefinition("first", "tiny", 1, {});
  first.roles[0].ports = {{80, 17780, Protocol::kTcp}};
  ASSERT_TRUE(clusters_->Create(kAlice, first, "", Ignore, {}).ok());
  Definition second = PlainDefinition("second", "tiny", 1, {});
  second.roles[0].restart = RestartPolicy::kNever;
  ASSERT_TRUE(clusters_->Create(kAlice, second, "", Ignore, {}).ok());
  second.roles[0].ports = first.roles[0].ports;
  ASSERT_FALSE(clusters_->Apply(kAlice, second, false, false, Ignore, {}).ok());
  ASSERT_TRUE(clusters_->Delete(kAlice, "first").ok());
  EXPECT_TRUE(Await([&] { return ViewOf("second").ready; })) << ViewOf("second").problem;
}

TEST_F(SettleTest, ARemovalThatFailedIsDoneAgainWhateverTheRestartPolicy) {
  config_.restart_pause = milliseconds(10);
  Open();
  Definition definition = PlainDefinition("once", "tiny", 1, {});
  definition.roles[0].restart = RestartPolicy::kNever;
  ASSERT_TRUE(clusters_->Create(kAlice, definition, "", Ignore, {}).ok());
  KillInit("once");
  ASSERT_TRUE(Await(
      [&] { return StatusOf(1).state() == host::v1::BREAKDOWN && StatusOf(1).init_pid() == 0; }));
  images_->releases_to_fail = 1;
  (void)clusters_->Delete(kAlice, "once");
  EXPECT_TRUE(Await([&] { return images_->leases().empty(); }));
  EXPECT_TRUE(Await([&] { return !clusters_->List(kRoot, "once").ok(); }));
  EXPECT_EQ(images_->releases_to_fail, 0);
}

TEST_F(SettleTest, AStartThatDidNotComeAboutComesAfterARestartOfTheDaemonWhateverThePolicy) {
  Definition definition = PlainDefinition("once", "tiny", 1, {});
  definition.roles[0].restart = RestartPolicy::kNever;
  definition.roles[0].hooks.on_recovery = Hook{{"/bin/true"}};
  ASSERT_TRUE(clusters_->Create(kAlice, definition, "", Ignore, {}).ok());
  ASSERT_TRUE(clusters_->Stop(kAlice, "once", seconds(5)).ok());
  const std::string starter = std::exchange(config_.host.node_binary, "/bin/false");
  Open();
  ASSERT_FALSE(clusters_->Start(kAlice, "once").ok());
  config_.host.node_binary = starter;
  Open();
  EXPECT_TRUE(Await([&] { return ViewOf("once").ready; })) << ViewOf("once").problem;
  EXPECT_TRUE(ViewOf("once").hooks.empty()) << "it has recovered from nothing";
  EXPECT_EQ(ViewOf("once").restarts, 0u);
}

TEST_F(SettleTest, WhatHasEndedForGoodIsNotStartedByARestartOfTheDaemon) {
  Definition definition = PlainDefinition("once", "tiny", 1, {});
  definition.roles[0].restart = RestartPolicy::kNever;
  ASSERT_TRUE(clusters_->Create(kAlice, definition, "", Ignore, {}).ok());
  const auto has_ended = [&] {
    return StatusOf(1).revision() != 0 && StatusOf(1).state() == host::v1::BREAKDOWN &&
           StatusOf(1).init_pid() == 0;
  };
  KillInit("once");
  ASSERT_TRUE(Await(has_ended));
  Open();
  ASSERT_TRUE(Await([&] { return StatusOf(1).revision() != 0; }));
  EXPECT_TRUE(has_ended());
  // And where nobody has seen the end.
  ASSERT_TRUE(clusters_->Start(kAlice, "once").ok());
  const pid_t init = ViewOf("once").init_pid;
  Close();
  const UniqueFd fd = OpenProcess(IdentifyProcess(init).value()).value();
  ASSERT_EQ(::kill(init, SIGKILL), 0);
  Open();
  ASSERT_TRUE(Await([&] { return StatusOf(1).revision() != 0; }));
  EXPECT_TRUE(has_ended());
}

TEST_F(SettleTest, APauseDuringAHookNeitherRunsItTwiceNorMakesTheNodeReady) {
  config_.restart_pause = milliseconds(10);
  Open();
  Definition definition = PlainDefinition("slow", "tiny", 1, {});
  definition.roles[0].host_loss = HostLoss::kRecreate;
  definition.roles[0].hooks.on_recovery = WaitsForGo("begun");
  ASSERT_TRUE(clusters_->Create(kAlice, definition, "", Ignore, {}).ok());
  KillInit("slow");
  ASSERT_TRUE(AwaitLog("slow/0", "begun\n"));
  host_->nodes().PauseFenced();
  ASSERT_EQ(StatusOf(1).state(), host::v1::PAUSED);
  auto started = std::async(std::launch::async, [&] { return clusters_->Start(kAlice, "slow"); });
  ASSERT_TRUE(Await([&] { return StatusOf(1).state() == host::v1::STARTING; }));
  EXPECT_EQ(Run(kAlice, "slow/0", {"cat", "/log"}), "begun\n");
  EXPECT_EQ(Run(kAlice, "slow/0", {"sh", "-c", ": > /go"}), "");
  EXPECT_TRUE(started.get().ok());
  EXPECT_EQ(Run(kAlice, "slow/0", {"cat", "/log"}), "begun\ndone\n");
}

TEST_F(SettleTest, ARecoveryThatWasUnderWayGoesOnAfterARestartOfTheDaemon) {
  config_.restart_pause = milliseconds(10);
  Open();
  Definition definition = PlainDefinition("again", "tiny", 1, {});
  definition.roles[0].hooks.on_recovery = WaitsForGo("begun");
  ASSERT_TRUE(clusters_->Create(kAlice, definition, "", Ignore, {}).ok());
  KillInit("again");
  ASSERT_TRUE(AwaitLog("again/0", "begun\n"));
  Open();
  EXPECT_EQ(StatusOf(1).state(), host::v1::STARTING) << "nobody has seen its hook succeed";
  ASSERT_TRUE(AwaitLog("again/0", "begun\nbegun\n"));
  const pid_t running = ViewOf("again").init_pid;
  EXPECT_EQ(Run(kAlice, "again/0", {"sh", "-c", ": > /go"}), "");
  ASSERT_TRUE(Await([&] { return ViewOf("again").ready; })) << ViewOf("again").problem;
  Open();
  EXPECT_EQ(StatusOf(1).state(), host::v1::READY) << "what was proved stays so";
  EXPECT_EQ(ViewOf("again").init_pid, running);
}

TEST_F(SettleTest, WhatAHookLeftRunningEndsBeforeTheHookRunsAgain) {
  config_.restart_pause = milliseconds(10);
  Open();
  Definition definition = PlainDefinition("again", "tiny", 1, {});
  definition.roles[0].hooks.on_create = Hook{{"/bin/sh", "-c", ": > /go"}};
  definition.roles[0].hooks.on_recovery =
      Hook{{"/bin/sh", "-c", "rm -f /go; sleep 4321 >/dev/null 2>&1 & echo begun >> /log"}};
  definition.roles[0].ready = ReadyCheck{};
  definition.roles[0].ready->argv = {"/bin/busybox", "test", "-e", "/go"};
  definition.roles[0].ready->every = milliseconds(100);
  const auto made = clusters_->Create(kAlice, definition, "", Ignore, {});
  ASSERT_TRUE(made.ok()) << made.error().message();
  KillInit("again");
  ASSERT_TRUE(AwaitLog("again/0", "begun\n"));
  Open();  // Nobody knows any more that the hook ended well.
  ASSERT_TRUE(AwaitLog("again/0", "begun\nbegun\n"));
  EXPECT_EQ(Run(kAlice, "again/0", {"sh", "-c", ": > /go"}), "");
  ASSERT_TRUE(Await([&] { return ViewOf("again").ready; })) << ViewOf("again").problem;
  const std::string running = Run(kAlice, "again/0", {"sh", "-c", "cat /proc/[0-9]*/cmdline"});
  const size_t first = running.find("4321");
  ASSERT_NE(first, std::string::npos) << running;
  EXPECT_EQ(running.find("4321", first + 1), std::string::npos) << running;
}

}  // namespace
}  // namespace strata::vcluster
