// Whole Vclusters on the real kernel: real containers on real layerfs roots, real bridges. Only
// imaged is a fake.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <mutex>
#include <set>
#include <thread>

#include "net/apply.h"
#include "tests/unit/vclusterd/fake_images.h"
#include "vclusterd/host/exec_session.h"
#include "vclusterd/host/part_store.h"
#include "vclusterd/master/single_host.h"
#include "vclusterd/master/tables.h"
#include "vclusterd/runtime/cgroups.h"

namespace strata::vcluster {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uid_t kAlice = 64001;
constexpr uid_t kBob = 64002;

void Ignore(const std::string&, uint32_t, uint32_t) {}

class Collector final : public ExecListener {
 public:
  bool Output(bool is_stderr, std::string_view data) override {
    (is_stderr ? err : out) += data;
    return true;
  }
  void InputTaken() override {}
  void Ended(Result<int> exit_code) override {
    const std::lock_guard lock(mutex_);
    code = exit_code.ok() ? *exit_code : -1;
    ended_ = true;
    changed_.notify_all();
  }
  void Wait() {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, seconds(20), [&] { return ended_; }));
  }
  std::string out;
  std::string err;
  int code = -2;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
};

class ClustersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = std::make_unique<TemporaryDirectory>(
        TemporaryDirectory::Create("/tmp", "strata-clusters.").value());
    ASSERT_EQ(::chmod(dir_->path().c_str(), 0755), 0);
    auto images = FakeHostImageClient::Create(dir_->path());
    ASSERT_TRUE(images.ok()) << images.error().message();
    images_ = std::move(*images);
    config_.state_dir = dir_->path() + "/state";
    config_.host.run_dir = dir_->path() + "/run";
    config_.host.instance = Hasher::Of(dir_->path()).Hex().substr(0, net::kInstanceDigits);
    config_.host.node_binary = std::string(STRATA_BIN_DIR) + "/strata-node";
    config_.host.vinit = std::string(STRATA_BIN_DIR) + "/vinit";
    config_.host.unified_cgroups = HasUnifiedCgroups();
    config_.pool = net::Ipv4Prefix::Parse("10.214.0.0/16").value();
    config_.id_first = 3'000'000;
    config_.volumes = layerfs::VolumeKind::kLoop;
    config_.layerfs_binary = std::string(STRATA_BIN_DIR) + "/layerfs";
    Open();
  }

  void TearDown() override {
    ASSERT_NE(clusters_, nullptr);
    Status deleted = clusters_->DeleteAll(false);
    EXPECT_TRUE(deleted.ok()) << deleted.error().message();
    ExpectNothingLeft();
    Close();
    EXPECT_EQ(ReadFile("/proc/self/mountinfo")->find(dir_->path()), std::string::npos);
  }

  void Close() {
    clusters_ = nullptr;
    host_.reset();
    store_.reset();
  }

  void Open() {
    Close();
    auto store = OpenDesiredState(config_.state_dir);
    ASSERT_TRUE(store.ok()) << store.error().message();
    store_ = std::move(*store);
    auto opened = SingleHost::Open(config_, *images_, *store_);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    host_ = std::move(*opened);
    clusters_ = &host_->clusters();
  }

  std::vector<std::string> Entries(const std::string& path) {
    const std::string text = RunChecked({"ls", "-A", path}).value();
    return text.empty() ? std::vector<std::string>() : std::vector<std::string>{text};
  }

  void ExpectNothingLeft() {
    EXPECT_EQ(images_->leases(), std::set<std::string>());
    for (const char* part : {"/state/vclusterd/nodes", "/state/vclusterd/parts", "/run/nodes",
                             "/run/volumes/loop"}) {
      if (!PathExists(dir_->path() + part)) continue;
      EXPECT_EQ(Entries(dir_->path() + part), std::vector<std::string>()) << part;
    }
    const auto links = net::ObserveLinks();
    for (const net::ObservedLink& link : *links) {
      EXPECT_FALSE(link.name.starts_with("s" + config_.host.instance)) << link.name;
    }
    const std::string tables = RunChecked({"nft", "list", "tables"}).value();
    EXPECT_EQ(tables.find(net::TableName(config_.host.instance)), std::string::npos);
    const std::string cgroups = RunChecked({"ls", "/sys/fs/cgroup/freezer"}).value();
    EXPECT_EQ(cgroups.find("s" + config_.host.instance + "-"), std::string::npos);
  }

  Result<ClusterView> Create(uid_t owner, const std::string& name, uint32_t nodes,
                             uint64_t disk_bytes = 0,
                             layerfs::Driver driver = layerfs::Driver::kKernel) {
    Limits limits;
    limits.disk_bytes = disk_bytes;
    return clusters_->Create(owner, PlainDefinition(name, "tiny", nodes, limits),
                             std::string(layerfs::DriverName(driver)), Ignore, CancelToken());
  }

  Result<SaveNodeResult> Save(const std::string& node, const CancelToken& cancel = {},
                              imaged::ScrubMode scrub = imaged::ScrubMode::kDefault) {
    ASSIGN_OR_RETURN(const NodePlace place, clusters_->FindNode(kAlice, node));
    SaveNodeParameters parameters;
    parameters.on_behalf_of_uid = kAlice;
    parameters.reference = "saved";
    parameters.scrub = scrub;
    return host_->nodes().Save(place.number, place.index, parameters, Ignore, cancel);
  }

  Result<ExecTarget> FindForExec(uid_t caller, const std::string& node) {
    ASSIGN_OR_RETURN(const NodePlace place, clusters_->FindNode(caller, node));
    return host_->nodes().FindForExec(place.number, place.index);
  }

  std::string Run(uid_t caller, const std::string& node, std::vector<std::string> argv) {
    const auto target = FindForExec(caller, node);
    if (!target.ok()) return target.error().message();
    ExecParameters parameters;
    parameters.argv = std::move(argv);
    Collector collector;
    auto session = ExecSession::Start(host_->nodes().life(), *target, parameters, {}, collector);
    if (!session.ok()) return session.error().message();
    (*session)->EndInput();
    collector.Wait();
    return collector.out + collector.err;
  }

  void KillInit(const std::string& name) {
    const pid_t pid = ViewOf(name).init_pid;
    // Held, so that its number is not another's when the test looks again.
    killed_.push_back(OpenProcess(IdentifyProcess(pid).value()).value());
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
  }

  // Until another process 1 than `before` runs.
  void AwaitReady(const std::string& name, pid_t before) {
    const auto deadline = std::chrono::steady_clock::now() + seconds(30);
    while (!ViewOf(name).ready || ViewOf(name).init_pid == before) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << ViewOf(name).problem;
      std::this_thread::yield();
    }
  }

  NodeView ViewOf(const std::string& name, size_t node = 0) {
    return clusters_->List(0, name).value()[0].nodes[node];
  }

  std::unique_ptr<TemporaryDirectory> dir_;
  std::unique_ptr<FakeHostImageClient> images_;
  HostConfig config_;
  std::unique_ptr<records::RecordStore> store_;
  std::unique_ptr<SingleHost> host_;
  Clusters* clusters_ = nullptr;
  std::vector<UniqueFd> killed_;
};

