// What a host does with several orders at once, without a master.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "common/file_io.h"
#include "tests/unit/vclusterd/clusters_fixture.h"

namespace strata::vcluster {
namespace {

using host::v1::Part;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class HostOrdersTest : public ClustersTest {
 protected:
  Result<std::unique_ptr<HostNodes>> OpenNodes() {
    return HostNodes::Open(config_, *images_, [this](const host::v1::PartStatus& status) {
      const std::lock_guard lock(mutex_);
      told_[status.number()] = status;
      for (const auto& node : status.nodes()) states_.insert(node.state());
      changed_.notify_all();
    });
  }
  bool AwaitState(uint32_t number, host::v1::NodeState state) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, seconds(20), [&] {
      const auto found = told_.find(number);
      return found != told_.end() && found->second.nodes_size() == 1 &&
             found->second.nodes(0).state() == state;
    });
  }
  bool AwaitUsage(uint32_t number) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, seconds(20), [&] {
      const auto found = told_.find(number);
      return found != told_.end() && found->second.nodes_size() == 1 &&
             found->second.nodes(0).has_usage();
    });
  }
  // To run one node each.
  std::vector<Part> Orders(const std::vector<uint32_t>& numbers) {
    std::vector<Part> orders;
    for (const uint32_t number : numbers) {
      const std::string net = "10.214." + std::to_string(number);
      Part& part = orders.emplace_back();
      part.set_number(number);
      part.set_revision(1);
      part.set_cluster("c" + std::to_string(number));
      part.set_owner_uid(kAlice.uid);
      part.set_subnet(net + ".0/24");
      part.set_ssh_login_seed(std::string(kSshSeedSize, 'l'));
      part.set_ssh_host_seed(std::string(kSshSeedSize, 'h'));
      host::v1::NodeOrder& node = *part.add_nodes();
      node.set_image("tiny");
      node.set_intent(host::v1::RUN);
      node.set_machine_id(std::string(32, 'a'));
      node.set_hostname("c" + std::to_string(number) + "-0");
      node.set_address(net + ".2");
    }
    return orders;
  }

  std::mutex mutex_;  // Guards what follows.
  std::condition_variable changed_;
  std::map<uint32_t, host::v1::PartStatus> told_;
  std::set<host::v1::NodeState> states_;  // All that were told.
};

