// HostNodes: the nodes that this host has, made as the last orders say (vclusterd/api/host.proto).
//
// An order is durable when Apply returns, unless that says a problem; what it says is done behind
// it, and told to the listener. A node that breaks down is started again by its own restart policy,
// so a host goes on without a master. Whatever a crash leaves, the next Open finds the file of the
// part, takes away what is half-made, and goes on.
//
// Thread-safe. Work on one node is done by one thread at a time; a save holds its node as well.
//
// Durability: a node is in its part's file before anything of it exists, marked as made before
// anybody is told that it is ready, and leaves the file after everything of it is gone. Containers
// are not children of this process and run on without it.
//
// Lock order: apply_mutex_, Node::work, Part::told, ports_mutex_, network_mutex_, mutex_,
// Part::mutex, NodeTasks::mutex_.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/cancel.h"
#include "common/result.h"
#include "common/subprocess.h"
#include "common/work_queue.h"
#include "imaged/client/host_image_client.h"
#include "vclusterd/api/host.pb.h"
#include "vclusterd/api/worker_images.pb.h"
#include "vclusterd/host/exec_session.h"
#include "vclusterd/host/host_config.h"
#include "vclusterd/host/host_load.h"
#include "vclusterd/host/node_life.h"
#include "vclusterd/host/node_sockets.h"
#include "vclusterd/host/node_tasks.h"
#include "vclusterd/host/node_watch.h"
#include "vclusterd/host/owner_ids.h"
#include "vclusterd/host/part_save.h"
#include "vclusterd/host/part_store.h"
#include "vclusterd/host/usage_history.h"
#include "vclusterd/host/usage_totals.h"
#include "vclusterd/runtime/cgroups.h"
#include "vclusterd/runtime/network_usage.h"

namespace strata::net {
class NetworkMaker;
struct DesiredFabric;
struct DesiredNetwork;
struct Overlay;
}  // namespace strata::net

namespace strata::vcluster {

class HostNodes {
 public:
  // A part as it is now, after every change of it; without nodes when it is gone. From any thread,
  // one call at a time per part, in their order. It must not call this object.
  using Listener = std::function<void(const host::v1::PartStatus&)>;

  // Takes over what runs on this host under this state directory, and removes what a crash left.
  // `images` must outlive the result.
  static Result<std::unique_ptr<HostNodes>> Open(HostConfig config, imaged::HostImageClient& images,
                                                 Listener listener);
  // Waits for work that has begun; nodes run on.
  ~HostNodes();

  // Answers the state of each part that there is then; one whose order could not be taken says why
  // (problem), and may be ordered the same again. kInvalidArgument for an order that cannot be
  // meant; then none of them is taken. Another error: the network could not be made for those that
  // were.
  Result<std::vector<host::v1::PartStatus>> Apply(const std::vector<host::v1::Part>& orders);

  // Removes everything and waits for that. `force`: even where imaged does not answer. The first
  // problem of a node ends it.
  Status RemoveAll(bool force);

  // Freezes the nodes that a master may make anew elsewhere while it hears nothing of this host
  // (NodeOrder.fenced). The next order for such a node has it go on, or removes it.
  // A node that cannot be frozen in time is killed.
  void PauseFenced();

  // host_fabric.cc
  // The host's part in the fabric is to be so. Durable; Ok: it is.
  Status SetFabric(const host::v1::FabricOrder& order);
  host::v1::FabricOrder FabricOrdered();
  // What other hosts must know of this one.
  Result<host::v1::FabricPart> FabricPart();

  // `with_usage`: also what the changes of each node take, which costs a look at its volume.
  std::vector<host::v1::PartStatus> Statuses(bool with_usage);
  // Without nodes: there is nothing of this Vcluster.
  host::v1::PartStatus StatusOf(uint32_t number, bool with_usage);

  // What this host uses altogether; nullopt: it was not measured yet.
  std::optional<host::v1::HostLoad> Load();
  // What a node used in the last hours, since this process runs. kNotFound.
  Result<host::v1::UsageHistory> History(uint32_t number, uint32_t index);
  // The same of the whole host; without points: it was not measured yet.
  host::v1::UsageHistory HostHistory();
  // Of the whole host since it started; nullopt: it was not measured yet.
  std::optional<UsageTotals> Totals();
  // Of the nodes that run, by number and index.
  std::vector<NodeFigures> Figures();

