// FabricBook: the encrypted network of the hosts as the master sees it: which address each has in
// it, what each is told of the others, and whether it has it so. Records are the host book's; this
// says how they should change, and remembers what hosts have said since this master leads.
//
// New keys: a host that is to have another key makes it and says so; when every other host has
// confirmed that it knows both, it is told to use it; when it says that it does, the old one goes.
// A host that is away puts that off.
//
// Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "common/result.h"
#include "net/ipv4.h"
#include "vclusterd/api/fabric.pb.h"
#include "vclusterd/master/host_book.h"

namespace strata::vcluster {

struct FabricOptions {
  bool esp = false;  // Instead of WireGuard.
  net::Ipv4Prefix prefix;
};

class FabricBook {
 public:
  // Without options there is no fabric.
  explicit FabricBook(std::optional<FabricOptions> options) : options_(options) {}
  // Orders of a later lead are later ones.
  void Begin(uint64_t epoch) { revision_ = epoch << 32; }

  bool is_on() const { return options_.has_value(); }
  // Of what is between fabric addresses, or, when there is no fabric, the hosts' own.
  uint32_t MtuOver(uint32_t underlay_mtu) const;

  // The record of a host that has said this. kResourceExhausted: there is no address for it.
  Result<master::v1::Host> Heard(const std::string& host, const host::v1::FabricReport& report,
                                 const HostBook& book);
  // What it has to be told; nullopt: it has it so. REQUIRES: its record is as Heard says.
  std::optional<host::v1::FabricOrder> OrderFor(const std::string& host, const HostBook& book);
  // Why no node can be on it; "" when some can.
  std::string Problem(const std::string& host, const HostBook& book) const;
  // Hosts that it can never reach: it and they are behind NATs.
  std::set<std::string> UnreachableFrom(const std::string& host, const HostBook& book) const;
  // It has begun anew, or is not there: what it has said does not count.
  void Forget(const std::string& host) { said_.erase(host); }

 private:
  struct Said {
    host::v1::FabricReport report;
    host::v1::FabricOrder told;  // As it was told last; its revision.
    bool has_made = false;       // Some order of this lead.
    std::set<std::string> keys;  // Others', of the last order that it has carried out.
  };
  host::v1::FabricOrder Order(const std::string& host, const HostBook& book) const;
  bool OthersKnow(const std::string& host, const std::string& key, const HostBook& book) const;
  static bool Takes(const HostBook& book, const std::string& host);

  const std::optional<FabricOptions> options_;
  uint64_t revision_ = 0;
  std::map<std::string, Said> said_;
};

}  // namespace strata::vcluster
