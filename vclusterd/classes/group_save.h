// All nodes of a Vcluster saved as of one moment, wherever they are.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "vclusterd/classes/home_images.h"
#include "vclusterd/master/clusters.h"

namespace strata::vcluster {

struct GroupSaveParameters {
  uint32_t on_behalf_of_uid = 0;
  std::string front;  // Images are called "FRONT-ROLE-ORDINAL:TAG-MARK".
  std::string tag;
  std::string mark;
  std::string owner;  // Of the images.
  std::string description;
  std::string command_line;
  bool keep_secrets = false;
};

// The images that there will be, as they are to be recorded before any of them is made.
// kFailedPrecondition: it is not ready. kUnavailable: a host of it is not there.
Result<HomeImages> PlanGroupSave(const VclusterView& view, const GroupSaveParameters& parameters);

// Makes them, and fills in what came of each. After an error some may be there (RemoveImages).
struct GroupSaved {
  std::chrono::nanoseconds stall{0};
};
Result<GroupSaved> SaveGroup(Master& master, const VclusterView& view,
                             const GroupSaveParameters& parameters, HomeImages* images,
                             const Clusters::ProgressFn& progress, const CancelToken& cancel);

}  // namespace strata::vcluster