  // Another limit of disk for a node that may run. kFailedPrecondition: more is in use, or it was
  // made without a limit. The next order has to say the same.
  Status Resize(uint32_t number, uint32_t index, uint64_t disk_bytes);
  Result<SaveNodeResult> Save(uint32_t number, uint32_t index, const SaveNodeParameters& parameters,
                              const NodeLife::ProgressFn& progress, const CancelToken& cancel);
  // All of these nodes of one Vcluster as of one moment; held until the result is destroyed.
  Result<std::unique_ptr<PartSave>> StartSave(uint32_t number,
                                              const std::vector<PartSaveNode>& nodes);
  // What is asked of this host's imaged; the same again is fine.
  Result<host::v1::ImagesResponse> ChangeImages(const host::v1::ImagesRequest& request);
  // Starts a command. kFailedPrecondition: the node does not run. `listener` must outlive the
  // result.
  Result<std::unique_ptr<RunningCommand>> Exec(uint32_t number, uint32_t index,
                                               const ExecParameters& parameters,
                                               TerminalSize terminal, ExecListener& listener);

  // Who answers what programs in nodes ask for; nullptr: nobody. See NodeSockets.
  void SetDesk(std::shared_ptr<NodeDesk> desk) { sockets_->SetDesk(std::move(desk)); }

  const HostConfig& config() const { return config_; }

 private:
  using RootKey = std::pair<std::string, uint32_t>;  // An image, and on whose behalf.
  struct Sample {
    ProcessId init;
    UsageTotals totals;
    std::chrono::steady_clock::time_point at;
  };
  struct Node {
    std::timed_mutex work;  // Held by whoever changes or saves it.
    // What follows is guarded by Part::mutex.
    host::v1::LocalNode local;
    std::optional<NodeRecord> record;  // Of its container, until that was cleared up.
    UniqueFd ended;                    // Of its process 1, which ended by itself.
    host::v1::NodeState state = host::v1::MAKING;
    std::optional<Error> problem;
    uint64_t revision = 0;  // The last order that was worked through.
    uint32_t attempt = 0;   // The order's, when it was last started.
    bool queued = false;    // For Converge.
    bool held = false;      // It must not run before the next order (PauseFenced).
    bool stopping = false;  // Its end is meant.
    bool waiting = false;   // For the end of the pause before another try…
    bool due = false;       // …which is over.
    // Acquired for it with those of others, until it is made or removed.
    std::optional<std::pair<RootKey, imaged::AcquiredRoot>> root;
    bool acquiring = false;              // That is under way, and it is queued then.
    bool start_unknown = false;          // Of its image: the next start is worth a recording.
    bool undone = false;                 // Work on it failed, and has not succeeded since.
    bool unproved = false;               // Its hooks and checks have not succeeded since its start.
    std::optional<ProcessId> settling;   // Process 1 of the start for which they run.
    bool disturbed = false;              // It was paused meanwhile.
    std::chrono::milliseconds pause{0};  // Before the last try.
    std::chrono::steady_clock::time_point started_at;
    std::string peers;   // That its files name; empty: not known.
    std::string limits;  // That its cgroups have; empty: not known.
    uint32_t restarts = 0;
    double start_ms = 0;
    uint64_t upper_bytes = 0;  // When its volume was active last.
    std::map<std::string, host::v1::HookRun> hooks;
    std::optional<Sample> sample;  // The last, of this record.
    std::optional<host::v1::Usage> usage;
    UsageHistory history;
    bool measuring = false;  // A measurement runs, or waits for its time.
    std::optional<host::v1::Measured> measured;
  };
  using NodePtr = std::shared_ptr<Node>;
  struct Part {
    // One call of the listener, or write of the file, at a time. Several are locked by who holds
    // apply_mutex_.
    std::mutex told;
    std::mutex mutex;  // Guards what follows, but not Node::work.
    host::v1::Part order;
    uint32_t id_first = 0;
    std::map<uint32_t, NodePtr> nodes;  // By index: those ordered, and those not yet gone.
    bool awaits_network = false;        // Of its last order: no node is started.
    uint32_t jobs = 0;                  // On nodes, queued or running; and the order's.
    uint64_t changes = 0;               // Of what the file holds…
    uint64_t written = 0;               // …and how many of them it has.
    bool removed = false;               // Nothing is left, the file neither.
  };
  using PartPtr = std::shared_ptr<Part>;
  // What a job works with: copies, taken at its start.
  struct Job {
    PartPtr part;
    NodePtr node;
    std::string id;
    host::v1::Part order;
    std::optional<host::v1::NodeOrder> wanted;  // Absent: it should not be there.
    host::v1::LocalNode local;
    std::optional<NodeRecord> record;
    uint32_t id_first = 0;
    bool awaits_network = false;  // It made what it could; another will start the node.
  };

  HostNodes(HostConfig config, OwnerIds owners, Listener listener);

