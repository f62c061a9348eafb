// What definitions ask for beyond nodes: hooks, order, readiness, restarts, ports, changes.
#include "tests/unit/vclusterd/clusters_fixture.h"

namespace strata::vcluster {
namespace {

TEST_F(ClustersTest, ANodeThatDiesIsStartedAgainAndRecovers) {
  config_.restart_pause = milliseconds(10);
  Open();
  Definition definition = PlainDefinition("again", "tiny", 1, {});
  definition.roles[0].hooks.on_create = Hook{{"/bin/sh", "-c", "echo created >> /log"}};
  definition.roles[0].hooks.on_recovery =
      Hook{{"/bin/sh", "-c", "echo recovered >> /log; echo seen"}};
  ASSERT_TRUE(clusters_->Create(kAlice, definition, "", Ignore, {}).ok());
  EXPECT_EQ(Run(kAlice, "again/0", {"cat", "/log"}), "created\n");
  const pid_t before = ViewOf("again").init_pid;
  KillInit("again");
  AwaitReady("again", before);
  EXPECT_EQ(Run(kAlice, "again/0", {"cat", "/log"}), "created\nrecovered\n");
  const NodeView node = ViewOf("again");
  EXPECT_EQ(node.restarts, 1u);
  ASSERT_EQ(node.hooks.size(), 2u);
  EXPECT_EQ(node.hooks[1].hook(), "on-recovery");
  EXPECT_EQ(node.hooks[1].output(), "seen\n");
}

TEST_F(ClustersTest, AFencedNodeNeitherRunsOnNorStartsBeforeTheNextOrder) {
  config_.restart_pause = milliseconds(1000);
  Open();
  Definition definition = PlainDefinition("fenced", "tiny", 2, {});
  definition.roles[0].host_loss = HostLoss::kRecreate;
  ASSERT_TRUE(clusters_->Create(kAlice, definition, "", Ignore, {}).ok());
  ASSERT_TRUE(Create(kAlice, "other", 1).ok());
  const pid_t pid = ViewOf("fenced", 1).init_pid;
  const auto state = [&](uint32_t number, int node) {
    return host_->nodes().StatusOf(number, false).nodes(node).state();
  };
  const auto deadline = std::chrono::steady_clock::now() + seconds(30);
  KillInit("fenced");
  while (state(1, 0) == host::v1::READY) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    std::this_thread::yield();
  }
  host_->nodes().PauseFenced();
  while (host_->nodes().StatusOf(1, false).nodes(0).init_pid() != 0) {  // What ended is cleared up.
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    std::this_thread::yield();
  }
  // Without that it would be started again after its pause.
  const auto pause_over = std::chrono::steady_clock::now() + 2 * config_.restart_pause;
  while (std::chrono::steady_clock::now() < pause_over) {
    ASSERT_EQ(host_->nodes().StatusOf(1, false).nodes(0).init_pid(), 0);
    std::this_thread::yield();
  }
  EXPECT_EQ(state(1, 1), host::v1::PAUSED);
  const std::string frozen =
      "/sys/fs/cgroup/freezer/lxc.payload.s" + config_.host.instance + "-1-1/freezer.state";
  EXPECT_EQ(ReadFile(frozen).value(), "FROZEN\n");
  EXPECT_EQ(state(2, 0), host::v1::READY);
  const auto started = clusters_->Start(kAlice, "fenced");
  ASSERT_TRUE(started.ok()) << started.error().message();
  EXPECT_EQ(ViewOf("fenced", 1).init_pid, pid);
  EXPECT_EQ(Run(kAlice, "fenced/0", {"hostname"}), "fenced-0\n");
}

TEST_F(ClustersTest, ANodeThatEndedWithoutItsDaemonStartsWhenThatIsBack) {
  ASSERT_TRUE(Create(kAlice, "up", 1).ok());
  const pid_t before = ViewOf("up").init_pid;
  Close();
  const UniqueFd init = OpenProcess(IdentifyProcess(before).value()).value();
  ASSERT_EQ(::kill(before, SIGKILL), 0);
  Open();
  AwaitReady("up", before);
}

TEST_F(ClustersTest, AHookThatFailsSaysWhatItSaidAndNothingIsLeft) {
  Definition definition = PlainDefinition("bad", "tiny", 2, {});
  definition.roles[0].hooks.on_create =
      Hook{{"/bin/sh", "-c", "echo starting; echo no such database; exit 7"}};
  const auto made = clusters_->Create(kAlice, definition, "", Ignore, {});
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.error().message().find("exit code 7: no such database"), std::string::npos)
      << made.error().message();
  ExpectNothingLeft();
}

