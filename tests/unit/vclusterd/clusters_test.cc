// Users' operations on whole Vclusters, crashes, disks.
#include "tests/unit/vclusterd/clusters_fixture.h"

namespace strata::vcluster {
namespace {

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

TEST_F(ClustersTest, NodesReachEachOtherByIpv6AndNotThoseOfOtherVclusters) {
  ASSERT_TRUE(Create(kAlice, "hpc", 2).ok());
  ASSERT_TRUE(Create(kBob, "b", 1).ok());
  const auto address_of = [&](const std::string& hostname) {
    const std::string awk = "awk '$2 == \"" + hostname + "\" && /:/ {print $1}' /etc/hosts";
    const bool bobs = hostname == "b-0";
    std::string text = Run(bobs ? kBob : kAlice, bobs ? "b/0" : "hpc/0", {"sh", "-c", awk});
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
  };
  EXPECT_TRUE(config_.pool6->Contains(net::IpAddress::Parse(address_of("hpc-1")).value()));
  const std::string near = Run(kAlice, "hpc/0", {"ping", "-c1", "-W5", address_of("hpc-1")});
  EXPECT_NE(near.find("1 packets received"), std::string::npos) << near;
  const std::string other = Run(kAlice, "hpc/0", {"ping", "-c1", "-W1", address_of("b-0")});
  EXPECT_NE(other.find(" 0 packets received"), std::string::npos) << other;
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
  EXPECT_EQ(clusters_->FindNode(kBob, Operation::kVclusterExec, "64001/mine/0").error().code(),
            Code::kNotFound);
  EXPECT_EQ(clusters_->List(kRoot, "64001/mine")->size(), 1u);
  EXPECT_EQ(Create(kAlice, "mine", 1).error().code(), Code::kAlreadyExists);
  EXPECT_TRUE(Create(kBob, "mine", 1).ok());
  EXPECT_EQ(clusters_->List(kRoot, "mine").error().code(), Code::kInvalidArgument);
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
  EXPECT_EQ(clusters_->List(kRoot, "")->size(), 1u);
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
  while (clusters_->List(kRoot, "")->size() != 1) std::this_thread::yield();
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

// A file as vclusterd wrote it before there were masters.
std::string OldFile(const host::v1::LocalNode& local, const master::v1::Vcluster& record) {
  const std::string number = std::to_string(record.number());
  return R"({"version": 1, "number": )" + number + R"(, "name": "old", "owner_uid": 64001,
 "phase": "ready", "subnet": ")" +
         record.subnet() + R"(", "id_first": 3000000,
 "created_unix_ms": 5, "cloned_from": "", "cpus": 0.0, "memory_bytes": 0, "processes": 0,
 "ssh_login_seed": ")" +
         ToHex(record.ssh_login_seed()) + R"(",
 "ssh_host_seed": ")" +
         ToHex(record.ssh_host_seed()) + R"(", "nodes": [{
  "image": "root/tiny:latest", "image_digest": "blake3:fake", "tree_path": ")" +
         local.tree_path() + R"(", "objects_dir": ")" + local.objects_dir() + R"(",
  "command": [], "env": [], "machine_id": ")" +
         record.nodes(0).machine_id() + R"(",
  "driver": "kernel", "wanted": true, "volume": "none", "disk_bytes": 0}]})";
}

TEST_F(ClustersTest, WhatAnEarlierVersionLeftIsTakenOverWhileItRuns) {
  ASSERT_TRUE(Create(kAlice, "old", 1).ok());
  EXPECT_EQ(Run(kAlice, "old/0", {"sh", "-c", "echo kept > /file"}), "");
  const pid_t pid = ViewOf("old").init_pid;
  const std::string value = store_->Get(kVclustersTable, VclusterKey(1)).value().value();
  const master::v1::Vcluster record = ParseVcluster(value).value()->record;
  ASSERT_TRUE(store_->Delete(kVclustersTable, VclusterKey(1)).ok());
  Close();
  const std::string part = config_.state_dir + "/vclusterd/parts/1.json";
  const host::v1::HostPart file = ParseHostPart(ReadFile(part).value()).value();
  ASSERT_EQ(::unlink(part.c_str()), 0);
  const std::string old_dir = config_.state_dir + "/vclusterd/clusters";
  ASSERT_TRUE(MakeDirectories(old_dir).ok());
  ASSERT_TRUE(WriteFileDurably(old_dir + "/1.json", OldFile(file.nodes(0), record)).ok());
  {
    const auto store = OpenDesiredState(config_.state_dir).value();
    const Status upgraded = UpgradeState(config_.state_dir, *store);
    ASSERT_TRUE(upgraded.ok()) << upgraded.error().message();
  }
  EXPECT_FALSE(PathExists(old_dir + "/1.json"));
  Open();
  ASSERT_TRUE(clusters_->Start(kAlice, "old").ok());
  EXPECT_EQ(ViewOf("old").init_pid, pid);
  EXPECT_EQ(Run(kAlice, "old/0", {"cat", "/file"}), "kept\n");
  EXPECT_EQ(Create(kAlice, "new", 1)->nodes[0].name, "new/0");
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
  const auto saved = Save("w/0", cancel);
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
  const auto saved = Save("w/0");
  ASSERT_TRUE(saved.ok()) << saved.error().message();
  EXPECT_EQ(during, "FROZEN\n");
  EXPECT_EQ(ReadFile(state_path).value(), "THAWED\n");
  EXPECT_GT(saved->stall.count(), 0);
  images_->second_round_fails = true;
  EXPECT_FALSE(Save("w/0").ok());
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
  Collector collector;
  auto command = StartCommand(kAlice, "io/0", {"sh", "-c", "cat; echo bad >&2; exit 3"}, collector);
  ASSERT_TRUE(command.ok()) << command.error().message();
  (*command)->Input("hello");
  (*command)->EndInput();
  collector.Wait();
  EXPECT_EQ(collector.out, "hello");
  EXPECT_EQ(collector.err, "bad\n");
  EXPECT_EQ(collector.code, 3);
}

TEST_F(ClustersTest, ExecEndsWithItsCommandEvenWhenABackgroundProgramKeepsTheOutputOpen) {
  ASSERT_TRUE(Create(kAlice, "bg", 1).ok());
  EXPECT_EQ(Run(kAlice, "bg/0", {"sh", "-c", "sleep 1000 & echo started"}), "started\n");
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr double kNodePssKibMax = 4096;  // With the sanitizer's own.
#else
constexpr double kNodePssKibMax = 1024;
#endif

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
  EXPECT_LE(pss_kib / 20, kNodePssKibMax);
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
