// Whole Vclusters on the real kernel: real containers on real layerfs roots, real bridges. Only
// imaged is a fake.
#include "vclusterd/service/clusters.h"

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
#include "vclusterd/runtime/cgroups.h"
#include "vclusterd/service/exec_session.h"

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
    clusters_.reset();
    EXPECT_EQ(ReadFile("/proc/self/mountinfo")->find(dir_->path()), std::string::npos);
  }

  void Open() {
    clusters_.reset();
    auto opened = Clusters::Open(config_, *images_);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    clusters_ = std::move(*opened);
  }

  std::vector<std::string> Entries(const std::string& path) {
    const std::string text = RunChecked({"ls", "-A", path}).value();
    return text.empty() ? std::vector<std::string>() : std::vector<std::string>{text};
  }

  void ExpectNothingLeft() {
    EXPECT_EQ(images_->leases(), std::set<std::string>());
    for (const char* part : {"/state/vclusterd/nodes", "/state/vclusterd/clusters", "/run/nodes",
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
    CreateParameters parameters;
    parameters.disk_bytes = disk_bytes;
    parameters.driver = driver;
    parameters.name = name;
    parameters.image = "tiny";
    parameters.nodes = nodes;
    return clusters_->Create(owner, parameters, Ignore, CancelToken());
  }

  std::string Run(uid_t caller, const std::string& node, std::vector<std::string> argv) {
    const auto target = clusters_->FindForExec(caller, node);
    if (!target.ok()) return target.error().message();
    ExecParameters parameters;
    parameters.argv = std::move(argv);
    Collector collector;
    auto session = ExecSession::Start(*clusters_, *target, parameters, {}, collector);
    if (!session.ok()) return session.error().message();
    (*session)->EndInput();
    collector.Wait();
    return collector.out + collector.err;
  }

  NodeView ViewOf(const std::string& name, size_t node = 0) {
    return clusters_->List(0, name).value()[0].nodes[node];
  }

  std::unique_ptr<TemporaryDirectory> dir_;
  std::unique_ptr<FakeHostImageClient> images_;
  ClustersConfig config_;
  std::unique_ptr<Clusters> clusters_;
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
  EXPECT_EQ(clusters_->FindForExec(kBob, "64001/mine/0").error().code(), Code::kNotFound);
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
  ASSERT_TRUE(Create(kAlice, "die", 1).ok());
  EXPECT_EQ(Run(kAlice, "die/0", {"sh", "-c", "echo kept > /file"}), "");
  const pid_t pid = ViewOf("die").init_pid;
  const UniqueFd init = OpenProcess(IdentifyProcess(pid).value()).value();
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  while (ViewOf("die").condition == NodeCondition::kRunning) std::this_thread::yield();
  EXPECT_EQ(ViewOf("die").condition, NodeCondition::kBreakdown);
  EXPECT_NE(ViewOf("die").problem, "");
  Open();
  EXPECT_EQ(ViewOf("die").condition, NodeCondition::kBreakdown);
  const auto started = clusters_->Start(kAlice, "die");
  ASSERT_TRUE(started.ok()) << started.error().message();
  EXPECT_EQ(Run(kAlice, "die/0", {"cat", "/file"}), "kept\n");
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
  CreateParameters parameters{"gone", "tiny", 4, {}, {}};
  const auto view = clusters_->Create(kAlice, parameters, Ignore, cancel);
  ASSERT_FALSE(view.ok());
  EXPECT_EQ(view.error().code(), Code::kCancelled);
  ExpectNothingLeft();
}

TEST_F(ClustersTest, AnUnknownImageIsNamedAndNothingIsLeft) {
  CreateParameters parameters{"x", "no-such-image", 2, {}, {}};
  const auto view = clusters_->Create(kAlice, parameters, Ignore, CancelToken());
  ASSERT_FALSE(view.ok());
  EXPECT_NE(view.error().message().find("no-such-image"), std::string::npos);
  ExpectNothingLeft();
}

class InterruptedTest : public ClustersTest, public ::testing::WithParamInterface<Phase> {};
INSTANTIATE_TEST_SUITE_P(Phases, InterruptedTest,
                         ::testing::Values(Phase::kCreating, Phase::kDeleting));

TEST_P(InterruptedTest, WhatAnInterruptedCreateOrDeleteLeftIsRemovedAtTheNextStart) {
  ASSERT_TRUE(Create(kAlice, "half", 2).ok());
  ASSERT_TRUE(Create(kAlice, "whole", 1).ok());
  const std::string file = config_.state_dir + "/vclusterd/clusters/1.json";
  clusters_.reset();
  ClusterState state = ParseCluster(ReadFile(file).value()).value();
  state.phase = GetParam();
  ASSERT_TRUE(WriteFileDurably(file, FormatCluster(state)).ok());
  Open();
  ASSERT_EQ(clusters_->List(0, "")->size(), 1u);
  EXPECT_EQ(images_->leases(), std::set<std::string>{"node/2-0"});
  EXPECT_EQ(ViewOf("whole").condition, NodeCondition::kRunning);
}

TEST_F(ClustersTest, ANodeWithoutAVclusterIsRemovedAtTheNextStart) {
  ASSERT_TRUE(Create(kAlice, "lost", 1).ok());
  clusters_.reset();
  ASSERT_EQ(::unlink((config_.state_dir + "/vclusterd/clusters/1.json").c_str()), 0);
  ASSERT_TRUE(images_->ReleaseRoot("node/1-0").ok());
  Open();
  ExpectNothingLeft();
}

TEST_F(ClustersTest, AFileThatCannotBeReadIsLeftAloneAndItsNodesRunOn) {
  ASSERT_TRUE(Create(kAlice, "broken", 1).ok());
  const pid_t pid = ViewOf("broken").init_pid;
  const std::string file = config_.state_dir + "/vclusterd/clusters/1.json";
  const std::string content = ReadFile(file).value();
  clusters_.reset();
  ASSERT_TRUE(WriteFileDurably(file, content.substr(0, content.size() / 2)).ok());
  Open();
  EXPECT_EQ(clusters_->List(0, "")->size(), 0u);
  EXPECT_EQ(::kill(pid, 0), 0);
  EXPECT_EQ(Create(kAlice, "next", 1)->nodes[0].name, "next/0");
  clusters_.reset();
  ASSERT_TRUE(WriteFileDurably(file, content).ok());
  Open();
  EXPECT_EQ(ViewOf("broken").init_pid, pid);
}

TEST_F(ClustersTest, ACancelledSavePublishesNothingAndTheNodeRunsOn) {
  ASSERT_TRUE(Create(kAlice, "w", 1).ok());
  CancelToken cancel;
  images_->in_second_round = [&] { cancel.Cancel(); };
  const auto saved =
      clusters_->Save(kAlice, {"w/0", "saved", "", false, false, ""}, Ignore, cancel);
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
      clusters_->Save(kAlice, {"w/0", "saved", "", false, false, ""}, Ignore, CancelToken());
  ASSERT_TRUE(saved.ok()) << saved.error().message();
  EXPECT_EQ(during, "FROZEN\n");
  EXPECT_EQ(ReadFile(state_path).value(), "THAWED\n");
  EXPECT_GT(saved->stall.count(), 0);
  images_->second_round_fails = true;
  EXPECT_FALSE(
      clusters_->Save(kAlice, {"w/0", "saved", "", false, false, ""}, Ignore, CancelToken()).ok());
  EXPECT_EQ(ReadFile(state_path).value(), "THAWED\n");
}

TEST_F(ClustersTest, ASavePassesOnWhatToDoWithSecretsAndWhatBecameOfThem) {
  ASSERT_TRUE(Create(kAlice, "w", 1).ok());
  SaveNodeParameters parameters{"w/0", "saved", "", false, false, ""};
  parameters.scrub = imaged::ScrubMode::kAlways;
  const auto saved = clusters_->Save(kAlice, parameters, Ignore, {});
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
  auto session = ExecSession::Start(*clusters_, clusters_->FindForExec(kAlice, "io/0").value(),
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
  ASSERT_TRUE(clusters_->Save(kAlice, {"v/0", "saved", "", false, false, ""}, Ignore, {}).ok());
  EXPECT_TRUE(PathExists(images_->saved_from + "/file")) << images_->saved_from;
  ASSERT_TRUE(clusters_->Stop(kAlice, "v", seconds(5)).ok());
  EXPECT_FALSE(Mentions(dir_->path() + "/run/volumes/loop/"));
  images_->in_second_round = [&] { EXPECT_TRUE(PathExists(images_->saved_from + "/file")); };
  ASSERT_TRUE(clusters_->Save(kAlice, {"v/0", "saved", "", false, false, ""}, Ignore, {}).ok());
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
