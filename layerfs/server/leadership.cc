#include "layerfs/server/leadership.h"

namespace strata::layerfs {
namespace {

bool IsBusy(uint64_t lead) { return (lead & 1) != 0; }

}  // namespace

bool Leadership::Take(Turn* turn) {
  turn->held_ = 0;
  turn->helps_ = false;
  std::unique_lock lock(mutex_);
  ++followers_;
  bool reads = false;
  while (!ended_ && !reads) {
    if (vacant_) {
      vacant_ = false;
      turn->held_ = lead_.load();
      reads = true;
    } else if (helpers_called_ > 0) {
      --helpers_called_;
      turn->helps_ = true;
      reads = true;
    } else if (watcher_called_ || (unwatched_.load() && IsBusy(lead_.load()))) {
      reads = Watch(turn, lock);
    } else {
      wake_.wait(lock);
    }
  }
  --followers_;
  return !ended_;
}

bool Leadership::Watch(Turn* turn, std::unique_lock<std::mutex>& lock) {
  watcher_called_ = false;
  unwatched_.store(false);
  uint64_t seen = lead_.load();
  while (true) {
    if (wake_.wait_for(lock, patience_, [this] { return HasWork(); })) break;
    uint64_t now = lead_.load();
    if (now == seen && IsBusy(now) && lead_.compare_exchange_strong(now, now + 1)) {
      turn->held_ = now + 1;
      break;
    }
    if (now == seen && !IsBusy(now)) {
      // Nothing has come for a while. A request that comes now sees that nobody watches, or is
      // seen here.
      unwatched_.store(true);
      if (lead_.load() == seen) return false;
      unwatched_.store(false);
    }
    seen = now;
  }
  if (!turn->leads() && followers_ > 1 && !ended_) {
    // This one is needed elsewhere: another watches.
    watcher_called_ = true;
    wake_.notify_one();
  } else {
    unwatched_.store(true);
  }
  return turn->leads();
}

void Leadership::Begin(Turn* turn, bool at_once) {
  if (!turn->leads()) return;
  lead_.store(++turn->held_);
  if (threads_ == 1) return;
  if (unwatched_.load()) CallWatcher();
  turn->at_once_ = at_once ? turn->at_once_ + 1 : 0;
  if (turn->at_once_ >= kQueue) {
    turn->at_once_ = 0;
    CallHelper();
  }
}

void Leadership::CallWatcher() {
  const std::lock_guard lock(mutex_);
  if (followers_ == 0 || !unwatched_.load()) return;
  watcher_called_ = true;
  unwatched_.store(false);
  wake_.notify_one();
}

void Leadership::CallHelper() {
  const std::lock_guard lock(mutex_);
  if (followers_ <= helpers_called_) return;
  ++helpers_called_;
  wake_.notify_one();
}

bool Leadership::KeepLead(Turn* turn) {
  if (!turn->leads()) return false;
  uint64_t held = turn->held_;
  if (lead_.compare_exchange_strong(held, held + 1)) {
    ++turn->held_;
    return true;
  }
  turn->held_ = 0;
  return false;
}

void Leadership::StandAside(Turn* turn) {
  if (threads_ == 1 || !KeepLead(turn)) return;
  turn->held_ = 0;
  const std::lock_guard lock(mutex_);
  vacant_ = true;
  wake_.notify_one();
}

void Leadership::End() {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  wake_.notify_all();
}

}  // namespace strata::layerfs
