// Taking over after another vclusterd ended, however it ended.
#include <dirent.h>

#include <memory>
#include <set>

#include "common/log.h"
#include "vclusterd/host/host_nodes.h"

namespace strata::vcluster {
namespace {

std::vector<std::string> EntriesOf(const std::string& path) {
  std::vector<std::string> names;
  struct Close {
    void operator()(DIR* dir) const { ::closedir(dir); }
  };
  const std::unique_ptr<DIR, Close> dir(::opendir(path.c_str()));
  while (const dirent* entry = dir == nullptr ? nullptr : ::readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  return names;
}

}  // namespace

Status HostNodes::Recover() {
  ASSIGN_OR_RETURN(const std::vector<host::v1::HostPart> files, store_.Load(&unreadable_));
  std::set<std::pair<layerfs::VolumeKind, std::string>> known;
  for (const host::v1::HostPart& file : files) {
    auto part = std::make_shared<Part>();
    part->order = file.order();
    ASSIGN_OR_RETURN(part->id_first, owners_.RangeOf(file.order().owner_uid()));
    for (const host::v1::LocalNode& local : file.nodes()) {
      auto node = std::make_shared<Node>();
      node->local = local;
      part->nodes[local.index()] = std::move(node);
      if (!local.made()) continue;
      ASSIGN_OR_RETURN(const auto kind, layerfs::ParseVolumeKind(local.volume()));
      known.emplace(kind, NodeId(file.order().number(), local.index()));
    }
    parts_[file.order().number()] = std::move(part);
  }
  // With a file that cannot be read it is not known what belongs to it. Of a node that runs and
  // that no file knows, the container must end first.
  if (unreadable_.empty()) RETURN_IF_ERROR(RemoveOrphans());
  RETURN_IF_ERROR(life_->Recover(known, /*keep_unknown=*/!unreadable_.empty()));
  RETURN_IF_ERROR(RecoverTasks());
  std::vector<PartPtr> parts;
  for (const auto& [number, part] : parts_) parts.push_back(part);
  for (const PartPtr& part : parts) {
    for (const auto& [index, node] : part->nodes) {
      Status recovered = RecoverNode(part, node, index);
      if (recovered.ok()) continue;
      // The others are none the worse for it; work on the node tries again.
      LOG_ERROR("node " + NodeId(part->order.number(), index) + ": " + recovered.error().message());
    }
  }
  RETURN_IF_ERROR(UpdateNetwork());
  for (const PartPtr& part : parts) EnqueueAll(part);
  return Ok();
}

Status HostNodes::RecoverNode(const PartPtr& part, const NodePtr& node, uint32_t index) {
  const Job job = TakeJob(part, node, index);
  ASSIGN_OR_RETURN(node->record, life_->runtime().Find(job.id));
  if (!job.local.made()) {
    RETURN_IF_ERROR(life_->Stop(job.id, job.local, node->record, std::chrono::seconds(2)));
    node->record.reset();
    return life_->Remove(job.id, job.local, /*force=*/false);
  }
  if (job.wanted.has_value()) node->attempt = job.wanted->attempt();
  node->held = config_.begins_silent && job.wanted.has_value() && job.wanted->fenced();
  if (!node->record.has_value()) {
    const bool started = job.local.started() || life_->runtime().HasRecord(job.id);
    RETURN_IF_ERROR(life_->Stop(job.id, job.local, std::nullopt, std::chrono::seconds(0)));
    if (!node->local.volumes().empty()) ++part->changes;
    node->local.clear_volumes();
    if (!job.wanted.has_value() || job.wanted->intent() != host::v1::RUN) {
      node->state = host::v1::STOPPED;
      if (node->local.started()) ++part->changes;
      node->local.set_started(false);  // That it is stopped is as ordered.
      return Ok();
    }
    if (!started) return Ok();  // That comes now: nothing has ended.
    node->state = host::v1::BREAKDOWN;
    node->problem = Error(Code::kFailedPrecondition,
                          "it ended while vclusterd did not run, or the host was restarted");
    node->local.set_recovering(node->local.created());
    ++part->changes;
    node->due = job.wanted->restart() != host::v1::NEVER;
    return Ok();
  }
  // A save that died may have left it frozen.
  if (!node->held) RETURN_IF_ERROR(life_->runtime().Thaw(*node->record));
  node->started_at = std::chrono::steady_clock::now();
  if (!node->local.started()) ++part->changes;
  node->local.set_started(true);
  // What its hooks and checks have said is on disk; what they were about to say is not known.
  node->unproved = job.wanted.has_value() && job.local.proved() != ProvedText(*node->record) &&
                   MustSettle(*job.wanted, job.local.created(), job.local.recovering());
  node->state = node->unproved ? host::v1::STARTING : host::v1::READY;
  RETURN_IF_ERROR(watch_->Add(job.id, node->record->init));
  if (node->unproved && !node->held) SettleLater(job);  // Otherwise when it goes on.
  return Ok();
}

Status HostNodes::RemoveOrphans() {
  std::set<std::string> known;
  for (const auto& [number, part] : parts_) {
    for (const auto& [index, node] : part->nodes) known.insert(NodeId(number, index));
  }
  const std::string prefix = config_.host.ContainerName("");
  for (const std::string& name : EntriesOf(config_.host.NodesDir())) {
    if (!name.starts_with(prefix) || known.contains(name.substr(prefix.size()))) continue;
    const std::string id = name.substr(prefix.size());
    LOG_WARNING("node " + id + " belongs to no Vcluster and is removed");
    ASSIGN_OR_RETURN(const auto record, life_->runtime().Find(id));
    RETURN_IF_ERROR(life_->runtime().Stop(id, record, std::chrono::milliseconds(0)));
  }
  return Ok();
}

}  // namespace strata::vcluster
