#include "layerfs/objects/fetch_queue.h"

#include <algorithm>

#include "common/log.h"

namespace strata::layerfs {

FetchQueue::~FetchQueue() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const auto& [digest, flight] : flights_) flight->cancel.Cancel();
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

FetchQueue::FlightPtr FetchQueue::FindFlight(const Digest& digest, bool verify) const {
  const auto [first, last] = flights_.equal_range(digest);
  for (auto it = first; it != last; ++it) {
    // One that nobody waits for any more was told to stop: its answer is no answer.
    if ((it->second->verify || !verify) && !it->second->cancel.cancelled()) return it->second;
  }
  return nullptr;
}

FetchQueue::Ticket FetchQueue::Join(const Digest& digest, bool verify, Done done) {
  const std::lock_guard lock(mutex_);
  const Ticket ticket = next_ticket_++;
  FlightPtr flight = FindFlight(digest, verify);
  if (flight == nullptr) {
    flight = std::make_shared<Flight>();
    flight->digest = digest;
    flight->verify = verify;
    flights_.emplace(digest, flight);
    pending_.push_back(flight);
    if (idle_ < pending_.size() && threads_.size() < threads_max_) {
      threads_.emplace_back([this] { Work(); });
    }
    wake_.notify_one();
  }
  flight->waiters.push_back({ticket, std::move(done)});
  tickets_.emplace(ticket, flight);
  return ticket;
}

bool FetchQueue::Leave(Ticket ticket) {
  Waiter left;  // Destroyed without the lock.
  const std::lock_guard lock(mutex_);
  const auto found = tickets_.find(ticket);
  if (found == tickets_.end()) return false;
  Flight& flight = *found->second;
  const auto waiter = std::find_if(flight.waiters.begin(), flight.waiters.end(),
                                   [&](const Waiter& each) { return each.ticket == ticket; });
  left = std::move(*waiter);
  flight.waiters.erase(waiter);
  if (flight.waiters.empty()) flight.cancel.Cancel();
  tickets_.erase(found);
  return true;
}

void FetchQueue::Finish(const FlightPtr& flight, const Status& status) {
  std::vector<Waiter> waiters;
  {
    const std::lock_guard lock(mutex_);
    const auto [first, last] = flights_.equal_range(flight->digest);
    const auto own =
        std::find_if(first, last, [&](const auto& each) { return each.second == flight; });
    flights_.erase(own);
    waiters.swap(flight->waiters);
    for (const Waiter& waiter : waiters) tickets_.erase(waiter.ticket);
  }
  if (!status.ok() && status.error().code() != Code::kCancelled) {
    LOG_ERROR("object " + flight->digest.ToString() +
              " cannot be had, its readers get EIO: " + status.error().message());
  }
  for (const Waiter& waiter : waiters) waiter.done(status);
}

void FetchQueue::Work() {
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_;
    wake_.wait(lock, [this] { return stopping_ || !pending_.empty(); });
    --idle_;
    if (pending_.empty()) return;  // Stopping.
    const FlightPtr flight = std::move(pending_.front());
    pending_.pop_front();
    lock.unlock();
    Status status = flight->cancel.Check();
    if (status.ok()) status = source_.Provide(flight->digest, flight->verify, flight->cancel);
    Finish(flight, status);
    lock.lock();
  }
}

}  // namespace strata::layerfs
