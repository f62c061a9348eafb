// From an order to what it says.
#include <algorithm>

#include "common/log.h"
#include "net/network_maker.h"
#include "net/subnets.h"
#include "vclusterd/host/host_nodes.h"
#include "vclusterd/host/node_command.h"
#include "vclusterd/runtime/cgroups.h"
#include "vclusterd/volumes/shared_dir.h"

namespace strata::vcluster {
namespace {

using Clock = std::chrono::steady_clock;
using host::v1::NodeOrder;
using std::chrono::milliseconds;

// A node that ran for so long starts again after the first pause.
constexpr std::chrono::minutes kStableTime(10);
constexpr milliseconds kRemovalGrace(2000);
// Before another look at a node that somebody holds: as a save does, for as long as it takes.
constexpr milliseconds kBusyPause(5);
constexpr milliseconds kBusyPauseMax(500);

double Milliseconds(Clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

// As wait(2) tells it; clean when process 1 exited with 0.
std::string HowItEnded(std::optional<int> status) {
  if (!status.has_value()) return "its process 1 ended";
  if (WIFSIGNALED(*status)) {
    return "its process 1 was killed by signal " + std::to_string(WTERMSIG(*status));
  }
  return "its process 1 ended with exit code " + std::to_string(WEXITSTATUS(*status));
}

bool MayRestart(const NodeOrder& order, std::optional<int> status) {
  if (order.restart() == host::v1::NEVER) return false;
  const bool clean = status.has_value() && WIFEXITED(*status) && WEXITSTATUS(*status) == 0;
  return order.restart() == host::v1::ALWAYS || !clean;
}

// What a node's files name: the others, and the keys between them.
std::string PeersOf(const host::v1::Part& order) {
  std::string text = " ";  // Never empty: that means unknown.
  for (const std::string& seed : {order.ssh_login_seed(), order.ssh_host_seed(),
                                  order.ssh_login_seed_before(), order.ssh_host_seed_before()}) {
    text += seed + ";";
  }
  for (const host::v1::Peer& peer : order.peers()) text += peer.SerializeAsString();
  return text;
}

Limits LimitsOf(const NodeOrder& order) {
  Limits limits;
  limits.cpus = order.limits().cpus();
  limits.memory_bytes = order.limits().memory_bytes();
  limits.processes = order.limits().processes();
  limits.network_bits_per_s = order.limits().network_bits_per_s();
  limits.io_bytes_per_s = order.limits().io_bytes_per_s();
  return limits;
}

}  // namespace

void HostNodes::EnqueueThose(const PartPtr& part, const std::function<bool(const Node&)>& chosen) {
  std::vector<uint32_t> indices;
  {
    const std::lock_guard lock(part->mutex);
    for (const auto& [index, node] : part->nodes) {
      if (chosen(*node)) indices.push_back(index);
    }
  }
  for (const uint32_t index : indices) Enqueue(part, index);
}

void HostNodes::EnqueueAll(const PartPtr& part) {
  EnqueueThose(part, [](const Node&) { return true; });
}

void HostNodes::EnqueueStopped(const PartPtr& part, bool only_made) {
  EnqueueThose(part, [&](const Node& node) {
    return (!only_made || node.local.made()) && !node.record.has_value() && !node.acquiring;
  });
}

void HostNodes::Enqueue(const PartPtr& part, uint32_t index) {
  NodePtr node;
  {
    const std::lock_guard lock(part->mutex);
    const auto found = part->nodes.find(index);
    if (found == part->nodes.end() || found->second->queued) return;
    node = found->second;
    node->queued = true;
    ++part->jobs;
  }
  PushConverge(part, node, index, milliseconds(0), kBusyPause);
}

void HostNodes::PushConverge(const PartPtr& part, const NodePtr& node, uint32_t index,
                             milliseconds delay, milliseconds pause) {
  bool waits = false;  // For what its user decides: a hook, its data, the grace of its end.
  {
    const std::lock_guard lock(part->mutex);
    const Job job = TakeJob(part, node, index);
    const bool stops = job.wanted.has_value() && job.wanted->intent() == host::v1::STOP;
    waits = (!job.wanted.has_value() && node->local.has_on_destroy()) || CarriesData(job) ||
            (stops && job.record.has_value());
  }
  WorkQueue& queue = waits ? waiters_ : starters_;
  queue.Push([this, part, node, index, pause] { Converge(part, node, index, pause); }, delay);
}

void HostNodes::Converge(const PartPtr& part, const NodePtr& node, uint32_t index,
                         milliseconds pause) {
  {
    const std::unique_lock working(node->work, std::try_to_lock);
    if (!working.owns_lock()) {
      // This thread is for other nodes meanwhile: a save of a whole Vcluster holds many.
      return PushConverge(part, node, index, pause, std::min(2 * pause, kBusyPauseMax));
    }
    std::optional<Job> known;
    {
      const std::lock_guard lock(part->mutex);
      node->queued = false;
      const auto found = part->nodes.find(index);
      // One that was removed meanwhile is another's place now, or nobody's.
      if (found != part->nodes.end() && found->second == node) known = TakeJob(part, node, index);
    }
    if (known.has_value()) Converge(*known);
  }
  EndJob(part);
}

void HostNodes::Converge(Job& job) {
  const PartPtr& part = job.part;
  const NodePtr& node = job.node;
  const uint32_t index = job.local.index();
  const Status done = MakeSo(job);
  if (job.awaits_network) return;  // Whoever waits for the network enqueues the node then.
  SyncSocket(job);
  const std::lock_guard lock(part->mutex);
  node->revision = job.order.revision();
  if (!done.ok()) {
    node->problem = done.error();
    node->stopping = false;
    node->undone = true;
    if (job.wanted.has_value()) node->state = host::v1::BREAKDOWN;
    LOG_WARNING("node " + job.id + ": " + done.error().message());
  }
  if (!done.ok() || (node->state == host::v1::BREAKDOWN && !node->record.has_value())) {
    TryAgainLater(job, /*failed=*/!done.ok());
  }
  if (job.wanted.has_value() && job.wanted->has_measurement() &&
      !std::exchange(node->measuring, true)) {
    MeasureLater(part, node, index, milliseconds(0));
  }
}

// Work that failed is done again until it succeeds: a removal, a stop, a change. The restart policy
// counts for starts alone. REQUIRES: part->mutex is held.
void HostNodes::TryAgainLater(const Job& job, bool failed) {
  Node& tried = *job.node;
  const bool removal =
      !job.wanted.has_value() || job.wanted->incarnation() != job.local.incarnation();
  const bool runs = !removal && job.wanted->intent() == host::v1::RUN;
  const bool never = job.wanted.has_value() && job.wanted->restart() == host::v1::NEVER;
  if (!failed && !runs) return;
  if (runs && !tried.record.has_value() && (never || tried.pause == milliseconds::max())) {
    return;
  }
  if (tried.waiting) return;
  if (tried.pause == milliseconds::max()) tried.pause = milliseconds(0);
  tried.waiting = true;
  tried.pause = std::clamp(tried.pause * 2, config_.restart_pause, config_.restart_pause_max);
  const PartPtr part = job.part;
  const NodePtr node = job.node;
  const uint32_t index = job.local.index();
  starters_.Push(
      [this, part, node, index] {
        {
          const std::lock_guard lock(part->mutex);
          node->waiting = false;
          node->due = true;
        }
        Enqueue(part, index);
      },
      tried.pause);
}

// After Ok the node is as the order says, or the waiters go on with it.
Status HostNodes::MakeSo(Job& job) {
  const bool another =
      job.wanted.has_value() && job.wanted->incarnation() != job.local.incarnation();
  if (!job.wanted.has_value() || another) RETURN_IF_ERROR(RemoveNode(job));
  if (!job.wanted.has_value()) return Ok();
  if (!job.local.made()) RETURN_IF_ERROR(MakeNode(job));
  if (job.wanted->intent() == host::v1::STOP) {
    RETURN_IF_ERROR(StopNode(job, milliseconds(job.wanted->stop_grace_ms())));
    if (!job.wanted->departure().empty()) return Depart(job);
    RETURN_IF_ERROR(ForgetDeparture(job));
    return AssignPorts(job);
  }
  if (!job.record.has_value()) {
    const std::lock_guard lock(job.part->mutex);
    job.awaits_network = job.part->awaits_network;
    if (job.awaits_network) return Ok();
  }
  const Status ports = AssignPorts(job);  // Of a node that runs, the rest is done nevertheless.
  bool asked = false;
  bool due = false;
  bool broken = false;
  bool undone = false;
  {
    const std::lock_guard lock(job.part->mutex);
    Node& node = *job.node;
    asked = std::exchange(node.attempt, job.wanted->attempt()) != job.wanted->attempt();
    due = std::exchange(node.due, false);
    undone = std::exchange(node.undone, false);
    broken = node.state == host::v1::BREAKDOWN;
    if (asked) node.pause = milliseconds(0);
    if (node.held && !job.record.has_value()) {
      // Another one may run elsewhere by now.
      if (broken) {
        node.due = due;
      } else {
        node.state = host::v1::PAUSED;
      }
      return Ok();
    }
  }
  if (job.record.has_value() && !NodeRuntime::IsRunning(*job.record)) {
    RETURN_IF_ERROR(ClearBreakdown(job));
    broken = true;
    due = false;
  }
  if (job.record.has_value()) {
    RETURN_IF_ERROR(UpdateRunning(job));
    RETURN_IF_ERROR(ports);
    if (broken && (asked || undone)) SettleLater(job);
    return Ok();
  }
  if (broken && !asked && !due) return Ok();
  if (job.wanted->intent() == host::v1::HOLD) {
    const std::lock_guard lock(job.part->mutex);
    job.node->state = host::v1::STOPPED;
    job.node->problem.reset();
    return Ok();
  }
  RETURN_IF_ERROR(ports);
  {
    // Again, of one whose container had ended without our knowing.
    const std::lock_guard lock(job.part->mutex);
    job.awaits_network = job.part->awaits_network;
    job.node->due |= job.awaits_network;
    if (job.awaits_network) return Ok();
  }
  return StartNode(job);
}

Status HostNodes::RemoveNode(Job& job) {
  {
    const std::lock_guard lock(job.part->mutex);
    job.node->state = host::v1::REMOVING;
    job.node->root.reset();  // Whatever becomes of its lease.
    job.node->problem.reset();
    job.node->stopping = true;
  }
  const bool running = job.record.has_value() && NodeRuntime::IsRunning(*job.record);
  if (running && job.local.created() && job.local.has_on_destroy() &&
      !job.local.on_destroy().argv().empty()) {
    // Its failure must not keep the node alive.
    RecordHook(job, RunHook(*life_, TargetOf(job), "on-destroy", job.local.on_destroy(), closing_));
    RETURN_IF_ERROR(closing_.Check());  // It runs again at the next start.
  }
  sockets_->Close(job.id);
  RETURN_IF_ERROR(life_->Stop(job.id, job.local, job.record, kRemovalGrace));
  RETURN_IF_ERROR(life_->Remove(job.id, job.local, job.order.force_removal()));
  tasks_->Forget(job.id);
  if (Status forgotten = ForgetDeparture(job); !forgotten.ok() && !job.order.force_removal()) {
    return forgotten;
  }
  const std::string tree = job.local.tree_path();
  {
    const std::lock_guard lock(job.part->mutex);
    ++job.part->changes;
    job.node->record.reset();
    job.node->stopping = false;
    job.record.reset();
    const NodeOrder* next = job.wanted.has_value() ? &*job.wanted : nullptr;
    for (const NodeOrder& order : job.part->order.nodes()) {
      // Ordered again while it was removed: the Converge that this has queued makes it.
      if (next == nullptr && order.index() == job.local.index()) next = &order;
    }
    if (next != nullptr) {
      job.local.Clear();
      job.local.set_index(next->index());
      job.local.set_incarnation(next->incarnation());
      *job.local.mutable_on_destroy() = next->on_destroy();
      job.local.set_departure(next->arrival().reference());
      job.node->local = job.local;
      job.node->state = host::v1::MAKING;
      job.node->hooks.clear();
    } else {
      job.part->nodes.erase(job.local.index());
    }
  }
  if (!tree.empty()) ForgetUnusedTree(tree);
  return Ok();
}

void HostNodes::ForgetUnusedTree(const std::string& tree_path) {
  const std::lock_guard lock(mutex_);
  for (const auto& [number, part] : parts_) {
    const std::lock_guard part_lock(part->mutex);
    for (const auto& [index, node] : part->nodes) {
      if (node->local.tree_path() == tree_path) return;
    }
  }
  life_->ForgetTree(tree_path);
}

Status HostNodes::MakeNode(Job& job) {
  bool start_unknown = false;
  ASSIGN_OR_RETURN(std::optional<imaged::AcquiredRoot> root, TakeRoot(job));
  Status made = life_->Make(job.id, job.order.owner_uid(), *job.wanted, std::move(root), &job.local,
                            &start_unknown, closing_);
  if (!made.ok()) {
    // The next try begins with nothing.
    Status removed = life_->Remove(job.id, job.local, /*force=*/true);
    if (!removed.ok()) LOG_WARNING("node " + job.id + ": " + removed.error().message());
    return made;
  }
  job.local.set_made(true);
  const std::lock_guard lock(job.part->mutex);
  job.node->local = job.local;
  job.node->start_unknown = start_unknown;
  ++job.part->changes;
  return Ok();
}

// A master deletes no volume that a node may have mounted; so what it is about to mount is durable
// first.
Status HostNodes::NoteVolumes(Job& job) {
  job.local.clear_volumes();
  for (const VolumeSpec& volume : SpecOf(job).volumes) job.local.add_volumes(volume.directory);
  if (job.local.volumes().empty()) return Ok();
  const std::lock_guard told(job.part->told);
  host::v1::HostPart file;
  {
    const std::lock_guard lock(job.part->mutex);
    *job.node->local.mutable_volumes() = job.local.volumes();
    file = FileOf(*job.part);
  }
  return store_.Write(file, [this] { return life_->Sync(); });  // It says what is made, too.
}

void HostNodes::ForgetVolumes(Job& job) {
  job.local.clear_volumes();
  if (job.node->local.volumes().empty()) return;
  job.node->local.clear_volumes();
  ++job.part->changes;
}

Status HostNodes::StartNode(Job& job) {
  RETURN_IF_ERROR(ForgetDeparture(job));
  const auto start = Clock::now();
  bool watched = false;
  bool recovering = false;
  {
    const std::lock_guard lock(job.part->mutex);
    watched = std::exchange(job.node->start_unknown, false);
    recovering = job.node->local.recovering();
  }
  if (network_is_broken_) {
    // Another Vcluster's may be what cannot be made; this node's may be there.
    if (Status made = UpdateNetwork(); !made.ok()) {
      LOG_WARNING("network: " + made.error().message());
    }
  }
  RETURN_IF_ERROR(NoteVolumes(job));
  const Result<NodeRecord> started = life_->Start(SpecOf(job), job.local, watched);
  if (!started.ok()) {
    const std::lock_guard lock(job.part->mutex);
    ForgetVolumes(job);
    return started.error();
  }
  const NodeRecord& record = *started;
  const bool settles = MustSettle(*job.wanted, job.local.created(), recovering);
  {
    const std::lock_guard lock(job.part->mutex);
    Node& node = *job.node;
    node.record = record;
    node.problem.reset();
    if (!node.local.started()) ++job.part->changes;
    node.local.set_started(true);
    node.started_at = Clock::now();
    node.start_ms = Milliseconds(node.started_at - start);
    node.peers = PeersOf(job.order);
    node.limits = job.wanted->limits().SerializeAsString();
    if (recovering) ++node.restarts;
    node.unproved = settles;
    node.state = settles ? host::v1::STARTING : host::v1::READY;
    if (!settles) NoteProved(*job.part, node);
  }
  RETURN_IF_ERROR(watch_->Add(job.id, record.init));
  job.record = record;
  bool held = false;
  {
    const std::lock_guard lock(job.part->mutex);
    held = job.node->held;
  }
  if (held) PauseNode(job);  // The masters fell silent while it started.
  if (settles) SettleLater(job);
  return Ok();
}

Status HostNodes::StopNode(Job& job, milliseconds grace) {
  {
    const std::lock_guard lock(job.part->mutex);
    if (job.node->state == host::v1::STOPPED && !job.record.has_value()) return Ok();
    job.node->stopping = true;
  }
  sockets_->Close(job.id);
  ASSIGN_OR_RETURN(const uint64_t used_bytes, life_->Stop(job.id, job.local, job.record, grace));
  const std::lock_guard lock(job.part->mutex);
  Node& node = *job.node;
  node.record.reset();
  node.ended.reset();
  ForgetVolumes(job);
  node.stopping = false;
  node.state = host::v1::STOPPED;
  node.problem.reset();
  node.undone = false;
  node.unproved = false;
  if (node.local.recovering() || node.local.started()) ++job.part->changes;
  node.local.set_recovering(false);
  node.local.set_started(false);
  node.attempt = job.wanted->attempt();
  node.pause = milliseconds(0);
  if (used_bytes != 0) node.upper_bytes = used_bytes;
  return Ok();
}

// What liblxc left of a node that ended by itself; and whether its policy has it started again.
Status HostNodes::ClearBreakdown(Job& job) {
  sockets_->Close(job.id);
  ASSIGN_OR_RETURN(const uint64_t used_bytes,
                   life_->Stop(job.id, job.local, job.record, milliseconds(0)));
  job.record.reset();
  const std::lock_guard lock(job.part->mutex);
  Node& node = *job.node;
  // Its monitor has reaped it by now.
  const std::optional<int> status = ExitStatus(node.ended);
  node.ended.reset();
  node.record.reset();
  ForgetVolumes(job);
  node.state = host::v1::BREAKDOWN;
  node.problem = Error(Code::kFailedPrecondition, HowItEnded(status));
  node.local.set_recovering(true);
  ++job.part->changes;
  if (used_bytes != 0) node.upper_bytes = used_bytes;
  if (Clock::now() - node.started_at > kStableTime) node.pause = milliseconds(0);
  if (!MayRestart(*job.wanted, status)) node.pause = milliseconds::max();
  return Ok();
}

Status HostNodes::UpdateRunning(Job& job) {
  bool paused = false;
  {
    const std::lock_guard lock(job.part->mutex);
    paused = job.node->state == host::v1::PAUSED;
    if (job.node->held) return Ok();
  }
  if (paused) {
    RETURN_IF_ERROR(life_->runtime().Thaw(*job.record));
    const std::lock_guard lock(job.part->mutex);
    job.node->state = job.node->unproved ? host::v1::STARTING : host::v1::READY;
    if (job.node->unproved) SettleLater(job);
  }
  const std::string peers = PeersOf(job.order);
  const std::string limits = job.wanted->limits().SerializeAsString();
  bool new_peers = false;
  bool new_limits = false;
  {
    const std::lock_guard lock(job.part->mutex);
    new_peers = job.node->peers != peers;
    new_limits = job.node->limits != limits;
    if (job.node->state != host::v1::BREAKDOWN) job.node->problem.reset();
  }
  if (new_peers) {
    RETURN_IF_ERROR(life_->runtime().WriteFiles(SpecOf(job)));
  }
  if (new_limits) {
    const Limits wanted = LimitsOf(*job.wanted);
    RETURN_IF_ERROR(LimitCgroupsOf(job.record->init.pid, config_.host.Bound(wanted)));
    RETURN_IF_ERROR(life_->LimitIo(job.id, job.local, *job.record, wanted.io_bytes_per_s));
    RETURN_IF_ERROR(UpdateNetwork());
  }
  const std::lock_guard lock(job.part->mutex);
  job.node->peers = peers;
  job.node->limits = limits;
  return Ok();
}

void HostNodes::SyncSocket(const Job& job) {
  bool runs = false;
  {
    const std::lock_guard lock(job.part->mutex);
    runs = job.node->record.has_value();
  }
  if (!runs || !job.wanted.has_value() || job.wanted->scales() == 0) {
    return sockets_->Close(job.id);
  }
  const Status open =
      sockets_->Open({job.id, job.order.number(), job.local.index(), job.wanted->scales(),
                      config_.host.NodeDir(job.id) + "/strata", job.id_first});
  // It is none the worse for that, but for its asking.
  if (!open.ok()) LOG_WARNING("node " + job.id + ": " + open.error().message());
}

void HostNodes::NodeEnded(const std::string& id, const ProcessId& init, UniqueFd pid_fd) {
  const size_t dash = id.find('-');
  const auto number = static_cast<uint32_t>(std::stoul(id.substr(0, dash)));
  const auto index = static_cast<uint32_t>(std::stoul(id.substr(dash + 1)));
  const PartPtr part = Find(number);
  if (part == nullptr) return;
  {
    const std::lock_guard lock(part->mutex);
    const auto found = part->nodes.find(index);
    if (found == part->nodes.end()) return;
    Node& node = *found->second;
    if (node.stopping || !node.record.has_value() || node.record->init != init) return;
    node.ended = std::move(pid_fd);
    node.state = host::v1::BREAKDOWN;
    node.problem = Error(Code::kFailedPrecondition, "its process 1 ended");
  }
  Enqueue(part, index);
}

NodeSpec HostNodes::SpecOf(const Job& job) const {
  const host::v1::Part& order = job.order;
  const NodeOrder& node = *job.wanted;
  NodeSpec spec;
  spec.id = job.id;
  for (const host::v1::Peer& peer : order.peers()) {
    spec.peers.push_back({peer.hostname(),
                          {peer.aliases().begin(), peer.aliases().end()},
                          net::Ipv4::Parse(peer.address()).value_or(net::Ipv4())});
  }
  spec.self = {node.hostname(), {}, net::Ipv4::Parse(node.address()).value_or(net::Ipv4())};
  spec.prefix = net::Ipv4Prefix::Parse(order.subnet()).value_or(net::Ipv4Prefix());
  spec.gateway = spec.prefix.Host(net::kGatewayHost);
  if (!network_->JoinsLinks()) {
    spec.bridge = net::BridgeName(config_.host.instance, order.number());
  }
  spec.veth = net::VethName(config_.host.instance, order.number(), node.index());
  spec.mac = net::MacForNode(order.number(), spec.self.address);
  if (config_.underlay.has_value()) spec.mtu = UnderlayMtuOf(order) - net::kVxlanHeaderBytes;
  spec.id_first = job.id_first;
  spec.limits = LimitsOf(node);
  spec.machine_id = node.machine_id();
  spec.ssh = {order.ssh_login_seed(), order.ssh_host_seed(), order.ssh_login_seed_before(),
              order.ssh_host_seed_before()};
  if (node.command().empty()) {
    spec.command.assign(job.local.command().begin(), job.local.command().end());
  } else {
    spec.command.assign(node.command().begin(), node.command().end());
  }
  spec.env.assign(job.local.env().begin(), job.local.env().end());
  spec.env.insert(spec.env.end(), node.env().begin(), node.env().end());
  spec.owner_uid = order.owner_uid();
  spec.shared_id = order.shared_id();
  for (const host::v1::VolumeMount& volume : node.volumes()) {
    spec.volumes.push_back(
        {volume.volume(),
         volume.directory().empty() ? HomeDirectory(spec.owner_uid) : volume.directory(),
         volume.path(), volume.read_only()});
  }
  return spec;
}

}  // namespace strata::vcluster
