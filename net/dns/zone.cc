#include "net/dns/zone.h"

#include <algorithm>

namespace strata::net {
namespace {

constexpr std::string_view kReverse4 = ".in-addr.arpa";
constexpr std::string_view kReverse6 = ".ip6.arpa";

std::string_view FirstLabel(std::string_view* name) {
  const std::string_view label = name->substr(0, name->find('.'));
  name->remove_prefix(std::min(label.size() + 1, name->size()));
  return label;
}

std::optional<IpAddress> ReverseOfIpv4(std::string_view labels) {
  std::string text;
  for (int i = 0; i < 4; ++i) {
    const std::string_view label = FirstLabel(&labels);
    text = std::string(label) + (i == 0 ? "" : ".") + text;
  }
  const auto address = labels.empty() ? IpAddress::Parse(text) : IpAddress::Parse("");
  return address.ok() && address->is_ipv4() ? std::optional(*address) : std::nullopt;
}

std::optional<IpAddress> ReverseOfIpv6(std::string_view labels) {
  IpAddress address;
  for (size_t nibble = 32; nibble-- > 0;) {
    const std::string_view label = FirstLabel(&labels);
    const size_t value = std::string_view("0123456789abcdef").find(label.empty() ? ' ' : label[0]);
    if (label.size() != 1 || value == label.npos) return std::nullopt;
    address.bytes[nibble / 2] |= static_cast<uint8_t>(value << (nibble % 2 == 0 ? 4 : 0));
  }
  return labels.empty() ? std::optional(address) : std::nullopt;
}

}  // namespace

std::optional<IpAddress> AddressOfReverseName(std::string_view name) {
  if (name.ends_with(kReverse4)) {
    return ReverseOfIpv4(name.substr(0, name.size() - kReverse4.size()));
  }
  if (name.ends_with(kReverse6)) {
    return ReverseOfIpv6(name.substr(0, name.size() - kReverse6.size()));
  }
  return std::nullopt;
}

Zone::Zone(const HostNames& names, const Ipv4Prefix& pool)
    : suffix_(names.domain.empty() ? "" : "." + names.domain), pool_(pool) {
  for (const HostName& one : names.names) {
    names_[one.name] = one.addresses;
    for (const IpAddress& address : one.addresses) hosts_.emplace(address, one.name + suffix_);
  }
}

const std::vector<IpAddress>* Zone::AddressesOf(std::string_view name) const {
  auto found = names_.find(std::string(name));
  if (found == names_.end() && !suffix_.empty() && name.ends_with(suffix_)) {
    found = names_.find(std::string(name.substr(0, name.size() - suffix_.size())));
  }
  return found == names_.end() ? nullptr : &found->second;
}

std::optional<Answers> Zone::Find(const Question& question, size_t turn) const {
  if (question.dns_class != kClassIn) return std::nullopt;
  Answers answers;
  const bool any = question.type == kTypeAny;
  if (const auto* const addresses = AddressesOf(question.name)) {
    for (const IpAddress& address : *addresses) {
      if (any || question.type == (address.is_ipv4() ? kTypeA : kTypeAaaa)) {
        answers.addresses.push_back(address);
      }
    }
    if (!answers.addresses.empty()) {
      std::rotate(
          answers.addresses.begin(),
          answers.addresses.begin() + static_cast<std::ptrdiff_t>(turn % answers.addresses.size()),
          answers.addresses.end());
    }
    return answers;
  }
  const auto reverse = AddressOfReverseName(question.name);
  if (!reverse) return std::nullopt;
  const auto host = hosts_.find(*reverse);
  if (host != hosts_.end()) {
    if (any || question.type == kTypePtr) answers.names = {host->second};
    return answers;
  }
  const auto ipv4 = Ipv4::Parse(reverse->ToString());  // Of IPv6 it is none.
  if (!ipv4.ok() || !pool_.Contains(*ipv4)) return std::nullopt;
  answers.rcode = Rcode::kNoSuchName;
  return answers;
}

}  // namespace strata::net
