// Answerer: what nodes ask, and what they are told: by their network's names, or by the host's
// resolvers. Nobody is asked for more than his share. Of one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "common/rate_bucket.h"
#include "net/dns/control.h"
#include "net/dns/upstream.h"
#include "net/dns/zone.h"

namespace strata::net {

// How much of something there is for one node, one network, and all.
class Shares {
 public:
  using Holder = std::pair<uint32_t, IpAddress>;  // A network's number, and a node of it.

  Shares(size_t node_max, size_t network_max, size_t all_max)
      : node_max_(node_max), network_max_(network_max), all_max_(all_max) {}
  // False: that would be more than one of the three.
  bool Take(const Holder& holder);
  void Give(const Holder& holder);  // REQUIRES: it was taken.

 private:
  const size_t node_max_;
  const size_t network_max_;
  const size_t all_max_;
  size_t all_ = 0;
  std::map<uint32_t, size_t> networks_;
  std::map<Holder, size_t> nodes_;
};

// A network whose nodes ask.
struct ServedNetwork {
  explicit ServedNetwork(const NetworkNames& names)
      : number(names.number),
        link(names.link),
        prefix(names.prefix),
        zone(names.names, names.pool) {}
  // REQUIRES: it is a node's address: what there is one of for each is no more than addresses.
  bool MayAsk(const IpAddress& node, RateBucket::Clock::time_point now);

  const uint32_t number;
  const int link;
  Ipv4Prefix prefix;
  Zone zone;
  size_t turn = 0;  // Of a name's addresses.
  std::map<IpAddress, RateBucket> buckets;
};

class Answerer {
 public:
  // What a node may ask: so often, and so much at once of what resolvers are asked for.
  static constexpr double kPerSecondMax = 1000;
  static constexpr double kBurstMax = 1000;
  static constexpr size_t kPendingOfNodeMax = 64;
  static constexpr size_t kPendingOfNetworkMax = 256;
  static constexpr size_t kPendingMax = 2048;

  // REQUIRES: `loop` outlives it.
  explicit Answerer(EventLoop& loop) : upstream_(loop) {}

  // `reply` is called at most once, now or later.
  void Take(const std::shared_ptr<ServedNetwork>& network, const IpAddress& node,
            std::string_view bytes, bool by_tcp, std::function<void(std::string)> reply);

  Upstream& upstream() { return upstream_; }
  const NameCounts& counts() const { return counts_; }

 private:
  void PassToUpstream(const Shares::Holder& holder, const Query& query, bool by_tcp,
                      std::function<void(std::string)> reply);

  Upstream upstream_;
  Shares pending_{kPendingOfNodeMax, kPendingOfNetworkMax, kPendingMax};
  NameCounts counts_;
};

}  // namespace strata::net