// What work on the network reads first, as a pipe that holds the reader up while it is shut; in a
// mount namespace that the calling thread gets for itself.
class ShutNetwork {
 public:
  explicit ShutNetwork(const std::string& dir) : gate_(dir + "/gate") {
    EXPECT_EQ(::unshare(CLONE_NEWNS), 0);
    EXPECT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    EXPECT_EQ(::mkfifo(gate_.c_str(), 0600), 0);
  }
  void Shut() { EXPECT_EQ(::mount(gate_.c_str(), kForwarding, nullptr, MS_BIND, nullptr), 0); }
  // Somebody is held up.
  void AwaitReader() {
    while (!writer_.valid())
      writer_.reset(::open(gate_.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  }
  void Open() {
    AwaitReader();
    EXPECT_EQ(::umount2(kForwarding, MNT_DETACH), 0);
    EXPECT_TRUE(WriteAll(writer_.get(), "1\n").ok());
    writer_.reset();
  }

 private:
  static constexpr char kForwarding[] = "/proc/sys/net/ipv4/ip_forward";
  const std::string gate_;
  UniqueFd writer_;
};

TEST_F(HostOrdersTest, NodesAreMadeWhileTheNetworkIsAndStartedAfterIt) {
  Close();
  std::thread([&] {
    ShutNetwork network(dir_->path());
    auto nodes = OpenNodes();
    ASSERT_TRUE(nodes.ok()) << nodes.error().message();
    network.Shut();
    Status applied = Ok();
    std::jthread order([&] {
      const auto result = (*nodes)->Apply(Orders({5}));
      if (!result.ok()) applied = result.error();
    });
    const auto end = std::chrono::steady_clock::now() + milliseconds(500);
    while (std::chrono::steady_clock::now() < end) std::this_thread::yield();
    EXPECT_EQ(images_->leases().size(), 1u) << "it waited for the network";
    {
      const std::lock_guard lock(mutex_);
      EXPECT_FALSE(states_.contains(host::v1::READY));
      EXPECT_FALSE(states_.contains(host::v1::BREAKDOWN));
    }
    network.Open();
    order.join();
    EXPECT_TRUE(applied.ok()) << applied.error().message();
    EXPECT_TRUE(AwaitState(5, host::v1::READY));
    ASSERT_TRUE((*nodes)->RemoveAll(false).ok());
  }).join();
  Open();
}

TEST_F(HostOrdersTest, ARestartThatIsDueWhileAnOrderFailsIsNotForgotten) {
  Close();
  const auto pause = std::exchange(config_.restart_pause, milliseconds(20));
  std::thread([&] {
    ShutNetwork network(dir_->path());
    auto nodes = OpenNodes();
    ASSERT_TRUE(nodes.ok()) << nodes.error().message();
    auto orders = Orders({5});
    orders[0].mutable_nodes(0)->set_restart(host::v1::ALWAYS);
    ASSERT_TRUE((*nodes)->Apply(orders).ok());
    ASSERT_TRUE(AwaitState(5, host::v1::READY));
    const std::string in_the_way = config_.state_dir + "/vclusterd/parts/5.json";
    ASSERT_EQ(::unlink(in_the_way.c_str()), 0);
    ASSERT_TRUE(MakeDirectories(in_the_way).ok());
    network.Shut();
    orders[0].set_revision(2);
    std::jthread order([&] {
      const auto applied = (*nodes)->Apply(orders);
      EXPECT_TRUE(applied.ok() && !applied->at(0).problem().empty());
    });
    network.AwaitReader();  // The order is taken.
    pid_t init = 0;
    {
      const std::lock_guard lock(mutex_);
      init = static_cast<pid_t>(told_[5].nodes(0).init_pid());
    }
    ASSERT_GT(init, 0);
    ASSERT_EQ(::kill(init, SIGKILL), 0);
    EXPECT_TRUE(AwaitState(5, host::v1::BREAKDOWN));
    const auto end = std::chrono::steady_clock::now() + 10 * config_.restart_pause;
    while (std::chrono::steady_clock::now() < end) std::this_thread::yield();
    network.Open();
    order.join();
    ASSERT_EQ(::rmdir(in_the_way.c_str()), 0);
    EXPECT_TRUE(AwaitState(5, host::v1::READY));
    ASSERT_TRUE((*nodes)->RemoveAll(false).ok());
  }).join();
  config_.restart_pause = pause;
  Open();
}

TEST_F(HostOrdersTest, TheHostAndItsNodesAreMeasuredAndThatIsKept) {
  Close();
  const auto every = std::exchange(config_.usage_every, milliseconds(20));
  auto nodes = OpenNodes();
  ASSERT_TRUE(nodes.ok()) << nodes.error().message();
  auto orders = Orders({5});
  orders[0].set_owner("alice");
  orders[0].mutable_nodes(0)->set_name("worker-1");
  ASSERT_TRUE((*nodes)->Apply(orders).ok());
  ASSERT_TRUE(AwaitState(5, host::v1::READY));
  ASSERT_TRUE(AwaitUsage(5));
  const auto figures = (*nodes)->Figures();
  ASSERT_THAT(figures, SizeIs(1));
  EXPECT_EQ(figures[0].owner + "/" + figures[0].vcluster + "/" + figures[0].node,
            "alice/c5/worker-1");
  EXPECT_GT(figures[0].totals.cpu_s, 0);
  EXPECT_GT(figures[0].usage.memory_bytes(), 0u);
  const auto of_node = (*nodes)->History(5, 0);
  ASSERT_TRUE(of_node.ok() && of_node->points_size() >= 1);
  EXPECT_GT(of_node->points(0).usage().memory_bytes(), 0u);
  const auto of_host = (*nodes)->HostHistory();
  ASSERT_GE(of_host.points_size(), 1);
  EXPECT_GT(of_host.points(0).disk_free_bytes(), 0u);
  EXPECT_GT(of_host.points(0).usage().memory_bytes(), of_node->points(0).usage().memory_bytes());
  ASSERT_TRUE((*nodes)->Totals().has_value());
  EXPECT_GT((*nodes)->Totals()->cpu_s, figures[0].totals.cpu_s);
  ASSERT_TRUE((*nodes)->RemoveAll(false).ok());
  EXPECT_THAT((*nodes)->Figures(), SizeIs(0));
  EXPECT_EQ((*nodes)->History(5, 0).error().code(), Code::kNotFound);
  nodes->reset();
  config_.usage_every = every;
  Open();
}

TEST_F(HostOrdersTest, NodesOfTheSameImageGetTheirRootsTogether) {
  Close();
  auto nodes = OpenNodes();
  ASSERT_TRUE(nodes.ok()) << nodes.error().message();
  const size_t before = images_->asked().size();
  auto orders = Orders({5, 7, 9});
  orders[1].mutable_nodes(0)->set_image("root/tiny:latest");
  ASSERT_TRUE((*nodes)->Apply(orders).ok());
  for (const uint32_t number : {5, 7, 9}) EXPECT_TRUE(AwaitState(number, host::v1::READY));
  std::set<size_t> sizes;
  for (const auto& leases : images_->asked()) sizes.insert(leases.size());
  EXPECT_EQ(images_->asked().size() - before, 2u);
  EXPECT_TRUE(sizes.contains(2)) << "5 and 9 asked one by one";
  EXPECT_EQ(images_->leases().size(), 3u);
  ASSERT_TRUE((*nodes)->RemoveAll(false).ok());
  EXPECT_TRUE(images_->leases().empty());
  nodes->reset();
  Open();
}

TEST_F(HostOrdersTest, MoreNodesThanOneCallIsForGetTheirRootsBySeveral) {
  constexpr int kNodes = imaged::HostImageClient::kLeasesMax + 2;
  Close();
  auto nodes = OpenNodes();
  ASSERT_TRUE(nodes.ok()) << nodes.error().message();
  auto orders = Orders({5});
  orders[0].mutable_nodes(0)->set_intent(host::v1::HOLD);
  for (int i = 1; i < kNodes; ++i) {
    host::v1::NodeOrder& node = *orders[0].add_nodes();
    node = orders[0].nodes(0);
    node.set_index(i);
    node.set_hostname("c5-" + std::to_string(i));
    node.set_address("10.214.5." + std::to_string(2 + i));
  }
  ASSERT_TRUE((*nodes)->Apply(orders).ok());
  {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, seconds(60), [&] {
      const auto& made = told_[5].nodes();
      return std::count_if(made.begin(), made.end(), [](const host::v1::NodeStatus& node) {
               return node.state() == host::v1::STOPPED;
             }) == kNodes;
    }));
  }
  EXPECT_THAT(images_->asked(), UnorderedElementsAre(SizeIs(kNodes - 2), SizeIs(2)));
  ASSERT_TRUE((*nodes)->RemoveAll(false).ok());
  EXPECT_TRUE(images_->leases().empty());
  nodes->reset();
  Open();
}

