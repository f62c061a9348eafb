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

  void Apply(const std::string& text) {
    const auto definition = ParseDefinition(text, "f");
    ASSERT_TRUE(definition.ok()) << definition.error().message();
    const auto applied = clusters_->Apply(kAlice, *definition, false, false, Ignore, {});
    ASSERT_TRUE(applied.ok()) << applied.error().message();
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
  Apply(shop(", accept: [{from: web, tcp: 7001}]"));
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
  Apply("name: w\nimage: tiny\nnodes: 2\naccept: []\nhooks: " + std::string(kServe) +
        "\nports: [{node: 7001, balance: true}]\n");
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
    Apply("name: " + name + "\nimage: tiny\nhooks: " + kServe + "\n" + more);
  };
  make("a", "peers: b\n");
  make("b", "");
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

}  // namespace
}  // namespace strata::vcluster
