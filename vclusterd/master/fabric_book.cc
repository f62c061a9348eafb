#include "vclusterd/master/fabric_book.h"

#include <algorithm>

#include "net/secure/desired_fabric.h"

namespace strata::vcluster {
namespace {

using host::v1::FabricOrder;
using host::v1::FabricPart;
using host::v1::FabricReport;

std::set<std::string> KeysIn(const FabricOrder& order) {
  std::set<std::string> keys;
  for (const host::v1::FabricPeer& peer : order.peers()) {
    keys.insert(peer.part().key());
    keys.insert(peer.part().next_key());
  }
  return keys;
}

// What others will be told of its keys. A next one counts from when it is wanted until it is used.
void TakePart(const FabricPart& said, master::v1::HostFabric* known) {
  const FabricPart before = known->part();
  *known->mutable_part() = said;
  if (said.key() != before.key()) known->set_changes_key(false);
  if (!known->changes_key()) known->mutable_part()->clear_next_key();
}

}  // namespace

uint32_t FabricBook::MtuOver(uint32_t underlay_mtu) const {
  return options_ ? net::FabricMtu(underlay_mtu, /*has_ipv6_endpoints=*/false) : underlay_mtu;
}

// Those that will not come back are not among them.
bool FabricBook::Takes(const HostBook& book, const std::string& host) {
  const auto record = book.records().find(host);
  return record != book.records().end() && book.addresses().contains(host) &&
         !record->second.fabric().part().key().empty();
}

Result<master::v1::Host> FabricBook::Heard(const std::string& host, const FabricReport& report,
                                           const HostBook& book) {
  master::v1::Host record = book.RecordOf(host);
  Said& said = said_[host];
  said.report = report;
  if (!options_) return record;
  if (report.revision() != 0 && report.revision() == said.told.revision()) {
    said.has_made = true;
    said.keys = KeysIn(said.told);
  }
  if (report.part().key().empty()) return record;
  TakePart(report.part(), record.mutable_fabric());
  std::set<net::Ipv4> taken;
  for (const auto& [name, other] : book.records()) {
    const auto address = net::Ipv4::Parse(other.fabric().address());
    if (name != host && book.addresses().contains(name) && address.ok()) taken.insert(*address);
  }
  const auto own = net::Ipv4::Parse(record.fabric().address());
  if (own.ok() && options_->prefix.Contains(*own) && !taken.contains(*own)) return record;
  const uint32_t hosts_max = ~options_->prefix.Mask();
  for (uint32_t i = 1; i < hosts_max; ++i) {
    const net::Ipv4 address = options_->prefix.Host(i);
    if (taken.contains(address)) continue;
    record.mutable_fabric()->set_address(address.ToString());
    return record;
  }
  return Error(Code::kResourceExhausted, "all addresses of the fabric's " +
                                             options_->prefix.ToString() +
                                             " are taken: give masters a larger --fabric-subnet");
}

bool FabricBook::OthersKnow(const std::string& host, const std::string& key,
                            const HostBook& book) const {
  return std::all_of(book.records().begin(), book.records().end(), [&](const auto& entry) {
    if (entry.first == host || !Takes(book, entry.first)) return true;
    const auto said = said_.find(entry.first);
    return said != said_.end() && said->second.keys.contains(key);
  });
}

FabricOrder FabricBook::Order(const std::string& host, const HostBook& book) const {
  FabricOrder order;
  if (!options_ || !Takes(book, host)) return order;
  const master::v1::HostFabric own = book.RecordOf(host).fabric();
  order.set_prefix(options_->prefix.ToString());
  order.set_esp(options_->esp);
  order.set_address(own.address());
  for (const auto& [name, record] : book.records()) {
    if (name == host || !Takes(book, name)) continue;
    // ESP calls everybody.
    if (options_->esp && record.fabric().part().endpoint().empty()) continue;
    host::v1::FabricPeer* peer = order.add_peers();
    peer->set_host(name);
    peer->set_address(record.fabric().address());
    *peer->mutable_part() = record.fabric().part();
  }
  if (!own.changes_key()) return order;
  order.set_follow_key(own.part().key());
  const std::string& next = own.part().next_key();
  if (!next.empty() && OthersKnow(host, next, book)) order.set_use_key(next);
  return order;
}

std::optional<FabricOrder> FabricBook::OrderFor(const std::string& host, const HostBook& book) {
  FabricOrder order = Order(host, book);
  Said& said = said_[host];
  // One that has nothing of it need not hear that there is nothing.
  if (order.prefix().empty() && said.told.prefix().empty() && said.report.revision() == 0) {
    return std::nullopt;
  }
  order.set_revision(said.told.revision());
  if (said.told.revision() == 0 || order.SerializeAsString() != said.told.SerializeAsString()) {
    order.set_revision(++revision_);
    said.told = std::move(order);
  }
  if (said.report.revision() == said.told.revision()) return std::nullopt;
  return said.told;
}

std::string FabricBook::Problem(const std::string& host, const HostBook& book) const {
  if (!options_) return "";
  const auto found = said_.find(host);
  if (found != said_.end() && !found->second.report.problem().empty()) {
    return "fabric: " + found->second.report.problem();
  }
  if (!Takes(book, host)) return "fabric: it says no key: its vnetd and worker may be too old";
  if (options_->esp && book.RecordOf(host).fabric().part().endpoint().empty()) {
    return "fabric: it is behind a NAT, and ESP needs hosts that are called: use WireGuard";
  }
  if (found == said_.end() || !found->second.has_made) return "fabric: it is being made";
  return "";
}

std::set<std::string> FabricBook::UnreachableFrom(const std::string& host,
                                                  const HostBook& book) const {
  std::set<std::string> unreachable;
  if (!options_ || !Takes(book, host)) return unreachable;
  if (!book.RecordOf(host).fabric().part().endpoint().empty()) return unreachable;
  for (const auto& [name, record] : book.records()) {
    if (name == host || !Takes(book, name)) continue;
    if (record.fabric().part().endpoint().empty()) unreachable.insert(name);
  }
  return unreachable;
}

}  // namespace strata::vcluster
