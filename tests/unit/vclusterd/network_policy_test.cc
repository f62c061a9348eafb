// Who may talk with whom, on one host: what a file says, and what nodes then can.
#include <gmock/gmock.h>

#include "tests/unit/vclusterd/clusters_fixture.h"
#include "vclusterd/definition/parse_file.h"

namespace strata::vcluster {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class NetworkPolicyTest : public ClustersTest {
 protected:
  // Ports 7001 and 7002 of each node say its name.
  static constexpr char kServe[] =
      "{on-create: 'for p in 7001 7002; do busybox nc -ll -p $p -e hostname >/dev/null 2>&1 & echo "
      "$! "
      ">/tmp/$p; done'}";

  bool Apply(const std::string& text) {
    const auto definition = ParseDefinition(text, "f");
    EXPECT_TRUE(definition.ok()) << definition.error().message();
    if (!definition.ok()) return false;
    const auto applied = clusters_->Apply(kAlice, *definition, false, false, Ignore, {});
    EXPECT_TRUE(applied.ok()) << applied.error().message();
    return applied.ok();
  }
  // What a port of another answers; empty: nothing.
  std::string Ask(const std::string& node, const std::string& whom, int port) {
    const std::string ask =
        "busybox nc -w 2 " + whom + " " + std::to_string(port) + " </dev/null 2>&1";
    std::string answer = Run(kAlice, node, {"sh", "-c", ask});
    if (answer.find("nc: ") != std::string::npos) return "";
    if (!answer.empty() && answer.back() == '\n') answer.pop_back();
    return answer;
  }
  // Once it answers; a server was just started.
  bool Answers(const std::string& node, const std::string& whom, int port) {
    for (int i = 0; i < 200; ++i) {
      if (Ask(node, whom, port) == whom.substr(0, whom.find('.'))) return true;
    }
    return false;
  }
  std::string AskHost(uint32_t port) {
    const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) return "refused";
    const auto said = ReadAll(fd.get(), 1000);
    return said.ok() ? *said : said.error().message();
  }
  // Who answers at a port of the host, of some requests.
  std::set<std::string> Seen(uint32_t port) {
    std::set<std::string> seen;
    for (int i = 0; i < 6; ++i) seen.insert(AskHost(port));
    return seen;
  }
  bool AwaitSeen(uint32_t port, const std::set<std::string>& wanted) {
    const auto end = std::chrono::steady_clock::now() + seconds(30);
    while (std::chrono::steady_clock::now() < end) {
      if (Seen(port) == wanted) return true;
    }
    return false;
  }
  std::vector<pid_t> Pids(const std::string& name) {
    std::vector<pid_t> pids;
    const auto views = clusters_->List(kRoot, name);
    for (const NodeView& node : views->at(0).nodes) pids.push_back(node.init_pid);
    return pids;
  }
};

TEST_F(NetworkPolicyTest, ARoleTakesWhatItAcceptsAndThatChangesWhileItRuns) {
  const auto shop = [](const std::string& db) {
    return "name: shop\nimage: tiny\nhooks: " + std::string(kServe) +
           "\nroles:\n  web:\n  worker:\n  db: {count: 2" + db + "}\n";
  };
  ASSERT_TRUE(Apply(shop(", accept: [{from: web, tcp: 7001}]")));
  EXPECT_TRUE(Answers("shop/web-0", "db-0", 7001));
  EXPECT_EQ(Ask("shop/web-0", "db-0", 7002), "");
  EXPECT_EQ(Ask("shop/worker-0", "db-0", 7001), "");
  EXPECT_EQ(Ask("shop/db-1", "db-0", 7001), "") << "its own role is not named";
  EXPECT_TRUE(Answers("shop/db-0", "web-0", 7002)) << "what is open, and its answers";
  const std::vector<pid_t> before = Pids("64001/shop");
  Apply(shop(", accept: [db, {from: worker, tcp: 7000-7001}]"));
  EXPECT_TRUE(Answers("shop/worker-0", "db-0", 7001));
  EXPECT_EQ(Ask("shop/worker-0", "db-0", 7002), "");
  EXPECT_TRUE(Answers("shop/db-1", "db-0", 7002));
  EXPECT_EQ(Ask("shop/web-0", "db-0", 7001), "");
  Open();  // A daemon that starts again has it so.
  EXPECT_EQ(Ask("shop/web-0", "db-0", 7001), "");
  Apply(shop(", accept: []"));
  EXPECT_EQ(Ask("shop/worker-0", "db-0", 7001), "");
  Apply(shop(""));
  EXPECT_TRUE(Answers("shop/web-0", "db-0", 7002));
  EXPECT_EQ(Pids("64001/shop"), before) << "nodes were restarted";
}

