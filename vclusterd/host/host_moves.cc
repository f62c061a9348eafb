// Nodes that go to another host, with what they have written, or come from one.
#include "common/log.h"
#include "vclusterd/host/host_nodes.h"

namespace strata::vcluster {
namespace {

// "root/NAME@DIGEST" is an image of this name.
bool IsNamed(const std::string& reference, const std::string& name) {
  return reference.find("/" + name + "@") != std::string::npos;
}

}  // namespace

bool HostNodes::CarriesData(const Job& job) {
  if (!job.wanted.has_value()) return false;
  const bool leaves =
      !job.wanted->departure().empty() && !IsNamed(job.local.departure(), job.wanted->departure());
  return leaves || (job.wanted->has_arrival() && !job.local.made());
}

// The node is stopped. What it has written is saved once, however often this is asked.
Status HostNodes::Depart(Job& job) {
  const std::string& name = job.wanted->departure();
  if (IsNamed(job.local.departure(), name)) return Ok();
  RETURN_IF_ERROR(ForgetDeparture(job));
  ASSIGN_OR_RETURN(const std::string reference,
                   life_->Depart(job.id, job.local, job.id_first, name, closing_),
                   "it cannot be saved for its move");
  job.local.set_departure(reference);
  const std::lock_guard lock(job.part->mutex);
  job.node->local.set_departure(reference);
  ++job.part->changes;
  return Ok();
}

Status HostNodes::ForgetDeparture(Job& job) {
  if (job.local.departure().empty()) return Ok();
  RETURN_IF_ERROR(life_->ForgetDeparture(job.local.departure()));
  job.local.clear_departure();
  const std::lock_guard lock(job.part->mutex);
  job.node->local.clear_departure();
  ++job.part->changes;
  return Ok();
}

}  // namespace strata::vcluster