  // host_nodes.cc
  PartPtr Find(uint32_t number);
  Result<Job> JobOn(uint32_t number, uint32_t index);
  // REQUIRES: part->mutex is held.
  static Job TakeJob(const PartPtr& part, const NodePtr& node, uint32_t index);
  host::v1::HostPart FileOf(const Part& part) const;
  // `output_left`: how much output of runs there is room for.
  host::v1::PartStatus StatusOf(const PartPtr& part, bool with_usage, size_t* output_left);
  host::v1::PartStatus StatusOf(uint32_t number, bool with_usage, size_t* output_left);
  void AddUsage(const PartPtr& part, uint32_t number, host::v1::NodeStatus* status);
  // nullptr: it is older than the last one, or asks for the removal of nothing.
  Result<PartPtr> TakeOrder(const host::v1::Part& order);
  // Their files, before anything that is new in their orders is begun.
  std::map<PartPtr, Status> Keep(const std::vector<PartPtr>& parts);
  // Of orders that were just taken; `problems` gets those that could not be kept. An error is the
  // network's.
  Status BeginWork(const std::vector<PartPtr>& taken, std::map<uint32_t, Error>* problems);
  PartPtr FindOrAdd(uint32_t number);
  // Whether there is nothing of it, and the order does not come after its removal; one that is a
  // removal is kept in mind.
  bool IsOfRemoved(const host::v1::Part& order);
  bool IsUnreadable(uint32_t number) const;
  host::v1::PartStatus UnreadableStatus(const host::v1::Part& order);
  // host_networks.cc
  // Has the host's networks as the parts say now.
  Status UpdateNetwork();
  Result<net::DesiredNetwork> DesiredNetwork();
  Status AddNetworkOf(const Part& part, net::DesiredNetwork* desired) const;
  using Peers = google::protobuf::RepeatedPtrField<host::v1::Peer>;
  // Of network `number`, whose nodes are `peers`, as an order says of where this host is.
  std::optional<net::Overlay> OverlayOf(const host::v1::Part& order, uint32_t number,
                                        const Peers& peers) const;
  uint32_t UnderlayMtuOf(const host::v1::Part& order) const;
  // This host, as others reach it.
  std::optional<net::Ipv4> OwnAddress(const host::v1::Part& order) const;
  // Another host, which has it.
  std::optional<net::Ipv4> HostOf(const host::v1::Part& order, const host::v1::Peer& peer) const;

  // host_recovery.cc
  Status Recover();
  Status RecoverNode(const PartPtr& part, const NodePtr& node, uint32_t index);
  Status RemoveOrphans();

  // host_roots.cc
  // As EnqueueAll of each; nodes that are to be made of the same image have their roots first.
  void EnqueueNew(const std::vector<PartPtr>& parts);
  struct Place {
    PartPtr part;
    uint32_t index = 0;
  };
  // Nodes for which that is not possible, or not meant any more, are left to their own work.
  void AcquireRoots(const RootKey& key, const std::vector<Place>& places);
  // What was acquired for it, if it is what the order asks for now. REQUIRES: its `work` is held.
  Result<std::optional<imaged::AcquiredRoot>> TakeRoot(const Job& job);
  static RootKey RootOf(const host::v1::Part& order, const host::v1::NodeOrder& node);
  // nullopt: it is made, has one, or is made of what another host gives. REQUIRES: part's mutex.
  static std::optional<RootKey> RootToAcquire(const Part& part, uint32_t index, const Node& node);

  // host_converge.cc: from an order to what it says. Work on a node: its `work` is held.
  void EnqueueThose(const PartPtr& part, const std::function<bool(const Node&)>& chosen);
  void EnqueueAll(const PartPtr& part);
  // Those without a container; `only_made`: and that the part's file knows as made.
  void EnqueueStopped(const PartPtr& part, bool only_made);
  void Enqueue(const PartPtr& part, uint32_t index);
  void PushConverge(const PartPtr& part, const NodePtr& node, uint32_t index,
                    std::chrono::milliseconds delay, std::chrono::milliseconds pause);
  // While somebody else holds the node: again after `pause`, and longer ones.
  void Converge(const PartPtr& part, const NodePtr& node, uint32_t index,
                std::chrono::milliseconds pause);
  void Converge(Job& job);
  // REQUIRES: its `work` is held. kUnavailable: it must not run on, and a save's end would thaw it.
  static Status CheckNotHeld(const Job& job);
  Status MakeSo(Job& job);
  Status RemoveNode(Job& job);
  Status MakeNode(Job& job);
  Status StartNode(Job& job);
  Status NoteVolumes(Job& job);
  // REQUIRES: part->mutex is held, and nothing of the node runs.
  static void ForgetVolumes(Job& job);
  Status StopNode(Job& job, std::chrono::milliseconds grace);
  Status ClearBreakdown(Job& job);
  Status UpdateRunning(Job& job);
  // Programs in it may ask for something, or may not any more.
  void SyncSocket(const Job& job);
  // host_moves.cc
  // Whether what is to be done moves data of the node between hosts. REQUIRES: part->mutex is held.
  static bool CarriesData(const Job& job);
  Status Depart(Job& job);
  // The image of a departure that did not come about, or is over.
  Status ForgetDeparture(Job& job);
  // host_usage.cc
  void SampleLater();
  void SampleAll();
  // Whether there are figures.
  bool SampleNode(const PartPtr& part, uint32_t index, const NodePtr& node);

