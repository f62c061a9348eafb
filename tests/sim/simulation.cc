#include "tests/sim/simulation.h"

#include <algorithm>
#include <cstdio>
#include <functional>

#include "tests/sim/sim_master.h"
#include "tests/sim/sim_user.h"
#include "vclusterd/master/tables.h"
#include "vclusterd/master/verdicts.h"

namespace strata::sim {
namespace {

using vcluster::Master;
using vcluster::VclusterView;

constexpr vcluster::PlacerOptions kPlacer{4, 2};
constexpr seconds kDeletionMax(300);
constexpr seconds kFirstMax(600);
constexpr unsigned kFirstNodesEach = 100;

class Episode {
 public:
  explicit Episode(const SimOptions& options)
      : options_(options),
        random_(options.seed),
        network_(events_, random_),
        truth_(kPlacer),
        records_(records::MakeMemoryRecordStore(vcluster::DesiredTables())),
        user_({options.names, options.nodes_max, HostNames()}, events_, random_, truth_,
              [this](const std::string& text) { Trace(text); }) {}

  SimResult Run();

 private:
  std::vector<std::string> HostNames() const {
    std::vector<std::string> names;
    for (unsigned i = 1; i <= options_.hosts; ++i) names.push_back("h" + std::to_string(i));
    return names;
  }
  void Trace(const std::string& text);
  void MakeMasters();
  void MakeHosts();
  CommitFate FateOf(const std::vector<records::RecordChange>& changes);
  void Made(const std::vector<records::RecordChange>& changes);

  void OperateNow();
  void FailSomething();
  void FailHost();
  void FailMaster();
  void FailNetwork();
  void FailRecords();
  void EndFaults();

  SimMaster* Leader();
  // Runs until `so` says nothing; its last words after `most`.
  std::optional<std::string> Await(const std::function<std::string()>& so, Duration most);
  // What is not as it should be.
  std::string Unsettled();
  std::string UnsettledNode(const VclusterView& view, const master::v1::Node& node);
  std::string Left();
  bool Failed() const { return truth_.failure().has_value(); }

