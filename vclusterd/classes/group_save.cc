#include "vclusterd/classes/group_save.h"

#include <atomic>
#include <functional>
#include <map>

#include "common/parallel.h"
#include "migrate/group_rounds.h"
#include "vclusterd/classes/template_names.h"

namespace strata::vcluster {
namespace {

// Counts finished steps of hosts, for progress.
class Counted final : public migrate::GroupMember {
 public:
  Counted(PartSave& part, const std::function<void()>& copied) : part_(part), copied_(copied) {}
  Status Copy() override {
    RETURN_IF_ERROR(part_.Copy());
    copied_();
    return Ok();
  }
  Status Freeze() override { return part_.Freeze(); }
  Status Take() override { return part_.Take(); }
  void Release() override { part_.Release(); }

 private:
  PartSave& part_;
  const std::function<void()>& copied_;
};

struct HostPart {
  std::string host;
  std::vector<PartSaveNode> nodes;
  std::vector<master::v1::TemplateImage*> images;  // One for each node.
  std::unique_ptr<PartSave> save;
};

const master::v1::Node* NodeOf(const Vcluster& vcluster, const master::v1::TemplateImage& image) {
  for (const master::v1::Node& node : vcluster.record.nodes()) {
    if (node.role() == image.role() && node.ordinal() == image.ordinal() && !node.leaving()) {
      return &node;
    }
  }
  return nullptr;
}

}  // namespace

Result<HomeImages> PlanGroupSave(const VclusterView& view, const GroupSaveParameters& parameters) {
  const Vcluster& vcluster = *view.vcluster;
  HomeImages images;
  for (const master::v1::Node& node : vcluster.record.nodes()) {
    if (node.leaving()) continue;
    const std::string name = "node " + vcluster.record.name() + "/" + vcluster.NodeName(node);
    const auto state = view.states.find(node.index());
    if (view.lost.contains(node.index())) {
      return Error(Code::kUnavailable, name + ": its host '" + node.host() + "' is lost");
    }
    if (state == view.states.end() || state->second.image_digest().empty()) {
      return Error(Code::kFailedPrecondition, name + " is not ready yet");
    }
    master::v1::TemplateImage* image = images.Add();
    image->set_role(node.role());
    image->set_ordinal(node.ordinal());
    image->set_reference(parameters.owner + "/" +
                         NodeImageName(parameters.front, node, parameters.tag, parameters.mark));
    image->set_host(node.host());
  }
  if (images.empty()) {
    return Error(Code::kFailedPrecondition,
                 "Vcluster " + vcluster.record.name() + " has no nodes to be saved");
  }
  return images;
}

Result<GroupSaved> SaveGroup(Master& master, const VclusterView& view,
                             const GroupSaveParameters& parameters, HomeImages* images,
                             const Clusters::ProgressFn& progress, const CancelToken& cancel) {
  const Vcluster& vcluster = *view.vcluster;
  std::map<std::string, HostPart> parts;
  for (master::v1::TemplateImage& image : *images) {
    const master::v1::Node* node = NodeOf(vcluster, image);
    HostPart& part = parts[image.host()];
    part.host = image.host();
    part.images.push_back(&image);
    SaveNodeParameters save;
    save.on_behalf_of_uid = parameters.on_behalf_of_uid;
    save.origin = "node " + vcluster.record.name() + "/" + vcluster.NodeName(*node);
    save.reference = image.reference();
    save.description = parameters.description;
    save.command_line = parameters.command_line;
    save.scrub = parameters.keep_secrets ? imaged::ScrubMode::kNever : imaged::ScrubMode::kAlways;
    part.nodes.push_back({node->index(), std::move(save)});
  }
  const auto total = static_cast<uint32_t>(images->size());
  progress("copy", 0, total);
  std::vector<HostPart*> hosts;
  for (auto& [name, part] : parts) {
    const std::shared_ptr<HostLink> link = master.LinkTo(name);
    if (link == nullptr) return Error(Code::kUnavailable, "host '" + name + "' is not there");
    ASSIGN_OR_RETURN(part.save, link->StartSave(vcluster.record.number(), part.nodes));
    hosts.push_back(&part);
  }
  std::atomic<uint32_t> copied{0};
  std::vector<std::unique_ptr<Counted>> counted;
  std::vector<std::function<void()>> tellers;
  tellers.reserve(hosts.size());
  std::vector<migrate::GroupMember*> members;
  for (HostPart* part : hosts) {
    tellers.push_back([&copied, &progress, part, total] {
      progress("copy", copied += static_cast<uint32_t>(part->nodes.size()), total);
    });
    counted.push_back(std::make_unique<Counted>(*part->save, tellers.back()));
    members.push_back(counted.back().get());
  }
  ASSIGN_OR_RETURN(const migrate::GroupTimes times, migrate::RunGroupRounds(members, cancel));
  progress("publish", 0, total);
  RETURN_IF_ERROR(ParallelFor(
      hosts.size(),
      [&](size_t i) -> Status {
        ASSIGN_OR_RETURN(const auto results, hosts[i]->save->Finish());
        for (size_t n = 0; n < results.size(); ++n) {
          master::v1::TemplateImage* image = hosts[i]->images[n];
          image->set_reference(results[n].image.reference);
          image->set_digest(results[n].image.digest);
          image->set_entries(results[n].image.entries);
          image->set_layer_bytes(results[n].image.layer_bytes);
          image->set_new_bytes(results[n].image.new_bytes);
        }
        return Ok();
      },
      hosts.size()));
  RETURN_IF_ERROR(cancel.Check());
  return GroupSaved{times.stall};
}

}  // namespace strata::vcluster
