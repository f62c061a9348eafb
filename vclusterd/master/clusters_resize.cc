// Limits of disk, while nodes run.
#include "common/log.h"
#include "vclusterd/master/clusters.h"

namespace strata::vcluster {
namespace {

// For quotas. 0 is no limit.
bool IsLess(uint64_t disk_bytes, uint64_t than) { return disk_bytes != 0 && disk_bytes < than; }

// Whether the host may have done it all the same.
bool IsUnknown(const Error& error) {
  return error.code() == Code::kUnavailable || error.code() == Code::kDeadlineExceeded;
}

std::optional<uint64_t> OwnDisk(const master::v1::Node& node) {
  return node.has_disk_bytes() ? std::optional(node.disk_bytes()) : std::nullopt;
}

}  // namespace

Result<ClusterView> Clusters::Resize(const Caller& caller, const std::string& text,
                                     uint64_t disk_bytes) {
  ASSIGN_OR_RETURN(const Found found, Find(caller, Operation::kVclusterResize, text));
  return users_.Perform(caller, Operation::kVclusterResize, found.target,
                        std::to_string(disk_bytes) + " bytes", [&]() -> Result<ClusterView> {
                          {
                            const std::lock_guard lock(resizing_mutex_);
                            if (!resizing_.insert(found.number()).second) {
                              return Error(Code::kUnavailable,
                                           "disks of Vcluster " +
                                               found.view.vcluster->record.name() +
                                               " are being resized: try again");
                            }
                          }
                          auto resized = ResizeFound(found, disk_bytes);
                          const std::lock_guard lock(resizing_mutex_);
                          resizing_.erase(found.number());
                          return resized;
                        });
}

Status Clusters::RecordDisks(uint32_t number,
                             const std::map<uint32_t, std::optional<uint64_t>>& change) {
  if (change.empty()) return Ok();
  return master_.Change({number}, [&](master::v1::Vcluster* record) {
    for (master::v1::Node& node : *record->mutable_nodes()) {
      const auto wanted = change.find(node.index());
      if (wanted == change.end() || node.leaving()) continue;
      if (wanted->second.has_value()) {
        node.set_disk_bytes(*wanted->second);
      } else {
        node.clear_disk_bytes();
      }
    }
    return Ok();
  });
}

// Who asks for more has it recorded first, all at once: so two who ask at the same time are held
// against the quota together. Who asks for less has it when the host has done it.
Result<ClusterView> Clusters::ResizeFound(const Found& found, uint64_t disk_bytes) {
  const VclusterPtr vcluster = master_.Find(found.number()).vcluster;
  if (vcluster == nullptr) return Error(Code::kNotFound, "the Vcluster was just deleted");
  const uint64_t disk_max = vcluster->record.quota().disk_bytes();
  if (disk_max != 0 && (disk_bytes == 0 || disk_bytes > disk_max)) {
    return Error(Code::kResourceExhausted,
                 "a node of this class may have " + std::to_string(disk_max) + " bytes of disk");
  }
  std::vector<master::v1::Node> nodes;
  std::map<uint32_t, std::optional<uint64_t>> growing;
  std::map<uint32_t, std::optional<uint64_t>> before;  // Of those.
  for (const master::v1::Node& node : vcluster->record.nodes()) {
    if (node.leaving() || (found.index.has_value() && node.index() != *found.index)) continue;
    nodes.push_back(node);
    if (IsLess(disk_bytes, AmountsOf(*vcluster->RoleOf(node), node).disk_bytes())) continue;
    growing[node.index()] = disk_bytes;
    before[node.index()] = OwnDisk(node);
  }
  RETURN_IF_ERROR(RecordDisks(found.number(), growing));
  for (const master::v1::Node& node : nodes) {
    const std::string name = "node " + vcluster->record.name() + "/" + vcluster->NodeName(node);
    const std::shared_ptr<HostLink> link = master_.LinkTo(node.host());
    Status resized = Error(Code::kUnavailable, "its host is not there");
    if (link != nullptr) resized = link->Resize(found.number(), node.index(), disk_bytes);
    if (resized.ok() && !growing.contains(node.index())) {
      resized = RecordDisks(found.number(), {{node.index(), disk_bytes}});
    }
    if (resized.ok() || (link != nullptr && IsUnknown(resized.error()))) before.erase(node.index());
    if (resized.ok()) continue;
    // What was recorded for this one and those after it has not come.
    if (Status back = RecordDisks(found.number(), before); !back.ok()) {
      LOG_WARNING("Vcluster " + vcluster->record.name() +
                  ": more disk counts for it than it has, until it is resized again: " +
                  back.error().message());
    }
    return resized.error().Wrap(name);
  }
  return View(master_.Find(found.number()), /*with_usage=*/true);
}

}  // namespace strata::vcluster
