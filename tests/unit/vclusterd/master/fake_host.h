// FakeHost: a host that makes every order so at once, in memory. It can be told to be slow, to
// refuse, and to let nodes break down; what it is told and says is kept.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "common/digest.h"
#include "vclusterd/master/host_link.h"
#include "vclusterd/master/master.h"

namespace strata::vcluster {

inline constexpr int kInitPid = 1234;  // Of every node.

// What runs where, of several fakes: no two of them may ever run the same node.
class RunLedger {
 public:
  using Key = std::pair<uint32_t, uint32_t>;
  void Runs(const std::string& host, Key key) {
    const std::lock_guard lock(mutex_);
    const auto [at, added] = runs_.emplace(key, host);
    if (at->second != host) twice_ = host + " and " + at->second;
  }
  void Stops(const std::string& host, Key key) {
    const std::lock_guard lock(mutex_);
    const auto at = runs_.find(key);
    if (at != runs_.end() && at->second == host) runs_.erase(at);
  }
  // The hosts that ran one node at the same time; empty: none did.
  std::string twice() {
    const std::lock_guard lock(mutex_);
    return twice_;
  }

 private:
  std::mutex mutex_;  // Guards what follows.
  std::map<Key, std::string> runs_;
  std::string twice_;
};

class FakeHost final : public HostLink {
 public:
  explicit FakeHost(double cpus = 64) {
    capacity_.set_cpus(cpus);
    capacity_.set_memory_bytes(uint64_t{64} << 30);
    capacity_.set_disk_bytes(uint64_t{1} << 40);
  }

  Result<std::vector<host::v1::PartStatus>> Apply(
      const std::vector<host::v1::Part>& orders) override {
    const std::lock_guard lock(mutex_);
    if (refusal_.has_value()) return *refusal_;
    std::vector<host::v1::PartStatus> statuses;
    for (const host::v1::Part& order : orders) {
      ++told_[order.number()];
      if (const auto problem = problems.find(order.number()); problem != problems.end()) {
        host::v1::PartStatus& status = statuses.emplace_back(StatusOf(order.number()));
        status.set_number(order.number());
        status.set_problem(problem->second.message());
        status.set_problem_code(static_cast<int>(problem->second.code()));
        continue;
      }
      // Of what is not there a removal leaves nothing.
      if (parts_.contains(order.number()) || !order.nodes().empty()) {
        host::v1::Part& last = parts_[order.number()];
        if (ledger != nullptr) {
          for (const host::v1::NodeOrder& node : last.nodes()) {
            ledger->Stops(name, {order.number(), node.index()});
          }
        }
        if (order.revision() >= last.revision()) {
          for (const host::v1::NodeOrder& node : last.nodes()) {
            if (hold_removals) leaving_[order.number()][node.index()] = node.incarnation();
          }
          last = order;
        }
      }
      statuses.push_back(StatusOf(order.number()));
    }
    return statuses;
  }
  Result<std::vector<net::ObservedLink>> Links() override {
    return std::vector<net::ObservedLink>();
  }
  host::v1::Capacity Capacity() override { return capacity_; }
  std::string UnderlayAddress() override { return underlay_address; }
  uint32_t UnderlayMtu() override { return underlay_mtu; }
  host::v1::FabricReport Fabric() override { return fabric; }
  std::optional<host::v1::HostLoad> Load() override {
    const std::lock_guard lock(mutex_);
    return load_;
  }
  void SetLoad(host::v1::HostLoad load) override {
    const std::lock_guard lock(mutex_);
    load_ = std::move(load);
  }
  Result<host::v1::UsageHistory> History(uint32_t, uint32_t) override {
    const std::lock_guard lock(mutex_);
    return node_history_;
  }
  Result<host::v1::UsageHistory> HostHistory() override {
    const std::lock_guard lock(mutex_);
    return host_history_;
  }
  Status Resize(uint32_t, uint32_t index, uint64_t disk_bytes) override {
    return on_resize ? on_resize(index, disk_bytes) : Ok();
  }
  Result<host::v1::PartStatus> Look(uint32_t number) override {
    const std::lock_guard lock(mutex_);
    return StatusOf(number);
  }
  Result<SaveNodeResult> Save(uint32_t, uint32_t, const SaveNodeParameters& parameters,
                              const NodeLife::ProgressFn&, const CancelToken&) override {
    if (!can_save) return Error(Code::kUnsupported, "a fake");
    SaveNodeResult saved;
    saved.image.reference = parameters.reference;
    return saved;
  }
  Result<std::unique_ptr<PartSave>> StartSave(uint32_t,
                                              const std::vector<PartSaveNode>& nodes) override {
    return std::unique_ptr<PartSave>(new Saving(*this, nodes));
  }
  Result<host::v1::ImagesResponse> ChangeImages(host::v1::ImagesRequest request) override {
    if (on_images) on_images(request.change());
    const std::lock_guard lock(mutex_);
    host::v1::ImagesResponse response;
    if (request.change() == host::v1::IMAGES_COUNT_SECRETS) response.set_secrets(secrets_);
    if (request.change() == host::v1::IMAGES_PRESTAGE) {
      for (const std::string& host : request.hosts()) prestaged_.insert(host);
    }
    if (request.change() == host::v1::IMAGES_REMOVE) {
      for (const std::string& reference : request.references()) images_.erase(reference);
    }
    return response;
  }
  Result<std::unique_ptr<RunningCommand>> Exec(uint32_t, uint32_t, const ExecParameters&,
                                               TerminalSize, ExecListener&) override {
    return Error(Code::kUnsupported, "a fake");
  }