TEST_F(ClustersTest, NodesRunAndReachEachOtherByName) {
  const auto view = Create(kAlice, "hpc", 3);
  ASSERT_TRUE(view.ok()) << view.error().message();
  ASSERT_EQ(view->nodes.size(), 3u);
  EXPECT_EQ(view->nodes[2].hostname, "hpc-2");
  EXPECT_EQ(view->nodes[2].condition, NodeCondition::kRunning);
  EXPECT_EQ(Run(kAlice, "hpc/1", {"hostname"}), "hpc-1\n");
  const std::string ping = Run(kAlice, "hpc/0", {"ping", "-c1", "-W5", "hpc-2"});
  EXPECT_NE(ping.find("1 packets received"), std::string::npos) << ping;
}

TEST_F(ClustersTest, NodesOfDifferentVclustersDoNotReachEachOtherNorTheHostsPorts) {
  ASSERT_TRUE(Create(kAlice, "a", 1).ok());
  const auto other = Create(kBob, "b", 1);
  ASSERT_TRUE(other.ok());
  const std::string address = other->nodes[0].address.ToString();
  const std::string ping = Run(kAlice, "a/0", {"ping", "-c1", "-W1", address});
  EXPECT_NE(ping.find(" 0 packets received"), std::string::npos) << ping;
  // Its own gateway answers, so it is not that nothing works at all.
  const std::string gateway = ViewOf("a").address.ToString().replace(
      ViewOf("a").address.ToString().rfind('.'), std::string::npos, ".1");
  const std::string own = Run(kAlice, "a/0", {"ping", "-c1", "-W5", gateway});
  EXPECT_NE(own.find("1 packets received"), std::string::npos) << own;
}

