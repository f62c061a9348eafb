// A Vcluster that is scaled from inside of its nodes, by the command that they all have.
#include <gmock/gmock.h>

#include "tests/unit/vclusterd/clusters_fixture.h"

namespace strata::vcluster {
namespace {

using ::testing::HasSubstr;

constexpr char kStrata[] = "/dev/.strata/strata";

class ScalingInsideTest : public ClustersTest {
 protected:
  static Definition Grow(bool scales) {
    Definition definition = PlainDefinition("grow", "tiny", 1, {});
    if (scales) definition.roles[0].scale_from_nodes = ScaleFromNodes{1, 3};
    return definition;
  }
  struct Said {
    int code = -2;
    std::string text;
  };
  Said In(const std::string& node, std::vector<std::string> argv, uid_t uid = 0) {
    const auto place = clusters_->FindNode(kAlice, Operation::kVclusterExec, node);
    if (!place.ok()) return {-1, place.error().message()};
    Collector collector;
    ExecParameters parameters;
    parameters.argv = std::move(argv);
    parameters.uid = parameters.gid = uid;
    auto command = host_->nodes().Exec(place->number, place->index, parameters, {}, collector);
    if (!command.ok()) return {-1, command.error().message()};
    (*command)->EndInput();
    collector.Wait();
    return {collector.code, collector.out + collector.err};
  }
  // As soon as it is answered: a token may still be on its way.
  Said Strata(const std::string& node, std::vector<std::string> argv) {
    argv.insert(argv.begin(), kStrata);
    const auto deadline = std::chrono::steady_clock::now() + seconds(20);
    while (true) {
      Said said = In(node, argv);
      if (said.code != 6 || std::chrono::steady_clock::now() > deadline) return said;
    }
  }
  void AwaitRunning(size_t count) {
    const auto deadline = std::chrono::steady_clock::now() + seconds(30);
    while (true) {
      const auto nodes = clusters_->List(kRoot, "grow").value()[0].nodes;
      const auto ready = std::count_if(nodes.begin(), nodes.end(),
                                       [](const NodeView& node) { return node.ready; });
      if (nodes.size() == count && static_cast<size_t>(ready) == count) return;
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << nodes.size() << ", " << ready;
      std::this_thread::yield();
    }
  }
};

TEST_F(ScalingInsideTest, ANodeAsksForMoreAndForLess) {
  ASSERT_TRUE(clusters_->Create(kAlice, Grow(true), "", Ignore, {}).ok());
  const Said grown = Strata("grow/0", {"scale", "node=3"});
  EXPECT_EQ(grown.code, 0);
  EXPECT_EQ(grown.text, "node: 1 -> 3 nodes (1 running)\n");
  AwaitRunning(3);
  EXPECT_EQ(Strata("grow/2", {"status"}).text,
            "ROLE  WANTED  RUNNING  NODES MAY ASK FOR\n"
            "node  3       3        1 to 3\n");
  const Said many = Strata("grow/1", {"scale", "node=+1"});
  EXPECT_EQ(many.code, 7);
  EXPECT_EQ(many.text, "strata: role node may have 1 to 3 nodes when nodes ask, not 4\n");
  EXPECT_EQ(Strata("grow/1", {"scale", "node=-1"}).text, "node: 3 -> 2 nodes (2 running)\n");
  AwaitRunning(2);
  EXPECT_EQ(Strata("grow/0", {"scale", "other=2"}).code, 3);
  EXPECT_THAT(Strata("grow/0", {"status", "--json"}).text, HasSubstr("\"wanted\": 2"));
  // Without a path, where the image has no PATH of its own.
  EXPECT_EQ(In("grow/0", {"strata", "status"}).code, 0);
}

TEST_F(ScalingInsideTest, OnlyRootOfTheNodeMay) {
  ASSERT_TRUE(clusters_->Create(kAlice, Grow(true), "", Ignore, {}).ok());
  ASSERT_EQ(Strata("grow/0", {"status"}).code, 0);
  const Said user = In("grow/0", {kStrata, "scale", "node=2"}, /*uid=*/1000);
  EXPECT_EQ(user.code, 4);
  EXPECT_EQ(user.text, "strata: only root of the node may ask\n");
  EXPECT_NE(In("grow/0", {"cat", "/dev/.strata/token"}, 1000).code, 0);
  EXPECT_THAT(In("grow/0", {"cat", "/dev/.strata/token"}).text, HasSubstr("strata_node_"));
  // Nor can it be made another by root.
  EXPECT_NE(In("grow/0", {"sh", "-c", "echo x > /dev/.strata/strata"}).code, 0);
  EXPECT_NE(In("grow/0", {"sh", "-c", ": > /dev/.strata/mine"}).code, 0);
}

TEST_F(ScalingInsideTest, ItIsOffUnlessTheDefinitionSaysSoAndCanBeTurnedOff) {
  const char refusal[] = "strata: nodes of this Vcluster may not scale it";
  ASSERT_TRUE(clusters_->Create(kAlice, Grow(false), "", Ignore, {}).ok());
  const Said off = Strata("grow/0", {"scale", "node=2"});
  EXPECT_EQ(off.code, 4);
  EXPECT_THAT(off.text, HasSubstr(refusal));
  const pid_t pid = ViewOf("grow").init_pid;
  ASSERT_TRUE(clusters_->Apply(kAlice, Grow(true), false, false, Ignore, {}).ok());
  const auto deadline = std::chrono::steady_clock::now() + seconds(20);
  while (Strata("grow/0", {"status"}).code != 0) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
  }
  EXPECT_EQ(ViewOf("grow").init_pid, pid) << "it was restarted";
  ASSERT_TRUE(clusters_->Apply(kAlice, Grow(false), false, false, Ignore, {}).ok());
  EXPECT_THAT(Strata("grow/0", {"scale", "node=2"}).text, HasSubstr(refusal));
  EXPECT_EQ(clusters_->List(kRoot, "grow").value()[0].nodes.size(), 1u);
  EXPECT_NE(In("grow/0", {"cat", "/dev/.strata/token"}).code, 0);
}

TEST_F(ScalingInsideTest, ANodeAsksTheNextProcessToo) {
  ASSERT_TRUE(clusters_->Create(kAlice, Grow(true), "", Ignore, {}).ok());
  ASSERT_EQ(Strata("grow/0", {"status"}).code, 0);
  const std::string before = In("grow/0", {"cat", "/dev/.strata/token"}).text;
  Open();
  AwaitRunning(1);
  EXPECT_EQ(Strata("grow/0", {"scale", "node=2"}).code, 0);
  AwaitRunning(2);
  // It was given another, and what the node read before is still good.
  EXPECT_TRUE((*users_)->CallerOf(before.substr(0, before.size() - 1), "rest", "").ok());
}

}  // namespace
}  // namespace strata::vcluster
