#include "vclusterd/master/master.h"

#include <algorithm>

#include "common/log.h"
#include "net/subnets.h"
#include "vclusterd/definition/format_file.h"
#include "vclusterd/master/moves.h"
#include "vclusterd/master/plausible.h"
#include "vclusterd/master/tables.h"

namespace strata::vcluster {
namespace {

// etcd takes 128 operations in a transaction.
constexpr size_t kCommitMax = 100;
constexpr uint32_t kNumbersMax = 100'000;
// How long nobody notices that a waiting caller gave up.
constexpr std::chrono::milliseconds kCancelPause(20);
constexpr std::chrono::milliseconds kProgressPause(100);
// How long it is no problem that a host is not there, or follows no orders: its daemon may be being
// restarted.
constexpr std::chrono::seconds kMayPass(5);

}  // namespace

Result<std::unique_ptr<Master>> Master::Open(MasterOptions options, records::RecordStore& store) {
  std::unique_ptr<Master> master(new Master(std::move(options), store));
  {
    const std::lock_guard lock(master->mutex_);
    Lead::Terms terms;
    terms.host = master->options_.name;
    terms.takes_over_from = master->options_.takes_over_from;
    terms.last_beat_seen = master->options_.last_beat_seen;
    terms.lasts = master->options_.lead_lasts;
    terms.now = master->options_.steady_now;
    ASSIGN_OR_RETURN(master->lead_, Lead::Take(std::move(terms), store));
    RETURN_IF_ERROR(master->ClaimShared());
    master->fabric_.Begin(master->epoch());
    RETURN_IF_ERROR(master->Load());
  }
  if (!master->options_.pause) master->thread_ = std::thread([raw = master.get()] { raw->Work(); });
  return master;
}

void Master::EndWaits() {
  const std::lock_guard lock(mutex_);
  stop_ = true;
  ended_ = true;
  work_.notify_all();
  changed_.notify_all();
}

Master::~Master() {
  EndWaits();
  if (thread_.joinable()) thread_.join();
  volumes_.reset();  // What it says about directories comes here.
  std::vector<std::string> names;
  for (const auto& [name, host] : hosts_) names.push_back(name);
  for (const std::string& name : names) RemoveHost(name);
}

Status Master::Beat() {
  RETURN_IF_ERROR(lead_->Beat());
  const std::lock_guard lock(mutex_);
  WakeAll();
  return Ok();
}

Status Master::Load() {
  ASSIGN_OR_RETURN(const auto counters, store_.Get(kLeaderTable, kCountersKey));
  master::v1::Counters read;
  if (counters.has_value() && !read.ParseFromString(*counters)) {
    return Error(Code::kCorrupt, "the record of the last number cannot be read");
  }
  last_number_ = read.last_number();
  all_numbers_given_ = read.all_given();
  RETURN_IF_ERROR(
      store_.Scan(kHostsTable, "", [&](const std::string& key, const std::string& value) -> Status {
        master::v1::Host record;
        if (!record.ParseFromString(value)) {
          return Error(Code::kCorrupt, "record of host " + key + " cannot be read");
        }
        if (!record.address().empty()) known_hosts_.SetAddress(key, record.address());
        known_hosts_.Put(key, std::move(record));
        return Ok();
      }));
  RETURN_IF_ERROR(store_.Scan(kVclustersTable, "",
                              [&](const std::string& key, const std::string& value) -> Status {
                                auto vcluster = ParseVcluster(value);
                                if (!vcluster.ok())
                                  return vcluster.error().Wrap("record of Vcluster " + key);
                                RETURN_IF_ERROR(CheckFabricOf((*vcluster)->record));
                                touched_.insert((*vcluster)->record.number());
                                Hold(std::move(*vcluster));
                                return Ok();
                              }));
  RETURN_IF_ERROR(LoadJobs());
  RETURN_IF_ERROR(LoadReservations());
  std::vector<master::v1::Vcluster> half_made;
  for (const auto& [number, entry] : entries_) {
    if (entry.vcluster->record.phase() != master::v1::CREATING) continue;
    LOG_INFO("Vcluster " + entry.vcluster->record.name() +
             ": removing what an interrupted operation left");
    half_made.push_back(entry.vcluster->record);
    half_made.back().set_phase(master::v1::DELETING);
  }
  return Store(std::move(half_made));
}

Status Master::Commit(std::vector<records::RecordChange> changes) {
  Status made = lead_->Commit(changes);
  if (made.ok() || made.error().code() != Code::kUnavailable) return made;
  for (const records::RecordChange& change : changes) {
    if (change.table == kVclustersTable) uncertain_.insert(NumberOf(change.key));
    if (change.table == kHostsTable) uncertain_hosts_.insert(change.key);
    if (change.table == kJobsTable) uncertain_jobs_.insert(NumberOf(change.key));
    uncertain_reservations_ |= change.table == kReservationsTable;
  }
  return made;
}

Status Master::CommitRecords(std::vector<records::RecordChange> changes) {
  const std::lock_guard lock(mutex_);
  return Commit(std::move(changes));
}

bool Master::AwaitChange(std::chrono::steady_clock::time_point until) {
  std::unique_lock lock(mutex_);
  if (!stop_) changed_.wait_until(lock, until);
  return !stop_;
}

Status Master::Store(std::vector<master::v1::Vcluster> records,
                     std::vector<records::RecordChange> also) {
  std::vector<VclusterPtr> read;
  for (master::v1::Vcluster& record : records) {
    RETURN_IF_ERROR(ReturnPreempted(&record));
    ASSIGN_OR_RETURN(VclusterPtr vcluster, ReadVcluster(std::move(record)));
    read.push_back(std::move(vcluster));
  }
  RETURN_IF_ERROR(CheckQuotas(read));
  for (size_t first = 0; first < read.size(); first += kCommitMax) {
    const size_t end = std::min(read.size(), first + kCommitMax);
    std::vector<records::RecordChange> changes = std::exchange(also, {});
    for (size_t i = first; i < end; ++i) {
      const master::v1::Vcluster& record = read[i]->record;
      if (uncertain_.contains(record.number())) {
        return Error(Code::kUnavailable,
                     "Vcluster " + record.name() + " has to be read again first: try again");
      }
      changes.push_back({kVclustersTable, VclusterKey(record.number()), FormatVcluster(record)});
    }
    RETURN_IF_ERROR(Commit(std::move(changes)));
    for (size_t i = first; i < end; ++i) {
      Hold(read[i]);
      Touch(read[i]->record.number());
    }
  }
  return Ok();
}

void Master::Hold(VclusterPtr vcluster) {
  const uint32_t number = vcluster->record.number();
  placer_.Sync(*vcluster);
  index_.Put(vcluster->record);
  if (vcluster->definition.peers.empty()) {
    with_peers_.erase(number);
  } else {
    with_peers_.insert(number);
  }
  Entry& entry = entries_[number];
  entry.vcluster = std::move(vcluster);
  TouchPeersOf(*entry.vcluster);
}

void Master::Forget(uint32_t number) {
  const auto found = entries_.find(number);
  const VclusterPtr gone = found->second.vcluster;
  placer_.Forget(number);
  changed_at_[number] = ++changes_;
  entries_.erase(found);
  index_.Remove(gone->record);
  with_peers_.erase(number);
  TouchPeersOf(*gone);
  FitAgain(gone->record);
  WakeJobsOf(number);
  if (options_.retired) options_.retired(gone->record);
}

void Master::Touch(uint32_t number) {
  touched_.insert(number);
  work_.notify_one();
}

void Master::Report(const std::string& host, const host::v1::PartStatus& status) {
  const std::lock_guard lock(mutex_);
  Hear(host, status);
  changed_.notify_all();
}

void Master::Hear(const std::string& host, const host::v1::PartStatus& told) {
  const auto plausible = Plausible(told);
  if (!plausible.ok()) {
    LOG_WARNING("host " + host + " says what cannot be: " + plausible.error().message());
    return;
  }
  const host::v1::PartStatus& status = *plausible;
  const auto found = entries_.find(status.number());
  if (found == entries_.end()) {
    orphans_.Hear(host, status, status.number() <= last_number_ || all_numbers_given_);
    return;
  }
  const auto heard = found->second.heard.find(host);
  if (heard != found->second.heard.end() && status.sequence() <= heard->second.sequence()) return;
  found->second.heard[host] = status;
  Touch(status.number());
}

Status Master::CheckNames(const std::vector<master::v1::Vcluster>& records) {
  std::set<std::pair<uint32_t, std::string>> taken;
  for (const master::v1::Vcluster& record : records) {
    const bool is_free = !index_.Find(record.owner_uid(), record.name()).has_value();
    if (is_free && taken.emplace(record.owner_uid(), record.name()).second) continue;
    return Error(Code::kAlreadyExists,
                 "you already have a Vcluster called '" + record.name() + "'");
  }
  return Ok();
}

Status Master::GiveNumbers(std::vector<master::v1::Vcluster>* records,
                           const std::vector<net::ObservedLink>& links) {
  std::vector<net::Ipv4Prefix> taken = options_.reserved;
  for (const auto& [number, entry] : entries_) taken.push_back(entry.vcluster->prefix);
  std::set<uint32_t> given;
  const uint32_t underlay_mtu = UnderlayMtu();
  for (master::v1::Vcluster& record : *records) {
    ASSIGN_OR_RETURN(const Definition definition, ParseDefinitionJson(record.definition()));
    ASSIGN_OR_RETURN(const net::Ipv4Prefix prefix,
                     net::ChoosePrefix(options_.pool, PrefixLengthOf(definition), taken, links));
    taken.push_back(prefix);
    record.set_subnet(prefix.ToString());
    record.set_underlay_mtu(underlay_mtu);
    record.set_in_fabric(fabric_.is_on());
    if (entries_.size() + given.size() >= kNumbersMax - 1) {
      return Error(Code::kResourceExhausted, "there are too many Vclusters");
    }
    do {
      last_number_ = last_number_ % (kNumbersMax - 1) + 1;
      all_numbers_given_ |= last_number_ == kNumbersMax - 1;
    } while (entries_.contains(last_number_) || !given.insert(last_number_).second);
    record.set_number(last_number_);
  }
  return Ok();
}

Result<std::vector<VclusterPtr>> Master::Add(std::vector<master::v1::Vcluster> records,
                                             const With& with) {
  std::vector<std::shared_ptr<HostLink>> links;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, host] : hosts_) links.push_back(host->link);
  }
  // Outside the lock: a look at a host's links takes a while.
  std::vector<net::ObservedLink> observed;
  for (const std::shared_ptr<HostLink>& link : links) {
    ASSIGN_OR_RETURN(const auto of_host, link->Links());
    observed.insert(observed.end(), of_host.begin(), of_host.end());
  }
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(ReadUncertain());
  RETURN_IF_ERROR(CheckNames(records));
  RETURN_IF_ERROR(GiveNumbers(&records, observed));
  master::v1::Counters counters;
  counters.set_last_number(last_number_);
  counters.set_all_given(all_numbers_given_);
  std::vector<uint32_t> numbers;
  for (const master::v1::Vcluster& record : records) numbers.push_back(record.number());
  // Of a batch that ends in the middle, the next master removes what is CREATING.
  std::vector<records::RecordChange> also = {
      {kLeaderTable, kCountersKey, counters.SerializeAsString()}};
  if (with) with(records, &also);
  if (Status stored = Store(std::move(records), std::move(also)); !stored.ok()) {
    abandoned_.insert(numbers.begin(), numbers.end());
    work_.notify_one();
    return stored.error();
  }
  std::vector<VclusterPtr> added;
  for (const uint32_t number : numbers) added.push_back(entries_.at(number).vcluster);
  return added;
}

