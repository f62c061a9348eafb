// What users do with Vclusters: every operation of the services, without gRPC or HTTP. Names and
// rights are looked after here (docs/users.md), changes and refusals are recorded; the master makes
// it so.
//
// What a caller may not see is answered as what does not exist (kNotFound); what he sees and may
// not do with kPermissionDenied.
//
// Thread-safe. Operations wait until what they ask for is so, or cannot be. Changes of one
// Vcluster follow each other.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/cancel.h"
#include "common/rate_bucket.h"
#include "common/result.h"
#include "net/ipv4.h"
#include "vclusterd/api/worker.pb.h"
#include "vclusterd/definition/definition.h"
#include "vclusterd/definition/diff.h"
#include "vclusterd/master/master.h"
#include "vclusterd/users/recent_map.h"
#include "vclusterd/users/users.h"

namespace strata::vcluster {

enum class NodeCondition { kCreating, kRunning, kStopped, kBreakdown };

struct NodeView {
  std::string name;      // "hpc/0", "spark/worker-1"
  std::string hostname;  // "hpc-0"
  std::string role;
  std::string host;
  net::Ipv4 address;
  NodeCondition condition = NodeCondition::kStopped;
  bool ready = false;  // kRunning: its hooks have succeeded and its check says so.
  std::string image;
  std::string image_digest;
  Limits limits;
  std::string driver;
  std::string volume;
  pid_t init_pid = 0;
  uint64_t upper_bytes = 0;
  uint64_t disk_limit_bytes = 0;  // 0: none.
  std::string problem;
  double start_ms = 0;
  uint32_t restarts = 0;
  std::vector<host::v1::HookRun> hooks;
  std::vector<host::v1::Forward> ports;
  std::optional<host::v1::Usage> usage;
};

struct ClusterView {
  std::string name;
  std::string owner;
  uid_t owner_uid = 0;
  net::Ipv4Prefix prefix;
  int64_t created_unix_ms = 0;
  int64_t expires_unix_s = 0;
  std::string cloned_from;
  std::string description;
  std::string notice;
  std::vector<NodeView> nodes;
};

struct CloneParameters {
  std::string source;
  uint32_t count = 1;
  std::string prefix;  // Empty: "<source>-".
  std::string image;   // Empty: the images of the source's nodes.
};

// Another number of nodes for a role: `count`, or as much more (less, where it is negative).
struct RoleChange {
  std::string role;
  int64_t count = 0;
  bool relative = false;
};

// A node, and where it is.
struct NodePlace {
  uint32_t number = 0;
  uint32_t index = 0;
  std::string name;  // "hpc/0"
  std::string host;
  std::shared_ptr<HostLink> link;
};

inline constexpr size_t kAskingVclusters = 8192;  // Of which it is known how often they ask.

class Clusters {
 public:
  // Called from any thread, also concurrently.
  using ProgressFn = std::function<void(const std::string& stage, uint32_t done, uint32_t total)>;

  // Both must outlive this.
  Clusters(Master& master, Users& users) : master_(master), users_(users) {}
  Master& master() { return master_; }
  Users& users() { return users_; }

  // After an error, and when `cancel` was set, nothing new is left. `driver`: of all nodes; empty:
  // each host's best. `preempts`: nodes of lower priority stop if there is no room otherwise.
  Result<ClusterView> Create(const Caller& caller, const Definition& definition,
                             const std::string& driver, const ProgressFn& progress,
                             const CancelToken& cancel, bool preempts = false);
  Result<std::vector<ClusterView>> Clone(const Caller& caller, const CloneParameters& parameters,
                                         const ProgressFn& progress, const CancelToken& cancel);

  // Records that NewVcluster made for the caller, of `what`; as Create.
  Result<std::vector<ClusterView>> Make(const Caller& caller, const std::string& what,
                                        std::vector<master::v1::Vcluster> records,
                                        const ProgressFn& progress, const CancelToken& cancel);
  // A whole Vcluster that the caller may do this to.
  Result<VclusterView> FindVcluster(const Caller& caller, Operation operation,
                                    const std::string& name);

  // "[OWNER/]NAME", or a node of it; the owner may be left out where the name alone says enough.
  // Empty `name`: all that the caller may see.
  Result<std::vector<ClusterView>> List(const Caller& caller, const std::string& name);
  // The same by what hosts have told so far: none of them is asked now.
  Result<std::vector<ClusterView>> Glance(const Caller& caller, const std::string& name);
  // A page of all that the caller may see, by owner and name. It costs as much as what is on it.
  struct PageQuery {
    std::string after;   // "OWNER/NAME", which may be gone: those behind it. Empty: from the first.
    size_t limit = 0;    // REQUIRES: at least 1.
    std::string owner;   // Only his; empty: of all.
    bool fresh = false;  // As List, otherwise as Glance.
  };
  struct Page {
    std::vector<ClusterView> views;
    std::string next;  // The `after` of the next one; empty: there are no more.
  };
  Result<Page> ListPage(const Caller& caller, const PageQuery& query);
  // Ok when there is such a Vcluster or node, and the caller may do this to it; a node is in the
  // target's name.
  Result<Target> MayDo(const Caller& caller, Operation operation, const std::string& name);
  // Of these three `cancel` ends the wait alone: what is asked for goes on.
  Result<ClusterView> Start(const Caller& caller, const std::string& target,
                            const CancelToken& cancel = CancelToken());
  Result<ClusterView> Stop(const Caller& caller, const std::string& target,
                           std::chrono::milliseconds grace,
                           const CancelToken& cancel = CancelToken());
  Status Delete(const Caller& caller, const std::string& name,
                const CancelToken& cancel = CancelToken());

