#include "vclusterd/rest/cluster_watch.h"

#include <set>

#include "vclusterd/rest/vcluster_json.h"

namespace strata::vcluster::rest {
namespace {

// How long a master that steps down waits for us, and how soon the next one is found.
constexpr std::chrono::milliseconds kPause(500);

}  // namespace

ClusterWatch::ClusterWatch(ClustersSource clusters, EventFeed& feed)
    : clusters_(std::move(clusters)),
      feed_(feed),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

void ClusterWatch::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    bool is_over = true;
    if (const auto clusters = clusters_(); clusters.ok()) {
      const auto changes = (*clusters)->AwaitChanges(seen_, kPause);
      is_over = !changes.ok();
      if (changes.ok()) Look(**clusters, *changes);
    }
    if (!is_over) continue;
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, stop, kPause, [] { return false; });
  }
}

void ClusterWatch::Look(Clusters& clusters, const Master::Changes& changes) {
  std::set<uint32_t> numbers(changes.numbers.begin(), changes.numbers.end());
  if (changes.until.epoch != seen_.epoch) {
    // What was deleted while another led, this master has never known.
    for (const auto& [number, known] : known_) numbers.insert(number);
  }
  seen_ = changes.until;
  for (const uint32_t number : numbers) {
    const std::optional<ClusterView> view = clusters.Glance(number);
    if (!view.has_value()) {
      const auto known = known_.find(number);
      if (known == known_.end()) continue;
      FeedEvent event;
      event.type = "vcluster.deleted";
      event.data = Json{{"name", known->second.target.name}}.dump();
      event.target = known->second.target;
      feed_.Publish(std::move(event));
      known_.erase(known);
      continue;
    }
    std::string summary = SummaryJson(*view).dump(-1, ' ', false, Json::error_handler_t::replace);
    Known& known = known_[number];
    if (known.summary == summary) continue;
    known.target = clusters.TargetOf(view->owner_uid, view->name);
    known.summary = std::move(summary);
    if (is_first_) continue;
    FeedEvent event;
    event.type = "vcluster.changed";
    event.data = known.summary;
    event.target = known.target;
    feed_.Publish(std::move(event));
  }
  is_first_ = false;
}

}  // namespace strata::vcluster::rest