TEST_F(ClustersTest, CallersSeeOnlyTheirOwnAndRootSeesAll) {
  ASSERT_TRUE(Create(kAlice, "mine", 1).ok());
  EXPECT_EQ(clusters_->List(kBob, "")->size(), 0u);
  EXPECT_EQ(clusters_->List(kBob, "mine").error().code(), Code::kNotFound);
  EXPECT_EQ(clusters_->List(kBob, "64001/mine").error().code(), Code::kNotFound);
  EXPECT_EQ(clusters_->Delete(kBob, "64001/mine").error().code(), Code::kNotFound);
  EXPECT_EQ(FindForExec(kBob, "64001/mine/0").error().code(), Code::kNotFound);
  EXPECT_EQ(clusters_->List(0, "64001/mine")->size(), 1u);
  EXPECT_EQ(Create(kAlice, "mine", 1).error().code(), Code::kAlreadyExists);
  EXPECT_TRUE(Create(kBob, "mine", 1).ok());
  EXPECT_EQ(clusters_->List(0, "mine").error().code(), Code::kInvalidArgument);
}

TEST_F(ClustersTest, ARunningNodeSurvivesItsDaemonAndIsAdopted) {
  ASSERT_TRUE(Create(kAlice, "keep", 2).ok());
  const pid_t pid = ViewOf("keep").init_pid;
  Open();
  EXPECT_EQ(ViewOf("keep").init_pid, pid);
  EXPECT_EQ(ViewOf("keep", 1).condition, NodeCondition::kRunning);
  EXPECT_EQ(Run(kAlice, "keep/0", {"hostname"}), "keep-0\n");
}

TEST_F(ClustersTest, ANodeThatDiesIsABreakdownAndStartsAgainWithItsFiles) {
  Definition definition = PlainDefinition("die", "tiny", 1, {});
  definition.roles[0].restart = RestartPolicy::kNever;
  ASSERT_TRUE(clusters_->Create(kAlice, definition, "", Ignore, {}).ok());
  EXPECT_EQ(Run(kAlice, "die/0", {"sh", "-c", "echo kept > /file"}), "");
  KillInit("die");
  while (ViewOf("die").condition == NodeCondition::kRunning) std::this_thread::yield();
  EXPECT_EQ(ViewOf("die").condition, NodeCondition::kBreakdown);
  EXPECT_NE(ViewOf("die").problem, "");
  Open();
  EXPECT_EQ(ViewOf("die").condition, NodeCondition::kBreakdown);
  const auto started = clusters_->Start(kAlice, "die");
  ASSERT_TRUE(started.ok()) << started.error().message();
  EXPECT_EQ(Run(kAlice, "die/0", {"cat", "/file"}), "kept\n");
}

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
  definition.roles[1].ready->every = milliseconds(50);
  const auto made = clusters_->Create(kAlice, definition, "", Ignore, {});
  ASSERT_TRUE(made.ok()) << made.error().message();
  EXPECT_EQ(made->nodes[1].name, "spark/worker-1");
  EXPECT_EQ(made->nodes[1].hostname, "worker-1");
  EXPECT_TRUE(made->nodes[2].ready);
  EXPECT_EQ(Run(kAlice, "spark/master-0", {"hostname"}), "master-0\n");
  EXPECT_EQ(Run(kAlice, "spark/worker-1", {"sh", "-c", "echo $MASTER"}), "master-0\n");
}