  const SimOptions options_;
  EventQueue events_;
  Random random_;
  Network network_;
  Truth truth_;
  std::unique_ptr<records::RecordStore> records_;
  SimUser user_;
  std::vector<std::unique_ptr<SimHost>> hosts_;
  std::vector<std::unique_ptr<SimMaster>> masters_;
  bool faulty_ = false;
  double not_made_ = 0;
  double answer_lost_ = 0;
  SimResult result_;
};

void Episode::Trace(const std::string& text) {
  for (const char c : text + std::to_string(events_.now().time_since_epoch().count())) {
    result_.fingerprint = (result_.fingerprint ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  }
  if (!options_.trace) return;
  const double at = std::chrono::duration<double>(events_.now().time_since_epoch()).count() - 3.6e6;
  std::fprintf(stderr, "%10.3f %s\n", at, text.c_str());
}

void Episode::MakeMasters() {
  for (unsigned i = 1; i <= options_.masters; ++i) {
    SimMasterOptions options;
    options.name = "m" + std::to_string(i);
    options.placer = kPlacer;
    options.mistake = options_.mistake;
    masters_.push_back(std::make_unique<SimMaster>(
        options, events_, random_, network_, *records_,
        [this](const auto& changes) { return FateOf(changes); },
        [this](const auto& changes) { Made(changes); },
        [this](const std::string& name) -> SimHost* {
          for (const auto& host : hosts_) {
            if (host->name() == name && host->up()) return host.get();
          }
          return nullptr;
        }));
  }
}

void Episode::MakeHosts() {
  for (const std::string& name : HostNames()) {
    SimHostOptions options;
    options.name = name;
    options.capacity.set_cpus(8);
    options.capacity.set_memory_bytes(uint64_t{16} << 30);
    options.capacity.set_disk_bytes(uint64_t{1} << 40);
    for (const auto& master : masters_) options.masters.push_back(master->name());
    options.mistake = options_.mistake;
    hosts_.push_back(std::make_unique<SimHost>(
        options, events_, random_, network_, truth_, [this](const std::string& name) -> MasterPort* {
          for (const auto& master : masters_) {
            if (master->name() == name && master->up()) return master.get();
          }
          return nullptr;
        }));
  }
}

CommitFate Episode::FateOf(const std::vector<records::RecordChange>&) {
  if (random_.Chance(not_made_)) return CommitFate::kNotMade;
  if (random_.Chance(answer_lost_)) return CommitFate::kAnswerLost;
  return CommitFate::kMade;
}

void Episode::Made(const std::vector<records::RecordChange>& changes) {
  ++result_.commits;
  for (const records::RecordChange& change : changes) {
    if (change.key == vcluster::kLeaderKey) ++result_.takeovers;
    if (change.table == vcluster::kVclustersTable) {
      Trace("record " + change.key + (change.value ? " is written" : " goes"));
    }
  }
  truth_.Made(changes);
}

SimMaster* Episode::Leader() {
  for (const auto& master : masters_) {
    if (master->master() != nullptr && master->master()->Leads() && !master->Stalls()) {
      return master.get();
    }
  }
  return nullptr;
}

void Episode::OperateNow() {
  if (!faulty_) return;
  if (SimMaster* leader = Leader()) {
    ++result_.operations;
    user_.Operate(*leader);
    // Another at the same time, often on the same Vcluster.
    if (random_.OneIn(2)) {
      ++result_.operations;
      user_.Operate(*leader);
    }
  }
  events_.After(random_.Between(milliseconds(10), options_.operation_every * 2),
                [this] { OperateNow(); });
}

void Episode::FailSomething() {
  if (!faulty_) return;
  ++result_.faults;
  switch (random_.Below(8)) {
    case 0:
    case 1:
    case 2:
      FailHost();
      break;
    case 3:
    case 4:
      FailMaster();
      break;
    case 5:
    case 6:
      FailNetwork();
      break;
    default:
      FailRecords();
  }
  events_.After(random_.Between(milliseconds(100), options_.fault_every * 2),
                [this] { FailSomething(); });
}

void Episode::FailHost() {
  SimHost* host = random_.Of(hosts_).get();
  const auto start = [host] { host->StartWorker(); };
  switch (random_.Below(4)) {
    case 0:
      Trace(host->name() + " loses its power");
      host->LosePower();
      events_.After(random_.Between(seconds(1), seconds(130)), start);
      break;
    case 1:
      Trace(host->name() + ": its worker is killed");
      host->KillWorker();
      // Less than the fence: while it is dead nobody pauses anything (docs/simulation.md).
      events_.After(random_.Between(milliseconds(50), milliseconds(25'000)), start);
      break;
    case 2:
      Trace(host->name() + " is slow");
      host->SlowDown(random_.OneIn(2) ? 30 : 4);
      events_.After(random_.Between(seconds(5), seconds(60)), [host] { host->SlowDown(1); });
      break;
    default:
      Trace(host->name() + ": a node ends");
      host->BreakSomeNode();
  }
}

void Episode::FailMaster() {
  SimMaster* master = random_.Of(masters_).get();
  const auto start = [master] { master->Start(); };
  switch (random_.Below(4)) {
    case 0:
      Trace(master->name() + " is killed");
      master->Kill();
      events_.After(random_.Between(milliseconds(50), milliseconds(30'000)), start);
      break;
    case 1:
      Trace(master->name() + " is stopped");
      master->Stop();
      events_.After(random_.Between(milliseconds(50), milliseconds(30'000)), start);
      break;
    default:
      Trace(master->name() + " stalls");
      master->Stall(random_.Between(milliseconds(500), milliseconds(120'000)));
  }
}

void Episode::FailNetwork() {
  const auto heal = [this] {
    Trace("the network heals");
    network_.faults = {};
    network_.Heal();
  };
  const auto length = random_.Between(seconds(2), seconds(140));
  switch (random_.Below(3)) {
    case 0: {
      const SimHost& host = *random_.Of(hosts_);
      const uint64_t direction = random_.Below(4);
      Trace(host.name() + " is cut off, " + std::to_string(direction));
      for (const auto& master : masters_) {
        if (direction != 1) network_.Cut(host.name(), master->name());
        if (direction != 2) network_.Cut(master->name(), host.name());
      }
      break;
    }
    case 1: {
      const SimMaster& master = *random_.Of(masters_);
      Trace(master.name() + " is cut off from some hosts");
      for (const auto& host : hosts_) {
        if (random_.OneIn(2)) network_.Cut(host->name(), master.name());
        if (random_.OneIn(2)) network_.Cut(master.name(), host->name());
      }
      break;
    }
    default:
      Trace("the network is bad");
      network_.faults = {0.05, 0.1, 0.1, random_.Between(milliseconds(20), milliseconds(60'000))};
  }
  events_.After(length, heal);
}

void Episode::FailRecords() {
  SimMaster* master = random_.Of(masters_).get();
  switch (random_.Below(3)) {
    case 0:
      if (!master->up()) return;
      Trace(master->name() + " is cut off from the records");
      master->store().CutOff(true);
      events_.After(random_.Between(milliseconds(200), milliseconds(30'000)), [master] {
        if (master->up()) master->store().CutOff(false);
      });
      break;
    case 1:
      if (!master->up()) return;
      Trace(master->name() + " reads old records");
      master->store().FallBehind();
      break;
    default:
      Trace("commits fail");
      not_made_ = 0.1;
      answer_lost_ = 0.2;
      events_.After(random_.Between(seconds(1), seconds(30)), [this] {
        not_made_ = 0;
        answer_lost_ = 0;
      });
  }
}

void Episode::EndFaults() {
  Trace("nothing fails any more");
  faulty_ = false;
  not_made_ = 0;
  answer_lost_ = 0;
  network_.faults = {};
  network_.Heal();
  for (const auto& host : hosts_) {
    host->SlowDown(1);
    host->StartWorker();
  }
  for (const auto& master : masters_) {
    master->Start();
    master->Stall(milliseconds(0));
    master->store().CutOff(false);
    master->store().CatchUp();
  }
}

std::optional<std::string> Episode::Await(const std::function<std::string()>& so, Duration most) {
  const Time end = events_.now() + most;
  std::string last = "?";
  while (!Failed() && events_.now() < end) {
    events_.RunUntil(events_.now() + seconds(1), [this] { return Failed(); });
    last = so();
    if (last.empty()) return std::nullopt;
  }
  return last;
}

std::string Episode::UnsettledNode(const VclusterView& view, const master::v1::Node& node) {
  const std::string text = view.vcluster->record.name() + "/" + view.vcluster->NodeName(node);
  if (node.leaving()) return text + " has not left";
  if (node.host().empty()) return text + " has no place";
  const auto where = truth_.containers().find({view.vcluster->record.number(), node.index()});
  const auto state = view.states.find(node.index());
  if (state == view.states.end()) return text + ": nothing is known of it";
  if (!node.wanted()) {
    return where == truth_.containers().end() ? "" : text + " runs and should not";
  }
  // Its role says that it is not started again by itself.
  if (view.vcluster->RoleOf(node)->restart == vcluster::RestartPolicy::kNever &&
      state->second.state() == host::v1::BREAKDOWN) {
    return "";
  }
  if (where == truth_.containers().end() || !where->second.contains(node.host())) {
    return text + " does not run on " + node.host() + ": " +
           host::v1::NodeState_Name(state->second.state());
  }
  const Container& container = where->second.at(node.host());
  if (container.frozen) return text + " is frozen";
  if (container.incarnation != node.incarnation()) return text + " is of another incarnation";
  if (where->second.size() > 1) return text + " is on more hosts than one";
  return state->second.state() == host::v1::READY ? "" : text + " is not ready";
}

std::string Episode::Unsettled() {
  SimMaster* leader = Leader();
  if (leader == nullptr) return "nobody leads";
  for (const auto& master : masters_) {
    if (master->operations() > 0) return "an operation has not ended: " + user_.Open();
  }
  size_t expected = 0;
  for (const VclusterView& view : leader->master()->All()) {
    const master::v1::Vcluster& record = view.vcluster->record;
    if (record.phase() != master::v1::LIVE) {
      return record.name() + " is " + master::v1::Phase_Name(record.phase());
    }
    // It needs more than there is, and says so.
    const bool full =
        view.problem.has_value() && view.problem->code() == Code::kResourceExhausted;
    if (view.problem.has_value() && !full) {
      return record.name() + ": " + view.problem->message();
    }
    for (const master::v1::Node& node : record.nodes()) {
      if (full && node.host().empty()) continue;
      if (std::string unsettled = UnsettledNode(view, node); !unsettled.empty()) return unsettled;
      if (truth_.containers().contains({record.number(), node.index()})) ++expected;
    }
  }
  if (truth_.containers().size() != expected) return "there are nodes of nothing";
  return "";
}

std::string Episode::Left() {
  for (const auto& host : hosts_) {
    if (!host->IsEmpty()) return "left behind on " + host->Contents();
  }
  if (!truth_.records().empty()) return "there are still records";
  return "";
}

SimResult Episode::Run() {
  MakeMasters();
  MakeHosts();
  for (const auto& master : masters_) master->Start();
  for (const auto& host : hosts_) host->StartWorker();
  const auto done = [&](const std::optional<std::string>& trouble, const std::string& when) {
    if (truth_.failure().has_value()) {
      result_.failure = *truth_.failure();
    } else if (trouble.has_value()) {
      result_.failure = when + ": " + *trouble;
    }
    result_.events = events_.happened();
    result_.failed_operations = user_.failed();
    for (const auto& master : masters_) master->Kill();
    return result_;
  };
  const auto has_leader = [&] { return Leader() == nullptr ? "nobody leads" : ""; };
  if (auto trouble = Await(has_leader, seconds(60))) return done(trouble, "at the start");
  if (options_.first_nodes > 0) {
    // Hosts say hello first.
    events_.RunUntil(events_.now() + seconds(5), [this] { return Failed(); });
    const Time begun = events_.now();
    for (unsigned i = 0; i < options_.first_nodes / kFirstNodesEach; ++i) {
      user_.CreateFirst(*Leader(), "first-" + std::to_string(i), kFirstNodesEach);
    }
    if (auto trouble = Await([&] { return Unsettled(); }, kFirstMax)) {
      return done(trouble, "the first nodes");
    }
    result_.made_s = std::chrono::duration<double>(events_.now() - begun).count();
  }
  faulty_ = true;
  OperateNow();
  FailSomething();
  events_.RunUntil(events_.now() + options_.faulty, [this] { return Failed(); });
  if (Failed()) return done(std::nullopt, "");
  EndFaults();
  const Time ended = events_.now();
  // What is drained gets nodes again.
  auto trouble = Await(
      [&] {
        if (Leader() == nullptr) return "nobody leads";
        for (const auto& host : hosts_) {
          if (Status resumed = Leader()->master()->Drain(host->name(), false); !resumed.ok()) {
            return "a host is not there";
          }
        }
        return "";
      },
      options_.settle_max);
  if (!trouble) trouble = Await([&] { return Unsettled(); }, options_.settle_max);
  if (trouble) return done(trouble, "after " + std::to_string(options_.settle_max.count()) + " s");
  result_.settled_s = std::chrono::duration<double>(events_.now() - ended).count();
  user_.DeleteAll(*Leader());
  return done(Await([&] { return Left(); }, kDeletionMax), "after everything was deleted");
}

}  // namespace

SimResult Simulate(const SimOptions& options) {
  return Episode(options).Run();
}

}  // namespace strata::sim