  // What it answers to all orders from now on; nullopt: it follows them.
  void Refuse(std::optional<Error> error) {
    const std::lock_guard lock(mutex_);
    refusal_ = std::move(error);
  }

  // Images that were saved here and are still there.
  std::set<std::string> Images() {
    const std::lock_guard lock(mutex_);
    return images_;
  }
  void AddImage(const std::string& reference) {
    const std::lock_guard lock(mutex_);
    images_.insert(reference);
  }
  std::set<std::string> PrestagedTo() {
    const std::lock_guard lock(mutex_);
    return prestaged_;
  }
  void SetSecrets(uint64_t secrets) {
    const std::lock_guard lock(mutex_);
    secrets_ = secrets;
  }
  // "copy", "freeze", "take", "finish": there saves fail from now on; finish after the first image.
  void FailSaves(const std::string& step) {
    const std::lock_guard lock(mutex_);
    save_fails_ = step;
  }
  // What it has, as a worker says it in its hello.
  std::vector<host::v1::PartStatus> Statuses() {
    const std::lock_guard lock(mutex_);
    std::vector<host::v1::PartStatus> statuses;
    for (const auto& [number, part] : parts_) {
      if (!part.nodes().empty()) statuses.push_back(StatusOf(number));
    }
    return statuses;
  }
  host::v1::Part Order(uint32_t number) {
    const std::lock_guard lock(mutex_);
    const auto found = parts_.find(number);
    return found == parts_.end() ? host::v1::Part() : found->second;
  }
  // How often it was given an order for this Vcluster.
  int told(uint32_t number) {
    const std::lock_guard lock(mutex_);
    return told_[number];
  }
  // Its disk is another: it has nothing, and was told nothing.
  void Forget() {
    const std::lock_guard lock(mutex_);
    parts_.clear();
  }
  // What every node uses from now on.
  void SetCpus(double cpus) {
    host::v1::Usage usage;
    usage.set_cpus(cpus);
    SetUsage(usage);
  }
  void SetUsage(const host::v1::Usage& usage) {
    const std::lock_guard lock(mutex_);
    usage_ = usage;
  }
  // What it has measured of every node, and of itself.
  void SetHistories(const host::v1::UsageHistory& of_nodes, const host::v1::UsageHistory& of_host) {
    const std::lock_guard lock(mutex_);
    node_history_ = of_nodes;
    host_history_ = of_host;
  }
  // As if its nodes of this Vcluster had been started anew with their last order.
  void Restarted(uint32_t number) {
    const std::lock_guard lock(mutex_);
    mounted_.erase(number);
  }
  // What nodes that measure say from now on.
  void SetMeasured(const host::v1::Measured& measured) {
    const std::lock_guard lock(mutex_);
    measured_ = measured;
  }
  // From now on this state instead of READY, for nodes of the role; their process 1 is there or
  // not.
  void SetState(const std::string& role, host::v1::NodeState state, const std::string& problem,
                bool runs = false) {
    const std::lock_guard lock(mutex_);
    states_[role] = {state, problem};
    if (runs) running_.insert(role);
  }

  // What each node of the role holds.
  void SetMemory(const std::string& role, uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    memory_[role] = bytes;
  }
  // Says its state again, as it is now.
  void TellAgain(Master& master) {
    for (const host::v1::PartStatus& status : Statuses()) master.Report(name, status);
  }

