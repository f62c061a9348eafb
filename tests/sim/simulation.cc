#include "tests/sim/simulation.h"

#include <algorithm>
#include <cstdio>
#include <functional>

#include "tests/sim/sim_user.h"
#include "tests/sim/world.h"
#include "vclusterd/master/tables.h"

namespace strata::sim {
namespace {

constexpr vcluster::PlacerOptions kPlacer{4, 2};
constexpr seconds kCutMax(200);
constexpr seconds kDeletionMax(300);
constexpr seconds kFirstMax(600);
constexpr unsigned kFirstNodesEach = 100;

class Episode {
 public:
  explicit Episode(const SimOptions& options)
      : options_(options),
        world_({options.seed, options.hosts, options.masters, kPlacer, options.owner_nodes_max, options.mistake}),
        user_({options.names, options.nodes_max, HostNames()}, events_, random_, world_.truth,
              [this](const std::string& text) { Trace(text); }) {
    world_.fate = [this](const auto& changes) { return FateOf(changes); };
    world_.made = [this](const auto& changes) { Made(changes); };
  }

  // Operations of users end while there is the user.
  ~Episode() {
    for (const auto& master : masters_) master->Kill();
  }

  SimResult Run();

 private:
  std::vector<std::string> HostNames() const {
    std::vector<std::string> names;
    for (unsigned i = 1; i <= options_.hosts; ++i) names.push_back("h" + std::to_string(i));
    return names;
  }
  void Trace(const std::string& text);
  CommitFate FateOf(const std::vector<records::RecordChange>& changes);
  void Made(const std::vector<records::RecordChange>& changes);

  void OperateNow();
  void FailSomething();
  void FailHost();
  void FailMaster();
  void FailNetwork();
  void FailRecords();
  void EndFaults();

  std::string Unsettled();

  const SimOptions options_;
  World world_;
  EventQueue& events_ = world_.events;
  Random& random_ = world_.random;
  Network& network_ = world_.network;
  std::vector<std::unique_ptr<SimHost>>& hosts_ = world_.hosts;
  std::vector<std::unique_ptr<SimMaster>>& masters_ = world_.masters;
  SimUser user_;
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
}

void Episode::OperateNow() {
  if (!faulty_) return;
  if (SimMaster* leader = world_.Leader()) {
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
  const auto cut = [this](const std::string& from, const std::string& to) {
    network_.Cut(from, to, random_.Between(seconds(2), kCutMax));
  };
  switch (random_.Below(3)) {
    case 0: {
      const SimHost& host = *random_.Of(hosts_);
      const uint64_t direction = random_.Below(4);
      Trace(host.name() + " is cut off, " + std::to_string(direction));
      for (const auto& master : masters_) {
        if (direction != 1) cut(host.name(), master->name());
        if (direction != 2) cut(master->name(), host.name());
      }
      break;
    }
    case 1: {
      const SimMaster& master = *random_.Of(masters_);
      Trace(master.name() + " is cut off from some hosts");
      for (const auto& host : hosts_) {
        if (random_.OneIn(2)) cut(host->name(), master.name());
        if (random_.OneIn(2)) cut(master.name(), host->name());
      }
      break;
    }
    default:
      Trace("the network is bad");
      network_.faults = {0.05, 0.1, 0.1, random_.Between(milliseconds(20), milliseconds(60'000))};
      events_.After(random_.Between(seconds(2), seconds(60)), [this] { network_.faults = {}; });
  }
}

void Episode::FailRecords() {
  SimMaster* master = random_.Of(masters_).get();
  switch (random_.Below(3)) {
    case 0:
      if (!master->up()) return;
      Trace(master->name() + " is cut off from the records");
      master->store().CutOff(true);
      events_.After(random_.Between(milliseconds(200), milliseconds(150'000)), [master] {
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

std::string Episode::Unsettled() {
  std::string unsettled = world_.Unsettled();
  return unsettled.empty() || user_.Open().empty() ? unsettled
                                                   : unsettled + " (" + user_.Open() + ")";
}

SimResult Episode::Run() {
  world_.Start();
  const auto done = [&](const std::optional<std::string>& trouble, const std::string& when) {
    if (world_.Failed()) {
      result_.failure = world_.truth.failure();
    } else if (trouble.has_value()) {
      result_.failure = when + ": " + *trouble;
    }
    result_.events = events_.happened();
    result_.failed_operations = user_.failed();
    return result_;
  };
  const auto has_leader = [&] { return world_.Leader() == nullptr ? "nobody leads" : ""; };
  if (auto trouble = world_.Await(has_leader, seconds(60))) return done(trouble, "at the start");
  if (options_.first_nodes > 0) {
    // Hosts say hello first.
    events_.RunUntil(events_.now() + seconds(5), [this] { return world_.Failed(); });
    const Time begun = events_.now();
    for (unsigned i = 0; i < options_.first_nodes / kFirstNodesEach; ++i) {
      user_.CreateFirst(*world_.Leader(), "first-" + std::to_string(i), kFirstNodesEach);
    }
    if (auto trouble = world_.Await([&] { return Unsettled(); }, kFirstMax)) {
      return done(trouble, "the first nodes");
    }
    if (world_.truth.containers().size() < options_.first_nodes) {
      return done("some were not made", "the first nodes");
    }
    result_.made_s = std::chrono::duration<double>(events_.now() - begun).count();
  }
  faulty_ = true;
  OperateNow();
  FailSomething();
  events_.RunUntil(events_.now() + options_.faulty, [this] { return world_.Failed(); });
  if (world_.Failed()) return done(std::nullopt, "");
  EndFaults();
  const Time ended = events_.now();
  // What is drained gets nodes again.
  auto trouble = world_.Await(
      [&] {
        if (world_.Leader() == nullptr) return "nobody leads";
        for (const auto& host : hosts_) {
          if (Status resumed = world_.Leader()->master()->Drain(host->name(), false);
              !resumed.ok()) {
            return "a host is not there";
          }
        }
        return "";
      },
      options_.settle_max);
  if (!trouble) trouble = world_.Await([&] { return Unsettled(); }, options_.settle_max);
  if (trouble) return done(trouble, "after " + std::to_string(options_.settle_max.count()) + " s");
  result_.settled_s = std::chrono::duration<double>(events_.now() - ended).count();
  user_.DeleteAll(*world_.Leader());
  return done(world_.Await([&] { return world_.Left(); }, kDeletionMax),
              "after everything was deleted");
}

}  // namespace

SimResult Simulate(const SimOptions& options) { return Episode(options).Run(); }

}  // namespace strata::sim
