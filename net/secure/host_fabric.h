// HostFabric: a host's part of the encrypted network, with the keys in its state directory
// (net/secure/key_store.h): what is wanted of it says other hosts' public keys alone.
//
// Of the network namespace of the thread that uses it. One call at a time.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/secure/fabric_device.h"
#include "net/secure/key_store.h"

namespace strata::net {

// How it is. Times are since 1970.
struct FabricView {
  struct Peer {
    std::string host;
    Ipv4 address;
    std::optional<Endpoint> endpoint;            // Where it was heard last, or is called.
    std::chrono::nanoseconds last_handshake{0};  // 0: never. Of WireGuard, as what follows.
    uint64_t received_bytes = 0;
    uint64_t sent_bytes = 0;
    bool unreachable = false;  // Both are behind NATs.
  };
  PublicKey key;
  std::optional<PublicKey> next_key;
  std::optional<PublicKey> session;  // Of ESP.
  std::string driver;                // Of WireGuard.
  std::string device;
  uint32_t mtu = 0;
  std::vector<Peer> peers;
};

class HostFabric {
 public:
  struct Options {
    std::string instance;
    std::string state_dir;  // Of the keys, which are made when they are needed.
    std::string run_dir;
    FabricDevice::Choice choice = FabricDevice::Choice::kBest;
  };
  explicit HostFabric(const Options& options);
  // Before a process has many descriptors (net/nft.h).
  Status Start() { return device_.Start(); }

  // What Make would change, in words.
  Result<std::vector<std::string>> Plan(const std::optional<DesiredFabric>& desired);
  // Errors are FabricDevice's and those of the keys. Repeating it after an error is fine.
  Result<std::vector<std::string>> Make(const std::optional<DesiredFabric>& desired);
  // What is for the fabric of the last Make cannot go another way, even if that has failed.
  bool IsSealed() const { return is_sealed_; }
  Result<FabricView> Look(const std::optional<DesiredFabric>& desired);

 private:
  Result<SecureFabric> Wanted(const DesiredFabric& desired, const HostKeys& keys) const;

  const Options options_;
  FabricDevice device_;
  bool is_sealed_ = false;
  bool has_ended_ = false;  // There should be none, and this process has made sure of that.
};

}  // namespace strata::net
