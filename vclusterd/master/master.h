// Master: the desired state of all Vclusters, and the loop that has hosts make it so.
//
// What should be is in a record store, what is comes from the hosts. After every change of either,
// and every ten seconds anyway, the loop compares the two and tells hosts what has changed for them
// (DCM, section 4.2). So nothing rests on a message that arrives or a step that is remembered: a
// master that takes over reads the records, hears the hosts, and goes on.
//
// Thread-safe. Durability: a change is durable when it returns; what it asks for comes later.
//
// What it does by itself is done in steps: a round of the loop (Step), and the exchange of orders
// and answers with one host (TakeOrders, Answer). Threads of its own call them (master_threads.cc);
// a simulation does it instead of them, with its own time (docs/simulation.md).
//
// Lock order: mutex_ is a leaf but for the record store's own; it is not held while hosts are
// called.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/cancel.h"
#include "common/records/record_store.h"
#include "common/result.h"
#include "net/ipv4.h"
#include "vclusterd/api/host.pb.h"
#include "vclusterd/jobs/engine.h"
#include "vclusterd/master/autoscale.h"
#include "vclusterd/master/fabric_book.h"
#include "vclusterd/master/host_book.h"
#include "vclusterd/master/host_link.h"
#include "vclusterd/master/job_book.h"
#include "vclusterd/master/lead.h"
#include "vclusterd/master/orders.h"
#include "vclusterd/master/orphans.h"
#include "vclusterd/master/placer.h"
#include "vclusterd/master/quota_demand.h"
#include "vclusterd/master/reservations.h"
#include "vclusterd/master/vcluster.h"
#include "vclusterd/master/vcluster_index.h"
#include "vclusterd/master/volume_keeper.h"

namespace strata::vcluster {

struct MasterOptions {
  using Clock = std::chrono::steady_clock;

