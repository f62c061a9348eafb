// Vclusters that talk with each other, because each names the other.
#include <algorithm>

#include "vclusterd/master/master.h"

namespace strata::vcluster {

bool Master::NamesAsPeer(const Vcluster& vcluster, const Vcluster& other) const {
  const uint32_t owner_uid = other.record.owner_uid();
  return std::any_of(vcluster.definition.peers.begin(), vcluster.definition.peers.end(),
                     [&](const std::string& peer) {
                       const auto [owner, name] = SplitPeer(peer);
                       if (name != other.record.name()) return false;
                       if (owner.empty()) return owner_uid == vcluster.record.owner_uid();
                       return options_.user_name(owner_uid) == owner;
                     });
}

std::vector<PeerOf> Master::PeersOf(const Vcluster& vcluster) const {
  std::vector<PeerOf> peers;
  if (vcluster.definition.peers.empty() || vcluster.record.phase() == master::v1::DELETING) {
    return peers;
  }
  for (const uint32_t number : with_peers_) {
    const VclusterPtr& other = entries_.at(number).vcluster;
    if (number == vcluster.record.number() || other->record.phase() == master::v1::DELETING ||
        !NamesAsPeer(vcluster, *other) || !NamesAsPeer(*other, vcluster)) {
      continue;
    }
    const bool same_owner = other->record.owner_uid() == vcluster.record.owner_uid();
    peers.push_back({other, same_owner ? "" : options_.user_name(other->record.owner_uid())});
  }
  return peers;
}

void Master::TouchPeersOf(const Vcluster& vcluster) {
  for (const uint32_t number : with_peers_) {
    const Vcluster& other = *entries_.at(number).vcluster;
    if (number != vcluster.record.number() && NamesAsPeer(other, vcluster)) Touch(number);
  }
}

// Whether there is one by that name, only its owner may know.
std::string Master::PeerNotice(const Vcluster& vcluster) const {
  const std::vector<PeerOf> peers = PeersOf(vcluster);
  for (const std::string& peer : vcluster.definition.peers) {
    const auto [owner, name] = SplitPeer(peer);
    const bool talks = std::any_of(peers.begin(), peers.end(), [&](const PeerOf& one) {
      const uint32_t uid = one.vcluster->record.owner_uid();
      return one.vcluster->record.name() == name &&
             (owner.empty() ? uid == vcluster.record.owner_uid()
                            : options_.user_name(uid) == owner);
    });
    if (!talks) return "its peer " + peer + " does not name it, or is not there";
  }
  return "";
}

}  // namespace strata::vcluster
