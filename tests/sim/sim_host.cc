#include "tests/sim/sim_host.h"

#include <algorithm>

namespace strata::sim {

using host::v1::NodeOrder;

SimHost::SimHost(SimHostOptions options, EventQueue& events, Random& random, Network& network,
                 Truth& truth, FindMaster find_master)
    : options_(std::move(options)),
      events_(events),
      random_(random),
      network_(network),
      truth_(truth),
      find_master_(std::move(find_master)) {
  truth_.PutHost(options_.name, options_.capacity);
}

void SimHost::Later(milliseconds delay, std::function<void()> what) {
  events_.After(delay, [this, process = processes_, what = std::move(what)] {
    if (process_ != nullptr && processes_ == process) what();
  });
}

milliseconds SimHost::WorkTime() {
  return random_.Between(milliseconds(1), options_.work_max) * slowness_;
}

void SimHost::StartWorker() {
  if (up()) return;
  ++processes_;
  vcluster::Obedience::Options obeys;
  obeys.now = [this] { return events_.now(); };
  obeys.masters.insert(options_.masters.begin(), options_.masters.end());
  obeys.fence_after = options_.fence_after;
  obeys.heard = heard_;
  if (heard_.has_value() && events_.now() - *heard_ >= obeys.fence_after) obeys.heard.reset();
  if (options_.mistake == Mistake::kThawsAtRestart) obeys.heard = events_.now();
  obeys.keep = [this](Time heard) { heard_ = heard; };
  numbers_ += 1'000'000;
  obeys.first_hello = numbers_;
  process_ = std::make_unique<Process>(std::move(obeys));
  process_->session = numbers_;
  process_->sequence = numbers_;
  Recover();
  WatchSilence();
  Later(milliseconds(0), [this] { SayHello(); });
}

void SimHost::KillWorker() { process_.reset(); }

void SimHost::LosePower() {
  KillWorker();
  while (!containers_.empty()) EndContainer(containers_.begin()->first);
  heard_.reset();
}

// Takes over what is there, takes away what is half-made.
void SimHost::Recover() {
  const bool silent = process_->obedience.IsSilent();
  for (auto it = containers_.begin(); it != containers_.end();) {
    const NodeKey key = (it++)->first;
    const auto file = disk_.find(key.first);
    if (file == disk_.end() || !file->second.nodes.contains(key.second)) EndContainer(key);
  }
  for (const auto& [number, file] : disk_) {
    Part& part = process_->parts[number];
    part.order = file.order;
    for (const auto& [index, local] : file.nodes) {
      const NodeKey key{number, index};
      Node& node = part.nodes[index];
      node.local = local;
      if (!local.made) {
        EndContainer(key);
        continue;
      }
      const auto wanted =
          std::find_if(file.order.nodes().begin(), file.order.nodes().end(),
                       [&](const NodeOrder& order) { return order.index() == index; });
      const bool is_wanted = wanted != file.order.nodes().end();
      node.held = silent && is_wanted && wanted->fenced();
      if (is_wanted) node.attempt = wanted->attempt();
      if (containers_.contains(key)) {
        node.state = host::v1::READY;
        if (!node.held) Freeze(key, false);
      } else if (is_wanted && wanted->intent() == host::v1::RUN) {
        node.state = host::v1::BREAKDOWN;
        node.due = wanted->restart() != host::v1::NEVER;
      } else {
        node.state = host::v1::STOPPED;
      }
    }
  }
  if (silent) PauseFenced();
  for (const auto& [number, file] : disk_) EnqueueAll(number);
}

Result<std::vector<host::v1::PartStatus>> SimHost::Apply(const host::v1::ApplyRequest& request,
                                                         const std::string& master) {
  vcluster::Obedience::Permit permit;
  if (options_.mistake == Mistake::kObeysOldHellos) {
    RETURN_IF_ERROR(process_->obedience.CheckMaster(master, request.epoch()));
  } else if (options_.mistake != Mistake::kObeysAnyOrder) {
    ASSIGN_OR_RETURN(permit,
                     process_->obedience.CheckOrder(master, request.epoch(), request.hello()));
  }
  std::vector<host::v1::PartStatus> statuses;
  for (const host::v1::Part& order : request.orders()) TakeOrder(order);
  for (const host::v1::Part& order : request.orders()) {
    statuses.push_back(StatusOf(order.number()));
  }
  return statuses;
}

void SimHost::TakeOrder(const host::v1::Part& order) {
  const uint32_t number = order.number();
  const bool ignores = options_.mistake == Mistake::kIgnoresRevisions;
  if (!ignores && order.revision() <= process_->removed[number]) return;
  if (!process_->parts.contains(number) && order.nodes().empty()) {
    process_->removed[number] = order.revision();
    return;
  }
  Part& part = process_->parts[number];
  if (!ignores && order.revision() <= part.order.revision()) return;
  if (order.nodes().empty()) {
    part.order.clear_nodes();
    part.order.set_revision(order.revision());
  } else {
    part.order = order;
  }
  for (const NodeOrder& wanted : order.nodes()) {
    const auto [node, is_new] = part.nodes.try_emplace(wanted.index());
    if (is_new) node->second.local.incarnation = wanted.incarnation();
    node->second.held = false;
  }
  Write(number);
  EnqueueAll(number);
}

// The part's file, as it is now.
void SimHost::Write(uint32_t number) {
  const auto part = process_->parts.find(number);
  if (part == process_->parts.end()) return;
  PartFile& file = disk_[number];
  file.order = part->second.order;
  file.nodes.clear();
  for (const auto& [index, node] : part->second.nodes) file.nodes[index] = node.local;
}

SimHost::Node* SimHost::Find(NodeKey key) {
  const auto part = process_->parts.find(key.first);
  if (part == process_->parts.end()) return nullptr;
  const auto node = part->second.nodes.find(key.second);
  return node == part->second.nodes.end() ? nullptr : &node->second;
}

void SimHost::EnqueueAll(uint32_t number) {
  Part& part = process_->parts.at(number);
  std::vector<uint32_t> indices;
  for (const auto& [index, node] : part.nodes) indices.push_back(index);
  for (const uint32_t index : indices) Enqueue({number, index});
}

void SimHost::Enqueue(NodeKey key) {
  Node* node = Find(key);
  if (node == nullptr || node->queued) return;
  node->queued = true;
  if (!node->busy) Later(milliseconds(0), [this, key] { Work(key); });
}

void SimHost::Work(NodeKey key) {
  Node* node = Find(key);
  if (node == nullptr || node->busy || !node->queued) return;
  node->queued = false;
  node->busy = true;
  // As the order is now, whatever comes meanwhile.
  const host::v1::Part& order = process_->parts.at(key.first).order;
  std::optional<NodeOrder> wanted;
  for (const NodeOrder& candidate : order.nodes()) {
    if (candidate.index() == key.second) wanted = candidate;
  }
  Work(key, wanted, order.revision());
}

void SimHost::Work(NodeKey key, const std::optional<NodeOrder>& wanted, uint64_t revision) {
  Node& node = *Find(key);
  const bool another = wanted.has_value() && wanted->incarnation() != node.local.incarnation &&
                       options_.mistake != Mistake::kKeepsIncarnation;
  if (!wanted.has_value() || another) {
    node.state = host::v1::REMOVING;
    Later(WorkTime(), [this, key, wanted, revision] {
      if (options_.mistake == Mistake::kSaysGoneTooEarly) {
        Later(seconds(4), [this, key] {
          if (Find(key) == nullptr) EndContainer(key);
        });
      } else {
        EndContainer(key);
      }
      Part& part = process_->parts.at(key.first);
      part.changed = true;
      if (!wanted.has_value()) {
        part.nodes.erase(key.second);
        return EndWork(key, revision);
      }
      Node& anew = part.nodes.at(key.second);
      anew.local = {wanted->incarnation(), false, false, ""};
      anew.state = host::v1::MAKING;
      Work(key, wanted, revision);
    });
    return;
  }
  if (!node.local.made) {
    Later(WorkTime(), [this, key, wanted, revision] {
      Node& made = *Find(key);
      if (wanted->has_arrival() && random_.OneIn(4)) {
        made.state = host::v1::BREAKDOWN;
        made.problem = "what it wrote does not come";
        return EndWork(key, revision);
      }
      made.local.made = true;
      made.local.created = wanted->arrival().created();
      process_->parts.at(key.first).changed = true;
      Work(key, wanted, revision);
    });
    return;
  }
  const bool runs = containers_.contains(key);
  if (wanted->intent() == host::v1::STOP) {
    const std::string departure =
        wanted->departure().empty() ? "" : "root/" + wanted->departure() + "@blake3:0";
    if (!runs && node.state == host::v1::STOPPED && node.local.departure == departure) {
      return EndWork(key, revision);
    }
    Later(WorkTime(), [this, key, attempt = wanted->attempt(), departure, revision] {
      EndContainer(key);
      Node& stopped = *Find(key);
      stopped.state = host::v1::STOPPED;
      stopped.attempt = attempt;
      stopped.pause = milliseconds(0);
      if (std::exchange(stopped.local.departure, departure) != departure) {
        process_->parts.at(key.first).changed = true;
      }
      EndWork(key, revision);
    });
    return;
  }
  const bool asked = std::exchange(node.attempt, wanted->attempt()) != wanted->attempt();
  const bool due = std::exchange(node.due, false);
  const bool broken = node.state == host::v1::BREAKDOWN;
  if (asked) node.pause = milliseconds(0);
  if (node.held && !runs) {
    if (broken) {
      node.due = due;
    } else {
      node.state = host::v1::PAUSED;
    }
    return EndWork(key, revision);
  }
  if (runs) {
    if (!node.held && node.state == host::v1::PAUSED) {
      Freeze(key, false);
      node.state = host::v1::READY;
    }
    return EndWork(key, revision);
  }
  if (broken && !asked && !due) return EndWork(key, revision);
  if (wanted->intent() == host::v1::HOLD) {
    node.state = host::v1::STOPPED;
    return EndWork(key, revision);
  }
  Start(key, *wanted, revision);
}

void SimHost::Start(NodeKey key, const NodeOrder& wanted, uint64_t revision) {
  Later(WorkTime(), [this, key, incarnation = wanted.incarnation(), revision] {
    Node& node = *Find(key);
    SetContainer(key, incarnation);
    node.problem.clear();
    node.state = host::v1::READY;
    if (!node.local.created) process_->parts.at(key.first).changed = true;
    node.local.created = true;
    if (node.held) {  // The masters fell silent while it started.
      Freeze(key, true);
      node.state = host::v1::PAUSED;
    }
    EndWork(key, revision);
  });
}

void SimHost::EndWork(NodeKey key, uint64_t revision) {
  if (Node* node = Find(key)) {
    node->busy = false;
    node->revision = revision;
    if (node->queued) Later(milliseconds(0), [this, key] { Work(key); });
    if (node->state == host::v1::BREAKDOWN) TryAgainLater(key, *node);
  }
  Tell(key.first);
}

void SimHost::TryAgainLater(NodeKey key, const Node& tried) {
  Node& node = *Find(key);
  for (const NodeOrder& order : process_->parts.at(key.first).order.nodes()) {
    if (order.index() != key.second || order.restart() == host::v1::NEVER ||
        order.intent() != host::v1::RUN || tried.waiting) {
      continue;
    }
    node.waiting = true;
    node.pause = std::clamp(node.pause * 2, milliseconds(1000), milliseconds(60'000));
    Later(node.pause, [this, key] {
      Node* again = Find(key);
      if (again == nullptr) return;
      again->waiting = false;
      again->due = true;
      Enqueue(key);
    });
  }
}

// Writes what has changed when nothing is being done, and says how it is.
void SimHost::Tell(uint32_t number) {
  const auto part = process_->parts.find(number);
  if (part == process_->parts.end()) return;
  const bool busy = std::any_of(part->second.nodes.begin(), part->second.nodes.end(),
                                [](const auto& node) { return node.second.busy; });
  if (!busy && part->second.nodes.empty() && part->second.order.nodes().empty()) {
    host::v1::PartStatus gone;
    gone.set_number(number);
    gone.set_revision(part->second.order.revision());
    gone.set_sequence(++process_->sequence);
    process_->removed[number] = part->second.order.revision();
    process_->parts.erase(part);
    disk_.erase(number);
    process_->changed[number] = gone;
    return Report();
  }
  if (!busy && std::exchange(part->second.changed, false)) Write(number);
  process_->changed[number] = StatusOf(number);
  Report();
}

host::v1::PartStatus SimHost::StatusOf(uint32_t number) {
  host::v1::PartStatus status;
  status.set_number(number);
  status.set_sequence(++process_->sequence);
  const auto part = process_->parts.find(number);
  if (part == process_->parts.end()) return status;
  status.set_revision(part->second.order.revision());
  if (part->second.nodes.empty()) status.add_nodes()->set_state(host::v1::REMOVING);
  for (const auto& [index, node] : part->second.nodes) {
    host::v1::NodeStatus* out = status.add_nodes();
    out->set_index(index);
    out->set_incarnation(node.local.incarnation);
    out->set_revision(node.revision);
    const bool early = node.state == host::v1::READY && part->second.changed;
    out->set_state(early ? host::v1::STARTING : node.state);
    out->set_problem(node.problem);
    if (part->second.changed) continue;
    out->set_made(node.local.made);
    out->set_created(node.local.created);
    out->set_departure(node.local.departure);
  }
  return status;
}

void SimHost::PauseFenced() {
  if (options_.mistake == Mistake::kNeverPauses) return;
  for (auto& [number, part] : process_->parts) {
    for (const NodeOrder& order : part.order.nodes()) {
      if (!order.fenced()) continue;
      Node& node = part.nodes.at(order.index());
      const NodeKey key{number, order.index()};
      node.held = true;
      if (!node.busy && containers_.contains(key)) {
        Freeze(key, true);
        node.state = host::v1::PAUSED;
      } else if (node.busy) {
        // Whatever holds it has five seconds.
        Later(seconds(5), [this, key] {
          Node* busy = Find(key);
          if (busy == nullptr || !busy->held || !containers_.contains(key)) return;
          if (busy->busy) {
            EndContainer(key);
            return;
          }
          Freeze(key, true);
          busy->state = host::v1::PAUSED;
        });
      }
    }
  }
}

void SimHost::BreakSomeNode() {
  if (!up() || containers_.empty()) return;
  auto some = containers_.begin();
  std::advance(some, random_.Below(containers_.size()));
  const NodeKey key = some->first;
  EndContainer(key);
  Node* node = Find(key);
  if (node == nullptr || node->busy) return;
  node->state = host::v1::BREAKDOWN;
  node->problem = "its process 1 ended";
  TryAgainLater(key, *node);
  Tell(key.first);
}

void SimHost::SetContainer(NodeKey key, uint32_t incarnation) {
  containers_[key] = {incarnation, /*frozen=*/false};
  truth_.Started(options_.name, key, incarnation);
}

void SimHost::Freeze(NodeKey key, bool frozen) {
  if (containers_.at(key).frozen == frozen) return;
  containers_.at(key).frozen = frozen;
  truth_.Frozen(options_.name, key, frozen);
}

void SimHost::EndContainer(NodeKey key) {
  if (containers_.erase(key) != 0) truth_.Ended(options_.name, key);
}

std::string SimHost::Contents() const {
  std::string text = options_.name + (up() ? "" : " (down)") + ":";
  for (const auto& [number, file] : disk_) {
    text += " part " + std::to_string(number) + " of " + std::to_string(file.nodes.size());
  }
  text += ", " + std::to_string(containers_.size()) + " containers";
  return text;
}

}  // namespace strata::sim