TEST_F(NetworkPolicyTest, ABalancedPortLeadsToAllNodesThatAnswer) {
  ASSERT_TRUE(Apply("name: w\nimage: tiny\nnodes: 2\naccept: []\nhooks: " + std::string(kServe) +
                    "\nports: [{node: 7001, balance: true}]\n"));
  const auto views = clusters_->List(kRoot, "64001/w");
  const uint32_t port = views->at(0).nodes[0].ports[0].role_port();
  ASSERT_NE(port, 0u);
  EXPECT_EQ(views->at(0).nodes[1].ports[0].role_port(), port);
  EXPECT_TRUE(AwaitSeen(port, {"w-0\n", "w-1\n"}));
  // A closed role answers nobody else.
  EXPECT_EQ(Ask("w/0", "w-1", 7001), "");
  Run(kAlice, "w/1", {"sh", "-c", "kill $(cat /tmp/7001)"});
  EXPECT_TRUE(AwaitSeen(port, {"w-0\n"}));
  Run(kAlice, "w/1", {"sh", "-c", "busybox nc -ll -p 7001 -e hostname >/dev/null 2>&1 &"});
  EXPECT_TRUE(AwaitSeen(port, {"w-0\n", "w-1\n"}));
  ASSERT_TRUE(clusters_->Stop(kAlice, "w/0", milliseconds(100), {}).ok());
  EXPECT_TRUE(AwaitSeen(port, {"w-1\n"}));
  // Another Vcluster does not get it.
  const auto thief = ParseDefinition(
      "name: thief\nimage: tiny\nnodes: 2\nports: [{node: 1, host: " + std::to_string(port) +
          ", balance: sticky}]\n",
      "f");
  const auto made = clusters_->Create(kAlice, *thief, "", Ignore, {});
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.error().message(), HasSubstr("leads elsewhere already"));
  EXPECT_EQ(Seen(port), std::set<std::string>{"w-1\n"});
}

TEST_F(NetworkPolicyTest, PeersTalkAsLongAsEachNamesTheOther) {
  const auto make = [&](const std::string& name, const std::string& more) {
    return Apply("name: " + name + "\nimage: tiny\nhooks: " + kServe + "\n" + more);
  };
  ASSERT_TRUE(make("a", "peers: b\n"));
  ASSERT_TRUE(make("b", ""));
  const std::string at = ViewOf("64001/b").address.ToString();
  EXPECT_EQ(Ask("a/0", at, 7001), "");
  make("b", "peers: a\naccept: [{from: outside, tcp: 7001}]\n");
  EXPECT_TRUE(Answers("a/0", "b-0.b", 7001));
  EXPECT_TRUE(Answers("b/0", "a-0.a", 7002));
  EXPECT_EQ(Ask("a/0", "b-0.b", 7002), "");
  EXPECT_THAT(Run(kAlice, "a/0", {"cat", "/etc/hosts"}), HasSubstr(at + " b-0.b node.b\n"));
  make("a", "");
  EXPECT_EQ(Ask("a/0", at, 7001), "");
  EXPECT_THAT(Run(kAlice, "a/0", {"cat", "/etc/hosts"}), Not(HasSubstr("b-0.b")));
}

host::v1::Peer PeerAt(const std::string& name, const std::string& address,
                      const std::string& host_address, uint32_t group) {
  host::v1::Peer peer;
  peer.set_hostname(name);
  peer.set_address(address);
  peer.set_host_address(host_address);
  peer.set_group(group);
  return peer;
}

