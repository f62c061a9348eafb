#include "vclusterd/remote/obedience.h"

#include <algorithm>

namespace strata::vcluster {
namespace {

constexpr size_t kHellosKept = 1000;

}  // namespace

uint64_t Obedience::NewNumber() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

Obedience::Obedience(Options options)
    : options_(std::move(options)),
      first_hello_(options_.first_hello),
      last_hello_(first_hello_ - 1),
      heard_(options_.heard.value_or(Clock::time_point())),
      silent_(!options_.heard.has_value()) {}

Status Obedience::CheckMaster(const std::string& host, uint64_t epoch) {
  if (!IsMaster(host)) {
    return Error(Code::kPermissionDenied,
                 "host '" + host + "' is not one of this worker's masters");
  }
  const std::lock_guard lock(mutex_);
  if (epoch < epoch_) {
    return Error(Code::kFailedPrecondition, "there is a later leader than host '" + host + "'");
  }
  epoch_ = epoch;
  return Ok();
}

Result<Obedience::Permit> Obedience::CheckOrder(const std::string& host, uint64_t epoch,
                                                uint64_t hello) {
  Permit permit(obeying_);
  RETURN_IF_ERROR(CheckMaster(host, epoch));
  const std::lock_guard lock(mutex_);
  if (hello < first_hello_ || hello > last_hello_) {
    return Error(Code::kUnavailable, "this order is late: the worker says hello again");
  }
  // It answers a hello whose own answer may come later, or get lost: then that hello was heard. One
  // that is so old that silence would begin at once is not followed: between the two, nodes would
  // go on that may be made anew elsewhere.
  const auto begun = begun_.find(hello);
  if (silent_ &&
      (begun == begun_.end() || options_.now() >= begun->second + options_.fence_after)) {
    return Error(Code::kUnavailable, "this host is silent: the worker says hello again");
  }
  if (begun != begun_.end() && (silent_ || hello == last_hello_)) Take(begun->second);
  return permit;
}

uint64_t Obedience::BeginHello(Clock::time_point begun) {
  const std::lock_guard lock(mutex_);
  last_hello_begun_ = begun;
  begun_[++last_hello_] = begun;
  begun_.erase(begun_.begin(), begun_.lower_bound(first_hello_));
  if (begun_.size() > kHellosKept) begun_.erase(begun_.begin());
  return last_hello_;
}

bool Obedience::HelloTaken(uint64_t hello) {
  const std::lock_guard lock(mutex_);
  if (hello < first_hello_ || hello != last_hello_) return false;
  first_hello_ = hello;
  Take(last_hello_begun_);
  return true;
}

void Obedience::ReportTaken(Clock::time_point begun) {
  const std::lock_guard lock(mutex_);
  if (!silent_) Take(begun);
}

void Obedience::Take(Clock::time_point begun) {
  if (begun > heard_) {
    heard_ = begun;
    options_.keep(begun);
  }
  silent_ = false;
  changed_.notify_all();
}

bool Obedience::IsSilent() const {
  const std::lock_guard lock(mutex_);
  return silent_;
}

Obedience::Clock::time_point Obedience::SilentFrom() const {
  const std::lock_guard lock(mutex_);
  return silent_ ? heard_ : heard_ + options_.fence_after;
}

bool Obedience::FallSilent(Clock::time_point now) {
  const std::unique_lock obeying(obeying_);
  const std::lock_guard lock(mutex_);
  if (silent_ || now < heard_ + options_.fence_after) return false;
  silent_ = true;
  first_hello_ = last_hello_ + 1;
  return true;
}

void Obedience::AwaitSilence(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  if (silent_) {
    changed_.wait(lock, stop, [&] { return !silent_; });
    return;
  }
  const auto due = heard_ + options_.fence_after;
  changed_.wait_until(lock, stop, due, [&] { return heard_ + options_.fence_after != due; });
}

}  // namespace strata::vcluster
