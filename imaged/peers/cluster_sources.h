// ClusterSources: all other hosts of the cluster as places to fetch objects from, the best first:
// who gave something last, then those not tried, and last those that did not answer just now.
//
// Thread-safe. Asks nobody by itself.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "imaged/fetch/object_fetcher.h"
#include "imaged/peers/cluster.h"

namespace strata::imaged {

class ClusterSources {
 public:
  // `cluster` must outlive this and the fetchers.
  explicit ClusterSources(Cluster* cluster) : cluster_(cluster) {}

  // Empty when this host is in no cluster.
  std::vector<std::shared_ptr<ObjectFetcher>> Ranked();

 private:
  class Ranking;

  Cluster* const cluster_;
  std::mutex mutex_;  // Guards hosts_ (the map).
  std::map<std::string, std::shared_ptr<Ranking>> hosts_;
};

}  // namespace strata::imaged
