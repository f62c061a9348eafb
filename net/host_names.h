// The names that nodes of a network have for each other, as values (net/dns answers for them).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "net/ip_address.h"

namespace strata::net {

// Lower-case: "web-0", or a role's, "web", which has many addresses.
struct HostName {
  std::string name;
  std::vector<IpAddress> addresses;
};

// A network's. Every name is known with the domain behind it, too: "web-0.hpc". An address is
// called back by the first name that has it.
struct HostNames {
  std::string domain;  // Empty: none.
  std::vector<HostName> names;
};
inline constexpr size_t kHostNamesMax = 2000;
inline constexpr size_t kAddressesPerNameMax = 500;

// Labels of letters, digits, '-' and '_', in lower case, at most 253 characters with the domain; no
// name twice, none without an address. kInvalidArgument says what is wrong.
Status CheckHostNames(const HostNames& names);

inline constexpr char kResolvConf[] = "/etc/resolv.conf";
// Those of the name servers in a resolv.conf(5) that are numbers without a zone.
std::vector<IpAddress> NameServersIn(std::string_view resolv_conf);
inline constexpr size_t kResolversMax = 3;  // As many as resolv.conf may have (MAXNS).

}  // namespace strata::net
