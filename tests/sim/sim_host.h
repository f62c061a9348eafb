// SimHost: a host of a simulation: its disk, its containers, and the process of its worker, which
// is a small model of HostNodes and WorkerClient around the real Obedience. Orders, what of them is
// durable, incarnations, revisions, fences, restarts and what a crash loses are as there; making
// and starting take a random time and do nothing.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/network.h"
#include "tests/sim/truth.h"
#include "vclusterd/api/host.pb.h"
#include "vclusterd/api/worker.pb.h"
#include "vclusterd/remote/obedience.h"

namespace strata::sim {

// A deliberate mistake, so that it is seen that the simulation finds it.
enum class Mistake {
  kNone,
  kObeysAnyOrder,  // Whatever its epoch and hello.
  kObeysOldHellos,
  kIgnoresRevisions,
  kNeverPauses,
  kSaysGoneTooEarly,    // Before what it was told to remove has ended.
  kKeepsIncarnation,    // Does not make a node anew when its order says so.
  kThawsAtRestart,      // A worker that begins does not know that it was silent.
  kMasterWithoutLease,  // A master believes hosts and orders though another may lead.
  kRecreatesAtOnce,     // A master does not wait for the fence.
};

// How a host finds a master: the simulation's masters, by name.
class MasterPort {
 public:
  virtual ~MasterPort() = default;
  using HelloAnswer = std::function<void(Result<host::v1::HelloResponse>)>;
  using ReportAnswer = std::function<void(Result<host::v1::ReportResponse>)>;
  virtual void Hello(const std::string& host, std::shared_ptr<const host::v1::HelloRequest> request,
                     HelloAnswer answer) = 0;
  virtual void Report(const std::string& host,
                      std::shared_ptr<const host::v1::ReportRequest> request,
                      ReportAnswer answer) = 0;
};

struct SimHostOptions {
  std::string name;
  host::v1::Capacity capacity;
  std::vector<std::string> masters;
  milliseconds fence_after{30'000};
  // What making, starting and stopping take at most.
  milliseconds work_max{300};
  Mistake mistake = Mistake::kNone;
};

class SimHost {
 public:
  using FindMaster = std::function<MasterPort*(const std::string& name)>;

  SimHost(SimHostOptions options, EventQueue& events, Random& random, Network& network,
          Truth& truth, FindMaster find_master);

  const std::string& name() const { return options_.name; }
  bool up() const { return process_ != nullptr; }

  void StartWorker();
  // kill -9: containers run on.
  void KillWorker();
  // Containers end, and what was not durable is gone.
  void LosePower();
  // From now on everything takes so much longer.
  void SlowDown(unsigned factor) { slowness_ = factor; }
  // Process 1 of some node that runs ends.
  void BreakSomeNode();

  // A master's order; answers when it was taken.
  Result<std::vector<host::v1::PartStatus>> Apply(const host::v1::ApplyRequest& request,
                                                  const std::string& master);

  // Nothing of any Vcluster is here.
  bool IsEmpty() const { return disk_.empty() && containers_.empty(); }
  std::string Contents() const;

 private:
  // What its disk has of a node.
  struct LocalNode {
    uint32_t incarnation = 0;
    bool made = false;
    bool created = false;
    std::string departure;  // As it was saved for its move.
  };
  struct PartFile {
    host::v1::Part order;
    std::map<uint32_t, LocalNode> nodes;
  };
  // What its process knows of a node.
  struct Node {
    LocalNode local;
    host::v1::NodeState state = host::v1::MAKING;
    std::string problem;
    uint64_t revision = 0;
    uint32_t attempt = 0;
    bool busy = false;
    bool queued = false;
    bool held = false;
    bool waiting = false;
    bool due = false;
    milliseconds pause{0};
  };
  struct Part {
    host::v1::Part order;
    std::map<uint32_t, Node> nodes;
    bool changed = false;  // Since it was written.
  };
  struct Process {
    explicit Process(vcluster::Obedience::Options options) : obedience(std::move(options)) {}
    vcluster::Obedience obedience;
    std::map<uint32_t, Part> parts;
    std::map<uint32_t, uint64_t> removed;              // Revisions of parts that are gone.
    std::map<uint32_t, host::v1::PartStatus> changed;  // Not told yet.
    uint64_t sequence = 0;
    uint64_t session = 0;
    std::string leader;
    uint64_t epoch = 0;
    bool leads = false;  // A session with `leader` is open.
    bool calling = false;
    size_t next = 0;
    uint64_t timer = 0;  // Of the next report.
    milliseconds report_every{2000};
  };
  // `what`, after `delay`, unless the process has ended by then.
  void Later(milliseconds delay, std::function<void()> what);
  milliseconds WorkTime();

  // Nodes (sim_host.cc).
  void Recover();
  void TakeOrder(const host::v1::Part& order);
  void EnqueueAll(uint32_t number);
  void Enqueue(NodeKey key);
  void Work(NodeKey key);
  void Work(NodeKey key, const std::optional<host::v1::NodeOrder>& wanted, uint64_t revision);
  void EndWork(NodeKey key, uint64_t revision);
  void Start(NodeKey key, const host::v1::NodeOrder& wanted, uint64_t revision);
  void TryAgainLater(NodeKey key, const Node& node);
  void Write(uint32_t number);
  void Tell(uint32_t number);
  void PauseFenced();
  Node* Find(NodeKey key);
  host::v1::PartStatus StatusOf(uint32_t number);
  void SetContainer(NodeKey key, uint32_t incarnation);
  void Freeze(NodeKey key, bool frozen);
  void EndContainer(NodeKey key);

  // What it says (sim_host_client.cc).
  void WatchSilence();
  void SayHello();
  void ReportLater(milliseconds delay);
  void Report();

  const SimHostOptions options_;
  EventQueue& events_;
  Random& random_;
  Network& network_;
  Truth& truth_;
  const FindMaster find_master_;
  unsigned slowness_ = 1;
  uint64_t processes_ = 0;     // So far.
  uint64_t numbers_ = 0;       // Given to sessions and hellos.
  std::optional<Time> heard_;  // As it is kept for the next process; lost with the power.
  std::map<uint32_t, PartFile> disk_;
  std::map<NodeKey, Container> containers_;
  std::unique_ptr<Process> process_;
};

}  // namespace strata::sim