  // Why nodes that move cannot be saved, or made here.
  void RefuseMoves(std::optional<std::string> departures, std::optional<std::string> arrivals) {
    const std::lock_guard lock(mutex_);
    no_departures_ = std::move(departures);
    no_arrivals_ = std::move(arrivals);
  }

  // What a run of a task has come to; until then it runs.
  void EndTask(const std::string& id, host::v1::TaskState state, int exit_code,
               const std::string& output = "") {
    const std::lock_guard lock(mutex_);
    host::v1::TaskRun& run = task_ends_[id];
    run.set_id(id);
    run.set_state(state);
    run.set_exit_code(exit_code);
    run.set_output(output);
    run.set_output_bytes(output.size());
  }
  // What a worker would report by itself.
  host::v1::PartStatus SaysOf(uint32_t number) {
    const std::lock_guard lock(mutex_);
    return StatusOf(number);
  }

  std::map<uint32_t, Error> problems;                     // Orders that it does not take.
  bool can_save = false;                                  // It says that it has.
  std::function<void(host::v1::ImagesChange)> on_images;  // Before it changes any, or looks.
  std::string name;
  std::string underlay_address;
  uint32_t underlay_mtu = 0;
  host::v1::FabricReport fabric;
  RunLedger* ledger = nullptr;
  std::function<Status(uint32_t index, uint64_t disk_bytes)> on_resize;
  // End hooks of nodes that are removed run as long as this is so; set before they are made.
  std::atomic<bool> hold_removals = false;
  // Nodes that move are not saved, or made here, as long as this is so.
  std::atomic<bool> hold_departures = false;
  std::atomic<bool> hold_arrivals = false;

 private:
  using Made = std::tuple<uint32_t, uint32_t, uint32_t>;
  static Made MadeKey(const host::v1::Part& part, const host::v1::NodeOrder& order) {
    return {part.number(), order.index(), order.incarnation()};
  }
  class Saving final : public PartSave {
   public:
    Saving(FakeHost& host, std::vector<PartSaveNode> nodes)
        : host_(host), nodes_(std::move(nodes)) {}
    Status Copy() override { return Step("copy"); }
    Status Freeze() override { return Step("freeze"); }
    Status Take() override { return Step("take"); }
    void Release() override {}
    Result<std::vector<SaveNodeResult>> Finish() override {
      std::vector<SaveNodeResult> results;
      for (const PartSaveNode& node : nodes_) {
        if (!results.empty()) RETURN_IF_ERROR(Step("finish"));
        SaveNodeResult& result = results.emplace_back();
        result.image.reference = node.parameters.reference;
        result.image.digest = "blake3:" + Hasher::Of(node.parameters.reference).Hex();
        result.image.entries = 3;
        result.image.layer_bytes = 100;
        host_.AddImage(node.parameters.reference);
      }
      return results;
    }

   private:
    Status Step(const std::string& step) {
      const std::lock_guard lock(host_.mutex_);
      if (host_.save_fails_ == step) return Error(Code::kResourceExhausted, "the disk is full");
      return Ok();
    }
    FakeHost& host_;
    const std::vector<PartSaveNode> nodes_;
  };

  // Nodes whose end hooks run.
  void AddLeaving(const host::v1::Part& part, uint32_t number, host::v1::PartStatus* status) {
    if (!hold_removals) leaving_.erase(number);
    for (const auto& [index, incarnation] : leaving_[number]) {
      const bool is_ordered =
          std::any_of(part.nodes().begin(), part.nodes().end(),
                      [&](const auto& order) { return order.index() == index; });
      if (is_ordered) continue;
      host::v1::NodeStatus* node = status->add_nodes();
      node->set_index(index);
      node->set_incarnation(incarnation);
      node->set_revision(part.revision());
      node->set_state(host::v1::REMOVING);
      node->set_init_pid(1);
      if (usage_.has_value()) *node->mutable_usage() = *usage_;
    }
  }

