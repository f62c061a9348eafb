#include "imaged/client/root_batches.h"

namespace strata::imaged {

Result<AcquiredRoot> RootBatches::Acquire(const std::string& reference, uint32_t uid,
                                          const std::string& lease) {
  const std::pair key(reference, uid);
  std::unique_lock lock(mutex_);
  ++waiting_;
  changed_.wait(lock, [&] {
    const auto found = queues_.find(key);
    return found == queues_.end() || found->second.next == nullptr ||
           found->second.next->leases.size() < kLeasesMax;
  });
  Queue& queue = queues_[key];
  const bool is_first = queue.next == nullptr;
  if (is_first) queue.next = std::make_shared<Batch>();
  const std::shared_ptr<Batch> batch = queue.next;
  batch->leases.push_back(lease);
  if (!is_first) {
    changed_.wait(lock, [&] { return batch->answer.has_value(); });
    if (batch->answer->ok()) return *batch->answer;
    lock.unlock();
    return call_(reference, uid, {lease});  // What is wrong may be with another's lease.
  }
  changed_.wait(lock, [&] { return !queue.calls; });
  queue.calls = true;
  queue.next = nullptr;
  waiting_ -= batch->leases.size();
  changed_.notify_all();  // There is room in the next one.
  lock.unlock();
  Result<AcquiredRoot> answer = call_(reference, uid, batch->leases);
  lock.lock();
  batch->answer = answer;
  queue.calls = false;
  if (queue.next == nullptr) queues_.erase(key);
  changed_.notify_all();
  const bool alone = batch->leases.size() == 1;
  lock.unlock();
  return answer.ok() || alone ? answer : call_(reference, uid, {lease});
}

size_t RootBatches::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_;
}

}  // namespace strata::imaged
