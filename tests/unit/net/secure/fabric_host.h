// Hosts of a test that have a fabric, and what can be seen of it from outside.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/secure/fabric_device.h"
#include "tests/unit/net/test_host.h"

namespace strata::net {

// On the driver that STRATA_TEST_FABRIC names: "kernel", or "wireguard-go" (when it is not set).
bool IsKernelUnderTest();

class FabricHost : public TestHost {
 public:
  // Its fabric address is 10.88.0.NUMBER; its instance is of this process alone.
  explicit FabricHost(int number);
  // No fabric, and nothing left of one.
  ~FabricHost();

  std::unique_ptr<FabricDevice> NewDevice() const;
  Result<std::vector<std::string>> TryMake();
  // What was changed; a failure of the test when it cannot be.
  std::vector<std::string> Make();
  bool IsMade();  // Nothing is left to do.
  // As others see it: called at `endpoint`, unless that is "".
  FabricPeer AsPeer(const std::string& endpoint) const;
  // Processes that serve its device.
  std::vector<pid_t> Processes() const;
  bool HasLink() const;

  SecureFabric fabric;
  std::unique_ptr<FabricDevice> device;
  std::string run_dir;
};

// Ends a process and waits until it is gone, and all that it had open is closed.
void KillAndAwait(pid_t pid);

// All frames that pass a link of a namespace.
class Wire {
 public:
  Wire(const NetNamespace& space, const std::string& link);
  // Since the last call.
  std::vector<std::string> Take() const;

 private:
  UniqueFd fd_;
};

// Frames that are neither ARP nor of the kind: UDP from and to kFabricPort, or ESP.
std::vector<std::string> PlainOf(const std::vector<std::string>& frames,
                                 FabricKind kind = FabricKind::kWireguard);
size_t CountWith(const std::vector<std::string>& frames, const std::string& text);

}  // namespace strata::net
