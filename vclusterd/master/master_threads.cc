// The threads that have a master's work done: one for the loop, one for each host.
#include "vclusterd/master/master.h"

namespace strata::vcluster {
namespace {

constexpr std::chrono::milliseconds kBetweenRounds(1);

}  // namespace

void Master::WakeAll() {
  work_.notify_all();
  for (const auto& [name, host] : hosts_) host->wake.notify_all();
}

void Master::Work() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    if (!lead_->Holds()) {
      work_.wait(lock);  // For a beat.
      continue;
    }
    if (const auto next = NextRound(); options_.steady_now() < next) {
      work_.wait_until(lock, next);
      continue;
    }
    Round();
    // A mutex is not fair: with always something to do nobody else would get it.
    work_.wait_for(lock, kBetweenRounds);
  }
}

// Tells one host what is posted for it, as long as it is there.
void Master::Send(const std::shared_ptr<Host>& host) {
  std::unique_lock lock(mutex_);
  while (!host->removed) {
    if (host->outbox.empty() || !lead_->Holds()) {
      host->wake.wait(lock);
      continue;
    }
    const Dispatch dispatch = TakeFrom(*host);
    lock.unlock();
    const auto answer = dispatch.link->Apply(dispatch.orders);
    lock.lock();
    HearAnswer(dispatch, answer);
  }
}

}  // namespace strata::vcluster
