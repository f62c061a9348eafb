// The hosts of a master: which are there, and where.
#include "common/log.h"
#include "vclusterd/master/master.h"
#include "vclusterd/master/plausible.h"
#include "vclusterd/master/tables.h"

namespace strata::vcluster {

void Master::AddHost(const std::string& name, std::shared_ptr<HostLink> link,
                     const std::vector<host::v1::PartStatus>& statuses) {
  RemoveHost(name);
  const std::lock_guard lock(mutex_);
  auto host = std::make_shared<Host>();
  host->name = name;
  host->link = std::move(link);
  fabric_.Forget(name);
  NoteHost(name, *host->link, host->link->Fabric());
  if (!options_.pause) host->sender = std::thread([this, host] { Send(host); });
  hosts_[name] = host;
  known_hosts_.Came(name);
  placer_.PutHost(name, host->link->Capacity(), ConditionOf(name));
  for (auto& [number, entry] : entries_) {
    entry.told.erase(name);  // It may have lost what it was told.
    entry.heard.erase(name);
    touched_.insert(number);
  }
  orphans_.Forget(name);
  for (const host::v1::PartStatus& status : statuses) Hear(name, status);
  drain_due_ = true;
  work_.notify_one();
}

void Master::RemoveHost(const std::string& name, const HostLink* link) {
  std::thread sender;
  {
    const std::lock_guard lock(mutex_);
    const auto found = hosts_.find(name);
    if (found == hosts_.end() || (link != nullptr && found->second->link.get() != link)) return;
    Host& host = *found->second;
    host.removed = true;
    host.wake.notify_all();
    sender = std::move(host.sender);
    hosts_.erase(found);
    known_hosts_.Left(name, options_.steady_now());
    placer_.SetCondition(name, HostCondition::kLost);
    if (forgotten_.erase(name) != 0) {
      placer_.RemoveHost(name);
      known_hosts_.Forget(name);
    }
    for (auto& [number, entry] : entries_) {
      if (entry.told.erase(name) != 0) touched_.insert(number);
    }
    work_.notify_one();
  }
  if (sender.joinable()) sender.join();
}

std::shared_ptr<HostLink> Master::LinkTo(const std::string& host) {
  const std::lock_guard lock(mutex_);
  const auto found = hosts_.find(host);
  return found == hosts_.end() ? nullptr : found->second->link;
}

void Master::NoteHost(const std::string& host, HostLink& link,
                      const host::v1::FabricReport& report) {
  auto heard = fabric_.Heard(host, report, known_hosts_);
  if (!heard.ok()) LOG_WARNING("host " + host + ": " + heard.error().message());
  master::v1::Host record = heard.ok() ? *heard : known_hosts_.RecordOf(host);
  record.set_name(host);
  const std::string& in_fabric = record.fabric().address();
  // In the fabric others reach it there, or not at all.
  record.set_address(fabric_.is_on() && !in_fabric.empty() ? in_fabric : link.UnderlayAddress());
  record.set_underlay_mtu(link.UnderlayMtu());
  known_hosts_.SetAddress(host, record.address());
  // Of a single host there is nothing to say.
  const bool says = !record.address().empty() || !known_hosts_.RecordOf(host).name().empty();
  if (says) NoteRecord(std::move(record));
}

void Master::NoteRecord(master::v1::Host record) {
  const std::string host = record.name();
  const std::string bytes = record.SerializeAsString();
  if (uncertain_hosts_.contains(host)) return;
  if (bytes == known_hosts_.RecordOf(host).SerializeAsString()) return;
  if (Status noted = Commit({{kHostsTable, host, bytes}}); noted.ok()) {
    known_hosts_.Put(host, std::move(record));
  } else {
    LOG_WARNING("where host " + host + " is reached is not recorded: " + noted.error().message());
  }
}

Status Master::Drain(const std::string& name, bool drain) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(ReadUncertain());
  const bool known = hosts_.contains(name) || known_hosts_.Has(name);
  if (!known) return Error(Code::kNotFound, "there is no host '" + name + "'");
  return SetDraining(name, drain);
}

Status Master::SetDraining(const std::string& name, bool drain) {
  master::v1::Host record = known_hosts_.RecordOf(name);
  record.set_name(name);
  record.set_draining(drain);
  RETURN_IF_ERROR(Commit({{kHostsTable, name, record.SerializeAsString()}}));
  known_hosts_.Put(name, std::move(record));
  staying_.erase(name);
  drain_due_ = true;
  if (hosts_.contains(name)) {
    placer_.SetCondition(name, ConditionOf(name));
  }
  for (const auto& [number, entry] : entries_) touched_.insert(number);
  work_.notify_one();
  return Ok();
}

std::vector<Master::HostView> Master::Hosts() {
  const std::lock_guard lock(mutex_);
  std::map<std::string, HostView> views;
  for (const auto& [name, record] : known_hosts_.records()) {
    // A host that is gone for good is not shown for ever.
    if (record.draining() || known_hosts_.AwaySince(name)) {
      views[name].draining = record.draining();
    }
  }
  for (const auto& [name, host] : hosts_) {
    views[name].present = true;
    views[name].capacity = host->link->Capacity();
    views[name].notice = NoticeOf(name);
    if (fabric_.is_on()) {
      views[name].fabric_address = known_hosts_.RecordOf(name).fabric().address();
    }
    const auto load = host->link->Load();
    if (load.has_value() && IsPlausible(load->usage())) views[name].load = load;
  }
  for (const auto& [number, entry] : entries_) {
    for (const master::v1::Node& node : entry.vcluster->record.nodes()) {
      if (!node.host().empty()) ++views[node.host()].nodes;
    }
  }
  std::vector<HostView> list;
  for (auto& [name, view] : views) {
    view.name = name;
    if (const auto rent = rents_.find(name); rent != rents_.end()) {
      std::tie(view.provider, view.price_per_hour) = rent->second;
    }
    if (view.draining) AddDrainView(name, &view);
    list.push_back(std::move(view));
  }
  return list;
}

}  // namespace strata::vcluster
