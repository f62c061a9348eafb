// The loop that has hosts make what should be.
#include <algorithm>

#include "common/log.h"
#include "vclusterd/master/master.h"
#include "vclusterd/master/tables.h"

namespace strata::vcluster {

void Master::Work() {
  std::unique_lock lock(mutex_);
  auto next_look = std::chrono::steady_clock::now() + options_.every;
  while (!stop_) {
    if (touched_.empty()) work_.wait_until(lock, next_look);
    if (stop_) return;
    std::map<std::string, Outgoing> outgoing;
    const bool look = std::chrono::steady_clock::now() >= next_look;
    if (look) {
      for (const auto& [number, entry] : entries_) touched_.insert(number);
      next_look = std::chrono::steady_clock::now() + options_.every;
      RemoveOrphans(&outgoing);
    }
    under_way_ = std::exchange(touched_, {});
    for (const uint32_t number : under_way_) {
      const auto found = entries_.find(number);
      if (found == entries_.end()) continue;
      Place(found->second);
      if (!Retire(number, found->second)) MakeOrders(found->second, look, &outgoing);
    }
    for (auto& [host, orders] : outgoing) Tell(orders, lock);
    under_way_.clear();
    changed_.notify_all();
  }
}

void Master::Tell(Outgoing& outgoing, std::unique_lock<std::mutex>& lock) {
  calling_ = outgoing.link;
  lock.unlock();
  const auto applied = outgoing.link->Apply(outgoing.orders);
  lock.lock();
  calling_ = nullptr;
  for (const host::v1::Part& order : outgoing.orders) {
    const auto found = entries_.find(order.number());
    if (found == entries_.end()) continue;
    Told& told = found->second.told[outgoing.host];
    told.error.reset();
    if (applied.ok()) continue;
    told.error = applied.error();
    told.order.clear_number();  // So that it differs, and is told again at the next look.
  }
  if (!applied.ok()) {
    LOG_WARNING("host " + outgoing.host + ": " + applied.error().message());
    return;
  }
  for (const host::v1::PartStatus& status : *applied) Hear(outgoing.host, status);
}

// Gives every node without a place one.
void Master::Place(Entry& entry) {
  const master::v1::Vcluster& before = entry.vcluster->record;
  if (before.phase() == master::v1::DELETING) return;
  const bool placed = std::all_of(before.nodes().begin(), before.nodes().end(),
                                  [](const master::v1::Node& node) { return !node.host().empty(); });
  if (placed) return;
  if (hosts_.empty()) {
    entry.problem = Error(Code::kUnavailable, "no host is there yet");
    return;
  }
  master::v1::Vcluster record = before;
  for (master::v1::Node& node : *record.mutable_nodes()) {
    if (node.host().empty()) node.set_host(hosts_.begin()->first);
  }
  const uint32_t number = record.number();
  if (Status stored = Store({std::move(record)}); !stored.ok()) {
    entry.problem = stored.error();
    return;
  }
  touched_.erase(number);  // It is being looked at.
  entry.problem.reset();
}

// A Vcluster that is being deleted and of which no host has anything is gone.
bool Master::Retire(uint32_t number, Entry& entry) {
  if (entry.vcluster->record.phase() != master::v1::DELETING) return false;
  for (const master::v1::Node& node : entry.vcluster->record.nodes()) {
    if (!node.host().empty() && !entry.told.contains(node.host())) return false;
  }
  for (const auto& [host, told] : entry.told) {
    const auto heard = entry.heard.find(host);
    if (told.error.has_value() || !told.order.nodes().empty() || heard == entry.heard.end() ||
        !heard->second.nodes().empty()) {
      return false;
    }
  }
  if (Status gone = Commit({}, {{kVclustersTable, VclusterKey(number), std::nullopt}});
      !gone.ok()) {
    entry.problem = gone.error();
    return false;
  }
  entries_.erase(number);
  return true;
}

void Master::MakeOrders(Entry& entry, bool repeat,
                        std::map<std::string, Outgoing>* outgoing) {
  std::set<std::string> concerned;
  for (const master::v1::Node& node : entry.vcluster->record.nodes()) {
    if (!node.host().empty()) concerned.insert(node.host());
  }
  for (const auto& [host, status] : entry.heard) concerned.insert(host);
  const NodeStates states = StatesOf(entry);
  OrderContext context;
  context.owner_name = options_.user_name(entry.vcluster->record.owner_uid());
  for (const std::string& host : concerned) {
    const auto link = hosts_.find(host);
    if (link == hosts_.end()) continue;
    host::v1::Part order = OrderFor(*entry.vcluster, host, states, context);
    Told& told = entry.told[host];
    order.set_revision(told.order.revision());
    if (order.SerializeAsString() == told.order.SerializeAsString()) {
      const auto heard = entry.heard.find(host);
      const bool taken =
          heard != entry.heard.end() && heard->second.revision() >= order.revision();
      if (!repeat || taken || order.nodes().empty()) continue;
    } else {
      order.set_revision(leader_.epoch() << 32 | ++orders_);
      told.order = order;
    }
    Outgoing& out = (*outgoing)[host];
    out.link = link->second;
    out.host = host;
    out.orders.push_back(std::move(order));
  }
}

// What hosts have of Vclusters that were deleted.
void Master::RemoveOrphans(std::map<std::string, Outgoing>* outgoing) {
  for (const auto& [host, numbers] : orphans_) {
    const auto link = hosts_.find(host);
    if (link == hosts_.end()) continue;
    for (const uint32_t number : numbers) {
      LOG_INFO("host " + host + ": removing nodes of the deleted Vcluster " +
               std::to_string(number));
      host::v1::Part order;
      order.set_number(number);
      order.set_revision(leader_.epoch() << 32 | ++orders_);
      Outgoing& out = (*outgoing)[host];
      out.link = link->second;
      out.host = host;
      out.orders.push_back(std::move(order));
    }
  }
}

}  // namespace strata::vcluster
