// Orders, states, and what is asked about single nodes.
#include "vclusterd/host/host_nodes.h"

#include <algorithm>
#include <thread>

#include "common/file_io.h"
#include "common/log.h"
#include "net/client/vnetd_client.h"
#include "net/keeper.h"

namespace strata::vcluster {
namespace {

using host::v1::NodeOrder;
using host::v1::NodeStatus;
using host::v1::PartStatus;

// A start mostly waits: for the kernel's namespaces, for liblxc's own processes.
constexpr size_t kStartThreadsMin = 8;
const size_t kStartThreads =
    std::max<size_t>(kStartThreadsMin, std::thread::hardware_concurrency());
// A node's user can hold one of these for a day, so there are as many as a host can have nodes.
constexpr size_t kWaitThreads = 1024;
constexpr size_t kChoreThreads = 4;
// Of a hook's output, when nobody asks for all of it.
constexpr size_t kHookOutputTold = 1024;

// The end of a text in UTF-8.
std::string LastOf(const std::string& output) {
  if (output.size() <= kHookOutputTold) return output;
  size_t start = output.size() - kHookOutputTold;
  while (start < output.size() && (static_cast<uint8_t>(output[start]) & 0xc0) == 0x80) ++start;
  return output.substr(start);
}

// Greater than all of an earlier process, as long as there was less than one status a microsecond.
uint64_t FirstSequence() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

Result<std::unique_ptr<net::NetworkMaker>> OpenNetwork(const HostConfig& config) {
  if (!config.vnetd_socket.empty()) return net::ConnectVnetd(config.vnetd_socket);
  net::NetworkKeeper::Options options;
  options.instance = config.host.instance;
  options.run_dir = config.host.run_dir;
  options.state_dir = config.state_dir;
  ASSIGN_OR_RETURN(auto keeper, net::NetworkKeeper::Open(std::move(options)));
  return std::unique_ptr<net::NetworkMaker>(std::move(keeper));
}

}  // namespace

HostNodes::HostNodes(HostConfig config, OwnerIds owners, Listener listener)
    : config_(std::move(config)),
      listener_(std::move(listener)),
      store_(config_.state_dir + "/vclusterd/parts"),
      load_meter_(config_.state_dir),
      owners_(std::move(owners)),
      sequence_(FirstSequence()),
      starters_(kStartThreads),
      waiters_(kWaitThreads),
      chores_(kChoreThreads) {}

Result<std::unique_ptr<HostNodes>> HostNodes::Open(HostConfig config,
                                                   imaged::HostImageClient& images,
                                                   Listener listener) {
  RETURN_IF_ERROR(MakeDirectories(config.state_dir + "/vclusterd", 0755));
  RETURN_IF_ERROR(MakeDirectories(config.host.run_dir));
  ASSIGN_OR_RETURN(OwnerIds owners,
                   OwnerIds::Load(config.state_dir + "/vclusterd/owners.json", config.id_first));
  std::unique_ptr<HostNodes> nodes(
      new HostNodes(std::move(config), std::move(owners), std::move(listener)));
  ASSIGN_OR_RETURN(nodes->network_, OpenNetwork(nodes->config_), "network");
  RETURN_IF_ERROR(nodes->LoadFabric());
  ASSIGN_OR_RETURN(nodes->life_, NodeLife::Create(nodes->config_, images));
  ASSIGN_OR_RETURN(nodes->tasks_,
                   NodeTasks::Open(*nodes->life_, nodes->config_.state_dir + "/vclusterd/tasks",
                                   nodes->OwnerOfTasks()));
  ASSIGN_OR_RETURN(nodes->sockets_, NodeSockets::Start());
  ASSIGN_OR_RETURN(nodes->watch_,
                   NodeWatch::Start([raw = nodes.get()](const std::string& id,
                                                        const ProcessId& init, UniqueFd pid_fd) {
                     raw->NodeEnded(id, init, std::move(pid_fd));
                   }));
  RETURN_IF_ERROR(nodes->Recover());
  if (nodes->config_.begins_silent) nodes->PauseFenced();
  nodes->SampleLater();
  return nodes;
}

HostNodes::~HostNodes() {
  closing_.Cancel();
  if (tasks_ != nullptr) tasks_->Close();
  if (sockets_ != nullptr) sockets_->SetDesk(nullptr);
  waiters_.Close();
  starters_.Close();
  chores_.Close();
  watch_.reset();
}

HostNodes::PartPtr HostNodes::Find(uint32_t number) {
  const std::lock_guard lock(mutex_);
  const auto found = parts_.find(number);
  return found == parts_.end() ? nullptr : found->second;
}

HostNodes::PartPtr HostNodes::FindOrAdd(uint32_t number) {
  const std::lock_guard lock(mutex_);
  PartPtr& part = parts_[number];
  if (part == nullptr) part = std::make_shared<Part>();
  return part;
}

bool HostNodes::IsOfRemoved(const host::v1::Part& order) {
  const std::lock_guard lock(mutex_);
  if (parts_.contains(order.number())) return false;
  const auto removed = removed_.find(order.number());
  if (removed != removed_.end() && order.revision() <= removed->second) return true;
  if (order.nodes().empty()) removed_[order.number()] = order.revision();
  return order.nodes().empty();
}

HostNodes::Job HostNodes::TakeJob(const PartPtr& part, const NodePtr& node, uint32_t index) {
  Job job;
  job.part = part;
  job.node = node;
  job.id = NodeId(part->order.number(), index);
  job.order = part->order;
  for (const NodeOrder& order : part->order.nodes()) {
    if (order.index() == index) job.wanted = order;
  }
  job.local = node->local;
  job.record = node->record;
  job.id_first = part->id_first;
  return job;
}

Result<HostNodes::Job> HostNodes::JobOn(uint32_t number, uint32_t index) {
  const PartPtr part = Find(number);
  if (part != nullptr) {
    const std::lock_guard lock(part->mutex);
    if (const auto found = part->nodes.find(index); found != part->nodes.end()) {
      return TakeJob(part, found->second, index);
    }
  }
  return Error(Code::kNotFound, "node " + NodeId(number, index) + " is not on this host");
}

host::v1::HostPart HostNodes::FileOf(const Part& part) const {
  host::v1::HostPart file;
  *file.mutable_order() = part.order;
  for (const auto& [index, node] : part.nodes) *file.add_nodes() = node->local;
  return file;
}

Result<std::vector<PartStatus>> HostNodes::Apply(const std::vector<host::v1::Part>& orders) {
  for (const host::v1::Part& order : orders) RETURN_IF_ERROR(CheckPart(order));
  const std::lock_guard applying(apply_mutex_);
  std::map<uint32_t, Error> problems;
  std::vector<PartPtr> taken;
  for (const host::v1::Part& order : orders) {
    if (IsUnreadable(order.number())) continue;
    auto one = TakeOrder(order);
    if (!one.ok()) {
      problems.emplace(order.number(), one.error());
    } else if (*one != nullptr) {
      taken.push_back(*one);
    }
  }
  if (!taken.empty()) RETURN_IF_ERROR(BeginWork(taken, &problems));
  std::vector<PartStatus> statuses;
  size_t output_left = kMessageOutputBytesMax;
  for (const host::v1::Part& order : orders) {
    PartStatus& status = statuses.emplace_back(IsUnreadable(order.number())
                                                   ? UnreadableStatus(order)
                                                   : StatusOf(order.number(), false, &output_left));
    if (const auto problem = problems.find(order.number()); problem != problems.end()) {
      status.set_problem(problem->second.message());
      status.set_problem_code(static_cast<int>(problem->second.code()));
    }
  }
  return statuses;
}

Status HostNodes::RemoveAll(bool force) {
  RETURN_IF_ERROR(ForgetFabric());
  std::vector<host::v1::Part> removals;
  for (const PartStatus& status : Statuses(/*with_usage=*/false)) {
    host::v1::Part& removal = removals.emplace_back();
    removal.set_number(status.number());
    removal.set_revision(status.revision() + 1);
    removal.set_force_removal(force);
  }
  ASSIGN_OR_RETURN(const std::vector<PartStatus> statuses, Apply(removals));
  for (const PartStatus& status : statuses) {
    if (!status.problem().empty())
      return Error(static_cast<Code>(status.problem_code()), status.problem());
  }
  std::unique_lock lock(mutex_);
  while (!parts_.empty()) {
    for (const auto& [number, part] : parts_) {
      const std::lock_guard part_lock(part->mutex);
      for (const auto& [index, node] : part->nodes) {
        if (node->problem.has_value() && node->revision == part->order.revision()) {
          return node->problem->Wrap("node " + NodeId(number, index));
        }
      }
    }
    changed_.wait_for(lock, std::chrono::seconds(1));
  }
  return Ok();
}

bool HostNodes::IsUnreadable(uint32_t number) const {
  return std::find(unreadable_.begin(), unreadable_.end(), number) != unreadable_.end();
}

// Every node of it is as broken as the file is.
PartStatus HostNodes::UnreadableStatus(const host::v1::Part& order) {
  PartStatus status;
  status.set_number(order.number());
  status.set_revision(order.revision());
  status.set_sequence(++sequence_);
  const auto add = [&](uint32_t index, uint32_t incarnation, host::v1::NodeState state) {
    NodeStatus* node = status.add_nodes();
    node->set_index(index);
    node->set_incarnation(incarnation);
    node->set_revision(order.revision());
    node->set_state(state);
    node->set_problem(store_.PathOf(order.number()) +
                      " cannot be read: put it right and restart vclusterd; its nodes are left "
                      "alone until then");
    node->set_problem_code(static_cast<int>(Code::kCorrupt));
  };
  for (const NodeOrder& node : order.nodes()) {
    add(node.index(), node.incarnation(), host::v1::BREAKDOWN);
  }
  if (order.nodes().empty()) add(0, 0, host::v1::REMOVING);
  return status;
}

Result<HostNodes::PartPtr> HostNodes::TakeOrder(const host::v1::Part& order) {
  if (IsOfRemoved(order)) return PartPtr();
  uint32_t id_first = 0;  // A removal names no owner.
  if (!order.nodes().empty()) {
    ASSIGN_OR_RETURN(id_first, owners_.RangeOf(order.owner_uid()));
  }
  while (true) {
    const PartPtr part = FindOrAdd(order.number());
    const std::lock_guard told(part->told);  // It may be about to go.
    const std::lock_guard lock(part->mutex);
    if (part->removed) continue;  // Just now; the next look finds another.
    if (order.revision() <= part->order.revision()) return PartPtr();
    host::v1::Part& current = part->order;
    if (order.nodes().empty()) {
      // A removal says no more than that; names and keys are needed until the nodes are gone.
      current.clear_nodes();
      current.set_revision(order.revision());
      current.set_force_removal(order.force_removal());
    } else {
      current = order;
      part->id_first = id_first;
    }
    for (const NodeOrder& wanted : order.nodes()) {
      NodePtr& node = part->nodes[wanted.index()];
      if (node == nullptr) {
        node = std::make_shared<Node>();
        node->local.set_index(wanted.index());
        node->local.set_incarnation(wanted.incarnation());
        // Pulled from now on, and to be deleted.
        node->local.set_departure(wanted.arrival().reference());
      }
      node->held = false;
      node->local.set_group(wanted.group());
      if (node->local.incarnation() == wanted.incarnation()) {
        *node->local.mutable_on_destroy() = wanted.on_destroy();
      }
    }
    part->awaits_network = true;
    ++part->jobs;  // Until its network is there.
    return part;
  }
}

std::map<HostNodes::PartPtr, Status> HostNodes::Keep(const std::vector<PartPtr>& parts) {
  std::map<PartPtr, Status> kept;
  for (const PartPtr& part : parts) kept.emplace(part, Ok());
  std::vector<std::unique_lock<std::mutex>> told;
  std::vector<host::v1::HostPart> files;
  for (const auto& [part, status] : kept) {
    told.emplace_back(part->told);
    const std::lock_guard lock(part->mutex);
    files.push_back(FileOf(*part));
  }
  const std::vector<Status> written = store_.Write(files);
  size_t i = 0;
  for (auto& [part, status] : kept) {
    status = written[i];
    if (!status.ok()) {
      const std::lock_guard lock(part->mutex);
      part->order.set_revision(files[i].order().revision() - 1);  // The same may come again.
    }
    ++i;
  }
  return kept;
}

Status HostNodes::BeginWork(const std::vector<PartPtr>& taken,
                            std::map<uint32_t, Error>* problems) {
  std::map<PartPtr, Status> kept;
  Status network = Ok();
  {
    // Nodes are made beside the work on the network, which waits more than it works.
    const std::jthread beside([&] { network = UpdateNetwork(); });
    kept = Keep(taken);
    std::vector<PartPtr> begun;
    for (const auto& [part, status] : kept) {
      if (!status.ok()) continue;
      SyncTasks(part);
      begun.push_back(part);
    }
    EnqueueNew(begun);
  }
  for (const PartPtr& part : taken) {
    const Status& status = kept.at(part);
    {
      const std::lock_guard lock(part->mutex);
      part->awaits_network = false;
      if (!status.ok()) problems->emplace(part->order.number(), status.error());
    }
    // Also where the file could not be written: a node that it knows may have been due meanwhile.
    EnqueueStopped(part, /*only_made=*/!status.ok());
    // Not here: whom it tells may be the one who gave the order.
    chores_.Push([this, part] { EndJob(part); });
  }
  return network.ok() ? Ok() : Status(network.error().Wrap("network"));
}

PartStatus HostNodes::StatusOf(const PartPtr& part, bool with_usage, size_t* output_left) {
  size_t part_left = std::min(*output_left, kPartOutputBytesMax);
  const size_t part_room = part_left;
  PartStatus status;
  uint32_t number = 0;
  {
    const std::lock_guard lock(part->mutex);
    number = part->order.number();
    status.set_number(number);
    status.set_sequence(++sequence_);
    status.set_revision(part->order.revision());
    if (part->nodes.empty() && !part->removed) {
      // Its bridge and its file are still to go.
      status.add_nodes()->set_state(host::v1::REMOVING);
    }
    for (const auto& [index, node] : part->nodes) {
      NodeStatus* out = status.add_nodes();
      out->set_index(index);
      out->set_incarnation(node->local.incarnation());
      out->set_revision(node->revision);
      // It is not there for good before the file says so; `problem` is why the file cannot.
      const bool early = node->state == host::v1::READY && part->changes != part->written;
      const host::v1::NodeState meanwhile =
          node->problem.has_value() ? host::v1::BREAKDOWN : host::v1::STARTING;
      out->set_state(early ? meanwhile : node->state);
      if (node->problem.has_value()) {
        out->set_problem(node->problem->message());
        out->set_problem_code(static_cast<int>(node->problem->code()));
      }
      out->set_image(node->local.image());
      out->set_image_digest(node->local.image_digest());
      out->set_driver(node->local.driver());
      out->set_volume(node->local.volume());
      out->set_disk_bytes(node->local.disk_bytes());
      if (part->changes == part->written) {
        out->set_made(node->local.made());
        out->set_created(node->local.created());
        out->set_departure(node->local.departure());
      }
      if (node->record.has_value()) out->set_init_pid(node->record->init.pid);
      out->set_start_ms(node->start_ms);
      out->set_upper_bytes(node->upper_bytes);
      out->set_restarts(node->restarts);
      *out->mutable_forwards() = node->local.forwards();
      *out->mutable_volumes() = node->local.volumes();
      if (node->measured.has_value()) *out->mutable_measured() = *node->measured;
      if (node->usage.has_value() && node->record.has_value()) {
        *out->mutable_usage() = *node->usage;
      }
      for (const auto& [hook, run] : node->hooks) {
        host::v1::HookRun* told = out->add_hooks();
        *told = run;
        if (!with_usage) told->set_output(LastOf(run.output()));
      }
      tasks_->AddStatus(NodeId(number, index), /*live=*/with_usage, &part_left, out);
    }
  }
  *output_left -= part_room - part_left;
  if (with_usage) {
    for (NodeStatus& node : *status.mutable_nodes()) AddUsage(part, number, &node);
  }
  return status;
}

// A node of the fuse driver whose root has ended cannot do anything any more, though its processes
// are there.
void HostNodes::AddUsage(const PartPtr& part, uint32_t number, NodeStatus* status) {
  const auto job = JobOn(number, status->index());
  if (!job.ok() || job->part != part || !job->local.made()) return;
  const std::unique_lock working(job->node->work, std::try_to_lock);
  if (!working.owns_lock()) return;  // Its volume may go away meanwhile.
  if (const auto used = life_->UsedBytes(job->id, job->local); used.ok()) {
    status->set_upper_bytes(*used);
  }
  if (status->state() != host::v1::READY || job->local.driver() != "fuse") return;
  if (const auto reason = life_->BrokenRoot(job->id, job->local)) {
    status->set_state(host::v1::BREAKDOWN);
    status->set_problem("its root file system ended: " + *reason +
                        " (stop and start the Vcluster)");
  }
}

std::vector<PartStatus> HostNodes::Statuses(bool with_usage) {
  std::vector<PartPtr> parts;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [number, part] : parts_) parts.push_back(part);
  }
  std::vector<PartStatus> statuses;
  size_t output_left = kMessageOutputBytesMax;
  for (const PartPtr& part : parts) statuses.push_back(StatusOf(part, with_usage, &output_left));
  return statuses;
}

