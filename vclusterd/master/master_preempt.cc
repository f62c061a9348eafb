// Nodes of lower priority that stop so that a Vcluster gets the room that an admin wants it to
// have. Never silent: their owners see who it was for, and it is in the log.
#include "common/log.h"
#include "vclusterd/master/master.h"

namespace strata::vcluster {
namespace {

constexpr uint32_t kGraceMs = 10'000;  // Between SIGTERM and SIGKILL.

}  // namespace

Result<std::vector<Master::VictimView>> Master::Victims(uint32_t number) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(number);
  if (found == entries_.end()) return Error(Code::kNotFound, "the Vcluster was just deleted");
  ASSIGN_OR_RETURN(const std::vector<Victim> victims, placer_.VictimsFor(*found->second.vcluster));
  std::vector<VictimView> views;
  for (const Victim& victim : victims) {
    views.push_back({FullName(victim.key), victim.host, victim.priority});
  }
  return views;
}

// They give their room up at once: their hosts stop them meanwhile.
Status Master::Preempt(const Vcluster& vcluster) {
  ASSIGN_OR_RETURN(const std::vector<Victim> victims, placer_.VictimsFor(vcluster));
  const std::string whom =
      options_.user_name(vcluster.record.owner_uid()) + "/" + vcluster.record.name();
  std::map<uint32_t, master::v1::Vcluster> records;
  for (const Victim& victim : victims) {
    const auto found = entries_.find(victim.key.vcluster);
    if (found == entries_.end()) continue;
    const Vcluster& other = *found->second.vcluster;
    master::v1::Vcluster& record =
        records.try_emplace(victim.key.vcluster, other.record).first->second;
    for (master::v1::Node& node : *record.mutable_nodes()) {
      if (node.index() != victim.key.node) continue;
      const std::string why =
          other.NodeName(node) + " was stopped on " + victim.host + " to make room for " + whom;
      LOG_WARNING("Vcluster " + record.name() + ": " + why);
      node.set_wanted(false);
      node.set_preempted(true);
      node.set_stop_grace_ms(kGraceMs);
      record.set_last_problem(why);
    }
  }
  std::vector<master::v1::Vcluster> changed;
  for (auto& [number, record] : records) changed.push_back(std::move(record));
  return Store(std::move(changed));
}

Status Master::ReturnPreempted(master::v1::Vcluster* record) const {
  std::vector<uint32_t> returning;
  for (master::v1::Node& node : *record->mutable_nodes()) {
    if (!node.preempted() || !node.wanted()) continue;
    node.clear_preempted();
    returning.push_back(node.index());
  }
  if (returning.empty()) return Ok();
  ASSIGN_OR_RETURN(const VclusterPtr vcluster, ReadVcluster(*record));
  return placer_.CheckReturn(*vcluster, returning);
}

}  // namespace strata::vcluster
