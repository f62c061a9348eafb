// PartSave: the nodes that a host has of one Vcluster, saved as of one moment, together with those
// of other hosts (migrate/group_rounds.h). Made by HostNodes::StartSave or, for another host, by
// its RemoteHost. Destroyed before Finish it saves nothing, and all nodes run.
//
// A part that was frozen and hears nothing for kFrozenMax thaws its nodes by itself: whoever leads
// the save may be dead. Made and destroyed by the same thread; steps may be called by others.
#pragma once

#include <chrono>
#include <vector>

#include "migrate/group_rounds.h"
#include "vclusterd/host/node_life.h"

namespace strata::vcluster {

inline constexpr std::chrono::seconds kFrozenMax(15);

struct PartSaveNode {
  uint32_t index = 0;
  SaveNodeParameters parameters;
};

class PartSave : public migrate::GroupMember {
 public:
  // Publishes, in the order in which the nodes were named. REQUIRES: Take was Ok. After an error
  // some images may be there.
  virtual Result<std::vector<SaveNodeResult>> Finish() = 0;
};

}  // namespace strata::vcluster