TEST_F(ClustersTest, ACheckThatNeverHoldsEndsTheCreation) {
  Definition definition = PlainDefinition("deaf", "tiny", 1, {});
  definition.roles[0].ready = ReadyCheck{};
  definition.roles[0].ready->tcp_port = 7077;
  definition.roles[0].ready->every = milliseconds(50);
  definition.roles[0].ready->timeout = seconds(1);
  const auto made = clusters_->Create(kAlice, definition, "", Ignore, {});
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.error().message().find("port 7077"), std::string::npos)
      << made.error().message();
  ExpectNothingLeft();
}

TEST_F(ClustersTest, OnDestroyRunsBeforeANodeIsDeleted) {
  Definition definition = PlainDefinition("end", "tiny", 1, {});
  definition.roles[0].hooks.on_destroy = Hook{{"/bin/sh", "-c", "echo bye > /dev/.strata-out"}};
  ASSERT_TRUE(clusters_->Create(kAlice, definition, "", Ignore, {}).ok());
  // What it does is seen from outside while the node is still there.
  const pid_t init = ViewOf("end").init_pid;
  const UniqueFd root = strata::Open("/proc/" + std::to_string(init) + "/root", O_PATH).value();
  ASSERT_TRUE(clusters_->Delete(kAlice, "end").ok());
  const UniqueFd said = OpenAt(root.get(), "dev/.strata-out", O_RDONLY).value();
  EXPECT_EQ(ReadAll(said.get(), 100).value(), "bye\n");
}

TEST_F(ClustersTest, StopAndStartKeepFilesAndAddress) {
  ASSERT_TRUE(Create(kAlice, "s", 2).ok());
  EXPECT_EQ(Run(kAlice, "s/1", {"sh", "-c", "echo kept > /file"}), "");
  const NodeView before = ViewOf("s", 1);
  ASSERT_TRUE(clusters_->Stop(kAlice, "s/1", seconds(5)).ok());
  EXPECT_EQ(ViewOf("s", 1).condition, NodeCondition::kStopped);
  EXPECT_EQ(ViewOf("s", 0).condition, NodeCondition::kRunning);
  Open();
  EXPECT_EQ(ViewOf("s", 1).condition, NodeCondition::kStopped);
  ASSERT_TRUE(clusters_->Start(kAlice, "s").ok());
  EXPECT_EQ(ViewOf("s", 1).address, before.address);
  EXPECT_EQ(Run(kAlice, "s/1", {"cat", "/file"}), "kept\n");
}

TEST_F(ClustersTest, ClonesHaveKeysAndIdsOfTheirOwn) {
  ASSERT_TRUE(Create(kAlice, "src", 1).ok());
  const auto clones = clusters_->Clone(kAlice, {"src", 3, "", ""}, Ignore, CancelToken());
  ASSERT_TRUE(clones.ok()) << clones.error().message();
  ASSERT_EQ(clones->size(), 3u);
  EXPECT_EQ((*clones)[2].name, "src-3");
  for (const char* file : {"/etc/machine-id", "/dev/.strata/login_key", "/dev/.strata/host_key"}) {
    std::set<std::string> contents;
    for (const char* node : {"src/0", "src-1/0", "src-2/0", "src-3/0"}) {
      contents.insert(Run(kAlice, node, {"cat", file}));
    }
    EXPECT_EQ(contents.size(), 4u) << file;
  }
}

TEST_F(ClustersTest, NothingIsLeftWhenOneCloneFails) {
  ASSERT_TRUE(Create(kAlice, "src", 1).ok());
  images_->FailLease("node/3-0");
  const auto clones = clusters_->Clone(kAlice, {"src", 4, "", ""}, Ignore, CancelToken());
  ASSERT_FALSE(clones.ok());
  EXPECT_NE(clones.error().message().find("imaged went away"), std::string::npos);
  EXPECT_EQ(clusters_->List(0, "")->size(), 1u);
  EXPECT_EQ(images_->leases(), std::set<std::string>{"node/1-0"});
}