  host::v1::PartStatus StatusOf(uint32_t number) {
    const auto found = parts_.find(number);
    const host::v1::Part part = found == parts_.end() ? host::v1::Part() : found->second;
    host::v1::PartStatus status;
    status.set_number(number);
    status.set_revision(part.revision());
    status.set_sequence(++sequence_);
    AddLeaving(part, number, &status);
    for (const host::v1::NodeOrder& order : part.nodes()) {
      host::v1::NodeStatus* node = status.add_nodes();
      node->set_index(order.index());
      node->set_incarnation(order.incarnation());
      node->set_revision(part.revision());
      node->set_image_digest("blake3:" + Hasher::Of(order.image()).Hex());
      for (const host::v1::TaskOrder& task : order.tasks()) {
        host::v1::TaskRun* run = node->add_tasks();
        const auto end = task_ends_.find(task.id());
        if (end != task_ends_.end()) *run = end->second;
        run->set_id(task.id());
        if (end != task_ends_.end()) continue;
        run->set_state(task.stop() ? host::v1::TASK_ENDED : host::v1::TASK_RUNNING);
        run->set_stopped(task.stop());
        run->set_exit_code(task.stop() ? 143 : 0);
      }
      for (host::v1::Forward forward : order.forwards()) {
        if (forward.host_port() == 0) forward.set_host_port(20'000 + order.index());
        if (forward.balance() != host::v1::ONE_NODE && forward.role_port() == 0) {
          forward.set_role_port(29'000);
        }
        *node->add_forwards() = forward;
      }
      const auto special = states_.find(order.role());
      const bool arrives = order.has_arrival() && !made_.contains(MadeKey(part, order));
      if (no_arrivals_.has_value() && arrives) {
        node->set_state(host::v1::BREAKDOWN);
        node->set_problem(*no_arrivals_);
        continue;
      }
      if (arrives && hold_arrivals) continue;
      made_.insert(MadeKey(part, order));
      node->set_made(true);
      node->set_created(true);
      node->set_image(order.has_arrival() ? order.arrival().image() : order.image());
      if (!order.departure().empty() && order.intent() == host::v1::STOP) {
        if (no_departures_.has_value()) {
          node->set_state(host::v1::BREAKDOWN);
          node->set_problem(*no_departures_);
          continue;
        }
        if (!hold_departures) node->set_departure("root/" + order.departure() + "@blake3:d");
      }
      if (order.intent() != host::v1::RUN) {
        node->set_state(host::v1::STOPPED);
      } else if (special != states_.end()) {
        node->set_state(special->second.first);
        node->set_problem(special->second.second);
        if (running_.contains(order.role())) {
          node->set_init_pid(kInitPid);
          if (usage_.has_value()) *node->mutable_usage() = *usage_;
        }
      } else {
        node->set_state(host::v1::READY);
        node->set_init_pid(kInitPid);
        if (ledger != nullptr) ledger->Runs(name, {part.number(), order.index()});
        auto [mounted, started] = mounted_[part.number()].try_emplace(order.index());
        for (const host::v1::VolumeMount& volume : order.volumes()) {
          if (started) mounted->second.push_back(volume.directory());
        }
        for (const std::string& directory : mounted->second) node->add_volumes(directory);
        if (usage_.has_value()) *node->mutable_usage() = *usage_;
        if (const auto used = memory_.find(order.role()); used != memory_.end()) {
          node->mutable_usage()->set_memory_bytes(used->second);
        }
        if (order.has_measurement() && measured_.has_value()) {
          *node->mutable_measured() = *measured_;
        }
      }
    }
    return status;
  }

  host::v1::Capacity capacity_;
  std::mutex mutex_;  // Guards what follows.
  std::map<uint32_t, host::v1::Part> parts_;
  std::map<uint32_t, int> told_;
  std::map<uint32_t, std::map<uint32_t, uint32_t>> leaving_;  // Incarnations, by number, index.
  std::map<std::string, std::pair<host::v1::NodeState, std::string>> states_;
  std::set<std::string> running_;  // Roles of states_ whose nodes have a process 1.
  std::map<std::string, host::v1::TaskRun> task_ends_;  // By id.
  std::optional<host::v1::Usage> usage_;
  std::optional<Error> refusal_;
  std::optional<host::v1::HostLoad> load_;
  host::v1::UsageHistory node_history_;
  host::v1::UsageHistory host_history_;
  std::map<uint32_t, std::map<uint32_t, std::vector<std::string>>> mounted_;  // By number, index.
  std::optional<host::v1::Measured> measured_;
  std::set<std::string> images_;
  std::set<std::string> prestaged_;
  std::string save_fails_;
  uint64_t secrets_ = 0;
  std::map<std::string, uint64_t> memory_;
  std::set<Made> made_;
  std::optional<std::string> no_departures_;
  std::optional<std::string> no_arrivals_;
  uint64_t sequence_ = 0;
};

}  // namespace strata::vcluster
