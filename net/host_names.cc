#include "net/host_names.h"

#include <algorithm>
#include <set>

namespace strata::net {
namespace {

constexpr size_t kLabelCharactersMax = 63;
constexpr size_t kNameCharactersMax = 253;

bool IsName(std::string_view name) {
  if (name.empty() || name.size() > kNameCharactersMax) return false;
  size_t label = 0;
  for (const char c : name) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
      continue;
    }
    const bool fits = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (!fits || ++label > kLabelCharactersMax) return false;
  }
  return label > 0;
}

std::string_view NextWord(std::string_view* line) {
  line->remove_prefix(std::min(line->find_first_not_of(" \t"), line->size()));
  const std::string_view word = line->substr(0, line->find_first_of(" \t"));
  line->remove_prefix(word.size());
  return word;
}

}  // namespace

Status CheckHostNames(const HostNames& names) {
  const auto wrong = [](const std::string& what) { return Error(Code::kInvalidArgument, what); };
  if (!names.domain.empty() && !IsName(names.domain)) {
    return wrong("'" + names.domain + "' is no domain");
  }
  if (names.names.size() > kHostNamesMax) {
    return wrong("more than " + std::to_string(kHostNamesMax) + " names");
  }
  std::set<std::string_view> seen;
  for (const HostName& one : names.names) {
    if (!IsName(one.name) || one.name.size() + 1 + names.domain.size() > kNameCharactersMax) {
      return wrong("'" + one.name + "' is no name: lower-case letters, digits, '-', '_' and '.'");
    }
    if (!seen.insert(one.name).second) return wrong("name " + one.name + " is there twice");
    if (one.addresses.empty() || one.addresses.size() > kAddressesPerNameMax) {
      return wrong("name " + one.name + " has no address, or more than " +
                   std::to_string(kAddressesPerNameMax));
    }
  }
  return Ok();
}

std::vector<IpAddress> NameServersIn(std::string_view resolv_conf) {
  std::vector<IpAddress> servers;
  while (!resolv_conf.empty() && servers.size() < kResolversMax) {
    const size_t end = std::min(resolv_conf.find('\n'), resolv_conf.size());
    std::string_view line = resolv_conf.substr(0, end);
    resolv_conf.remove_prefix(std::min(end + 1, resolv_conf.size()));
    if (NextWord(&line) != "nameserver") continue;
    const auto address = IpAddress::Parse(NextWord(&line));
    if (address.ok()) servers.push_back(*address);
  }
  return servers;
}

}  // namespace strata::net