TEST_F(ClustersTest, NothingIsLeftWhenCreatingIsCancelled) {
  CancelToken cancel;
  images_->on_acquire = [&] { cancel.Cancel(); };
  const auto view =
      clusters_->Create(kAlice, PlainDefinition("gone", "tiny", 4, {}), "", Ignore, cancel);
  ASSERT_FALSE(view.ok());
  EXPECT_EQ(view.error().code(), Code::kCancelled);
  ExpectNothingLeft();
}

TEST_F(ClustersTest, AnUnknownImageIsNamedAndNothingIsLeft) {
  const auto view = clusters_->Create(kAlice, PlainDefinition("x", "no-such-image", 2, {}), "",
                                      Ignore, CancelToken());
  ASSERT_FALSE(view.ok());
  EXPECT_NE(view.error().message().find("no-such-image"), std::string::npos);
  ExpectNothingLeft();
}

class InterruptedTest : public ClustersTest,
                        public ::testing::WithParamInterface<master::v1::Phase> {};
INSTANTIATE_TEST_SUITE_P(Phases, InterruptedTest,
                         ::testing::Values(master::v1::CREATING, master::v1::DELETING));

TEST_P(InterruptedTest, WhatAnInterruptedCreateOrDeleteLeftIsRemovedAtTheNextStart) {
  ASSERT_TRUE(Create(kAlice, "half", 2).ok());
  ASSERT_TRUE(Create(kAlice, "whole", 1).ok());
  const std::string value = store_->Get(kVclustersTable, VclusterKey(1)).value().value();
  master::v1::Vcluster record = ParseVcluster(value).value()->record;
  record.set_phase(GetParam());
  ASSERT_TRUE(store_->Put(kVclustersTable, VclusterKey(1), FormatVcluster(record)).ok());
  Open();
  while (clusters_->List(0, "")->size() != 1) std::this_thread::yield();
  EXPECT_EQ(images_->leases(), std::set<std::string>{"node/2-0"});
  EXPECT_EQ(ViewOf("whole").condition, NodeCondition::kRunning);
}

TEST_F(ClustersTest, ANodeWithoutAVclusterIsRemovedAtTheNextStart) {
  ASSERT_TRUE(Create(kAlice, "lost", 1).ok());
  ASSERT_TRUE(store_->Delete(kVclustersTable, VclusterKey(1)).ok());
  Close();
  ASSERT_EQ(::unlink((config_.state_dir + "/vclusterd/parts/1.json").c_str()), 0);
  ASSERT_TRUE(images_->ReleaseRoot("node/1-0").ok());
  Open();
  ExpectNothingLeft();
}

TEST_F(ClustersTest, WhatAHostForgotIsMadeAnew) {
  ASSERT_TRUE(Create(kAlice, "again", 1).ok());
  EXPECT_EQ(Run(kAlice, "again/0", {"sh", "-c", "echo old > /file"}), "");
  Close();
  ASSERT_EQ(::unlink((config_.state_dir + "/vclusterd/parts/1.json").c_str()), 0);
  Open();
  ASSERT_TRUE(clusters_->Start(kAlice, "again").ok());
  EXPECT_NE(Run(kAlice, "again/0", {"cat", "/file"}).find("No such file"), std::string::npos);
}

