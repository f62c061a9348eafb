// Moves of nodes: off hosts that are drained, and for a better balance (moves.h).
#include <algorithm>

#include "common/log.h"
#include "vclusterd/master/master.h"
#include "vclusterd/master/moves.h"

namespace strata::vcluster {
namespace {

// Nodes of one host that move at the same time: each stands still while its data are on the way.
constexpr uint32_t kMovesAtOnceMax = 4;
constexpr std::chrono::milliseconds kChangePause(500);

}  // namespace

// The host has worked through what it was told last of the node.
bool Master::IsCurrent(const Entry& entry, const master::v1::Node& node,
                       const host::v1::NodeStatus& status) {
  const auto told = entry.told.find(node.host());
  return told != entry.told.end() && !told->second.under_way &&
         status.revision() >= told->second.order.revision();
}

// Takes the next step of each move that has come so far, or gives it up.
void Master::AdvanceMoves(uint32_t number, Entry& entry) {
  const auto& nodes = entry.vcluster->record.nodes();
  if (entry.vcluster->record.phase() != master::v1::LIVE ||
      std::none_of(nodes.begin(), nodes.end(),
                   [](const master::v1::Node& node) { return node.has_move(); })) {
    return;
  }
  const NodeStates states = StatesOf(entry);
  master::v1::Vcluster record = entry.vcluster->record;
  bool changed = false;
  for (master::v1::Node& node : *record.mutable_nodes()) {
    if (!node.has_move() || node.leaving()) continue;
    const std::string name = record.name() + "/" + entry.vcluster->NodeName(node);
    if (const auto why = WhyGiveUp(entry, states, node)) {
      LOG_WARNING("node " + name + " stays on host " + OldHostOf(node) + ": " + *why);
      record.set_last_problem("the move of " + entry.vcluster->NodeName(node) + " to " +
                              node.move().to() + " was given up: " + *why);
      failed_moves_[{number, node.index()}] = {options_.steady_now() + options_.move_again_after,
                                               *why};
      GoBack(&node);
      changed = true;
      continue;
    }
    const auto found = states.find(node.index());
    if (found == states.end()) continue;
    if (IsArriving(node)) {
      if (!found->second.made() || !IsCurrent(entry, node, found->second)) continue;
      LOG_INFO("node " + name + " has moved from " + OldHostOf(node) + " to " + node.host());
      EndMove(&node);
      changed = true;
    } else if (IsDeparture(found->second.departure(), number, node)) {
      const bool fenced = entry.vcluster->RoleOf(node)->host_loss == HostLoss::kRecreate;
      ArriveMove(found->second, fenced, &node);
      changed = true;
    }
  }
  if (!changed) return;
  if (Status stored = Store({std::move(record)}); !stored.ok()) {
    LOG_WARNING("Vcluster " + entry.vcluster->record.name() + ": " + stored.error().message());
  }
  touched_.erase(number);  // It is being looked at.
  drain_due_ = true;
}

std::optional<std::string> Master::WhyGiveUp(const Entry& entry, const NodeStates& states,
                                             const master::v1::Node& node) {
  const std::string& to = node.move().to();
  if (IsAbsentForLong(to)) return "host " + to + " is lost";
  if (!IsArriving(node)) {
    // Once the data are on the way it is quicker to let them arrive.
    if (known_hosts_.IsDraining(to)) return "host " + to + " is drained, too";
    if (node.move().drain() && !known_hosts_.IsDraining(node.host())) {
      return "its host is used again";
    }
  }
  const auto state = states.find(node.index());
  const bool broke = state != states.end() && state->second.state() == host::v1::BREAKDOWN &&
                     IsCurrent(entry, node, state->second);
  return broke ? std::optional(state->second.problem()) : std::nullopt;
}

bool Master::IsAbsentForLong(const std::string& host) {
  if (hosts_.contains(host)) return false;
  const auto now = options_.steady_now();
  return now - known_hosts_.NoteAway(host, now) >= options_.recreate_after;
}

void Master::BeginDrains() {
  drain_due_ = false;
  std::vector<std::string> drained;
  for (const auto& [name, record] : known_hosts_.records()) {
    // Data of a host that is not there cannot be moved.
    if (record.draining() && hosts_.contains(name)) drained.push_back(name);
  }
  for (const std::string& name : drained) DrainHost(name);
}

void Master::DrainHost(const std::string& host) {
  std::map<NodeKey, std::string> staying;
  for (const auto& [number, entry] : entries_) {
    for (const master::v1::Node& node : entry.vcluster->record.nodes()) {
      const NodeKey key{number, node.index()};
      if (node.host() != host || node.has_move()) continue;
      if (const auto why = WhyNotMovable(*entry.vcluster, node)) staying[key] = *why;
      const auto failed = failed_moves_.find(key);
      if (failed == failed_moves_.end()) continue;
      if (failed->second.again > options_.steady_now()) {
        staying[key] = "its move has failed: " + failed->second.why;
      } else {
        failed_moves_.erase(failed);
      }
    }
  }
  uint32_t moving = CountMoving(host);
  const auto steps = placer_.DrainOf(host, staying);
  if (!steps.ok()) return;
  for (const DrainStep& step : *steps) {
    if (step.to.empty()) {
      staying[step.key] = step.why;
    } else if (moving < kMovesAtOnceMax) {
      Status started = StartMove(step.key, step.to, "host " + host + " is drained", /*drain=*/true);
      if (started.ok()) {
        ++moving;
      } else {
        staying[step.key] = started.error().message();
      }
    }
  }
  staying_[host] = std::move(staying);
}

uint32_t Master::CountMoving(const std::string& host) const {
  uint32_t count = 0;
  for (const auto& [number, entry] : entries_) {
    for (const master::v1::Node& node : entry.vcluster->record.nodes()) {
      if (node.has_move() && OldHostOf(node) == host) ++count;
    }
  }
  return count;
}

Status Master::StartMove(NodeKey key, const std::string& to, const std::string& why, bool drain) {
  const auto found = entries_.find(key.vcluster);
  if (found == entries_.end()) return Error(Code::kNotFound, "its Vcluster was just deleted");
  const Vcluster& vcluster = *found->second.vcluster;
  const master::v1::Node* node = vcluster.FindNode(key.node);
  if (node == nullptr) return Error(Code::kNotFound, "it was just deleted");
  if (const auto refused = WhyNotMovable(vcluster, *node)) {
    return Error(Code::kFailedPrecondition, *refused);
  }
  if (!hosts_.contains(node->host())) {
    return Error(Code::kUnavailable, "its host '" + node->host() + "' is not there");
  }
  LOG_INFO("node " + FullName(key) + " moves from " + node->host() + " to " + to + ": " + why);
  master::v1::Vcluster record = vcluster.record;
  for (master::v1::Node& moved : *record.mutable_nodes()) {
    if (moved.index() == key.node) BeginMove(to, why, drain, &moved, &record);
  }
  return Store({std::move(record)});
}

std::string Master::FullName(NodeKey key) const {
  const auto found = entries_.find(key.vcluster);
  if (found == entries_.end()) return "a node";
  const Vcluster& vcluster = *found->second.vcluster;
  const master::v1::Node* node = vcluster.FindNode(key.node);
  return options_.user_name(vcluster.record.owner_uid()) + "/" + vcluster.record.name() + "/" +
         (node == nullptr ? std::string("?") : vcluster.NodeName(*node));
}

// REQUIRES: mutex_ is held.
void Master::AddDrainView(const std::string& host, HostView* view) const {
  const auto staying = staying_.find(host);
  view->looked = staying != staying_.end();
  view->moving = CountMoving(host);
  for (const auto& [number, entry] : entries_) {
    std::set<uint32_t> here;
    for (const master::v1::Node& node : entry.vcluster->record.nodes()) {
      if (OldHostOf(node) == host) here.insert(node.index());
    }
    // Also those that are to be removed there.
    if (const auto heard = entry.heard.find(host); heard != entry.heard.end()) {
      for (const host::v1::NodeStatus& node : heard->second.nodes()) here.insert(node.index());
    }
    view->left += static_cast<uint32_t>(here.size());
  }
  if (!view->looked) return;
  for (const auto& [key, why] : staying->second) {
    view->staying.emplace_back(FullName(key), why);
  }
}

Status Master::AwaitChange() {
  std::unique_lock lock(mutex_);
  if (options_.pause) {
    lock.unlock();
    options_.pause();
    lock.lock();
  } else if (!stop_) {
    changed_.wait_for(lock, kChangePause);
  }
  return stop_ ? Status(Error(Code::kUnavailable, "vclusterd ends")) : Ok();
}

Result<std::vector<Master::MoveView>> Master::Rebalance(bool dry_run) {
  const std::lock_guard lock(mutex_);
  return MoveForBalance(dry_run);
}

Result<std::vector<Master::MoveView>> Master::MoveForBalance(bool dry_run) {
  ReportLoad();
  ASSIGN_OR_RETURN(const std::vector<Move> moves, placer_.Moves());
  std::vector<MoveView> views;
  for (const Move& move : moves) {
    MoveView& view = views.emplace_back();
    view = {FullName(move.key), move.from, move.to, move.reason, ""};
    if (dry_run) continue;
    Status started = StartMove(move.key, move.to, move.reason, /*drain=*/false);
    if (!started.ok()) view.refused = started.error().message();
  }
  if (!dry_run) rebalanced_ = options_.steady_now();
  return views;
}

void Master::BalanceLoad() {
  const auto every = options_.rebalance_every;
  if (every.count() == 0 || options_.steady_now() - rebalanced_ < every) return ReportLoad();
  const auto moves = MoveForBalance(/*dry_run=*/false);
  if (!moves.ok()) LOG_WARNING("rebalancing: " + moves.error().message());
}

void Master::MeasureLoad(const Entry& entry) {
  for (const auto& [index, status] : StatesOf(entry)) {
    const master::v1::Node* node = entry.vcluster->FindNode(index);
    if (!status.has_usage() || node == nullptr || node->has_move()) continue;
    placer_.Measure({entry.vcluster->record.number(), index}, status.usage());
  }
}

void Master::ReportLoad() {
  std::set<std::string> unsettled;
  for (const auto& [number, entry] : entries_) {
    for (const master::v1::Node& node : entry.vcluster->record.nodes()) {
      if (!node.has_move()) continue;
      unsettled.insert(OldHostOf(node));
      unsettled.insert(node.move().to());
    }
  }
  std::map<std::string, host::v1::HostLoad> loads;
  for (const auto& [name, host] : hosts_) {
    if (auto load = host->link->Load()) loads[name] = std::move(*load);
  }
  placer_.ReportHosts(loads, unsettled);
}

}  // namespace strata::vcluster