TEST_F(HostOrdersTest, RootsOfAnImageThatIsNotWantedAnyMoreAreGivenBack) {
  Close();
  auto nodes = OpenNodes();
  ASSERT_TRUE(nodes.ok()) << nodes.error().message();
  auto orders = Orders({5, 7});
  auto changed = orders;
  for (Part& part : changed) {
    part.set_revision(2);
    part.mutable_nodes(0)->set_image("root/tiny:latest");
  }
  std::set<std::string> released;
  images_->on_release = [&](const std::string& lease) { released.insert(lease); };
  bool first = true;
  images_->on_acquire = [&] {
    if (!std::exchange(first, false)) return;
    EXPECT_TRUE((*nodes)->Apply(changed).ok());
  };
  ASSERT_TRUE((*nodes)->Apply(orders).ok());
  for (const uint32_t number : {5, 7}) EXPECT_TRUE(AwaitState(number, host::v1::READY));
  EXPECT_EQ(released, (std::set<std::string>{"node/5-0", "node/7-0"}));
  EXPECT_EQ(images_->leases().size(), 2u);
  images_->on_release = nullptr;
  images_->on_acquire = nullptr;
  ASSERT_TRUE((*nodes)->RemoveAll(false).ok());
  EXPECT_TRUE(images_->leases().empty());
  nodes->reset();
  Open();
}

