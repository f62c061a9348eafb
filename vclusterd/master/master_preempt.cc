// Nodes of lower priority that an admin stops, so that a Vcluster gets the room that it lacks.
// Never silent: their owners see who it was for, and it is in the log.
#include <algorithm>

#include "common/log.h"
#include "vclusterd/master/master.h"

namespace strata::vcluster {
namespace {

constexpr uint32_t kGraceMs = 10'000;  // Between SIGTERM and SIGKILL.

}  // namespace

Result<std::vector<Master::VictimView>> Master::Preempt(uint32_t number,
                                                        std::optional<int32_t> below,
                                                        bool dry_run) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(ReadUncertain());
  const auto found = entries_.find(number);
  if (found == entries_.end()) return Error(Code::kNotFound, "the Vcluster was just deleted");
  const Vcluster& vcluster = *found->second.vcluster;
  ASSIGN_OR_RETURN(const std::vector<Victim> victims, placer_.VictimsFor(vcluster, below));
  std::vector<VictimView> views;
  for (const Victim& victim : victims) {
    views.push_back({FullName(victim.key), victim.host, victim.priority});
  }
  if (dry_run) return views;
  const std::string whom =
      options_.user_name(vcluster.record.owner_uid()) + "/" + vcluster.record.name();
  std::map<uint32_t, master::v1::Vcluster> records;
  for (const Victim& victim : victims) {
    const Vcluster& other = *entries_.at(victim.key.vcluster).vcluster;
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
  for (auto& [of, record] : records) changed.push_back(std::move(record));
  RETURN_IF_ERROR(Store(std::move(changed)));
  Touch(number);
  return views;
}

Status Master::ReturnPreempted(master::v1::Vcluster* record) const {
  const bool returns =
      std::any_of(record->nodes().begin(), record->nodes().end(),
                  [](const master::v1::Node& node) { return node.preempted() && node.wanted(); });
  if (!returns) return Ok();
  ASSIGN_OR_RETURN(const VclusterPtr vcluster, ReadVcluster(*record));
  PlacementState state = placer_.state();
  for (master::v1::Node& node : *record->mutable_nodes()) {
    if (!node.preempted() || !node.wanted()) continue;
    if (Status room = Placer::CheckReturn(*vcluster, node.index(), &state); room.ok()) {
      node.clear_preempted();
    } else {
      // The others are none the worse for it.
      node.set_wanted(false);
      record->set_last_problem(room.error().message());
    }
  }
  return Ok();
}

}  // namespace strata::vcluster
