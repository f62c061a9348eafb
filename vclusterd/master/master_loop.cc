// The loop that has hosts make what should be.
#include <algorithm>

#include "common/log.h"
#include "vclusterd/jobs/task_orders.h"
#include "vclusterd/master/master.h"
#include "vclusterd/master/moves.h"
#include "vclusterd/master/plausible.h"
#include "vclusterd/master/reshape.h"
#include "vclusterd/master/tables.h"

namespace strata::vcluster {

void Master::Step() {
  const std::lock_guard lock(mutex_);
  if (!stop_ && lead_->Holds() && options_.steady_now() >= NextRound()) Round();
}

Master::Clock::time_point Master::NextRound() const {
  if (IsUncertain()) return next_try_;
  if (!touched_.empty() || drain_due_ || UntilJobsAreDue().count() == 0) {
    return Clock::time_point::min();
  }
  return std::min(next_look_, options_.steady_now() + UntilJobsAreDue());
}

void Master::Round() {
  if (Status read = ReadUncertain(); !read.ok()) {
    LOG_WARNING("records are not what they may be: " + read.error().message());
    return;
  }
  DeleteAbandoned();
  const bool look = options_.steady_now() >= next_look_;
  if (look) {
    for (const auto& [number, entry] : entries_) touched_.insert(number);
    next_look_ = options_.steady_now() + options_.every;
    RemoveOrphans();
    RemoveOldJobs();
    DropReservations();
    FollowReservations();
  }
  const std::set<uint32_t> touched = std::exchange(touched_, {});
  for (const uint32_t number : touched) {
    const auto found = entries_.find(number);
    if (found == entries_.end()) continue;
    AdvanceMoves(number, found->second);
    MoveOff(found->second);
  }
  if (look || drain_due_) BeginDrains();
  Place(touched);
  AdvanceJobs(touched);
  for (const uint32_t number : touched) {
    const auto found = entries_.find(number);
    if (found == entries_.end()) continue;
    DropLeft(found->second);
    DiscardLeft(number, found->second);
    NoteFenced(found->second);
    if (look) FollowRules(found->second);
    if (look) MeasureLoad(found->second);
    if (!Retire(number, found->second)) MakeOrders(found->second, look);
  }
  if (look) BalanceLoad();
  for (const uint32_t number : touched) changed_at_[number] = ++changes_;
  changed_.notify_all();
}

Master::Dispatch Master::TakeFrom(Host& host) {
  Dispatch dispatch{host.name, host.link, {}};
  for (auto& [number, order] : host.outbox) dispatch.orders.push_back(std::move(order));
  host.outbox.clear();
  host.asked = true;
  return dispatch;
}

std::vector<Master::Dispatch> Master::TakeOrders() {
  const std::lock_guard lock(mutex_);
  std::vector<Dispatch> dispatches;
  if (!lead_->Holds()) return dispatches;
  for (const auto& [name, host] : hosts_) {
    if (!host->asked && !host->outbox.empty()) dispatches.push_back(TakeFrom(*host));
  }
  return dispatches;
}

void Master::Answer(const Dispatch& dispatch,
                    const Result<std::vector<host::v1::PartStatus>>& answer) {
  const std::lock_guard lock(mutex_);
  HearAnswer(dispatch, answer);
}

void Master::HearAnswer(const Dispatch& dispatch,
                        const Result<std::vector<host::v1::PartStatus>>& answer) {
  const auto host = hosts_.find(dispatch.host);
  if (host == hosts_.end() || host->second->link != dispatch.link) return;  // Of an earlier link.
  host->second->asked = false;
  std::map<uint32_t, Error> problems;
  if (answer.ok()) {
    for (const host::v1::PartStatus& status : *answer) {
      const auto problem = ProblemOf(status);
      if (!problem.has_value()) continue;
      LOG_WARNING("host " + dispatch.host + ": Vcluster " + std::to_string(status.number()) + ": " +
                  problem->message());
      problems.emplace(status.number(), *problem);
    }
  }
  for (const host::v1::Part& order : dispatch.orders) {
    const auto found = entries_.find(order.number());
    if (found == entries_.end()) continue;
    const auto entry = found->second.told.find(dispatch.host);
    if (entry == found->second.told.end()) continue;
    Told& told = entry->second;
    if (told.order.revision() != order.revision()) continue;  // A later one follows.
    told.under_way = false;
    told.error.reset();
    if (answer.ok() || answer.error().code() != Code::kUnavailable) {
      told.unavailable_since.reset();
    } else if (!told.unavailable_since.has_value()) {
      told.unavailable_since = options_.steady_now();
    }
    const auto problem = problems.find(order.number());
    if (answer.ok() && problem == problems.end()) continue;
    told.error = answer.ok() ? problem->second : answer.error();  // Told again at the next look.
  }
  if (answer.ok()) {
    for (const host::v1::PartStatus& status : *answer) Hear(dispatch.host, status);
  } else {
    LOG_WARNING("host " + dispatch.host + ": " + answer.error().message());
  }
  changed_.notify_all();
}

void Master::Post(Host& host, host::v1::Part order) {
  const uint32_t number = order.number();
  host.outbox[number] = std::move(order);
  host.wake.notify_one();
}

// Takes nodes that may be made anew elsewhere from hosts that are lost. They are told apart from
// those that were there by their incarnation: a host that comes back removes the old ones.
void Master::MoveOff(Entry& entry) {
  const auto now = options_.steady_now();
  master::v1::Vcluster record = entry.vcluster->record;
  if (record.phase() == master::v1::DELETING) return;
  bool moved = false;
  for (master::v1::Node& node : *record.mutable_nodes()) {
    if (node.host().empty() || node.leaving() || hosts_.contains(node.host())) continue;
    if (node.preempted()) continue;  // Until somebody wants it again.
    if (IsArriving(node)) continue;  // Its data are on its old host: AdvanceMoves gives it back.
    const auto since = known_hosts_.NoteAway(node.host(), now);
    const Role* role = entry.vcluster->RoleOf(node);
    if (now - since < options_.recreate_after || role->host_loss != HostLoss::kRecreate) continue;
    if (!node.fenced()) continue;  // Its host does not know that it must not run on alone.
    LOG_WARNING("host " + node.host() + " is lost: node " + record.name() + "/" +
                entry.vcluster->NodeName(node) + " is made anew elsewhere");
    record.set_last_problem("host " + node.host() + " was lost");
    record.set_incarnations(record.incarnations() + 1);
    node.set_incarnation(record.incarnations());
    node.clear_host();
    node.clear_fenced();
    node.clear_move();
    moved = true;
  }
  if (!moved) return;
  const uint32_t number = record.number();
  if (Status stored = Store({std::move(record)}); !stored.ok()) entry.problem = stored.error();
  touched_.erase(number);  // It is being looked at.
}

// Gives every node without a place one.
void Master::Place(const std::set<uint32_t>& numbers) {
  std::vector<const Vcluster*> vclusters;
  for (const uint32_t number : numbers) {
    const auto found = entries_.find(number);
    if (found == entries_.end()) continue;
    const master::v1::Vcluster& record = found->second.vcluster->record;
    const bool placed = std::all_of(
        record.nodes().begin(), record.nodes().end(),
        [](const master::v1::Node& node) { return !node.host().empty() || node.leaving(); });
    found->second.problem.reset();
    found->second.no_room.reset();
    if (!placed && record.phase() != master::v1::DELETING && !uncertain_.contains(number)) {
      vclusters.push_back(found->second.vcluster.get());
    }
  }
  if (vclusters.empty()) return;
  std::vector<master::v1::Vcluster> changed;
  for (auto& [number, placed] : placer_.Place(vclusters)) {
    Entry& entry = entries_.at(number);
    if (placed.error.has_value()) {
      SetNoRoom(entry,
                hosts_.empty() ? Error(Code::kUnavailable, "no host is there yet") : *placed.error);
      continue;
    }
    entry.room.reset();
    changed.push_back(entry.vcluster->record);
    for (master::v1::Node& node : *changed.back().mutable_nodes()) {
      if (const auto host = placed.host.find(node.index()); host != placed.host.end()) {
        node.set_host(host->second);
        // Of all orders for it, the first one too.
        node.set_fenced(entry.vcluster->RoleOf(node)->host_loss == HostLoss::kRecreate);
      }
    }
  }
  const std::vector<master::v1::Vcluster> records = changed;
  if (Status stored = Store(std::move(changed)); !stored.ok()) {
    for (const master::v1::Vcluster& record : records) {
      entries_.at(record.number()).problem = stored.error();
    }
  }
  for (const master::v1::Vcluster& record : records) touched_.erase(record.number());
}

// A role may have become one whose nodes may be made anew elsewhere.
void Master::NoteFenced(Entry& entry) {
  master::v1::Vcluster record = entry.vcluster->record;
  bool noted = false;
  for (master::v1::Node& node : *record.mutable_nodes()) {
    const Role* role = entry.vcluster->RoleOf(node);
    const auto told = entry.told.find(node.host());
    if (node.fenced() || role == nullptr || role->host_loss != HostLoss::kRecreate ||
        told == entry.told.end() || told->second.under_way || told->second.error.has_value()) {
      continue;
    }
    for (const host::v1::NodeOrder& order : told->second.order.nodes()) {
      if (order.index() != node.index() || !order.fenced()) continue;
      node.set_fenced(true);
      noted = true;
    }
  }
  if (!noted) return;
  const uint32_t number = record.number();
  if (Status stored = Store({std::move(record)}); !stored.ok()) {
    LOG_WARNING("Vcluster " + entry.vcluster->record.name() + ": " + stored.error().message());
  }
  touched_.erase(number);
}

// Nodes that were to leave, and are gone from their host.
void Master::DropLeft(Entry& entry) {
  std::vector<uint32_t> gone;
  for (const master::v1::Node& node : entry.vcluster->record.nodes()) {
    if (!node.leaving()) continue;
    const auto heard = entry.heard.find(node.host());
    const auto told = entry.told.find(node.host());
    if (!node.host().empty() && (heard == entry.heard.end() || told == entry.told.end() ||
                                 told->second.error || told->second.under_way ||
                                 // One that never had any of it says no revision.
                                 (!heard->second.nodes().empty() &&
                                  heard->second.revision() < told->second.order.revision()))) {
      continue;
    }
    const auto names = [&](const auto& other) { return other.index() == node.index(); };
    const bool told_to_keep =
        !node.host().empty() &&
        std::any_of(told->second.order.nodes().begin(), told->second.order.nodes().end(), names);
    const bool there = !node.host().empty() && std::any_of(heard->second.nodes().begin(),
                                                           heard->second.nodes().end(), names);
    if (!told_to_keep && !there) gone.push_back(node.index());
  }
  if (gone.empty()) return;
  master::v1::Vcluster record = entry.vcluster->record;
  if (!DropNodes(gone, &record)) return;
  const uint32_t number = record.number();
  if (Status stored = Store({std::move(record)}); !stored.ok()) {
    LOG_WARNING("Vcluster " + entry.vcluster->record.name() + ": " + stored.error().message());
  }
  touched_.erase(number);
}

// A Vcluster that is being deleted and of which no host has anything is gone.
bool Master::Retire(uint32_t number, Entry& entry) {
  if (entry.vcluster->record.phase() != master::v1::DELETING || uncertain_.contains(number)) {
    return false;
  }
  for (const master::v1::Node& node : entry.vcluster->record.nodes()) {
    if (!node.host().empty() && !entry.told.contains(node.host())) return false;
  }
  for (const auto& [host, told] : entry.told) {
    const auto heard = entry.heard.find(host);
    if (told.under_way || told.error.has_value() || !told.order.nodes().empty() ||
        heard == entry.heard.end() || !heard->second.nodes().empty()) {
      return false;
    }
  }
  if (!DiscardVolumes(number, entry)) return false;
  if (Status gone = Commit({{kVclustersTable, VclusterKey(number), std::nullopt}}); !gone.ok()) {
    entry.problem = gone.error();
    return false;
  }
  Forget(number);
  return true;
}

Master::OrderBasis Master::BasisOf(const Entry& entry) const {
  OrderBasis basis;
  const master::v1::Vcluster& record = entry.vcluster->record;
  const auto& roles = entry.vcluster->definition.roles;
  const bool any_waits =
      std::any_of(roles.begin(), roles.end(), [](const Role& role) { return !role.after.empty(); });
  basis.vcluster = entry.vcluster;
  const bool any_balanced = std::any_of(roles.begin(), roles.end(), [](const Role& role) {
    return std::any_of(role.ports.begin(), role.ports.end(),
                       [](const PortForward& port) { return port.balance != Balance::kNone; });
  });
  const NodeStates states = any_waits || any_balanced ? StatesOf(entry) : NodeStates();
  basis.may_start = RolesThatMayStart(*entry.vcluster, states);
  if (any_balanced) basis.balanced_ports = BalancedPortsOf(*entry.vcluster, states);
  basis.peers = PeersOf(*entry.vcluster);
  if (options_.network_limit) {
    basis.owner_network_bits_per_s = options_.network_limit(record.owner_uid());
  }
  basis.jobs = jobs_.ActiveOf(record.number());
  basis.owner_name = options_.user_name(record.owner_uid());
  basis.addresses = known_hosts_.addresses_version();
  return basis;
}

void Master::MakeOrders(Entry& entry, bool repeat) {
  const uint32_t number = entry.vcluster->record.number();
  if (uncertain_.contains(number)) return;  // Soon again.
  std::set<std::string> concerned;
  for (const master::v1::Node& node : entry.vcluster->record.nodes()) {
    if (!node.host().empty()) concerned.insert(node.host());
    if (IsArriving(node)) concerned.insert(node.move().from());
  }
  for (const auto& [host, status] : entry.heard) concerned.insert(host);
  if (OrderBasis basis = BasisOf(entry); basis != entry.basis) {
    entry.basis = std::move(basis);
    for (auto& [host, told] : entry.told) told.is_current = false;
  }
  std::optional<OrderContext> context;
  for (const std::string& host : concerned) {
    const auto link = hosts_.find(host);
    if (link == hosts_.end()) continue;
    Told& told = entry.told[host];
    bool is_new = false;
    if (!told.is_current) {
      if (!context.has_value()) {
        context.emplace(OrderContext{
            entry.basis.may_start, entry.basis.owner_name, volumes_->id(), known_hosts_.addresses(),
            entry.basis.peers, entry.basis.balanced_ports, entry.basis.owner_network_bits_per_s});
      }
      host::v1::Part order = OrderFor(*entry.vcluster, host, *context);
      for (const JobPtr& job : entry.basis.jobs) AddTaskOrders(*job, &order);
      order.set_revision(told.order.revision());
      is_new = order.SerializeAsString() != told.order.SerializeAsString();
      if (is_new) {
        order.set_revision(epoch() << 32 | ++orders_);
        told.order = std::move(order);
      }
      told.is_current = true;
    }
    if (!is_new) {
      const auto heard = entry.heard.find(host);
      // One that has nothing of it may have forgotten the last order.
      const bool failed = told.error.has_value() && !told.under_way;
      const bool taken = !failed && heard != entry.heard.end() &&
                         (heard->second.revision() >= told.order.revision() ||
                          (told.order.nodes().empty() && heard->second.nodes().empty()));
      if (!repeat || taken) continue;
      // It may have been taken before it failed, and the same is not taken twice.
      if (failed) told.order.set_revision(epoch() << 32 | ++orders_);
    }
    told.under_way = true;
    Post(*link->second, told.order);
  }
}

// What hosts have of Vclusters that were deleted.
void Master::RemoveOrphans() {
  for (const auto& [host, numbers] : orphans_.by_host()) {
    const auto link = hosts_.find(host);
    if (link == hosts_.end()) continue;
    for (const auto& [number, sequence] : numbers) {
      if (entries_.contains(number)) continue;  // Another has the number now.
      LOG_INFO("host " + host + ": removing nodes of the deleted Vcluster " +
               std::to_string(number));
      host::v1::Part order;
      order.set_number(number);
      order.set_revision(epoch() << 32 | ++orders_);
      Post(*link->second, std::move(order));
    }
  }
}

}  // namespace strata::vcluster