TEST_F(ClustersTest, AHookThatHangsIsKilledInTime) {
  Definition definition = PlainDefinition("slow", "tiny", 1, {});
  definition.roles[0].hooks.on_create = Hook{{"/bin/sleep", "1000"}, seconds(1)};
  const auto made = clusters_->Create(kAlice, definition, "", Ignore, {});
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.error().message().find("did not end within 1 s"), std::string::npos)
      << made.error().message();
  ExpectNothingLeft();
}

TEST_F(ClustersTest, WhatAHookHasStartedEndsWithItWhenItTakesTooLong) {
  Definition definition = PlainDefinition("slow", "tiny", 1, {});
  definition.roles[0].hooks.on_recovery =
      Hook{{"/bin/sh", "-c", "sleep 4321 & sleep 4322"}, seconds(1)};
  ASSERT_TRUE(clusters_->Create(kAlice, definition, "", Ignore, {}).ok());
  KillInit("slow");
  const auto deadline = std::chrono::steady_clock::now() + seconds(30);
  while (ViewOf("slow").problem.find("did not end within 1 s") == std::string::npos) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << ViewOf("slow").problem;
    std::this_thread::yield();
  }
  const std::string running = Run(kAlice, "slow/0", {"sh", "-c", "cat /proc/[0-9]*/cmdline"});
  EXPECT_NE(running.find("cmdline"), std::string::npos) << "it does not run";
  EXPECT_EQ(running.find("432"), std::string::npos) << running;
}

TEST_F(ClustersTest, RolesStartInTheirOrderAndKnowEachOtherByName) {
  Definition definition;
  definition.name = "spark";
  for (const char* name : {"worker", "master"}) {
    Role& role = definition.roles.emplace_back();
    role.name = name;
    role.image = "tiny";
  }
  Role& worker = definition.roles[0];
  worker.count = 2;
  worker.after = {"master"};
  worker.env = {{"MASTER", "master-0"}};
  // Only a master that was ready lets this succeed.
  worker.hooks.on_create = Hook{{"/bin/sh", "-c", "ping -c1 -W5 $MASTER && ping -c1 -W5 master"}};
  definition.roles[1].ready = ReadyCheck{};
  definition.roles[1].ready->argv = {"/bin/sh", "-c", "test -e /up || { touch /up; false; }"};
  definition.roles[1].ready->every = milliseconds(100);
  const auto made = clusters_->Create(kAlice, definition, "", Ignore, {});
  ASSERT_TRUE(made.ok()) << made.error().message();
  EXPECT_EQ(made->nodes[1].name, "spark/worker-1");
  EXPECT_EQ(made->nodes[1].hostname, "worker-1");
  EXPECT_TRUE(made->nodes[2].ready);
  EXPECT_EQ(Run(kAlice, "spark/master-0", {"hostname"}), "master-0\n");
  EXPECT_EQ(Run(kAlice, "spark/worker-1", {"sh", "-c", "echo $MASTER"}), "master-0\n");
}

TEST_F(ClustersTest, AMeasurementIsWhatItsCommandPrints) {
  Definition definition = PlainDefinition("queue", "tiny", 1, {});
  Autoscale& rule = definition.roles[0].autoscale.emplace();
  rule.argv = {"/bin/cat", "/length"};
  rule.target_per_node = 1000;
  rule.every = seconds(1);
  ASSERT_TRUE(clusters_->Create(kAlice, definition, "", Ignore, {}).ok());
  const auto await = [&](const auto& condition) {
    const auto deadline = std::chrono::steady_clock::now() + seconds(20);
    while (std::chrono::steady_clock::now() < deadline) {
      const auto status = host_->nodes().StatusOf(1, /*with_usage=*/false);
      if (status.nodes_size() == 1 && status.nodes(0).has_measured() &&
          condition(status.nodes(0).measured())) {
        return true;
      }
      std::this_thread::yield();
    }
    return false;
  };
  using Measured = host::v1::Measured;
  EXPECT_TRUE(await([](const Measured& m) { return m.problem().starts_with("exit code 1"); }));
  Run(kAlice, "queue/0", {"sh", "-c", "echo ' 7.5' > /length"});
  EXPECT_TRUE(await([](const Measured& m) { return m.problem().empty() && m.value() == 7.5; }));
  Run(kAlice, "queue/0", {"sh", "-c", "echo 7 8 > /length"});
  EXPECT_TRUE(
      await([](const Measured& m) { return m.problem() == "it printed no number: '7 8'"; }));
}

TEST_F(ClustersTest, ACheckThatNeverHoldsEndsTheCreation) {
  Definition definition = PlainDefinition("deaf", "tiny", 1, {});
  definition.roles[0].ready = ReadyCheck{};
  definition.roles[0].ready->tcp_port = 7077;
  definition.roles[0].ready->every = milliseconds(100);
  definition.roles[0].ready->timeout = seconds(1);
  const auto made = clusters_->Create(kAlice, definition, "", Ignore, {});
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.error().message().find("port 7077"), std::string::npos) << made.error().message();
  ExpectNothingLeft();
}