PartStatus HostNodes::StatusOf(uint32_t number, bool with_usage) {
  size_t output_left = kMessageOutputBytesMax;
  return StatusOf(number, with_usage, &output_left);
}

PartStatus HostNodes::StatusOf(uint32_t number, bool with_usage, size_t* output_left) {
  if (const PartPtr part = Find(number)) return StatusOf(part, with_usage, output_left);
  PartStatus none;
  none.set_number(number);
  none.set_sequence(++sequence_);
  return none;
}

Status HostNodes::Resize(uint32_t number, uint32_t index, uint64_t disk_bytes) {
  ASSIGN_OR_RETURN(const Job before, JobOn(number, index));
  const std::lock_guard working(before.node->work);
  ASSIGN_OR_RETURN(const Job job, JobOn(number, index));
  if (job.node != before.node) return Error(Code::kUnavailable, "it was just made anew: try again");
  if (!job.local.made()) return Error(Code::kFailedPrecondition, "it is not ready yet");
  RETURN_IF_ERROR(life_->Resize(job.id, job.local, disk_bytes));
  const std::lock_guard told(job.part->told);
  host::v1::HostPart file;
  {
    const std::lock_guard lock(job.part->mutex);
    job.node->local.set_disk_bytes(disk_bytes);
    file = FileOf(*job.part);
  }
  return store_.Write(file);
}