// A host that has one of two nodes, and a peer that has none here.
TEST_F(NetworkPolicyTest, WhatOtherHostsHaveIsAPartOfAHostsNetworks) {
  Close();
  config_.underlay = net::Ipv4::Parse("127.0.0.1").value();
  // One VNI can be once at a port, of all tests that run now.
  config_.vxlan_port = static_cast<uint16_t>(40'000 + ::getpid() % 20'000);
  auto nodes = HostNodes::Open(config_, *images_, [](const host::v1::PartStatus&) {});
  ASSERT_TRUE(nodes.ok()) << nodes.error().message();
  host::v1::Part part;
  part.set_number(7);
  part.set_revision(1);
  part.set_cluster("shop");
  part.set_owner_uid(kAlice.uid);
  part.set_subnet("10.214.7.0/24");
  part.set_ssh_login_seed(std::string(kSshSeedSize, 'l'));
  part.set_ssh_host_seed(std::string(kSshSeedSize, 'h'));
  part.set_owner_network_bits_per_s(80'000'000);
  host::v1::NodeOrder& node = *part.add_nodes();
  node.set_image("tiny");
  node.set_role("web");
  node.set_intent(host::v1::HOLD);
  node.set_machine_id(std::string(32, 'a'));
  node.set_hostname("web-0");
  node.set_address("10.214.7.2");
  node.set_group(2);
  host::v1::Forward& forward = *node.add_forwards();
  forward.set_node_port(80);
  forward.set_balance(host::v1::ROUND_ROBIN);
  forward.set_role_port(28'080);
  *part.add_peers() = PeerAt("web-0", "10.214.7.2", "", 2);
  host::v1::Peer remote = PeerAt("web-1", "10.214.7.3", "192.0.2.9", 2);
  remote.set_role("web");
  forward.set_host_port(28'081);
  *remote.add_forwards() = forward;
  forward.clear_host_port();
  *part.add_peers() = remote;
  *part.add_peers() = PeerAt("db-0", "10.214.7.4", "192.0.2.9", 3);
  host::v1::AcceptRule& rule = *part.add_accepts();
  rule.set_from(host::v1::AcceptRule::GROUP);
  rule.set_from_group(3);
  rule.set_to_group(2);
  host::v1::PeerVcluster& store = *part.add_peer_vclusters();
  store.set_number(8);
  store.set_subnet("10.214.8.0/28");
  *store.add_nodes() = PeerAt("store-0.store", "10.214.8.2", "192.0.2.10", 0);
  const auto apply = [&] {
    const auto applied = (*nodes)->Apply({part});
    ASSERT_TRUE(applied.ok()) << applied.error().message();
    ASSERT_EQ((*applied)[0].problem(), "");
  };
  apply();
  const auto rules = [&](const std::string& family) {
    return RunChecked({"nft", "list", "table", family, net::TableName(config_.host.instance)})
        .value();
  };
  const auto links = [&] {
    std::string text;
    const auto observed = net::ObserveLinks();
    for (const net::ObservedLink& link : *observed) text += link.name + " ";
    return text;
  };
  const std::string peer_bridge = net::BridgeName(config_.host.instance, 8);
  // Of its two targets the other host's is down, once it was looked at; none of them is up here.
  const auto deadline = std::chrono::steady_clock::now() + seconds(20);
  while (rules("inet").find("192.0.2.9 . 28081") == std::string::npos &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_THAT(rules("inet"), HasSubstr("28080"));
  EXPECT_THAT(rules("inet"), HasSubstr("192.0.2.9 . 28081"));
  EXPECT_THAT(rules("bridge"), HasSubstr("elements = { 10.214.7.4 }")) << "who is of group 3";
  EXPECT_THAT(rules("bridge"), HasSubstr("10000000 bytes/second")) << "the limit of the owner";
  EXPECT_THAT(links(), HasSubstr(peer_bridge + " "));
  // Without the peer its bridge goes.
  part.set_revision(2);
  part.clear_peer_vclusters();
  apply();
  EXPECT_THAT(links(), Not(HasSubstr(peer_bridge + " ")));
  // What cannot be is refused, and changes nothing.
  part.set_revision(3);
  part.mutable_accepts(0)->set_from_group(0);
  EXPECT_FALSE((*nodes)->Apply({part}).ok());
  EXPECT_TRUE((*nodes)->RemoveAll(false).ok());
  nodes->reset();
  config_.underlay.reset();
  Open();  // It looks whether anything is left.
}

}  // namespace
}  // namespace strata::vcluster