Status Master::Change(const std::vector<uint32_t>& numbers, const Edit& edit) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(ReadUncertain());
  std::vector<master::v1::Vcluster> changed;
  for (const uint32_t number : numbers) {
    const auto found = entries_.find(number);
    if (found == entries_.end()) {
      return Error(Code::kNotFound, "the Vcluster was just deleted");
    }
    changed.push_back(found->second.vcluster->record);
    RETURN_IF_ERROR(edit(&changed.back()));
  }
  return Store(std::move(changed));
}

void Master::Abandon(const std::vector<uint32_t>& numbers) {
  const std::lock_guard lock(mutex_);
  abandoned_.insert(numbers.begin(), numbers.end());
  DeleteAbandoned();
}

Result<std::string> Master::Why(uint32_t number, uint32_t index) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(number);
  if (found == entries_.end()) return Error(Code::kNotFound, "the Vcluster was just deleted");
  return placer_.Why(*found->second.vcluster, index);
}

NodeStates Master::StatesOf(const Entry& entry) const {
  NodeStates states;
  for (const master::v1::Node& node : entry.vcluster->record.nodes()) {
    const auto heard = entry.heard.find(node.host());
    // What a host said before it was lost is not so any more, as far as anybody knows.
    if (heard == entry.heard.end() || !hosts_.contains(node.host())) continue;
    for (const host::v1::NodeStatus& status : heard->second.nodes()) {
      if (status.index() == node.index() && status.incarnation() == node.incarnation()) {
        states[node.index()] = status;
      }
    }
  }
  return states;
}

