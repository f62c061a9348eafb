#include "net/fabric_doctor.h"

namespace strata::net {
namespace {

using Level = Finding::Level;
using std::chrono::seconds;

std::string NameOf(const FabricView::Peer& peer) {
  return "host " + peer.host + " (" + peer.address.ToString() + ")";
}

std::string SinceText(const FabricView::Peer& peer, std::chrono::nanoseconds now) {
  if (peer.last_handshake.count() == 0) return "was never heard in the fabric";
  if (peer.last_handshake > now)
    return "was heard in the fabric before this host's clock went back";
  const auto ago = std::chrono::duration_cast<seconds>(now - peer.last_handshake);
  return "was last heard in the fabric " + std::to_string(ago.count()) + " s ago";
}

Finding Silent(const DesiredFabric& fabric, const FabricView::Peer& peer,
               std::chrono::nanoseconds now) {
  if (fabric.kind == FabricKind::kEsp) {
    return {Level::kProblem, NameOf(peer) + " does not answer in the fabric",
            "see that IP protocol 50 passes both ways, and that vnetd runs there"};
  }
  const std::string where =
      peer.endpoint ? "UDP to " + peer.endpoint->ToString() + " must pass, and its answers"
                    : "it is behind a NAT and must call this host: UDP to "
                      "this host's port " +
                          std::to_string(fabric.port) + " must pass";
  return {Level::kProblem, NameOf(peer) + " " + SinceText(peer, now) + " and does not answer",
          where +
              "; vnet show there must name this host's key; who has set a clock back is not "
              "heard until it passes where it was"};
}

}  // namespace

std::vector<Finding> ExamineFabric(const DesiredFabric& fabric, const FabricView& view,
                                   const std::set<Ipv4>& answered, std::chrono::nanoseconds now) {
  std::vector<Finding> out;
  size_t well = 0;
  for (const FabricView::Peer& peer : view.peers) {
    if (peer.unreachable) {
      out.push_back(
          {Level::kWarning,
           NameOf(peer) + " and this host are both behind NATs: neither reaches the other",
           "have one of them called: forward UDP port " + std::to_string(fabric.port) +
               " at its NAT, and start its worker with --fabric-endpoint"});
    } else if (answered.contains(peer.address)) {
      ++well;
    } else {
      out.push_back(Silent(fabric, peer, now));
    }
  }
  out.push_back({Level::kOk,
                 "fabric " + view.device + " has an MTU of " + std::to_string(view.mtu) + "; " +
                     std::to_string(well) + " of " + std::to_string(view.peers.size()) +
                     " other hosts answer in it",
                 ""});
  return out;
}

}  // namespace strata::net
