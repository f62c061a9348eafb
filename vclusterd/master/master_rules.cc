// What Strata does to a Vcluster by itself, because its definition says so: its end, idleness,
// growth.
#include <algorithm>

#include "common/log.h"
#include "vclusterd/definition/format_file.h"
#include "vclusterd/master/master.h"
#include "vclusterd/master/reshape.h"

namespace strata::vcluster {
namespace {

// A notice comes when so much of the time is over.
constexpr double kNoticeFrom = 0.8;

std::string Minutes(int64_t ms) {
  return std::to_string(std::max<int64_t>(1, ms / 60'000)) + " min";
}

bool AnyWanted(const master::v1::Vcluster& record) {
  return std::any_of(record.nodes().begin(), record.nodes().end(),
                     [](const master::v1::Node& node) { return node.wanted(); });
}

}  // namespace

void Master::FollowRules(Entry& entry) {
  if (entry.vcluster->record.phase() != master::v1::LIVE) return;
  entry.notice.clear();
  RetireKeys(entry);
  Expire(entry);
  StopIdle(entry);
  ScaleRoles(entry);
}

// Stores what a rule has made of a record.
void Master::StoreByRule(Entry& entry, master::v1::Vcluster record, const std::string& why) {
  record.set_last_problem(why);
  const uint32_t number = record.number();
  if (Status stored = Store({std::move(record)}); stored.ok()) {
    LOG_INFO("Vcluster " + entry.vcluster->record.name() + ": " + why);
  } else if (entry.notice != stored.error().message()) {
    entry.notice = stored.error().message();
    LOG_WARNING("Vcluster " + entry.vcluster->record.name() + ": " + entry.notice);
  }
  touched_.erase(number);  // It is being looked at.
}

// What was asked for when its time is over.
void Master::Expire(Entry& entry) {
  master::v1::Vcluster record = entry.vcluster->record;
  const int64_t left_ms = record.expires_unix_s() * 1000 - NowUnixMs();
  if (record.expires_unix_s() == 0 || record.expired()) return;
  const bool deletes = entry.vcluster->definition.on_expiry == ExpiryAction::kDelete;
  const int64_t whole_ms = record.expires_unix_s() * 1000 - record.created_unix_ms();
  if (left_ms > 0) {
    if (static_cast<double>(left_ms) < (1 - kNoticeFrom) * static_cast<double>(whole_ms)) {
      entry.notice = std::string(deletes ? "deleted" : "stopped") + " in " + Minutes(left_ms) +
                     " (vcluster extend)";
    }
    return;
  }
  record.set_expired(true);
  if (deletes) {
    record.set_phase(master::v1::DELETING);
  } else {
    for (master::v1::Node& node : *record.mutable_nodes()) node.set_wanted(false);
  }
  StoreByRule(entry, std::move(record), "its time was over");
}

// Once all nodes have the new ones.
void Master::RetireKeys(Entry& entry) {
  const master::v1::Vcluster& current = entry.vcluster->record;
  if (current.ssh_login_seed_before().empty()) return;
  for (const master::v1::Node& node : current.nodes()) {
    if (!node.host().empty() && !entry.told.contains(node.host())) return;
  }
  for (const auto& [host, told] : entry.told) {
    if (told.order.nodes().empty()) continue;
    const auto heard = entry.heard.find(host);
    if (told.order.ssh_login_seed() != current.ssh_login_seed() || told.under_way ||
        told.error.has_value() || heard == entry.heard.end() ||
        heard->second.revision() < told.order.revision()) {
      return;
    }
    for (const host::v1::NodeStatus& node : heard->second.nodes()) {
      if (node.revision() < told.order.revision()) return;
    }
  }
  master::v1::Vcluster record = current;
  record.clear_ssh_login_seed_before();
  record.clear_ssh_host_seed_before();
  StoreByRule(entry, std::move(record), "all nodes have the new keys");
}

void Master::StopIdle(Entry& entry) {
  const auto& limit = entry.vcluster->definition.idle_stop;
  if (!limit.has_value() || !AnyWanted(entry.vcluster->record)) {
    entry.idle.Reset();
    return;
  }
  entry.idle.Look(StatesOf(entry), NowUnixMs());
  const int64_t limit_ms = std::chrono::milliseconds(*limit).count();
  const int64_t idle_ms = entry.idle.IdleMs(NowUnixMs());
  if (idle_ms < limit_ms) {
    if (static_cast<double>(idle_ms) > kNoticeFrom * static_cast<double>(limit_ms)) {
      entry.notice = "nobody uses it: stopped in " + Minutes(limit_ms - idle_ms);
    }
    return;
  }
  master::v1::Vcluster record = entry.vcluster->record;
  for (master::v1::Node& node : *record.mutable_nodes()) node.set_wanted(false);
  entry.idle.Reset();
  StoreByRule(entry, std::move(record), "nobody used it for " + Minutes(limit_ms));
}

void Master::ScaleRoles(Entry& entry) {
  Definition wanted = entry.vcluster->definition;
  const NodeStates states = StatesOf(entry);
  std::string why;
  for (Role& role : wanted.roles) {
    if (!role.autoscale.has_value()) continue;
    const auto need = NeedOf(*entry.vcluster, role, states);
    if (!need.has_value()) continue;
    if (!need->ok()) {
      entry.notice = need->error().message();
      continue;
    }
    const uint32_t count =
        entry.scalers[role.name].Decide(*role.autoscale, role.count, (*need)->nodes, NowUnixMs());
    if (count == role.count) continue;
    why += (why.empty() ? "" : ", ") + role.name + " " + (*need)->why + ": " +
           std::to_string(role.count) + " -> " + std::to_string(count) + " nodes";
    role.count = count;
  }
  if (why.empty()) return;
  master::v1::Vcluster record = entry.vcluster->record;
  ReshapeOptions options;
  options.now_unix_s = NowUnixMs() / 1000;
  options.cpu_use = CpuUseOf(states);
  if (Status changed = Reshape(*entry.vcluster, wanted, options, &record); !changed.ok()) {
    entry.notice = changed.error().message();
    return;
  }
  StoreByRule(entry, std::move(record), why);
}

}  // namespace strata::vcluster
