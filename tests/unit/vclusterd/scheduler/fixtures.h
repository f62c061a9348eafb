// Short ways to hosts, nodes and requests for the tests of the scheduler.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "vclusterd/scheduler/place.h"
#include "vclusterd/scheduler/placement_state.h"

namespace strata::vcluster {

inline constexpr uint64_t kGiB = uint64_t{1} << 30;
inline constexpr uint64_t kMiB = uint64_t{1} << 20;

// Without over-commit, so that sums are easy to see.
inline HostOffer MakeHost(const std::string& name, double cpus, uint64_t memory_gib) {
  HostOffer host;
  host.name = name;
  host.cpus = cpus;
  host.memory_bytes = memory_gib * kGiB;
  host.disk_bytes = 100 * kGiB;
  host.overcommit_cpus = 1;
  return host;
}

// "v7/2" is node 2 of Vcluster 7.
inline NodeDemand MakeNode(uint32_t vcluster, uint32_t node, double cpus, uint64_t memory_gib) {
  NodeDemand demand;
  demand.key = {vcluster, node};
  demand.name = "v" + std::to_string(vcluster) + "/" + std::to_string(node);
  demand.owner_uid = 1000;
  demand.role = "worker";
  demand.request.cpus = cpus;
  demand.request.memory_bytes = memory_gib * kGiB;
  return demand;
}

inline NodeDemand WithRank(NodeDemand node, RankBy rank) {
  node.rank = rank;
  return node;
}

inline NodeDemand WithRole(NodeDemand node, const std::string& role) {
  node.role = role;
  return node;
}

inline NodeDemand MemoryHeavy(NodeDemand node) {
  node.load.memory = true;
  return node;
}

inline NodeDemand WithPriority(NodeDemand node, int32_t priority) {
  node.priority = priority;
  return node;
}

inline NodeDemand WithRule(NodeDemand node, AffinityRule::Kind kind, bool must,
                           const std::string& role) {
  node.rules.push_back({kind, must, std::nullopt, "", role});
  return node;
}

// A Vcluster of its first node's number.
inline VclusterDemand MakeVcluster(std::vector<NodeDemand> nodes) {
  VclusterDemand vcluster;
  vcluster.number = nodes.front().key.vcluster;
  vcluster.name = "v" + std::to_string(vcluster.number);
  vcluster.nodes = std::move(nodes);
  return vcluster;
}

class SchedulerTest : public testing::Test {
 protected:
  SchedulerTest() : state(*PlacementState::Create({})) {}

  void AddHost(const HostOffer& host) {
    const Status added = state.PutHost(host);
    ASSERT_TRUE(added.ok()) << added.error().message();
  }
  void AddNode(const NodeDemand& node, const std::string& host) {
    const Status added = state.AddNode({node, host, {}, true});
    ASSERT_TRUE(added.ok()) << added.error().message();
  }

  VclusterPlacement PlaceNodes(const std::vector<NodeDemand>& nodes, bool explain = false) {
    return PlaceVcluster(MakeVcluster(nodes), {}, explain);
  }
  VclusterPlacement PlaceVcluster(const VclusterDemand& vcluster,
                                  const std::vector<OwnerQuota>& quotas = {},
                                  bool explain = false) {
    const auto placed = Place(&state, {{vcluster}, quotas}, explain);
    EXPECT_TRUE(placed.ok()) << placed.error().message();
    return placed.ok() ? placed->front() : VclusterPlacement{};
  }
  // The host that it got, or the error's text.
  std::string HostOf(const NodeDemand& node) { return HostsOf({node}).front(); }
  // In the order of the keys; the error's text alone when there is one.
  std::vector<std::string> HostsOf(const std::vector<NodeDemand>& nodes) {
    const VclusterPlacement placed = PlaceNodes(nodes);
    if (placed.error) return {placed.error->message()};
    std::vector<std::string> hosts;
    for (const NodePlacement& placement : placed.nodes) hosts.push_back(placement.host);
    return hosts;
  }
  // Reasons why a host refuses a node, as one text.
  std::string Refusals(const NodeDemand& node, const std::string& host) {
    const Admission admission(state, node);
    const std::string text = ReasonsText(admission.Refusals(*state.FindHost(host)));
    EXPECT_EQ(text.empty(), admission.Admits(*state.FindHost(host)));
    return text;
  }
  Score ScoreOf(const NodeDemand& node, const std::string& host) {
    return Rate(state, Admission(state, node), *state.FindHost(host));
  }

  PlacementState state;
};

}  // namespace strata::vcluster