ExecTarget HostNodes::TargetOf(const Job& job) const {
  return TargetOf(job.id, job.id_first, job.local, job.record,
                  job.wanted.has_value() ? &*job.wanted : nullptr);
}

ExecTarget HostNodes::TargetOf(const std::string& id, uint32_t id_first,
                               const host::v1::LocalNode& local,
                               const std::optional<NodeRecord>& record, const NodeOrder* order) {
  ExecTarget target;
  target.id = id;
  target.init_pid = record.has_value() ? record->init.pid : 0;
  target.id_first = id_first;
  target.env.assign(local.env().begin(), local.env().end());
  if (order != nullptr) {
    target.env.insert(target.env.end(), order->env().begin(), order->env().end());
  }
  return target;
}

Result<std::unique_ptr<RunningCommand>> HostNodes::Exec(uint32_t number, uint32_t index,
                                                        const ExecParameters& parameters,
                                                        TerminalSize terminal,
                                                        ExecListener& listener) {
  ASSIGN_OR_RETURN(const Job job, JobOn(number, index));
  if (!job.record.has_value() || !NodeRuntime::IsRunning(*job.record)) {
    return Error(Code::kFailedPrecondition, "it does not run (vcluster start)");
  }
  ASSIGN_OR_RETURN(auto session,
                   ExecSession::Start(*life_, TargetOf(job), parameters, terminal, listener));
  return std::unique_ptr<RunningCommand>(std::move(session));
}

}  // namespace strata::vcluster