  // host_measure.cc
  void MeasureLater(const PartPtr& part, const NodePtr& node, uint32_t index,
                    std::chrono::milliseconds delay);
  void Measure(const PartPtr& part, const NodePtr& node, uint32_t index);

  // host_tasks.cc
  NodeTasks::Owner OwnerOfTasks();
  Status RecoverTasks();
  void SyncTasks(const PartPtr& part);

  // host_fabric.cc
  Status LoadFabric();
  Status ForgetFabric();
  Result<std::optional<net::DesiredFabric>> DesiredFabric();

  // Chooses ports of the host for the node's, and keeps those that it has.
  Status AssignPorts(Job& job);
  void TryAgainLater(const Job& job, bool failed);

  // host_settle.cc: from a container that runs to a node that is ready.
  // Whether a start has something to prove.
  static bool MustSettle(const host::v1::NodeOrder& order, bool created, bool recovering);
  static std::string ProvedText(const NodeRecord& record);
  // REQUIRES: the part's mutex is held, and the node has a record.
  static void NoteProved(Part& part, Node& node);
  void SettleLater(const Job& job);
  void Settle(const PartPtr& part, const NodePtr& node, uint32_t index);
  Status BecomeReady(Job& job);
  void RecordHook(const Job& job, host::v1::HookRun run);

  void EndJob(const PartPtr& part);
  void Tell(const PartPtr& part);
  void PauseNode(const Job& job);
  void NodeEnded(const std::string& id, const ProcessId& init, UniqueFd pid_fd);
  void ForgetUnusedTree(const std::string& tree_path);
  ExecTarget TargetOf(const Job& job) const;
  // `order`: may be null.
  static ExecTarget TargetOf(const std::string& id, uint32_t id_first,
                             const host::v1::LocalNode& local,
                             const std::optional<NodeRecord>& record,
                             const host::v1::NodeOrder* order);
  static Limits LimitsOf(const host::v1::NodeOrder& order);
  NodeSpec SpecOf(const Job& job) const;

  const HostConfig config_;
  const Listener listener_;
  PartStore store_;
  HostLoadMeter load_meter_;  // Of the thread that samples.
  OwnerIds owners_;
  std::unique_ptr<NodeLife> life_;  // Set by Open, as is what follows.
  std::unique_ptr<NodeTasks> tasks_;
  std::unique_ptr<NodeSockets> sockets_;
  std::vector<uint32_t> unreadable_;  // Numbers of files that could not be read.
  std::mutex apply_mutex_;            // One Apply at a time.
  std::mutex ports_mutex_;            // One choice of ports at a time; taken before network_mutex_.
  std::mutex network_mutex_;          // Held while a state of the parts is told to network_.
  std::unique_ptr<net::NetworkMaker> network_;
  std::mutex fabric_mutex_;                      // Guards fabric_; taken last.
  host::v1::FabricOrder fabric_;                 // As ordered last.
  std::atomic<bool> network_is_broken_ = false;  // The last work on it failed.
  std::mutex mutex_;                   // Guards parts_, removed_, load_, totals_, history_.
  std::condition_variable changed_;    // A part was told.
  std::map<uint32_t, PartPtr> parts_;  // By number of the Vcluster.
  // Of parts that are gone, their last orders' revisions: an older order that comes late is not
  // followed. Forgotten with this process: a master's link to the next one is another.
  std::map<uint32_t, uint64_t> removed_;
  std::optional<host::v1::HostLoad> load_;
  std::optional<UsageTotals> totals_;
  UsageHistory history_;  // Of load_.
  CancelToken closing_;
  std::atomic<uint64_t> sequence_;  // Of the last status.
  WorkQueue starters_;
  WorkQueue waiters_;  // Hooks, checks and stops: they wait for as long as a user says.
  WorkQueue chores_;   // What waits for nobody.
  std::unique_ptr<NodeWatch> watch_;
};

}  // namespace strata::vcluster