bool Master::MayPass(Clock::time_point since) const {
  return options_.steady_now() - since < kMayPass;
}

VclusterView Master::ViewOf(uint32_t number, const Entry& entry) const {
  VclusterView view;
  view.vcluster = entry.vcluster;
  view.states = StatesOf(entry);
  view.notice = entry.notice.empty() ? MoveNotice(*entry.vcluster) : entry.notice;
  if (view.notice.empty() && entry.no_room.has_value() && entry.room.has_value()) {
    view.notice = entry.room->why;
  }
  if (view.notice.empty()) view.notice = entry.vcluster->record.last_problem();
  if (view.notice.empty()) view.notice = PeerNotice(*entry.vcluster);
  for (const master::v1::Node& node : entry.vcluster->record.nodes()) {
    if (node.host().empty() || hosts_.contains(node.host())) continue;
    view.lost[node.index()] = node.host();
    if (MayPass(known_hosts_.AwaySince(node.host()).value_or(opened_))) {
      view.may_return.insert(node.index());
    }
  }
  if (touched_.contains(number)) return view;
  view.settled = true;
  view.problem = entry.problem;
  for (const auto& [host, told] : entry.told) {
    const bool may_pass = told.unavailable_since.has_value() && MayPass(*told.unavailable_since);
    if (told.under_way || may_pass) view.settled = false;
    if (told.error.has_value() && !may_pass && !view.problem.has_value()) {
      view.problem = told.error;
    }
    for (const host::v1::NodeOrder& order : told.order.nodes()) {
      const auto state = view.states.find(order.index());
      const bool leaves_here =
          state != view.states.end() && state->second.incarnation() != order.incarnation();
      if (leaves_here) continue;  // Its old host keeps it during a move.
      if (state != view.states.end() && state->second.revision() >= told.order.revision()) {
        view.current.insert(order.index());
      } else {
        view.settled = false;
      }
    }
  }
  return view;
}