  // A new limit of disk for a node or all of a Vcluster's, while they run; quotas count more from
  // the start, and less at the end. After an error some may have it. kFailedPrecondition: more is
  // in use, or the node was made without a limit. kUnavailable: another is under way.
  Result<ClusterView> Resize(const Caller& caller, const std::string& target, uint64_t disk_bytes);

  // Makes the caller's Vcluster of that name as the definition says, or makes it. With `dry_run`
  // only the changes are answered. Waits until it is so.
  struct Applied {
    std::vector<DefinitionChange> changes;
    bool created = false;
    std::optional<ClusterView> view;  // Not of a dry run.
  };
  Result<Applied> Apply(const Caller& caller, const Definition& definition, bool dry_run,
                        bool recreate, const ProgressFn& progress, const CancelToken& cancel);
  // Another number of nodes for a role.
  Result<Applied> Scale(const Caller& caller, const std::string& name, const std::string& role,
                        uint32_t count, const ProgressFn& progress, const CancelToken& cancel);
  // What nodes ask for themselves (docs/scale-from-nodes.md): `host` has one that is `index` of the
  // Vcluster, and vouches for it. kNotFound: it has none; kFailedPrecondition: nodes of this
  // Vcluster may not ask; kUnavailable: it is not sure that this master leads.
  Result<host::v1::NodeTokenResponse> MakeNodeToken(const std::string& host,
                                                    const host::v1::NodeTokenRequest& request);
  // Does not wait for nodes that come or go. kPermissionDenied: the token is not this node's (any
  // more), or the role is not theirs to scale; kResourceExhausted: beyond its limits or its
  // owner's, or too often.
  Result<host::v1::NodeAskResponse> AnswerNode(const std::string& host,
                                               const host::v1::NodeAskRequest& request);
  // Moves the end of its time, which may be over; `for_seconds` from now. 0: it has none any more.
  Result<ClusterView> Extend(const Caller& caller, const std::string& name, int64_t for_seconds);

  // New keys for ssh between its nodes. The old ones are taken until all nodes have the new ones,
  // and then no more; a host that is away puts that off.
  Result<ClusterView> RotateKeys(const Caller& caller, const std::string& name);

  // A whole Vcluster, for commands in it; whether the caller may run them is not asked yet.
  Result<VclusterPtr> FindForCommands(const Caller& caller, const std::string& name);
  // For what `operation` does to it. kInvalidArgument unless `node` names one node; kUnavailable:
  // its host is not there.
  Result<NodePlace> FindNode(const Caller& caller, Operation operation, const std::string& node);
  // What a node used in the last hours, as its host has measured it. Errors as of FindNode.
  Result<host::v1::UsageHistory> History(const Caller& caller, const std::string& node);
  Result<std::vector<Master::HostView>> Hosts(const Caller& caller);
  // What a whole host used, likewise, for who may list hosts. kUnavailable: it is lost.
  Result<host::v1::UsageHistory> HostHistory(const Caller& caller, const std::string& host);
  Status Drain(const Caller& caller, const std::string& host, bool drain);
  // See Master.
  Status RotateFabricKeys(const Caller& caller);
  // Tells of the host that is drained, at every change, until nothing on it will move any more; its
  // last view is answered. kUnavailable: it is lost.
  using HostFn = std::function<void(const Master::HostView&)>;
  Result<Master::HostView> WatchDrain(const Caller& caller, const std::string& host,
                                      const HostFn& tell, const CancelToken& cancel);
  // See Master.
  Result<std::vector<Master::MoveView>> Rebalance(const Caller& caller, bool dry_run);
  // Whether the caller may see what is rented.
  Status AuthorizeRentals(const Caller& caller);
  // For whom room is kept: one of them.
  struct RoomHolder {
    std::string user;
    std::string vcluster;    // [OWNER/]NAME
    std::string class_name;  // TEACHER/NAME; it need not be there yet.
  };
  // Room that is kept; an admin's to say.
  Status Reserve(const Caller& caller, master::v1::Reservation record, const RoomHolder& holder);
  Status Unreserve(const Caller& caller, const std::string& name);
  struct ReservationView {
    master::v1::Reservation record;
    std::string holder;  // "user alice", "Vcluster alice/hpc".
    bool holds = false;  // Now.
  };
  Result<std::vector<ReservationView>> Reservations(const Caller& caller);
  // See Master; an admin's to say. Answers the nodes that stop, or would: none where it has room.
  Result<std::vector<Master::VictimView>> Preempt(const Caller& caller, const std::string& name,
                                                  std::optional<int32_t> below, bool dry_run);
  // Why a node is where it is: text for people. Of the reasons, names of hosts are shown to all.
  Result<std::string> Why(const Caller& caller, const std::string& node);

