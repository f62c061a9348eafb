#include "tests/sim/fiber.h"

namespace strata::sim {
namespace {

thread_local Fiber* current = nullptr;

}  // namespace

void Fiber::AwaitTurn(Turn turn) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return turn_ == turn; });
}

void Fiber::GiveTurn(Turn turn) {
  const std::lock_guard lock(mutex_);
  turn_ = turn;
  changed_.notify_all();
}

bool Fiber::Resume() {
  if (ended_) return false;
  if (!thread_.joinable()) {
    thread_ = std::thread([this] {
      AwaitTurn(Turn::kFiber);
      current = this;
      work_();
      ended_ = true;
      GiveTurn(Turn::kCaller);
    });
  }
  GiveTurn(Turn::kFiber);
  AwaitTurn(Turn::kCaller);
  return !ended_;
}

void Fiber::Wait() {
  if (current == nullptr) return;
  Fiber& self = *current;
  self.GiveTurn(Turn::kCaller);
  self.AwaitTurn(Turn::kFiber);
}

}  // namespace strata::sim
