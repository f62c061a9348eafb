// Runs of jobs' tasks, as orders name them.
#include <algorithm>
#include <charconv>

#include "common/log.h"
#include "vclusterd/host/host_nodes.h"

namespace strata::vcluster {
namespace {

// The hosts of this process wrote it (NodeId).
std::pair<uint32_t, uint32_t> ParseNodeId(const std::string& id) {
  std::pair<uint32_t, uint32_t> parts;
  const char* const end = id.data() + id.size();
  const auto number = std::from_chars(id.data(), end, parts.first);
  if (number.ptr != end) std::from_chars(number.ptr + 1, end, parts.second);
  return parts;
}

std::string HostnamesOf(const host::v1::Part& order) {
  std::string names;
  for (const host::v1::Peer& peer : order.peers()) {
    names += (names.empty() ? "" : ",") + peer.hostname();
  }
  return names;
}

std::vector<NodeTasks::Wanted> WantedOf(const host::v1::Part& order,
                                        const host::v1::NodeOrder& node) {
  std::vector<NodeTasks::Wanted> wanted;
  for (const host::v1::TaskOrder& task : node.tasks()) {
    const std::string& id = task.id();
    const auto command =
        std::find_if(order.task_commands().begin(), order.task_commands().end(),
                     [&](const auto& known) { return id.starts_with(known.key() + "."); });
    // Checked when the order was taken.
    if (command != order.task_commands().end()) wanted.push_back({task, *command});
  }
  return wanted;
}

}  // namespace

NodeTasks::Owner HostNodes::OwnerOfTasks() {
  NodeTasks::Owner owner;
  owner.ended = [this](const std::string& id) {
    if (const PartPtr part = Find(ParseNodeId(id).first)) Tell(part);
  };
  owner.stopping = [this](const std::string& id) {
    const auto [number, index_of_id] = ParseNodeId(id);
    const uint32_t index = index_of_id;  // For the lambda below.
    const PartPtr part = Find(number);
    if (part == nullptr) return true;
    const std::lock_guard lock(part->mutex);
    const auto found = part->nodes.find(index);
    if (found == part->nodes.end()) return true;
    const Node& node = *found->second;
    return node.stopping || !node.record.has_value() || node.state == host::v1::BREAKDOWN;
  };
  return owner;
}

// REQUIRES: nobody else works yet: a node that becomes ready must not begin a run again.
Status HostNodes::RecoverTasks() {
  return tasks_->Recover([this](const std::string& id) -> std::optional<pid_t> {
    const auto [number, index_of_id] = ParseNodeId(id);
    const uint32_t index = index_of_id;  // For the lambda below.
    if (IsUnreadable(number)) return 0;
    const PartPtr part = Find(number);
    if (part == nullptr || !part->nodes.contains(index)) return std::nullopt;
    const auto record = life_->runtime().Find(id);
    if (!record.ok() || !record->has_value()) return 0;
    const auto& orders = part->order.nodes();
    const bool must_not_run =
        config_.begins_silent &&
        std::any_of(orders.begin(), orders.end(), [&](const host::v1::NodeOrder& order) {
          return order.index() == index && order.fenced();
        });
    // A save that died may have left it frozen, and then nothing of it ends.
    if (!must_not_run) {
      if (Status thawed = life_->runtime().Thaw(**record); !thawed.ok()) {
        LOG_WARNING("node " + id + ": " + thawed.error().message());
      }
    }
    return (*record)->init.pid;
  });
}

// With the part locked, so that a later order is not overtaken by an earlier one.
void HostNodes::SyncTasks(const PartPtr& part) {
  const std::lock_guard lock(part->mutex);
  const uint32_t number = part->order.number();
  std::map<uint32_t, const host::v1::NodeOrder*> orders;
  if (!part->order.task_commands().empty()) {
    for (const host::v1::NodeOrder& order : part->order.nodes()) orders[order.index()] = &order;
  }
  for (const auto& [index, node] : part->nodes) {
    const std::string id = NodeId(number, index);
    const auto order = orders.find(index);
    const bool ordered = order != orders.end() && !order->second->tasks().empty() &&
                         order->second->incarnation() == node->local.incarnation();
    if (!ordered) {
      if (!tasks_->HasNone(id)) tasks_->Sync(id, {}, std::nullopt);
      continue;
    }
    std::optional<NodeTasks::Place> place;
    if (node->state == host::v1::READY && node->record.has_value() && !node->stopping &&
        !node->held && order->second->intent() == host::v1::RUN) {
      place =
          NodeTasks::Place{TargetOf(id, part->id_first, node->local, node->record, order->second),
                           node->record->init, HostnamesOf(part->order)};
    }
    tasks_->Sync(id, WantedOf(part->order, *order->second), place);
  }
}

}  // namespace strata::vcluster
