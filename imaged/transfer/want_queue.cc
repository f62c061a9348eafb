#include "imaged/transfer/want_queue.h"

#include <utility>

#include "imaged/transfer/limits.h"

namespace strata::imaged::transfer {
namespace {

constexpr size_t kWindowObjects = 4096;
constexpr uint64_t kWindowBytes = 128 * kMiB;

std::string Bytes(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.bytes().data()), Digest::kSize};
}

}  // namespace

WantQueue::WantQueue(std::vector<WantedObject> objects, Prepare prepare)
    : prepare_(std::move(prepare)),
      queue_(std::make_move_iterator(objects.begin()), std::make_move_iterator(objects.end())) {}

Result<std::optional<v1::Wants>> WantQueue::Next() {
  // In halves of the window, so that messages (and the bundles made of them) stay large.
  if (queue_.empty() || outstanding_.size() > kWindowObjects / 2 ||
      outstanding_bytes_ > kWindowBytes / 2) {
    return std::optional<v1::Wants>();
  }
  v1::Wants wants;
  while (!queue_.empty() && static_cast<size_t>(wants.wants_size()) < kWantsPerMessageMax) {
    const uint64_t size = queue_.front().size_bytes;
    if (wants.wants_size() > 0 && outstanding_bytes_ + size > kWindowBytes) break;
    ASSIGN_OR_RETURN(Outstanding outstanding, prepare_(queue_.front()));
    queue_.pop_front();
    v1::Want& want = *wants.add_wants();
    want.set_digest(Bytes(outstanding.object.digest));
    want.set_size_bytes(size);
    if (outstanding.object.base) want.set_base(Bytes(*outstanding.object.base));
    if (outstanding.partial != nullptr) outstanding.arrived = outstanding.partial->size();
    want.set_offset(outstanding.arrived);
    if (outstanding.plan != nullptr) {
      outstanding.plan->StartAt(outstanding.arrived);
      want.set_chunked(true);
    }
    want.set_grouped(outstanding.grouped);
    outstanding_bytes_ += size - outstanding.arrived;
    outstanding_.emplace(next_number_++, std::move(outstanding));
  }
  return std::optional(std::move(wants));
}

Result<Outstanding*> WantQueue::Find(uint64_t number) {
  const auto found = outstanding_.find(number);
  if (found != outstanding_.end()) return &found->second;
  return Error(Code::kCorrupt, number < next_number_
                                   ? "the sender answers want " + std::to_string(number) + " again"
                                   : "the sender answers a want that was not sent");
}

void WantQueue::Arrived(Outstanding* outstanding, uint64_t bytes) {
  outstanding->arrived += bytes;
  outstanding_bytes_ -= bytes;
}

void WantQueue::Resolve(uint64_t number) {
  const auto found = outstanding_.find(number);
  outstanding_bytes_ -= found->second.object.size_bytes - found->second.arrived;
  outstanding_.erase(found);
}

void WantQueue::AskAgain(uint64_t number, WantedObject object) {
  Resolve(number);
  queue_.push_front(std::move(object));
}

}  // namespace strata::imaged::transfer
