// Zone: what is known of one network's names, for questions. Pure.
//
// Only these names are the network's: a domain is not claimed as a whole, since a Vcluster may be
// called "dev" as a domain of the world is, whose other names nodes are to find. Addresses are: who
// has one of the pool of all networks is told or is nobody, and nobody else is asked.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "net/dns/dns_message.h"
#include "net/host_names.h"
#include "net/ipv4.h"

namespace strata::net {

class Zone {
 public:
  // REQUIRES: CheckHostNames is Ok.
  Zone(const HostNames& names, const Ipv4Prefix& pool);

  // Nothing: it is not for this network to say. Addresses of a name begin with the one that is
  // `turn`th of them.
  std::optional<Answers> Find(const Question& question, size_t turn) const;
  size_t size() const { return names_.size(); }

 private:
  const std::vector<IpAddress>* AddressesOf(std::string_view name) const;

  std::string suffix_;  // ".hpc", or empty.
  Ipv4Prefix pool_;
  std::unordered_map<std::string, std::vector<IpAddress>> names_;
  std::map<IpAddress, std::string> hosts_;
};

// "1.2.0.192.in-addr.arpa" and the form of ip6.arpa.
std::optional<IpAddress> AddressOfReverseName(std::string_view name);

}  // namespace strata::net