// What is said on a port of this machine before the other side closes.
std::string ReadPort(uint32_t port) {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) {
    return Errno("connect").message();
  }
  const auto said = ReadAll(fd.get(), 1000);
  return said.ok() ? *said : said.error().message();
}

TEST_F(ClustersTest, PortsOfTheHostLeadToNodesAndClonesGetTheirOwn) {
  Definition definition = PlainDefinition("web", "tiny", 2, {});
  Role& role = definition.roles[0];
  role.ports = {{7777, 0, Protocol::kTcp}};
  role.hooks.on_create =
      Hook{{"/bin/sh", "-c", "/bin/busybox nc -ll -p 7777 -e /bin/hostname >/dev/null 2>&1 &"}};
  role.ready = ReadyCheck{};
  role.ready->tcp_port = 7777;
  role.ready->every = milliseconds(100);
  const auto made = clusters_->Create(kAlice, definition, "", Ignore, {});
  ASSERT_TRUE(made.ok()) << made.error().message();
  const auto clones = clusters_->Clone(kAlice, {"web", 1, "", ""}, Ignore, {});
  ASSERT_TRUE(clones.ok()) << clones.error().message();
  std::set<uint32_t> ports;
  for (const ClusterView& view : {*made, (*clones)[0]}) {
    for (const NodeView& node : view.nodes) {
      ASSERT_EQ(node.ports.size(), 1u);
      ports.insert(node.ports[0].host_port());
      EXPECT_EQ(ReadPort(node.ports[0].host_port()), node.hostname + "\n");
    }
  }
  EXPECT_EQ(ports.size(), 4u);
  Open();  // They stay as they are.
  EXPECT_EQ(ReadPort(made->nodes[1].ports[0].host_port()), "web-1\n");
}

TEST_F(ClustersTest, ChangedLimitsHoldWhileTheNodeRuns) {
  Definition definition = PlainDefinition("lim", "tiny", 1, {});
  ASSERT_TRUE(clusters_->Create(kAlice, definition, "", Ignore, {}).ok());
  const pid_t pid = ViewOf("lim").init_pid;
  definition.roles[0].limits.processes = 16;
  definition.roles[0].env["ADDED"] = "later";
  const auto applied = clusters_->Apply(kAlice, definition, false, false, Ignore, {});
  ASSERT_TRUE(applied.ok()) << applied.error().message();
  EXPECT_EQ(applied->changes.size(), 2u);
  EXPECT_EQ(ViewOf("lim").init_pid, pid);
  const std::string many =
      Run(kAlice, "lim/0",
          {"sh", "-c",
           "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18; do sleep 20 & done; echo all"});
  EXPECT_NE(many.find("fork"), std::string::npos) << many;
}

TEST_F(ClustersTest, ScalingKeepsTheNodesThatStayAndTellsThemOfTheOthers) {
  ASSERT_TRUE(Create(kAlice, "grow", 1).ok());
  const pid_t pid = ViewOf("grow").init_pid;
  const auto grown = clusters_->Scale(kAlice, "grow", "node", 3, Ignore, {});
  ASSERT_TRUE(grown.ok()) << grown.error().message();
  EXPECT_EQ(ViewOf("grow").init_pid, pid);
  const std::string ping = Run(kAlice, "grow/0", {"ping", "-c1", "-W5", "grow-2"});
  EXPECT_NE(ping.find("1 packets received"), std::string::npos) << ping;
  ASSERT_TRUE(clusters_->Scale(kAlice, "grow", "node", 1, Ignore, {}).ok());
  EXPECT_EQ(images_->leases(), std::set<std::string>{"node/1-0"});
  EXPECT_EQ(ViewOf("grow").init_pid, pid);
}

TEST_F(ClustersTest, OnDestroyRunsBeforeANodeIsDeleted) {
  Definition definition = PlainDefinition("end", "tiny", 1, {});
  definition.roles[0].hooks.on_destroy = Hook{{"/bin/sh", "-c", "echo bye >> /said"}};
  ASSERT_TRUE(clusters_->Create(kAlice, definition, "", Ignore, {}).ok());
  EXPECT_EQ(Run(kAlice, "end/0", {"sh", "-c", "echo hello > /said"}), "");
  // The open file outlives its name.
  const std::string root = "/proc/" + std::to_string(ViewOf("end").init_pid) + "/root";
  const UniqueFd said = strata::Open(root + "/said", O_RDONLY).value();
  ASSERT_TRUE(clusters_->Delete(kAlice, "end").ok());
  EXPECT_EQ(ReadAll(said.get(), 100).value(), "hello\nbye\n");
}

}  // namespace
}  // namespace strata::vcluster