TEST_F(HostOrdersTest, OneThatCannotGetItsRootHoldsNoneOfTheOthersUp) {
  Close();
  auto nodes = OpenNodes();
  ASSERT_TRUE(nodes.ok()) << nodes.error().message();
  images_->FailLease("node/7-0");
  auto orders = Orders({5, 7, 9});
  ASSERT_TRUE((*nodes)->Apply(orders).ok());
  EXPECT_TRUE(AwaitState(5, host::v1::READY));
  EXPECT_TRUE(AwaitState(9, host::v1::READY));
  EXPECT_TRUE(AwaitState(7, host::v1::BREAKDOWN));
  images_->FailLease("");
  ASSERT_TRUE((*nodes)->RemoveAll(false).ok());
  EXPECT_TRUE(images_->leases().empty());
  nodes->reset();
  Open();
}

TEST_F(HostOrdersTest, OneWhoseFileCannotBeWrittenHoldsNoOtherUpAndMayComeAgain) {
  Close();
  auto nodes = OpenNodes();
  ASSERT_TRUE(nodes.ok()) << nodes.error().message();
  const std::string in_the_way = config_.state_dir + "/vclusterd/parts/7.json";
  ASSERT_TRUE(MakeDirectories(in_the_way).ok());
  const auto orders = Orders({5, 7, 9});
  const auto applied = (*nodes)->Apply(orders);
  ASSERT_TRUE(applied.ok()) << applied.error().message();
  EXPECT_NE(applied->at(1).problem().find("7.json"), std::string::npos) << applied->at(1).problem();
  EXPECT_EQ(applied->at(0).problem() + applied->at(2).problem(), "");
  EXPECT_TRUE(AwaitState(5, host::v1::READY));
  EXPECT_TRUE(AwaitState(9, host::v1::READY));
  EXPECT_FALSE(PathExists(config_.host.NodeDir("7-0")));
  const Status removed = (*nodes)->RemoveAll(false);
  ASSERT_FALSE(removed.ok());
  EXPECT_NE(removed.error().message().find("7.json"), std::string::npos);
  ASSERT_EQ(::rmdir(in_the_way.c_str()), 0);
  const auto again = (*nodes)->Apply(orders);
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(again->at(1).problem(), "");
  EXPECT_TRUE(AwaitState(7, host::v1::READY));
  ASSERT_TRUE((*nodes)->RemoveAll(false).ok());
  nodes->reset();
  Open();
}

TEST_F(HostOrdersTest, OfOneGivenWhileTheNetworkCannotBeMadeNothingIsLost) {
  Close();
  config_.underlay = net::Ipv4::Parse("192.0.2.1").value();
  config_.vxlan_port = 14789;
  auto nodes = OpenNodes();
  ASSERT_TRUE(nodes.ok()) << nodes.error().message();
  auto orders = Orders({5});
  host::v1::Peer& peer = *orders[0].add_peers();
  peer.set_address("10.214.5.3");
  peer.set_host_address("240.0.0.1");
  const auto applied = (*nodes)->Apply(orders);
  ASSERT_FALSE(applied.ok());
  EXPECT_NE(applied.error().message().find("network: "), std::string::npos);
  ASSERT_TRUE(AwaitState(5, host::v1::BREAKDOWN)) << "there was no bridge for it";
  orders[0].set_revision(2);
  orders[0].mutable_nodes(0)->set_attempt(1);
  orders[0].clear_peers();
  ASSERT_TRUE((*nodes)->Apply(orders).ok());
  EXPECT_TRUE(AwaitState(5, host::v1::READY));
  ASSERT_TRUE((*nodes)->RemoveAll(false).ok());
  nodes->reset();
  config_.underlay.reset();
  Open();
}

}  // namespace
}  // namespace strata::vcluster