  std::string name;  // Of the host that runs it.
  net::Ipv4Prefix pool;
  std::vector<net::Ipv4Prefix> reserved;  // Of the pool, for others: no Vcluster gets them.
  std::chrono::milliseconds every{10'000};
  // A host that is not there for so long is lost: nodes that may be made anew elsewhere are. A host
  // pauses such nodes earlier when it hears no master (docs/clusters.md).
  std::chrono::milliseconds recreate_after{60'000};
  // After a move that has failed the node stays for so long.
  std::chrono::milliseconds move_again_after{60'000};
  // How often nodes are moved for a better balance; 0: only when somebody asks.
  std::chrono::milliseconds rebalance_every{0};
  PlacerOptions placer;
  std::optional<FabricOptions> fabric;  // Absent: hosts talk in plain.
  // With the volumes of Vclusters, as this host mounts it; absent: there are none.
  std::optional<SharedDir> shared;
  // The name of an owner on hosts and in lineages.
  std::function<std::string(uint32_t uid)> user_name;
  std::function<int64_t()> now_unix_ms;
  // Whether an owner may have `asked` more (quota_demand.h). Called with the master locked, before
  // anything is stored that makes a demand grow. Empty: everybody may.
  std::function<Status(uint32_t uid, const QuotaDemand& asked, const QuotasUsed& used)> check_quota;
  // A Vcluster is gone, and its record too. Called with the master locked.
  std::function<void(const master::v1::Vcluster&)> retired;
  // The leader's record that must still be there when this master takes the lead; absent: whatever
  // is there.
  std::optional<std::optional<std::string>> takes_over_from;
  // The same of the leader's last beat: one that came since keeps the lead.
  std::optional<std::optional<std::string>> last_beat_seen;
  // How long after a beat was begun no other takes the lead: then this one tells hosts nothing and
  // believes them nothing before another beat. Absent: there is no other.
  std::optional<std::chrono::milliseconds> lead_lasts;
  std::function<Clock::time_point()> steady_now = [] { return Clock::now(); };
  // Set: there are no threads; whoever opens it calls Step, TakeOrders and Answer. Called, with
  // nothing locked, where a caller of Await would wait.
  std::function<void()> pause;
};

// A Vcluster with what is known of its nodes.
struct VclusterView {
  VclusterPtr vcluster;
  NodeStates states;
  std::set<uint32_t> current;            // Nodes for which the last order was worked through.
  std::map<uint32_t, std::string> lost;  // Nodes whose host is not there, and which that is.
  std::set<uint32_t> may_return;         // Of these: since a moment ago. That ends nobody's wait.
  // Everything that was asked for so far was told to the hosts and worked through there.
  bool settled = false;
  std::string notice;            // What will soon happen to it by itself, or has happened.
  std::optional<Error> problem;  // Why it cannot even be told to a host, or has no place.
};

class Master {
 public:
  using Edit = std::function<Status(master::v1::Vcluster*)>;
  // Whether what somebody waits for has come, Ok or not; nullopt: not yet. A Vcluster that is gone
  // has no `vcluster`.
  using Verdict = std::function<std::optional<Status>(const VclusterView&)>;

  // Takes the lead over. What was being created when the last master ended is removed. `store` must
  // outlive the result.
  static Result<std::unique_ptr<Master>> Open(MasterOptions options, records::RecordStore& store);
  // Stops the loop; hosts are not called any more when it returns.
  ~Master();

  // From here on it gets nodes and orders. `statuses`: everything that it has. Takes the place of
  // the host's earlier link.
  void AddHost(const std::string& name, std::shared_ptr<HostLink> link,
               const std::vector<host::v1::PartStatus>& statuses);
  // It is not called any more when this returns; its nodes stay its own. Nothing is done when
  // `link` is given and is not the host's.
  void RemoveHost(const std::string& name, const HostLink* link = nullptr);
  std::shared_ptr<HostLink> LinkTo(const std::string& host);
  // What a host says of one Vcluster. Repeated, late and unknown ones are fine.
  void Report(const std::string& host, const host::v1::PartStatus& status);

  // What a host says of its part in the fabric; what it has to be told, unless it has it so.
  std::optional<host::v1::FabricOrder> ReportFabric(const std::string& host,
                                                    const host::v1::FabricReport& report);
  // Where masters call the worker of a host that is behind a NAT: its address in the fabric, which
  // it is given, if it has none. Empty: where it says. It is not called before it has done what
  // `first` says.
  struct InFabric {
    std::string address;
    std::optional<host::v1::FabricOrder> first;
  };
  InFabric ReachInFabric(const std::string& host, const host::v1::FabricReport& report);
  // All hosts get new keys of the fabric (fabric_book.h). Durable. kFailedPrecondition: there is
  // none.
  Status RotateFabricKeys();

  // New Vclusters get numbers and subnets; all or none. kAlreadyExists: the owner has one of that
  // name.
  // `with` adds what changes together with them, once their numbers are known; it is called with
  // the master locked.
  using With = std::function<void(const std::vector<master::v1::Vcluster>& added,
                                  std::vector<records::RecordChange>* also)>;
  Result<std::vector<VclusterPtr>> Add(std::vector<master::v1::Vcluster> records,
                                       const With& with = {});
  // Jobs (master_jobs.cc). A new one gets a number, and, when `vcluster` is given, that Vcluster,
  // made in the same transaction; `vcluster_name` (optional) names it. kResourceExhausted: its
  // owner has too many that are not done.
  Result<JobPtr> AddJob(jobs::v1::Job job, std::optional<master::v1::Vcluster> vcluster,
                        const std::function<std::string(uint32_t job)>& vcluster_name);
  // Asks for its end; nothing is done to one that has ended.
  Status CancelJob(uint32_t number);
  // kFailedPrecondition: it is not done.
  Status RemoveJob(uint32_t number);
  std::vector<JobView> Jobs();
  // The job once its record is later than `revision`.
  Result<JobView> AwaitJob(uint32_t number, uint64_t revision, const CancelToken& cancel);
  // What is kept of what a run wrote.
  Result<std::string> JobOutput(uint32_t number, uint32_t task, uint32_t node);
  // nullptr: it is not there.
  std::shared_ptr<HostLink> LinkToNode(uint32_t number, uint32_t index);
  // Whether its nodes can mount what it says. kUnsupported, kFailedPrecondition: name the remedy.
  Status CheckVolumes(const Definition& definition) const;
  // The lead is kept (leadership.h). kFailedPrecondition: another has it.
  Status Beat();
  // Whether no other can have the lead (MasterOptions::lead_lasts).
  bool Leads() const { return lead_->Holds(); }
  // Nobody has to wait for the end of our beats.
  Status GiveUp() { return lead_->GiveUp(); }

  uint64_t epoch() const { return lead_->epoch(); }
  // For how long: hosts have had so much time to come.
  std::chrono::milliseconds LedFor() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(options_.steady_now() - opened_);
  }
  int64_t NowUnixMs() const { return options_.now_unix_ms(); }

  // Changes of other tables of the store, all or none. Ok: durable, and this master still leads.
  Status CommitRecords(std::vector<records::RecordChange> changes);
  records::RecordStore& store() { return store_; }
  // Returns when something may have changed, or then; false when this master ends. Nudge wakes all.
  bool AwaitChange(std::chrono::steady_clock::time_point until);
  void Nudge() { changed_.notify_all(); }
  const std::string& name() const { return options_.name; }

  // Changes records. kNotFound when one is gone. After an error some of them may be changed.
  Status Change(const std::vector<uint32_t>& numbers, const Edit& edit);
  // Whoever asked for these has been told that they failed: they are deleted, now or as soon as the
  // records can be written. Not durable: the next master removes what is CREATING.
  void Abandon(const std::vector<uint32_t>& numbers);
  // Looks until each of them has its verdict; Ok when all are, otherwise the first that is not.
  // `verdict` is called with the master locked; `progress` now and then without.
  Status Await(const std::vector<uint32_t>& numbers, const Verdict& verdict,
               const std::function<void()>& progress, const CancelToken& cancel);

  // No node is placed on a host that is drained; its nodes move away as far as they may. Durable.
  // kNotFound.
  Status Drain(const std::string& host, bool drain);
  // The same of a host that may not have come yet.
  Status DrainComing(const std::string& host, bool drain);
  struct HostView {
    std::string name;
    bool present = false;
    bool draining = false;
    host::v1::Capacity capacity;
    std::optional<host::v1::HostLoad> load;
    uint32_t nodes = 0;
    std::string provider;  // It is rented there.
    double price_per_hour = 0;
    std::string notice;  // Why it gets no nodes although it is there, or whom it cannot reach.
    std::string fabric_address;  // Empty: there is no fabric.
    // Of a host that is drained, when its nodes have been looked at. What is on the way, or still
    // to be removed there, has left only when it is gone.
    bool looked = false;
    uint32_t left = 0;
    uint32_t moving = 0;
    std::vector<std::pair<std::string, std::string>> staying;  // Node, and why.
  };
  std::vector<HostView> Hosts();
  // Waits until something may have changed, or for a while. kUnavailable: the master ends.
  Status AwaitChange();

  struct MoveView {
    std::string node;  // "alice/hpc/0"
    std::string from;
    std::string to;
    std::string reason;
    std::string refused;  // Why it was not begun; empty: it was, or would be.
  };
  // Moves that would make nodes disturb each other less (scheduler/rebalance.h). They are begun
  // unless `dry_run`; each stops its node for a while.
  Result<std::vector<MoveView>> Rebalance(bool dry_run);

  // Room is kept for somebody (reservations.h). Durable. kAlreadyExists, kResourceExhausted.
  Status Reserve(master::v1::Reservation record);
  Status Unreserve(const std::string& name);  // kNotFound.
  std::vector<master::v1::Reservation> Reservations() const;

  struct VictimView {
    std::string node;  // "alice/hpc/0"
    std::string host;
    int32_t priority = 0;
  };
  // Nodes of lower priority stop, so that those of the Vcluster that have no place get one; see
  // Placer::VictimsFor. They give their room up at once: their hosts stop them meanwhile. Their
  // owners see for whom, and it is in the log. With `dry_run` nothing is done.
  Result<std::vector<VictimView>> Preempt(uint32_t number, std::optional<int32_t> below,
                                          bool dry_run);

  // Somebody may bring more hosts: a Vcluster that finds no room waits until AnswerRoom says that
  // none comes.
  void WaitForRoom();
  struct Room {
    PlacementState state;
    // Vclusters that find none, the most important first, and the names of their owners.
    std::vector<std::pair<VclusterDemand, std::string>> wanted;
  };
  Room WantedRoom();
  struct RoomAnswer {
    bool wait = false;
    std::string why;
  };
  void AnswerRoom(const std::map<uint32_t, RoomAnswer>& answers);  // By number.
  // A host that will not come back. Its nodes, if there are any, stay its own.
  Status ForgetHost(const std::string& host);
  // What is rented, and what it costs an hour, by host; for Hosts.
  using Rents = std::map<std::string, std::pair<std::string, double>>;
  void ShowRents(Rents rents);
  // A record of a table that is not the master's own; only as long as it leads.
  Status StoreRecord(records::Table table, const std::string& key,
                     const std::optional<std::string>& value);

  // Why a node is where it is, or nowhere: text for people.
  Result<std::string> Why(uint32_t number, uint32_t index);

  // Whoever waits, waits no longer (kUnavailable), and the loop ends.
  void EndWaits();
  // EndWaits was called: who still works with this master holds its end up.
  bool ended() const { return ended_.load(std::memory_order_relaxed); }

  // One round of the loop, when something has changed or a look is due.
  void Step();
  // Orders of one host, and what it answered to them.
  struct Dispatch {
    std::string host;
    std::shared_ptr<HostLink> link;
    std::vector<host::v1::Part> orders;
  };
  // What is posted for hosts that have answered what they were told before.
  std::vector<Dispatch> TakeOrders();
  void Answer(const Dispatch& dispatch, const Result<std::vector<host::v1::PartStatus>>& answer);

  // Those that are `wanted`; empty: all. It is called with the master locked.
  std::vector<VclusterView> All(
      const std::function<bool(const master::v1::Vcluster&)>& wanted = {});
  // What hosts that are there say of nodes of Vclusters, also of incarnations that are going.
  // `visit` is called with the master locked.
  void EachNode(
      const std::function<void(uint32_t owner_uid, const host::v1::NodeStatus&)>& visit) const;
  VclusterView Find(uint32_t number);
  // Without a `vcluster` when he has none of that name.
  VclusterView Find(uint32_t owner_uid, const std::string& name);
  // Who has one of that name; who has any.
  std::vector<uint32_t> OwnersOf(const std::string& name);
  std::vector<uint32_t> Owners();
  // Of one owner's those with names behind `after`, by name, `max` at most of those that are
  // `wanted` (as of All). Nothing else is looked at.
  std::vector<VclusterView> Page(
      uint32_t owner_uid, const std::string& after, size_t max,
      const std::function<bool(const master::v1::Vcluster&)>& wanted = {});

  // How much has happened, in which lead.
  struct Moment {
    uint64_t epoch = 0;
    uint64_t count = 0;
  };
  struct Changes {
    Moment until;
    std::vector<uint32_t> numbers;  // Of Vclusters that may be other than at `since`, or are gone.
  };
  // Waits for changes after `since` (of another lead: everything is new), `max` at most.
  // kUnavailable: the lead ends.
  Result<Changes> AwaitChanges(const Moment& since, std::chrono::milliseconds max);

 private:
  using Clock = MasterOptions::Clock;
  struct Told {
    host::v1::Part order;     // As it was told last; its revision.
    bool is_current = false;  // It is what Entry::basis comes to.
    bool under_way = false;
    std::optional<Error> error;
    // Since when every answer says that the host is not there. One that was just started follows
    // nothing before its hello, and is told anew then: that ends nobody's wait.
    std::optional<std::chrono::steady_clock::time_point> unavailable_since;
  };
  // All that the orders of a Vcluster are made from. With many nodes that is work: each host is
  // told of all of them.
  struct OrderBasis {
    VclusterPtr vcluster;
    std::set<std::string> may_start;
    std::vector<JobPtr> jobs;
    std::string owner_name;
    uint64_t addresses = 0;  // HostBook::addresses_version
    bool operator==(const OrderBasis&) const = default;
  };
  struct Entry {
    VclusterPtr vcluster;
    OrderBasis basis;
    std::map<std::string, Told> told;                   // By host.
    std::map<std::string, host::v1::PartStatus> heard;  // By host.
    std::optional<Error> problem;
    std::optional<Error> no_room;    // Why it has no place, when that is all.
    std::optional<RoomAnswer> room;  // What was said to that.
    std::string notice;
    IdleWatch idle;
    std::map<std::string, RoleScaler> scalers;  // By role.
    std::set<std::string> discarding;           // Directories that volumes_ is told to discard.
    bool volumes_gone = false;                  // Of one that is being deleted: all of them.
  };
  struct Host {
    std::string name;
    std::shared_ptr<HostLink> link;
    std::map<uint32_t, host::v1::Part> outbox;  // By number of the Vcluster.
    bool asked = false;                         // It has not answered yet.
    bool removed = false;
    std::condition_variable wake;
    std::thread sender;
  };

  Master(MasterOptions options, records::RecordStore& store)
      : options_(std::move(options)),
        store_(store),
        placer_(options_.placer),
        fabric_(options_.fabric),
        next_look_(options_.steady_now() + options_.every) {}
  Status Load();
  // master_threads.cc
  void Work();
  void Send(const std::shared_ptr<Host>& host);

  // REQUIRES of all below: mutex_ is held.
  void WakeAll();
  void Round();
  Clock::time_point NextRound() const;
  bool IsUncertain() const {
    return !uncertain_.empty() || !uncertain_hosts_.empty() || !uncertain_jobs_.empty() ||
           uncertain_reservations_;
  }
  static Dispatch TakeFrom(Host& host);
  void HearAnswer(const Dispatch& dispatch,
                  const Result<std::vector<host::v1::PartStatus>>& answer);
  // What was committed without an answer is read again, so that nothing rests on what may be old.
  // Nothing is decided before that is Ok.
  Status ReadUncertain();
  Status ReadAgain(uint32_t number);
  Status ReadHostAgain(const std::string& name);
  void DeleteAbandoned();
  // Notes in the record that a host has been told to fence a node that may be made anew elsewhere.
  void NoteFenced(Entry& entry);
  Status Commit(std::vector<records::RecordChange> changes);
  // `also`: changes that go with the first of them.
  Status Store(std::vector<master::v1::Vcluster> records,
               std::vector<records::RecordChange> also = {});
  Status GiveNumbers(std::vector<master::v1::Vcluster>* records,
                     const std::vector<net::ObservedLink>& links);
  Status CheckNames(const std::vector<master::v1::Vcluster>& records);
  // What was read, or is durable.
  void Hold(VclusterPtr vcluster);
  // REQUIRES: it is held, and its record is gone.
  void Forget(uint32_t number);
  Status CheckQuotas(const std::vector<VclusterPtr>& changed) const;
  Status SetDraining(const std::string& host, bool drain);
  void Place(const std::set<uint32_t>& numbers);
  void MoveOff(Entry& entry);
  void DropLeft(Entry& entry);
  // master_jobs.cc: of the touched Vclusters, and those that are due.
  Status LoadJobs();
  void AdvanceJobs(const std::set<uint32_t>& vclusters);
  bool AdvanceJob(uint32_t number);
  Status StoreStep(JobStep* step, std::map<uint32_t, Entry>::iterator vcluster);
  ClusterSeen SeenFor(const Entry& entry, const NodeStates& states) const;
  std::chrono::milliseconds UntilJobsAreDue() const;
  Status ReadJobAgain(uint32_t number);
  // Who handed it in was told that it failed: if it was stored it is deleted, and never runs.
  void AbandonJob(uint32_t number);
  void WakeJobsOf(uint32_t vcluster);
  Status EraseJob(uint32_t number);
  void RemoveOldJobs();
  JobView ViewOf(const JobPtr& job) const;
  // master_rules.cc
  void FollowRules(Entry& entry);
  void Expire(Entry& entry);
  void RetireKeys(Entry& entry);
  void StopIdle(Entry& entry);
  void ScaleRoles(Entry& entry);
  void StoreByRule(Entry& entry, master::v1::Vcluster record, const std::string& why);
  // master_moves.cc
  void AdvanceMoves(uint32_t number, Entry& entry);
  // Why the move of a node is given up; nullopt: it goes on.
  std::optional<std::string> WhyGiveUp(const Entry& entry, const NodeStates& states,
                                       const master::v1::Node& node);
  bool IsAbsentForLong(const std::string& host);
  static bool IsCurrent(const Entry& entry, const master::v1::Node& node,
                        const host::v1::NodeStatus& status);
  void BeginDrains();
  void DrainHost(const std::string& host);
  uint32_t CountMoving(const std::string& host) const;
  // The move is durable afterwards.
  Status StartMove(NodeKey key, const std::string& to, const std::string& why, bool drain);
  std::string FullName(NodeKey key) const;
  void AddDrainView(const std::string& host, HostView* view) const;
  void MeasureLoad(const Entry& entry);
  void ReportLoad();
  // Every `rebalance_every`.
  void BalanceLoad();
  Result<std::vector<MoveView>> MoveForBalance(bool dry_run);
  // master_reservations.cc
  Status LoadReservations();
  void FollowReservations();
  void DropReservations();
  // master_preempt.cc
  // Nodes that were stopped to make room and are to run again do, as far as there is room.
  Status ReturnPreempted(master::v1::Vcluster* record) const;
  // master_room.cc
  void SetNoRoom(Entry& entry, const Error& error) const;
  bool Retire(uint32_t number, Entry& entry);
  void MakeOrders(Entry& entry, bool repeat);
  OrderBasis BasisOf(const Entry& entry) const;
  void NoteHost(const std::string& host, HostLink& link, const host::v1::FabricReport& report);
  void NoteRecord(master::v1::Host record);
  // master_fabric.cc
  HostCondition ConditionOf(const std::string& host) const;
  uint32_t MtuTo(const std::string& host) const;  // Of packets of overlays. 0: not known.
  std::string WhyNoNodes(const std::string& host) const;
  std::string NoticeOf(const std::string& host) const;
  // Hosts whose packets were too small for a Vcluster that is gone may get nodes again.
  void FitAgain(const master::v1::Vcluster& gone);
  // kFailedPrecondition: it was made for larger packets than the fabric has.
  Status CheckFabricOf(const master::v1::Vcluster& record) const;
  // For a new Vcluster: the least of all hosts that may get its nodes. 0: not known.
  uint32_t UnderlayMtu() const;
  // master_volumes.cc
  Status ClaimShared();
  bool DiscardVolumes(uint32_t number, Entry& entry);
  void DiscardLeft(uint32_t number, Entry& entry);
  void Discarded(uint32_t number, const std::string& directory, const Status& done);
  static bool HasOldNodes(const Entry& entry, const std::string& directory);
  void RemoveOrphans();
  void Hear(const std::string& host, const host::v1::PartStatus& status);
  static void Post(Host& host, host::v1::Part order);
  NodeStates StatesOf(const Entry& entry) const;
  VclusterView ViewOf(uint32_t number, const Entry& entry) const;
  bool MayPass(Clock::time_point since) const;
  void Touch(uint32_t number);

  const MasterOptions options_;
  const Clock::time_point opened_ = options_.steady_now();
  records::RecordStore& store_;
  std::unique_ptr<Lead> lead_;             // Set by Open, as…
  std::unique_ptr<VolumeKeeper> volumes_;  // …this.
  mutable std::mutex mutex_;               // Guards what follows.
  std::condition_variable work_;           // For the loop.
  std::condition_variable changed_;        // For those who wait.
  uint32_t last_number_ = 0;
  bool all_numbers_given_ = false;  // At least once.
  std::map<uint32_t, Entry> entries_;
  VclusterIndex index_;  // Of those in entries_.
  JobBook jobs_;
  uint32_t last_job_ = 0;
  ReservationTable reservations_;
  Placer placer_;
  std::map<std::string, std::shared_ptr<Host>> hosts_;  // Those that are there.
  HostBook known_hosts_;
  FabricBook fabric_;
  Clock::time_point next_look_;              // At everything.
  Clock::time_point next_try_;               // To read what is uncertain.
  std::set<uint32_t> touched_;               // To be looked at by the loop.
  std::map<uint32_t, uint64_t> changed_at_;  // When the loop has looked, of changes_.
  uint64_t changes_ = 0;
  std::set<uint32_t> uncertain_;  // Whose record may be another than in entries_.
  std::set<std::string> uncertain_hosts_;
  std::set<uint32_t> uncertain_jobs_;
  bool uncertain_reservations_ = false;
  std::set<uint32_t> abandoned_;       // To be deleted.
  std::set<uint32_t> abandoned_jobs_;  // Not in jobs_, whether they were stored or not.
  // Nodes whose move has failed, why, and before when it is not tried again.
  struct FailedMove {
    Clock::time_point again;
    std::string why;
  };
  std::map<NodeKey, FailedMove> failed_moves_;
  // Why nodes stay on hosts that are drained, by host; of those that were looked at.
  std::map<std::string, std::map<NodeKey, std::string>> staying_;
  bool drain_due_ = true;  // Hosts that are drained are to be looked at.
  Clock::time_point rebalanced_;
  bool waits_for_room_ = false;
  Rents rents_;
  std::set<std::string> forgotten_;  // Hosts that are still there.
  Orphans orphans_;
  uint32_t orders_ = 0;  // Of this epoch, given so far.
  bool stop_ = false;
  std::atomic<bool> ended_ = false;  // As stop_, for who asks without the lock.
  std::thread thread_;
};

}  // namespace strata::vcluster