  // What the Vclusters of each owner demand; asks for no right.
  std::map<uint32_t, QuotaAmounts> Used();

  // The definition as it is now; `pin`: with the exact images of its nodes (pin_images.h).
  Result<Definition> Export(const Caller& caller, const std::string& name, bool pin);

  // For who tells others what has changed, and asks for their rights himself.
  Result<Master::Changes> AwaitChanges(const Master::Moment& since, std::chrono::milliseconds max) {
    return master_.AwaitChanges(since, max);
  }
  std::optional<ClusterView> Glance(uint32_t number);
  Target TargetOf(uint32_t owner_uid, const std::string& name) const;

  // Deletes every Vcluster. `force`: even where imaged does not answer.
  Status DeleteAll(bool force);

 private:
  struct Found {
    VclusterView view;
    std::optional<uint32_t> index;  // Of the one node that is meant.
    Target target;                  // As rights and records have it.

    uint32_t number() const { return view.vcluster->record.number(); }
  };

  Status CheckReturned(const Found& found);
  Status SetHolder(const Caller& caller, const RoomHolder& holder, master::v1::Reservation* record);
  // What `text` names, of what the caller sees; whether he may do that to it is not asked yet.
  Result<Found> Find(const Caller& caller, Operation operation, const std::string& text);
  Result<Found> FindOne(const Caller& caller, Operation operation, const std::string& owner,
                        const std::string& name, const std::string& node);
  bool Sees(const Caller& caller, Operation operation, const Target& target) const;
  Result<std::vector<ClusterView>> Look(const Caller& caller, const std::string& name,
                                        bool with_usage);
  Result<std::vector<VclusterPtr>> Launch(std::vector<master::v1::Vcluster> records,
                                          const ProgressFn& progress, const CancelToken& cancel,
                                          bool preempts = false);
  Result<std::vector<ClusterView>> CloneFound(uint32_t owner_uid, const Vcluster& pattern,
                                              const CloneParameters& parameters,
                                              const ProgressFn& progress,
                                              const CancelToken& cancel);
  Result<std::vector<ClusterView>> LaunchAndView(std::vector<master::v1::Vcluster> records,
                                                 const ProgressFn& progress,
                                                 const CancelToken& cancel);
  Result<ClusterView> ResizeFound(const Found& found, uint64_t disk_bytes);
  // Of the nodes that `change` names.
  Status RecordDisks(uint32_t number, const std::map<uint32_t, std::optional<uint64_t>>& change);
  Status Remove(const std::vector<uint32_t>& numbers, bool force, const CancelToken& cancel);
  // Of the definition as it is when it is changed, which may be another than when it was looked at.
  using Edited = std::function<Result<Definition>(const Definition& now)>;
  // Without waiting, and without a view.
  Result<Applied> Change(const Vcluster& before, const Edited& edited, bool recreate);
  Result<Applied> Become(const Vcluster& before, const Edited& edited, bool recreate,
                         const ProgressFn& progress, const CancelToken& cancel);
  // clusters_nodes.cc
  struct Asking {
    VclusterView view;
    const master::v1::Node* node = nullptr;  // Of the view.
    Target target;
  };
  Result<Asking> FindAsking(const std::string& host, uint32_t number, uint32_t index) const;
  Status AdmitChange(uint32_t number);
  ClusterView View(const VclusterView& view, bool with_usage);

  Master& master_;
  Users& users_;
  std::mutex resizing_mutex_;                      // Guards resizing_.
  std::set<uint32_t> resizing_;                    // Numbers of Vclusters.
  std::mutex mutex_;                               // Guards what follows; a leaf.
  RecentMap<RateBucket> asked_{kAskingVclusters};  // Changes that nodes ask for, by number.
};

// Whether a token that a node was given is still one of a node of this Vcluster, and its nodes may
// ask for something. Ok for callers with other tokens, or none. kPermissionDenied.
Status CheckNodeToken(const Caller& caller, const Vcluster& vcluster);
// A definition with other numbers of nodes. `by_node`: only what nodes may ask for. kNotFound names
// the roles that there are.
Result<Definition> ScaleDefinition(Definition definition, const std::vector<RoleChange>& changes,
                                   bool by_node);

// A Vcluster of nodes that are all alike, of the role "node".
Definition PlainDefinition(const std::string& name, const std::string& image, uint32_t nodes,
                           const Limits& limits);

}  // namespace strata::vcluster