TEST_F(ClustersTest, AFileThatCannotBeReadIsLeftAloneAndItsNodesRunOn) {
  ASSERT_TRUE(Create(kAlice, "broken", 1).ok());
  const pid_t pid = ViewOf("broken").init_pid;
  const std::string file = config_.state_dir + "/vclusterd/parts/1.json";
  const std::string content = ReadFile(file).value();
  Close();
  ASSERT_TRUE(WriteFileDurably(file, content.substr(0, content.size() / 2)).ok());
  Open();
  EXPECT_EQ(Create(kAlice, "next", 1)->nodes[0].name, "next/0");
  const auto started = clusters_->Start(kAlice, "broken");
  EXPECT_EQ(started.error().code(), Code::kCorrupt);
  EXPECT_NE(started.error().message().find(file), std::string::npos);
  EXPECT_EQ(ViewOf("broken").condition, NodeCondition::kBreakdown);
  EXPECT_EQ(::kill(pid, 0), 0);
  Close();
  ASSERT_TRUE(WriteFileDurably(file, content).ok());
  Open();
  ASSERT_TRUE(clusters_->Start(kAlice, "broken").ok());
  EXPECT_EQ(ViewOf("broken").init_pid, pid);
}

TEST_F(ClustersTest, ACancelledSavePublishesNothingAndTheNodeRunsOn) {
  ASSERT_TRUE(Create(kAlice, "w", 1).ok());
  CancelToken cancel;
  images_->in_second_round = [&] { cancel.Cancel(); };
  const auto saved =
      Save("w/0", cancel);
  ASSERT_FALSE(saved.ok());
  EXPECT_EQ(saved.error().code(), Code::kCancelled);
  EXPECT_EQ(Run(kAlice, "w/0", {"hostname"}), "w-0\n");
}

TEST_F(ClustersTest, ASaveFreezesTheNodeOnlyForTheSecondRoundAndThawsItWhenThatFails) {
  ASSERT_TRUE(Create(kAlice, "w", 1).ok());
  const std::string state_path =
      "/sys/fs/cgroup/freezer/lxc.payload.s" + config_.host.instance + "-1-0/freezer.state";
  std::string during;
  images_->in_second_round = [&] { during = ReadFile(state_path).value(); };
  const auto saved =
      Save("w/0");
  ASSERT_TRUE(saved.ok()) << saved.error().message();
  EXPECT_EQ(during, "FROZEN\n");
  EXPECT_EQ(ReadFile(state_path).value(), "THAWED\n");
  EXPECT_GT(saved->stall.count(), 0);
  images_->second_round_fails = true;
  EXPECT_FALSE(
      Save("w/0").ok());
  EXPECT_EQ(ReadFile(state_path).value(), "THAWED\n");
}

TEST_F(ClustersTest, ASavePassesOnWhatToDoWithSecretsAndWhatBecameOfThem) {
  ASSERT_TRUE(Create(kAlice, "w", 1).ok());
  const auto saved = Save("w/0", {}, imaged::ScrubMode::kAlways);
  ASSERT_TRUE(saved.ok()) << saved.error().message();
  EXPECT_EQ(images_->saved_scrub, imaged::ScrubMode::kAlways);
  ASSERT_EQ(saved->image.scrubbed.size(), 1u);
  EXPECT_EQ(saved->image.scrubbed[0].path, "root/.netrc");
}

TEST_F(ClustersTest, ExecPassesInputAndSeparatesTheOutputs) {
  ASSERT_TRUE(Create(kAlice, "io", 1).ok());
  ExecParameters parameters;
  parameters.argv = {"sh", "-c", "cat; echo bad >&2; exit 3"};
  Collector collector;
  auto session = ExecSession::Start(host_->nodes().life(), FindForExec(kAlice, "io/0").value(),
                                    parameters, {}, collector);
  ASSERT_TRUE(session.ok()) << session.error().message();
  (*session)->Input("hello");
  (*session)->EndInput();
  collector.Wait();
  EXPECT_EQ(collector.out, "hello");
  EXPECT_EQ(collector.err, "bad\n");
  EXPECT_EQ(collector.code, 3);
}

TEST_F(ClustersTest, ExecEndsWithItsCommandEvenWhenABackgroundProgramKeepsTheOutputOpen) {
  ASSERT_TRUE(Create(kAlice, "bg", 1).ok());
  EXPECT_EQ(Run(kAlice, "bg/0", {"sh", "-c", "sleep 1000 & echo started"}), "started\n");
}

