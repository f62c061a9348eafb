#include "tests/sim/truth.h"

#include <cmath>

#include "vclusterd/master/quota_demand.h"
#include "vclusterd/master/tables.h"
#include "vclusterd/master/vcluster.h"

namespace strata::sim {
namespace {

// As Placer counts a node without a limit.
constexpr double kDefaultCpus = 0.05;
constexpr uint64_t kDefaultMemoryBytes = 16u << 20;

int64_t NodesOf(const vcluster::Vcluster& record) {
  return static_cast<int64_t>(vcluster::DemandOf(record).amounts[vcluster::Resource::kNodes]);
}

std::string TextOf(NodeKey key) {
  return "node " + std::to_string(key.first) + "-" + std::to_string(key.second);
}

}  // namespace

void Truth::Started(const std::string& host, NodeKey key, uint32_t incarnation) {
  containers_[key][host] = {incarnation, /*frozen=*/false};
  CheckRunning(key);
}

void Truth::Frozen(const std::string& host, NodeKey key, bool frozen) {
  containers_[key][host].frozen = frozen;
  if (!frozen) CheckRunning(key);
}

void Truth::Ended(const std::string& host, NodeKey key) {
  const auto found = containers_.find(key);
  if (found == containers_.end()) return;
  found->second.erase(host);
  if (found->second.empty()) containers_.erase(found);
}

// A node runs on one host at a time. What is frozen does nothing.
void Truth::CheckRunning(NodeKey key) {
  std::string where;
  int running = 0;
  for (const auto& [host, container] : containers_[key]) {
    if (container.frozen) continue;
    ++running;
    where += " " + host + " (incarnation " + std::to_string(container.incarnation) + ")";
  }
  if (running > 1) Fail(TextOf(key) + " runs more than once:" + where);
}

void Truth::Made(const std::vector<records::RecordChange>& changes) {
  for (const records::RecordChange& change : changes) {
    if (change.table == vcluster::kLeaderTable && change.value.has_value()) {
      if (change.key == vcluster::kLeaderKey) {
        master::v1::Leader leader;
        if (!leader.ParseFromString(*change.value)) Fail("the leader's record cannot be read");
        if (leader.epoch() <= epoch_) Fail("the epoch does not move on");
        epoch_ = leader.epoch();
      } else if (change.key == vcluster::kCountersKey) {
        master::v1::Counters counters;
        if (!counters.ParseFromString(*change.value)) Fail("the counters cannot be read");
        if (counters.last_number() < last_number_) Fail("a number may be given twice");
        last_number_ = counters.last_number();
      }
    }
    if (change.table != vcluster::kVclustersTable) continue;
    const uint32_t number = vcluster::NumberOf(change.key);
    const vcluster::VclusterPtr before = vclusters_[number];
    if (before != nullptr) Count(*before, -1);
    if (!change.value.has_value()) {
      if (before == nullptr || before->record.phase() != master::v1::DELETING) {
        Fail("the record " + change.key + " goes without being deleted");
      }
      vclusters_.erase(number);
      continue;
    }
    const auto read = vcluster::ParseVcluster(*change.value);
    if (!read.ok()) return Fail("record " + change.key + ": " + read.error().message());
    const uint32_t uid = (*read)->record.owner_uid();
    const int64_t nodes_before = nodes_[uid] + (before == nullptr ? 0 : NodesOf(*before));
    vclusters_[number] = *read;
    Count(**read, 1);
    CheckQuota(uid, nodes_before);
    CheckRecord(before == nullptr ? master::v1::Vcluster() : before->record, (*read)->record);
  }
}

void Truth::Count(const vcluster::Vcluster& record, int times) {
  nodes_[record.record.owner_uid()] += times * NodesOf(record);
  for (const master::v1::Node& node : record.record.nodes()) {
    const vcluster::Role* role = record.RoleOf(node);
    if (node.host().empty() || role == nullptr) continue;
    Placed& placed = placed_[node.host()];
    placed.milli_cpus +=
        times * std::lround(1000 * (role->limits.cpus > 0 ? role->limits.cpus : kDefaultCpus));
    placed.memory_bytes +=
        times * static_cast<int64_t>(role->limits.memory_bytes > 0 ? role->limits.memory_bytes
                                                                   : kDefaultMemoryBytes);
  }
}

void Truth::CheckRecord(const master::v1::Vcluster& before, const master::v1::Vcluster& now) {
  const std::string name = "Vcluster " + std::to_string(now.number());
  if (now.incarnations() < before.incarnations()) Fail(name + ": incarnations go back");
  if (before.phase() == master::v1::DELETING && now.phase() != master::v1::DELETING) {
    Fail(name + " was deleted and is not any more");
  }
  std::map<uint32_t, master::v1::Node> old;
  for (const master::v1::Node& node : before.nodes()) old[node.index()] = node;
  for (const master::v1::Node& node : now.nodes()) {
    const auto was = old.find(node.index());
    const std::string text = TextOf({now.number(), node.index()});
    if (node.incarnation() > now.incarnations()) Fail(text + " has an incarnation of the future");
    if (was != old.end()) {
      // A move that is given up: where it was, it is kept until the move has ended.
      const master::v1::Move& move = was->second.move();
      const bool goes_back = node.host() == move.from() && !node.has_move() &&
                             node.incarnation() == move.from_incarnation();
      if (node.incarnation() < was->second.incarnation() && !goes_back) {
        Fail(text + ": its incarnation goes back");
      }
      if (was->second.leaving() && !node.leaving() &&
          node.incarnation() == was->second.incarnation()) {
        Fail(text + " was to leave and is not any more");
      }
      if (!was->second.host().empty() && node.host() != was->second.host() &&
          node.incarnation() == was->second.incarnation()) {
        Fail(text + " is somewhere else without being made anew");
      }
    }
    const bool placed = was == old.end() || was->second.host() != node.host();
    if (placed && !node.host().empty()) CheckCapacity(node.host());
  }
}

void Truth::CheckQuota(uint32_t uid, int64_t before) {
  const int64_t now = nodes_[uid];
  if (now > before && now > owner_nodes_max_) {
    Fail("uid " + std::to_string(uid) + " has " + std::to_string(now) + " nodes, past its quota");
  }
}

// REQUIRES: a node was just placed on it.
void Truth::CheckCapacity(const std::string& host) {
  const Placed& placed = placed_[host];
  const host::v1::Capacity& capacity = capacities_[host];
  if (static_cast<double>(placed.milli_cpus) > 1000 * capacity.cpus() * placer_.overcommit_cpus) {
    Fail("host " + host + " has more CPUs placed on it than it may");
  }
  if (static_cast<double>(placed.memory_bytes) >
      static_cast<double>(capacity.memory_bytes()) * placer_.overcommit_memory) {
    Fail("host " + host + " has more memory placed on it than it may");
  }
}

}  // namespace strata::sim
