#include "imaged/peers/cluster_sources.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <tuple>

#include "imaged/peers/host_fetcher.h"

namespace strata::imaged {
namespace {

using Clock = std::chrono::steady_clock;

// For so long one that did not answer is asked last.
constexpr std::chrono::seconds kAvoided{30};

int64_t Now() { return Clock::now().time_since_epoch().count(); }

}  // namespace

// One host's fetcher that remembers how it went.
class ClusterSources::Ranking final : public ObjectFetcher {
 public:
  Ranking(Cluster* cluster, std::string host) : fetcher_(cluster, std::move(host)) {}

  std::string Name() const override { return fetcher_.Name(); }
  Result<uint64_t> SizeOf(const Digest& digest) override {
    auto size = fetcher_.SizeOf(digest);
    Note(size.ok() ? nullptr : &size.error(), /*gave=*/false);
    return size;
  }
  Status Fetch(const Digest& digest, const Sink& sink, const CancelToken& cancel) override {
    Status fetched = fetcher_.Fetch(digest, sink, cancel);
    Note(fetched.ok() ? nullptr : &fetched.error(), /*gave=*/true);
    return fetched;
  }

  // Less is better.
  std::tuple<bool, int64_t> Rank(int64_t now) const {
    const int64_t silent = silent_;
    const int64_t avoided = std::chrono::duration_cast<Clock::duration>(kAvoided).count();
    return {silent != 0 && silent > gave_ && now - silent < avoided, -gave_};
  }

 private:
  void Note(const Error* error, bool gave) {
    if (error == nullptr) {
      if (gave) gave_ = Now();
    } else if (error->code() == Code::kUnavailable || error->code() == Code::kDeadlineExceeded) {
      silent_ = Now();
    }
  }

  HostFetcher fetcher_;
  std::atomic<int64_t> gave_ = 0;    // When it gave an object; 0: never.
  std::atomic<int64_t> silent_ = 0;  // When it did not answer.
};

std::vector<std::shared_ptr<ObjectFetcher>> ClusterSources::Ranked() {
  const auto state = cluster_->State();
  if (!state.ok()) return {};
  std::vector<std::shared_ptr<Ranking>> ranked;
  {
    const std::lock_guard lock(mutex_);
    for (const v1::Host& host : state->list().hosts()) {
      if (host.name() == state->self() || host.address().empty()) continue;
      std::shared_ptr<Ranking>& known = hosts_[host.name()];
      if (known == nullptr) known = std::make_shared<Ranking>(cluster_, host.name());
      ranked.push_back(known);
    }
    std::erase_if(hosts_, [&](const auto& entry) {
      return std::find(ranked.begin(), ranked.end(), entry.second) == ranked.end();
    });
  }
  // Decided once: ranks change while others fetch.
  const int64_t now = Now();
  std::vector<std::pair<std::tuple<bool, int64_t>, std::shared_ptr<ObjectFetcher>>> order;
  for (const auto& host : ranked) order.emplace_back(host->Rank(now), host);
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::shared_ptr<ObjectFetcher>> fetchers;
  for (auto& [rank, fetcher] : order) fetchers.push_back(std::move(fetcher));
  return fetchers;
}

}  // namespace strata::imaged