Result<Master::Changes> Master::AwaitChanges(const Moment& since, std::chrono::milliseconds max) {
  std::unique_lock lock(mutex_);
  const uint64_t seen = since.epoch == epoch() ? since.count : 0;
  changed_.wait_for(lock, max, [&] { return stop_ || changes_ > seen; });
  if (stop_) return Error(Code::kUnavailable, "vclusterd ends");
  Changes changes;
  changes.until = {epoch(), changes_};
  for (const auto& [number, at] : changed_at_) {
    if (at > seen) changes.numbers.push_back(number);
  }
  return changes;
}

Status Master::Await(const std::vector<uint32_t>& numbers, const Verdict& verdict,
                     const std::function<void()>& progress, const CancelToken& cancel) {
  std::set<uint32_t> open(numbers.begin(), numbers.end());
  auto shown = options_.steady_now();
  std::unique_lock lock(mutex_);
  while (true) {
    for (auto it = open.begin(); it != open.end();) {
      const auto found = entries_.find(*it);
      const auto said =
          verdict(found == entries_.end() ? VclusterView() : ViewOf(*it, found->second));
      if (said.has_value() && !said->ok()) return *said;
      it = said.has_value() ? open.erase(it) : std::next(it);
    }
    if (open.empty()) return Ok();
    if (const auto now = options_.steady_now(); progress && now - shown > kProgressPause) {
      shown = now;
      lock.unlock();
      progress();
      lock.lock();
      continue;
    }
    if (stop_) return Error(Code::kUnavailable, "vclusterd ends");
    RETURN_IF_ERROR(cancel.Check());
    if (!options_.pause) {
      changed_.wait_for(lock, kCancelPause);
      continue;
    }
    lock.unlock();
    options_.pause();
    lock.lock();
  }
}

}  // namespace strata::vcluster
