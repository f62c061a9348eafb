// ClusterWatch: tells an EventFeed when a Vcluster is made, changes, or is gone, as the master that
// leads sees it. What every look changes (what nodes use) is no change.
//
// Thread-safe.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "vclusterd/rest/event_feed.h"
#include "vclusterd/rest/services.h"

namespace strata::vcluster::rest {

class ClusterWatch {
 public:
  // `feed` must outlive this.
  ClusterWatch(ClustersSource clusters, EventFeed& feed);

 private:
  struct Known {
    Target target;
    std::string summary;  // As it was told last.
  };

  void Run(const std::stop_token& stop);
  void Look(Clusters& clusters, const Master::Changes& changes);

  const ClustersSource clusters_;
  EventFeed& feed_;
  Master::Moment seen_;   // Of the thread, as what follows.
  bool is_first_ = true;  // What is there at the beginning is no event.
  std::map<uint32_t, Known> known_;
  std::mutex mutex_;  // For wake_ alone.
  std::condition_variable_any wake_;
  std::jthread thread_;  // Last: it uses the others.
};

}  // namespace strata::vcluster::rest
