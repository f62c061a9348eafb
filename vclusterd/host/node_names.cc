#include "vclusterd/host/node_names.h"

#include <algorithm>
#include <map>
#include <string>

namespace strata::vcluster {
namespace {

std::string LowerCase(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

}  // namespace

std::string DomainOf(const host::v1::Part& order) {
  std::string domain = LowerCase(order.cluster());
  return net::CheckHostNames({domain, {}}).ok() ? domain : "";
}

net::HostNames NamesOf(const host::v1::Part& order, const net::Bridge& network) {
  net::HostNames out;
  out.domain = DomainOf(order);
  std::map<std::string, size_t> places;
  const auto add = [&](const std::string& name, const net::IpAddress& address) {
    const auto [place, is_new] = places.emplace(LowerCase(name), out.names.size());
    if (is_new) {
      net::HostName one{place->first, {address}};
      if (!net::CheckHostNames({out.domain, {one}}).ok()) {
        places.erase(place);
        return;
      }
      out.names.push_back(std::move(one));
      return;
    }
    std::vector<net::IpAddress>& addresses = out.names[place->second].addresses;
    if (std::find(addresses.begin(), addresses.end(), address) == addresses.end()) {
      addresses.push_back(address);
    }
  };
  const auto add_of = [&](const host::v1::Peer& peer, const std::string& name) {
    const auto address = net::Ipv4::Parse(peer.address());
    if (!address.ok()) return;  // Checked when the order was taken.
    add(name, *address);
    if (network.has_ipv6()) add(name, network.Address6Of(*address));
  };
  // Hosts' own names first: an address is called back by the first name that has it.
  for (const host::v1::Peer& peer : order.peers()) add_of(peer, peer.hostname());
  const std::string suffix = "." + order.cluster();
  for (const host::v1::Peer& peer : order.peers()) {
    for (const std::string& alias : peer.aliases()) {
      // With the domain behind it every name is known anyway.
      if (!alias.ends_with(suffix)) add_of(peer, alias);
    }
  }
  return out;
}

}  // namespace strata::vcluster
