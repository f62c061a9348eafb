// HostProvider: somebody who lends machines that can be hosts of this cluster: a cloud, a rack that
// is switched on by need, virtual machines (docs/providers.md). The multi-cloud's orchestrator asks
// for no more than this, so what providers differ in stays behind it.
//
// A machine is known by its tag, which Strata chooses before it is asked for. So one whose start
// was broken off is found again, and one that nobody knows is seen.
//
// Used by one thread. Calls may take minutes; kCancelled when `cancel` is set.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/cancel.h"
#include "common/result.h"

namespace strata::vcluster {

inline constexpr size_t kOffersMax = 256;  // Of one provider.
inline constexpr size_t kMachinesMax = 4096;
inline constexpr size_t kProviderTextMax = 256;  // Names, ids, tags.

// A kind of machine that can be had.
struct Offer {
  std::string name;
  double cpus = 0;
  uint64_t memory_bytes = 0;
  uint64_t disk_bytes = 0;
  double price_per_hour = 0;        // In whatever the site counts; the same for all its providers.
  std::vector<std::string> labels;  // That a worker there is started with.
  bool operator==(const Offer&) const = default;
};

struct StartOrder {
  std::string offer;
  std::string tag;
  std::string host;     // What the machine is to be called in the cluster.
  std::string token;    // With which its imaged joins: a secret, good once.
  std::string masters;  // What its worker is started with, as the master's flags say.
  std::vector<std::string> labels;
};

struct Machine {
  std::string id;  // The provider's.
  std::string tag;
  bool operator==(const Machine&) const = default;
};

class HostProvider {
 public:
  virtual ~HostProvider() = default;
  virtual Result<std::vector<Offer>> Offers(const CancelToken& cancel) = 0;
  // The machine's id. It joins later, by itself. After an error it may exist all the same.
  virtual Result<std::string> Start(const StartOrder& order, const CancelToken& cancel) = 0;
  // It costs nothing any more when this returns. Ok when there is no such machine.
  virtual Status Stop(const std::string& id, const CancelToken& cancel) = 0;
  // Those whose tags start with `tag_prefix`, whatever state they are in.
  virtual Result<std::vector<Machine>> Machines(const std::string& tag_prefix,
                                                const CancelToken& cancel) = 0;
};

}  // namespace strata::vcluster
