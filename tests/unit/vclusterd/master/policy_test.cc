// Who may talk with whom: what orders tell all hosts of it.
#include <gmock/gmock.h>

#include "tests/unit/vclusterd/master/stepped_master.h"
#include "vclusterd/definition/parse_file.h"

namespace strata::vcluster {
namespace {

using host::v1::AcceptRule;
using host::v1::Part;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::UnorderedElementsAre;

void Ignore(const std::string&, uint32_t, uint32_t) {}

class PolicyTest : public ::testing::Test {
 protected:
  PolicyTest() : store_(records::MakeMemoryRecordStore(DesiredTables())), world_(*store_) {
    for (const char* name : {"h1", "h2"}) world_.AddHost(name);
  }

  // Made, or changed; its number.
  uint32_t Apply(const std::string& text, const Caller& caller = kAlice) {
    const auto definition = ParseDefinition(text, "f");
    EXPECT_TRUE(definition.ok()) << definition.error().message();
    const auto applied =
        world_.clusters->Apply(caller, *definition, false, false, Ignore, CancelToken());
    EXPECT_TRUE(applied.ok()) << applied.error().message();
    Settle();
    return world_.master->Find(caller.uid, definition->name).vcluster->record.number();
  }
  void Delete(const std::string& name, const Caller& caller = kAlice) {
    const Status deleted = world_.clusters->Delete(caller, name, CancelToken());
    EXPECT_TRUE(deleted.ok()) << deleted.error().message();
    Settle();
  }
  void Settle() { world_.For(std::chrono::milliseconds(100)); }
  Part Order(const std::string& host, uint32_t number) { return world_.hosts[host]->Order(number); }
  std::string NoticeOf(uint32_t number) { return world_.master->Find(number).notice; }

