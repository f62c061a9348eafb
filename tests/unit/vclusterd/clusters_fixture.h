// ClustersTest: whole Vclusters on the real kernel: real containers on real layerfs roots, real
// bridges. Only imaged is a fake. What is left behind at the end fails the test.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
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
#include "tests/unit/vclusterd/test_users.h"
#include "vclusterd/host/exec_session.h"
#include "vclusterd/host/part_store.h"
#include "vclusterd/master/single_host.h"
#include "vclusterd/master/tables.h"
#include "vclusterd/master/upgrade.h"
#include "vclusterd/runtime/cgroups.h"
#include "vclusterd/runtime/ssh_keys.h"

namespace strata::vcluster {
using std::chrono::milliseconds;
using std::chrono::seconds;

inline void Ignore(const std::string&, uint32_t, uint32_t) {}

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
    config_.host.command = std::string(STRATA_BIN_DIR) + "/strata-in-node";
    config_.host.unified_cgroups = HasUnifiedCgroups();
    config_.pool = net::Ipv4Prefix::Parse("10.214.0.0/16").value();
    config_.pool6 = net::Pool6For(dir_->path());
    config_.id_first = 3'000'000;
    config_.volumes = layerfs::VolumeKind::kLoop;
    config_.layerfs_binary = std::string(STRATA_BIN_DIR) + "/layerfs";
    config_.shared_dir = config_.state_dir + "/vclusterd/shared";
    ASSERT_TRUE(MakeDirectories(config_.shared_dir).ok());
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
    users_.reset();
    store_.reset();
  }

  void Open() {
    Close();
    auto store = OpenDesiredState(config_.state_dir);
    ASSERT_TRUE(store.ok()) << store.error().message();
    store_ = std::move(*store);
    users_ = std::make_unique<TestUsers>(*store_);
    auto opened = SingleHost::Open(config_, *images_, *store_, **users_);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    host_ = std::move(*opened);
    clusters_ = host_->clusters().get();
  }

  std::vector<std::string> Entries(const std::string& path) {
    const std::string text = RunChecked({"ls", "-A", path}).value();
    return text.empty() ? std::vector<std::string>() : std::vector<std::string>{text};
  }

  void ExpectNothingLeft() {
    EXPECT_EQ(images_->leases(), std::set<std::string>());
    for (const char* part :
         {"/state/vclusterd/nodes", "/state/vclusterd/parts", "/state/vclusterd/tasks",
          "/state/vclusterd/shared/vclusters", "/run/nodes", "/run/volumes/loop"}) {
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

  Result<ClusterView> Create(const Caller& owner, const std::string& name, uint32_t nodes,
                             uint64_t disk_bytes = 0,
                             layerfs::Driver driver = layerfs::Driver::kKernel) {
    Limits limits;
    limits.disk_bytes = disk_bytes;
    return clusters_->Create(owner, PlainDefinition(name, "tiny", nodes, limits),
                             std::string(layerfs::DriverName(driver)), Ignore, CancelToken());
  }

  Result<SaveNodeResult> Save(const std::string& node, const CancelToken& cancel = {},
                              imaged::ScrubMode scrub = imaged::ScrubMode::kDefault) {
    ASSIGN_OR_RETURN(const NodePlace place,
                     clusters_->FindNode(kAlice, Operation::kVclusterSave, node));
    SaveNodeParameters parameters;
    parameters.on_behalf_of_uid = kAlice.uid;
    parameters.reference = "saved";
    parameters.scrub = scrub;
    return host_->nodes().Save(place.number, place.index, parameters, Ignore, cancel);
  }

  Result<std::unique_ptr<RunningCommand>> StartCommand(const Caller& caller,
                                                       const std::string& node,
                                                       std::vector<std::string> argv,
                                                       Collector& collector) {
    ASSIGN_OR_RETURN(const NodePlace place,
                     clusters_->FindNode(caller, Operation::kVclusterExec, node));
    ExecParameters parameters;
    parameters.argv = std::move(argv);
    return host_->nodes().Exec(place.number, place.index, parameters, {}, collector);
  }

  std::string Run(const Caller& caller, const std::string& node, std::vector<std::string> argv) {
    Collector collector;
    auto command = StartCommand(caller, node, std::move(argv), collector);
    if (!command.ok()) return command.error().message();
    (*command)->EndInput();
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
    while (true) {
      const NodeView node = ViewOf(name);
      if (node.ready && node.init_pid != 0 && node.init_pid != before) return;
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << node.problem;
      std::this_thread::yield();
    }
  }

  NodeView ViewOf(const std::string& name, size_t node = 0) {
    return clusters_->List(kRoot, name).value()[0].nodes[node];
  }

  std::unique_ptr<TemporaryDirectory> dir_;
  std::unique_ptr<FakeHostImageClient> images_;
  HostConfig config_;
  std::unique_ptr<records::RecordStore> store_;
  std::unique_ptr<TestUsers> users_;
  std::unique_ptr<SingleHost> host_;
  Clusters* clusters_ = nullptr;
  std::vector<UniqueFd> killed_;
};

}  // namespace strata::vcluster
