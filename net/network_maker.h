// NetworkMaker: who makes the networks of this host as they should be: a NetworkKeeper of this
// process, or vnetd (net/client/vnetd_client.h).
#pragma once

#include "common/result.h"
#include "net/desired.h"

namespace strata::net {

// What other hosts have to know of this one.
struct FabricKeys {
  PublicKey key;
  std::optional<PublicKey> next_key;
  std::optional<PublicKey> session;  // Of ESP, while there should be a fabric of that.
  bool operator==(const FabricKeys&) const = default;
};

class NetworkMaker {
 public:
  virtual ~NetworkMaker() = default;

  // The host is so when this is Ok, and stays so. Otherwise it is tried again, unless the error is
  // kInvalidArgument, or kFailedPrecondition: somebody else says how it should be. Thread-safe;
  // what the last call said holds.
  virtual Status Put(DesiredNetwork desired) = 0;
  // Whether it makes nodes' links ports of their bridges; otherwise who makes the links does.
  virtual bool JoinsLinks() const = 0;
  // Whether gateways answer nodes' questions for names.
  virtual bool ServesNames() const = 0;
  // Whether nodes have to fill in checksums themselves (net/checksums.h): who makes their links
  // sees to it.
  virtual bool NeedsChecksums() const = 0;
  // The host's public keys of the fabric, which are made when it has none. Thread-safe.
  virtual Result<FabricKeys> KeysOfFabric() = 0;
};

}  // namespace strata::net
