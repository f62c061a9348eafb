// The network of the hosts of a master: the fabric, and what its packets may have.
#include <algorithm>

#include "common/log.h"
#include "vclusterd/master/master.h"
#include "vclusterd/master/tables.h"

namespace strata::vcluster {
namespace {

constexpr uint32_t kEthernetMtu = 1500;

}  // namespace

std::optional<host::v1::FabricOrder> Master::ReportFabric(const std::string& host,
                                                          const host::v1::FabricReport& report) {
  const std::lock_guard lock(mutex_);
  const auto found = hosts_.find(host);
  if (found == hosts_.end()) return std::nullopt;
  if (!fabric_.is_on() && report.revision() == 0) return std::nullopt;
  const HostCondition before = ConditionOf(host);
  NoteHost(host, *found->second->link, report);
  if (const HostCondition now = ConditionOf(host); now != before) {
    placer_.SetCondition(host, now);
    for (const auto& [number, entry] : entries_) touched_.insert(number);
    work_.notify_one();
  }
  return fabric_.OrderFor(host, known_hosts_);
}

Master::InFabric Master::ReachInFabric(const std::string& host,
                                       const host::v1::FabricReport& report) {
  const std::lock_guard lock(mutex_);
  if (!fabric_.is_on() || report.part().key().empty() || !report.part().endpoint().empty())
    return {};
  auto heard = fabric_.Heard(host, report, known_hosts_);
  if (!heard.ok()) return {};
  heard->set_name(host);
  heard->set_address(heard->fabric().address());
  NoteRecord(std::move(*heard));
  const std::string address = known_hosts_.RecordOf(host).fabric().address();
  if (address.empty()) return {};          // It was not recorded.
  known_hosts_.SetAddress(host, address);  // The others hear of it.
  return {address, fabric_.OrderFor(host, known_hosts_)};
}

HostCondition Master::ConditionOf(const std::string& host) const {
  return known_hosts_.IsDraining(host) || !WhyNoNodes(host).empty() ? HostCondition::kDraining
                                                                    : HostCondition::kReady;
}

uint32_t Master::MtuTo(const std::string& host) const {
  const uint32_t link_mtu = known_hosts_.RecordOf(host).underlay_mtu();
  return link_mtu == 0 ? 0 : fabric_.MtuOver(link_mtu);
}

// Nodes do not change their MTU while they run, and it is the same on all hosts of a Vcluster.
std::string Master::WhyNoNodes(const std::string& host) const {
  if (std::string problem = fabric_.Problem(host, known_hosts_); !problem.empty()) return problem;
  uint32_t needed = 0;
  for (const auto& [number, entry] : entries_) {
    needed = std::max(needed, entry.vcluster->record.underlay_mtu());
  }
  const uint32_t has = MtuTo(host);
  if (has == 0 || has >= needed) return "";
  return "packets to it may have " + std::to_string(has) +
         " bytes, and Vclusters here were made for " + std::to_string(needed) +
         ": raise the MTU of its link, or delete those first";
}

void Master::FitAgain(const master::v1::Vcluster& gone) {
  for (const auto& [name, host] : hosts_) {
    if (const uint32_t has = MtuTo(name); has == 0 || has >= gone.underlay_mtu()) continue;
    placer_.SetCondition(name, ConditionOf(name));
    for (const auto& [number, entry] : entries_) touched_.insert(number);
  }
}

uint32_t Master::UnderlayMtu() const {
  uint32_t least = 0;
  for (const auto& [name, host] : hosts_) {
    const uint32_t has = MtuTo(name);
    if (has == 0 || !WhyNoNodes(name).empty()) continue;
    least = least == 0 ? has : std::min(least, has);
  }
  // Then whoever has less gets no nodes of it.
  return least == 0 && fabric_.is_on() ? fabric_.MtuOver(kEthernetMtu) : least;
}

Status Master::CheckFabricOf(const master::v1::Vcluster& record) const {
  if (!fabric_.is_on() || record.in_fabric() || record.phase() == master::v1::DELETING) return Ok();
  return Error(Code::kFailedPrecondition,
               "Vcluster " + record.name() + " of user " + std::to_string(record.owner_uid()) +
                   " was made without the fabric, for larger packets than that has: delete it "
                   "before masters are started with --fabric");
}

std::string Master::NoticeOf(const std::string& host) const {
  std::string notice = WhyNoNodes(host);
  std::string names;
  for (const std::string& other : fabric_.UnreachableFrom(host, known_hosts_)) {
    names += (names.empty() ? "" : ", ") + other;
  }
  if (names.empty()) return notice;
  return notice + (notice.empty() ? "" : "; ") + "it and " + names +
         " are behind NATs and do not reach each other: forward a UDP port to one "
         "(--fabric-endpoint)";
}

Status Master::RotateFabricKeys() {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(ReadUncertain());
  if (!fabric_.is_on()) {
    return Error(Code::kFailedPrecondition,
                 "the hosts have no fabric (vclusterd master --fabric wireguard)");
  }
  std::vector<records::RecordChange> changes;
  std::vector<master::v1::Host> changed;
  for (const auto& [name, address] : known_hosts_.addresses()) {
    master::v1::Host record = known_hosts_.RecordOf(name);
    if (record.fabric().part().key().empty()) continue;
    record.mutable_fabric()->set_changes_key(true);
    changes.push_back({kHostsTable, name, record.SerializeAsString()});
    changed.push_back(std::move(record));
  }
  RETURN_IF_ERROR(Commit(std::move(changes)));
  for (master::v1::Host& record : changed) {
    const std::string name = record.name();
    known_hosts_.Put(name, std::move(record));
  }
  return Ok();
}

}  // namespace strata::vcluster