  std::unique_ptr<records::RecordStore> store_;
  SteppedMaster world_;
};

// "2 tcp 80-80 -> 1": from which group what may begin in which.
std::vector<std::string> RulesOf(const Part& part) {
  std::vector<std::string> rules;
  for (const AcceptRule& rule : part.accepts()) {
    std::string text = std::to_string(rule.from_group());
    if (rule.from() == AcceptRule::ANYBODY) text = "any";
    if (rule.from() == AcceptRule::OUTSIDE) text = "outside";
    if (rule.kind() == AcceptRule::TCP) text += " tcp";
    if (rule.kind() == AcceptRule::UDP) text += " udp";
    if (rule.kind() == AcceptRule::ICMP) text += " icmp";
    if (rule.port_first() != 0) {
      text += " " + std::to_string(rule.port_first()) + "-" + std::to_string(rule.port_last());
    }
    rules.push_back(text + " -> " + std::to_string(rule.to_group()));
  }
  return rules;
}

std::map<std::string, uint32_t> GroupsOf(const Part& part) {
  std::map<std::string, uint32_t> groups;
  for (const host::v1::Peer& peer : part.peers()) groups[peer.hostname()] = peer.group();
  return groups;
}

constexpr char kShop[] = R"(
name: shop
image: tiny
roles:
  web: {count: 2, placement: spread}
  db:
    count: 2
    placement: spread
    ports: [5432]
    ready: {tcp: 81}
    accept: [{from: [web, outside], tcp: [80, 90-91]}, {udp: 53}, db, {from: web, icmp: true}]
)";

TEST_F(PolicyTest, AllHostsKnowTheRulesAndTheGroupsOfAllNodes) {
  const uint32_t shop = Apply(kShop);
  for (const char* host : {"h1", "h2"}) {
    const Part order = Order(host, shop);
    EXPECT_EQ(GroupsOf(order), (std::map<std::string, uint32_t>{
                                   {"web-0", 2}, {"web-1", 2}, {"db-0", 1}, {"db-1", 1}}));
    EXPECT_THAT(RulesOf(order), ElementsAre("outside tcp 5432-5432 -> 1", "outside tcp 81-81 -> 1",
                                            "2 tcp 80-80 -> 1", "2 tcp 90-91 -> 1",
                                            "outside tcp 80-80 -> 1", "outside tcp 90-91 -> 1",
                                            "any udp 53-53 -> 1", "1 -> 1", "2 icmp -> 1"));
    for (const host::v1::NodeOrder& node : order.nodes()) {
      EXPECT_EQ(node.group(), node.role() == "web" ? 2u : 1u);
    }
  }
}

TEST_F(PolicyTest, WithoutRulesThereAreNoGroups) {
  const uint32_t plain = Apply("name: plain\nimage: tiny\nnodes: 2\n");
  EXPECT_THAT(RulesOf(Order("h1", plain)), IsEmpty());
  EXPECT_EQ(GroupsOf(Order("h1", plain)),
            (std::map<std::string, uint32_t>{{"plain-0", 0}, {"plain-1", 0}}));
  Apply("name: plain\nimage: tiny\nnodes: 2\naccept: []\n");
  EXPECT_THAT(RulesOf(Order("h1", plain)), ElementsAre("65535 icmp -> 1"));
  EXPECT_EQ(GroupsOf(Order("h1", plain)),
            (std::map<std::string, uint32_t>{{"plain-0", 1}, {"plain-1", 1}}));
}

TEST(RoleNumbersTest, ARoleKeepsItsNumberAsLongAsThereIsANodeOfIt) {
  master::v1::Vcluster record;
  const auto number = [&](const std::vector<std::string>& roles) {
    Definition definition;
    for (const std::string& role : roles) definition.roles.emplace_back().name = role;
    NumberRoles(definition, &record);
    std::map<std::string, uint32_t> numbers;
    for (const master::v1::RoleGroup& group : record.role_groups()) {
      numbers[group.role()] = group.group();
    }
    return numbers;
  };
  using Numbers = std::map<std::string, uint32_t>;
  EXPECT_EQ(number({"m", "a", "z"}), (Numbers{{"a", 1}, {"m", 2}, {"z", 3}}));
  // Another gets the number of one that is gone, but not before its nodes are.
  master::v1::Node* node = record.add_nodes();
  node->set_role("a");
  node->set_leaving(true);
  EXPECT_EQ(number({"m", "b", "z"}), (Numbers{{"a", 1}, {"b", 4}, {"m", 2}, {"z", 3}}));
  record.clear_nodes();
  EXPECT_EQ(number({"m", "b", "c", "z"}), (Numbers{{"b", 4}, {"c", 1}, {"m", 2}, {"z", 3}}));
}

// "web-1 192.0.2.2:20001 for 8080"
std::vector<std::string> TargetsOf(const Part& part) {
  std::vector<std::string> targets;
  for (const host::v1::Peer& peer : part.peers()) {
    for (const host::v1::Forward& forward : peer.forwards()) {
      targets.push_back(peer.hostname() + " " + peer.host_address() + ":" +
                        std::to_string(forward.host_port()) + " for " +
                        std::to_string(forward.role_port()));
    }
  }
  return targets;
}

TEST_F(PolicyTest, HostsKnowThePortsThatLeadToNodesOfOthersOnceTheyAreChosen) {
  const uint32_t web = Apply(R"(
name: w
image: tiny
roles:
  web: {count: 2, placement: spread, ports: [{node: 80, host: 8080, balance: sticky}, 81]}
)");
  std::vector<std::string> targets;
  for (const char* host : {"h1", "h2"}) {
    const Part order = Order(host, web);
    ASSERT_EQ(order.nodes_size(), 1);
    const auto& forwards = order.nodes(0).forwards();
    ASSERT_EQ(forwards.size(), 2);
    EXPECT_EQ(forwards[0].balance(), host::v1::STICKY);
    EXPECT_EQ(forwards[0].role_port(), 8080u);
    EXPECT_EQ(forwards[0].host_port(), 0u);
    EXPECT_EQ(forwards[1].balance(), host::v1::ONE_NODE);
    for (const std::string& target : TargetsOf(order)) targets.push_back(target);
  }
  std::map<std::string, std::string> at;
  for (const char* host : {"h1", "h2"}) {
    at[Order(host, web).nodes(0).hostname()] =
        host == std::string("h1") ? "192.0.2.1" : "192.0.2.2";
  }
  EXPECT_THAT(targets, UnorderedElementsAre("web-0 " + at["web-0"] + ":20000 for 8080",
                                            "web-1 " + at["web-1"] + ":20001 for 8080"));
  // One that is stopped takes nothing.
  ASSERT_TRUE(world_.clusters->Stop(kAlice, "w/web-0", {}, CancelToken()).ok());
  Settle();
  targets.clear();
  for (const char* host : {"h1", "h2"}) {
    for (const std::string& target : TargetsOf(Order(host, web))) targets.push_back(target);
  }
  EXPECT_THAT(targets, ElementsAre("web-1 " + at["web-1"] + ":20001 for 8080"));
}

// "web-0.shop 10.0.0.2 at 192.0.2.1"
std::vector<std::string> PeersOf(const Part& part) {
  std::vector<std::string> peers;
  for (const host::v1::PeerVcluster& peer : part.peer_vclusters()) {
    for (const host::v1::Peer& node : peer.nodes()) {
      peers.push_back(std::to_string(peer.number()) + ": " + node.hostname() + "," +
                      node.aliases(0) + (node.host_address().empty() ? " here" : " elsewhere"));
    }
  }
  return peers;
}

TEST_F(PolicyTest, TwoTalkWhenEachNamesTheOtherAndNoLonger) {
  const uint32_t a = Apply("name: a\nimage: tiny\nnodes: 2\nplacement: spread\npeers: b\n");
  EXPECT_THAT(PeersOf(Order("h1", a)), IsEmpty());
  EXPECT_EQ(NoticeOf(a), "its peer b does not name it, or is not there");
  const uint32_t b = Apply("name: b\nimage: tiny\n");
  EXPECT_THAT(PeersOf(Order("h1", a)), IsEmpty());
  Apply("name: b\nimage: tiny\npeers: [a]\n");
  EXPECT_EQ(NoticeOf(a), "");
  const std::string with = world_.hosts["h1"]->Order(b).nodes_size() == 1 ? "h1" : "h2";
  const std::string without = with == "h1" ? "h2" : "h1";
  EXPECT_THAT(PeersOf(Order(with, a)), ElementsAre("2: b-0.b,node.b here"));
  EXPECT_THAT(PeersOf(Order(without, a)), ElementsAre("2: b-0.b,node.b elsewhere"));
  EXPECT_THAT(PeersOf(Order(with, b)),
              UnorderedElementsAre(HasSubstr("here"), HasSubstr("elsewhere")));
  // Its nodes are others now.
  const auto scaled = world_.clusters->Scale(kAlice, "b", "node", 2, Ignore, CancelToken());
  ASSERT_TRUE(scaled.ok()) << scaled.error().message();
  Settle();
  EXPECT_THAT(PeersOf(Order("h1", a)),
              UnorderedElementsAre(HasSubstr("b-0.b"), HasSubstr("b-1.b")));
  Apply("name: b\nimage: tiny\nnodes: 2\n");
  EXPECT_THAT(PeersOf(Order("h1", a)), IsEmpty());
  Apply("name: b\nimage: tiny\nnodes: 2\npeers: [a]\n");
  EXPECT_THAT(PeersOf(Order("h1", a)), Not(IsEmpty()));
  Delete("b");
  EXPECT_THAT(PeersOf(Order("h1", a)), IsEmpty());
  EXPECT_THAT(PeersOf(Order("h2", a)), IsEmpty());
  // What is made in its place names it again, or does not.
  Apply("name: b\nimage: tiny\npeers: a\n");
  EXPECT_THAT(PeersOf(Order("h1", a)), Contains(HasSubstr("b-0.b")));
}

TEST_F(PolicyTest, VclustersOfTwoOwnersNameEachOtherWithTheirOwners) {
  const std::string alice = std::to_string(kAlice.uid);
  const std::string bob = std::to_string(kBob.uid);
  const uint32_t a = Apply("name: lab\nimage: tiny\npeers: [" + bob + "/lab]\n");
  const uint32_t b = Apply("name: lab\nimage: tiny\npeers: [other, store]\n", kBob);
  Apply("name: store\nimage: tiny\npeers: lab\n", kBob);
  const auto peers = [&](uint32_t number) {
    std::vector<std::string> all;
    for (const char* host : {"h1", "h2"}) {
      for (const std::string& peer : PeersOf(Order(host, number))) all.push_back(peer);
    }
    return all;
  };
  // Bob's "lab" is his own.
  EXPECT_THAT(peers(a), IsEmpty());
  EXPECT_THAT(peers(b), ElementsAre(HasSubstr("store-0.store,node.store")));
  Apply("name: lab\nimage: tiny\npeers: [" + alice + "/lab]\n", kBob);
  EXPECT_THAT(peers(a), ElementsAre(HasSubstr("lab-0.lab." + bob + ",node.lab." + bob)));
  EXPECT_THAT(peers(b), ElementsAre(HasSubstr("lab-0.lab." + alice)));
}

TEST_F(PolicyTest, ALimitOfTheOwnerIsToldWithAllOfHis) {
  const uint32_t a = Apply("name: a\nimage: tiny\nnodes: 2\nplacement: spread\n");
  EXPECT_EQ(Order("h1", a).owner_network_bits_per_s(), 0u);
  world_.network_limits[kAlice.uid] = 20'000'000;
  world_.For(std::chrono::seconds(11));  // At the next look at everything.
  EXPECT_EQ(Order("h1", a).owner_network_bits_per_s(), 20'000'000u);
  EXPECT_EQ(Order("h2", a).owner_network_bits_per_s(), 20'000'000u);
}

}  // namespace
}  // namespace strata::vcluster
