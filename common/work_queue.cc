#include "common/work_queue.h"

namespace strata {

void WorkQueue::Push(Work work, std::chrono::nanoseconds delay) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  waiting_.emplace(Due(Clock::now() + delay, pushed_++), std::move(work));
  StartThread();
  changed_.notify_one();
}

// A thread that waits watches over all that is waiting, whenever it is due; one that takes a piece
// leaves that to another. So pieces with a delay take no thread each.
void WorkQueue::StartThread() {
  if (waiting_.empty() || idle_ != 0 || threads_.size() >= threads_max_) return;
  ++idle_;  // Until it looks for something to do.
  threads_.emplace_back([this] { Run(); });
}

void WorkQueue::Close() {
  std::vector<std::thread> threads;
  std::map<Due, Work> dropped;  // Destroyed without the lock: work may own anything.
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    dropped.swap(waiting_);
    threads.swap(threads_);
    changed_.notify_all();
  }
  for (std::thread& thread : threads) thread.join();
}

void WorkQueue::Run() {
  std::unique_lock lock(mutex_);
  --idle_;
  while (!closed_) {
    if (waiting_.empty()) {
      ++idle_;
      changed_.wait(lock);
      --idle_;
      continue;
    }
    const auto first = waiting_.begin();
    if (const auto due = first->first.first; due > Clock::now()) {
      ++idle_;
      changed_.wait_until(lock, due);
      --idle_;
      continue;
    }
    Work work = std::move(first->second);
    waiting_.erase(first);
    StartThread();
    lock.unlock();
    work();
    work = nullptr;
    lock.lock();
  }
}

}  // namespace strata