TEST_F(ClustersTest, TwentyNodesStartInParallel) {
  const auto start = std::chrono::steady_clock::now();
  const auto view = Create(kAlice, "many", 20);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(view.ok()) << view.error().message();
  double pss_kib = 0;
  for (const NodeView& node : view->nodes) {
    const pid_t monitor = ReadProcessStat(node.init_pid)->parent;
    for (const pid_t pid : {node.init_pid, monitor}) {
      const std::string rollup = ReadFile("/proc/" + std::to_string(pid) + "/smaps_rollup").value();
      pss_kib += std::stod(rollup.substr(rollup.find("\nPss:") + 5));
    }
  }
  std::printf("20 nodes: %.3f s until all run, %.0f KiB of PSS each\n", took.count(), pss_kib / 20);
  EXPECT_LE(pss_kib / 20, 1024);
}

constexpr uint64_t kMiB = 1u << 20;

std::string WriteMebibytes(int count, const std::string& path = "/filled") {
  return "dd if=/dev/zero bs=1M count=" + std::to_string(count) + " of=" + path + " 2>&1";
}

class ClustersWithDisks : public ClustersTest,
                          public ::testing::WithParamInterface<layerfs::Driver> {
 protected:
  std::string Sh(const std::string& node, const std::string& command) {
    return Run(kAlice, node, {"sh", "-c", command});
  }
  bool Mentions(const std::string& text) {
    return ReadFile("/proc/self/mountinfo")->find(text) != std::string::npos;
  }
};
std::string NameOfDriver(const ::testing::TestParamInfo<layerfs::Driver>& tested) {
  return std::string(layerfs::DriverName(tested.param));
}
INSTANTIATE_TEST_SUITE_P(, ClustersWithDisks,
                         ::testing::Values(layerfs::Driver::kKernel, layerfs::Driver::kFuse),
                         NameOfDriver);

TEST_P(ClustersWithDisks, AFullNodeGetsTheErrorItsNeighbourDoesNotAndGrowthIsOnline) {
  const auto made = Create(kAlice, "q", 2, 32 * kMiB, GetParam());
  ASSERT_TRUE(made.ok()) << made.error().message();
  EXPECT_EQ(made->nodes[0].disk_limit_bytes, 32 * kMiB);
  EXPECT_NE(Sh("q/0", WriteMebibytes(60)).find("No space left"), std::string::npos);
  EXPECT_TRUE(Sh("q/1", WriteMebibytes(20) + " && echo fits").ends_with("fits\n"));
  EXPECT_GT(ViewOf("q").upper_bytes, 28 * kMiB);
  const auto shrunk = clusters_->Resize(kAlice, "q/0", 20 * kMiB);
  EXPECT_EQ(shrunk.error().code(), Code::kFailedPrecondition);
  const auto grown = clusters_->Resize(kAlice, "q/0", 128 * kMiB);
  ASSERT_TRUE(grown.ok()) << grown.error().message();
  EXPECT_EQ(grown->nodes[0].disk_limit_bytes, 128 * kMiB);
  EXPECT_EQ(grown->nodes[1].disk_limit_bytes, 32 * kMiB);
  EXPECT_TRUE(Sh("q/0", WriteMebibytes(60) + " && echo fits").ends_with("fits\n"));
}

