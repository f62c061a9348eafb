// Vclusters that find no room, when somebody may bring more hosts.
#include <algorithm>

#include "vclusterd/master/master.h"
#include "vclusterd/master/tables.h"

namespace strata::vcluster {

void Master::WaitForRoom() {
  const std::lock_guard lock(mutex_);
  waits_for_room_ = true;
}

// Whoever waits for the Vcluster hears of an error that is set; so it is not while more hosts may
// come.
void Master::SetNoRoom(Entry& entry, const Error& error) const {
  if (!waits_for_room_ || error.code() != Code::kResourceExhausted) {
    entry.problem = error;
    return;
  }
  entry.no_room = error;
  if (entry.room.has_value() && !entry.room->wait) {
    entry.problem = Error(error.code(), error.message() + "; " + entry.room->why);
  }
}

Master::Room Master::WantedRoom() {
  const std::lock_guard lock(mutex_);
  Room room{placer_.state(), {}};
  for (const auto& [number, entry] : entries_) {
    if (!entry.no_room.has_value()) continue;
    const Vcluster& vcluster = *entry.vcluster;
    VclusterDemand demand = placer_.Unplaced(vcluster);
    if (demand.nodes.empty()) continue;
    room.wanted.emplace_back(std::move(demand), options_.user_name(vcluster.record.owner_uid()));
  }
  const auto priority = [](const VclusterDemand& demand) {
    int32_t most = demand.nodes.front().priority;
    for (const NodeDemand& node : demand.nodes) most = std::max(most, node.priority);
    return most;
  };
  std::stable_sort(room.wanted.begin(), room.wanted.end(), [&](const auto& a, const auto& b) {
    return priority(a.first) > priority(b.first);
  });
  return room;
}

void Master::AnswerRoom(const std::map<uint32_t, RoomAnswer>& answers) {
  const std::lock_guard lock(mutex_);
  for (const auto& [number, answer] : answers) {
    const auto found = entries_.find(number);
    if (found == entries_.end() || !found->second.no_room.has_value()) continue;
    Entry& entry = found->second;
    entry.room = answer;
    entry.problem.reset();
    SetNoRoom(entry, Error(*entry.no_room));
  }
  changed_.notify_all();
}

Status Master::DrainComing(const std::string& host, bool drain) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(ReadUncertain());
  return SetDraining(host, drain);
}

Status Master::ForgetHost(const std::string& host) {
  const std::lock_guard lock(mutex_);
  if (known_hosts_.Has(host)) {
    RETURN_IF_ERROR(Commit({{kHostsTable, host, std::nullopt}}));
    known_hosts_.EraseRecord(host);
  }
  staying_.erase(host);
  if (hosts_.contains(host)) {
    forgotten_.insert(host);  // It gets nothing more, and goes when it is gone.
    placer_.SetCondition(host, HostCondition::kDraining);
  } else {
    known_hosts_.Forget(host);
    placer_.RemoveHost(host);
  }
  return Ok();
}

void Master::ShowRents(Rents rents) {
  const std::lock_guard lock(mutex_);
  rents_ = std::move(rents);
}

Status Master::StoreRecord(records::Table table, const std::string& key,
                           const std::optional<std::string>& value) {
  const std::lock_guard lock(mutex_);
  return Commit({{table, key, value}});
}

}  // namespace strata::vcluster