TEST_P(ClustersWithDisks, AVolumeFollowsItsNodesLife) {
  ASSERT_TRUE(Create(kAlice, "v", 1, 32 * kMiB, GetParam()).ok());
  EXPECT_EQ(Sh("v/0", "echo kept > /file"), "");
  Open();  // The daemon is restarted; the node runs on.
  EXPECT_EQ(Sh("v/0", "cat /file"), "kept\n");
  ASSERT_TRUE(Save("v/0").ok());
  EXPECT_TRUE(PathExists(images_->saved_from + "/file")) << images_->saved_from;
  ASSERT_TRUE(clusters_->Stop(kAlice, "v", seconds(5)).ok());
  EXPECT_FALSE(Mentions(dir_->path() + "/run/volumes/loop/"));
  images_->in_second_round = [&] { EXPECT_TRUE(PathExists(images_->saved_from + "/file")); };
  ASSERT_TRUE(Save("v/0").ok());
  EXPECT_FALSE(Mentions(dir_->path() + "/run/volumes/loop/"));
  ASSERT_TRUE(clusters_->Resize(kAlice, "v", 64 * kMiB).ok());
  EXPECT_EQ(ViewOf("v").disk_limit_bytes, 64 * kMiB);
  ASSERT_TRUE(clusters_->Start(kAlice, "v").ok());
  EXPECT_EQ(Sh("v/0", "cat /file"), "kept\n");
  EXPECT_NE(Sh("v/0", WriteMebibytes(100)).find("No space left"), std::string::npos);
  const auto clones = clusters_->Clone(kAlice, {"v", 2, "", ""}, Ignore, CancelToken());
  ASSERT_TRUE(clones.ok()) << clones.error().message();
  EXPECT_NE(Sh("v-2/0", WriteMebibytes(100)).find("No space left"), std::string::npos);
}

TEST_P(ClustersWithDisks, ALostImageIsNamedAndNotReplaced) {
  ASSERT_TRUE(Create(kAlice, "l", 1, 32 * kMiB, GetParam()).ok());
  ASSERT_TRUE(clusters_->Stop(kAlice, "l", seconds(5)).ok());
  const std::string image = config_.state_dir + "/vclusterd/volumes/loop/1-0.ext4";
  ASSERT_EQ(::unlink(image.c_str()), 0);
  const auto started = clusters_->Start(kAlice, "l");
  ASSERT_FALSE(started.ok());
  EXPECT_NE(started.error().message().find(image), std::string::npos) << started.error().message();
  EXPECT_EQ(ViewOf("l").condition, NodeCondition::kBreakdown);
}

TEST_F(ClustersTest, ANodeWithoutALimitGetsNoneLater) {
  ASSERT_TRUE(Create(kAlice, "n", 1).ok());
  EXPECT_EQ(clusters_->Resize(kAlice, "n", 32 * kMiB).error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(clusters_->Resize(kBob, "n", 32 * kMiB).error().code(), Code::kNotFound);
  EXPECT_EQ(Create(kAlice, "tiny", 1, kMiB).error().code(), Code::kInvalidArgument);
}

TEST_F(ClustersTest, VolumesThatBelongToNobodyAreRemoved) {
  ASSERT_TRUE(Create(kAlice, "o", 1, 32 * kMiB).ok());
  const std::string volumes = config_.state_dir + "/vclusterd/volumes/loop/";
  ASSERT_TRUE(RunChecked({"cp", volumes + "1-0.ext4", volumes + "77-0.ext4"}).ok());
  ASSERT_TRUE(MakeDirectories(config_.state_dir + "/vclusterd/nodes/78-0/upper").ok());
  Open();
  EXPECT_FALSE(PathExists(volumes + "77-0.ext4"));
  EXPECT_TRUE(PathExists(volumes + "1-0.ext4"));
  EXPECT_FALSE(PathExists(config_.state_dir + "/vclusterd/nodes/78-0"));
}

TEST_F(ClustersTest, TheFirstStartOfAnImageIsWatchedAndToldOnce) {
  config_.record_starts = milliseconds(2000);
  images_->start_unknown = true;
  Open();
  const auto created = Create(kAlice, "watched", 2);
  ASSERT_TRUE(created.ok()) << created.error().message();
  Run(kAlice, "watched/0", {"/bin/busybox", "true"});
  Run(kAlice, "watched/1", {"/bin/busybox", "true"});
  const auto [lease, paths] = images_->AwaitRecordedStart();
  EXPECT_TRUE(lease.starts_with("node/")) << lease;
  // vinit comes from the host; what it runs is the image's.
  EXPECT_NE(std::find(paths.begin(), paths.end(), "/bin/busybox"), paths.end())
      << testing::PrintToString(paths);
}

}  // namespace
}  // namespace strata::vcluster
