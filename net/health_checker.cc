#include <arpa/inet.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "common/log.h"
#include "net/health.h"

namespace strata::net {
namespace {

constexpr size_t kChecksMax = 200;  // At once: each is a descriptor.

using Clock = TargetHealth::Clock;

// Invalid: it could not be tried. It is connected when it can be written to.
UniqueFd StartConnecting(const TargetAddress& target) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return fd;
  // Its end is a reset: nothing lingers here, thousands of times a day.
  const linger at_once = {1, 0};
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(target.second);
  to.sin_addr.s_addr = htonl(target.first.value);
  // What fails at once shows when it is asked for its error, as what fails later.
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0 &&
      (errno == EAGAIN || errno == EADDRNOTAVAIL || errno == ENOBUFS)) {
    fd.reset();
  }
  return fd;
}

bool IsConnected(const UniqueFd& fd) {
  sockaddr_in peer = {};
  socklen_t size = sizeof(peer);
  return ::getpeername(fd.get(), reinterpret_cast<sockaddr*>(&peer), &size) == 0;
}

bool HasEnded(const UniqueFd& fd) {
  pollfd entry = {fd.get(), POLLOUT, 0};
  return ::poll(&entry, 1, 0) == 1;
}

}  // namespace

Result<std::unique_ptr<HealthChecker>> HealthChecker::Open(HealthOptions options,
                                                           std::function<void()> changed) {
  std::unique_ptr<HealthChecker> checker(new HealthChecker(options, std::move(changed)));
  checker->wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!checker->wake_.valid()) return Errno("eventfd");
  checker->thread_ = std::thread([raw = checker.get()] { raw->Run(); });
  return checker;
}

HealthChecker::~HealthChecker() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  Wake();
  thread_.join();
}

void HealthChecker::Watch(const std::set<TargetAddress>& targets) {
  {
    const std::lock_guard lock(mutex_);
    health_.Watch(targets, Clock::now());
  }
  Wake();
}

std::set<TargetAddress> HealthChecker::Down() const {
  const std::lock_guard lock(mutex_);
  return health_.Down();
}

void HealthChecker::Wake() const {
  const uint64_t one = 1;
  if (::write(wake_.get(), &one, sizeof(one)) < 0) LOG_ERROR(Errno("eventfd").message());
}

void HealthChecker::Begin(std::vector<Check>* checks) {
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  for (const TargetAddress& target : health_.Start(now, kChecksMax - checks->size())) {
    UniqueFd fd = StartConnecting(target);
    if (!fd.valid()) {
      health_.NoteNothing(target, now);
      continue;
    }
    checks->push_back({target, std::move(fd), now + options_.timeout});
  }
}

bool HealthChecker::End(std::vector<Check>* checks) {
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  bool changed = false;
  std::erase_if(*checks, [&](const Check& check) {
    if (!HasEnded(check.fd) && now < check.until) return false;
    changed |= health_.Note(check.target, IsConnected(check.fd), now);
    return true;
  });
  return changed;
}

void HealthChecker::Wait(const std::vector<Check>& checks) const {
  auto until = Clock::now() + std::chrono::hours(1);
  std::vector<pollfd> entries = {{wake_.get(), POLLIN, 0}};
  for (const Check& check : checks) {
    entries.push_back({check.fd.get(), POLLOUT, 0});
    until = std::min(until, check.until);
  }
  if (checks.size() < kChecksMax) {
    const std::lock_guard lock(mutex_);
    until = std::min(until, health_.Next());
  }
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
  (void)::poll(entries.data(), entries.size(), static_cast<int>(std::max<int64_t>(left, 0)));
  uint64_t count = 0;
  if (::read(wake_.get(), &count, sizeof(count)) < 0 && errno != EAGAIN) {
    LOG_ERROR(Errno("eventfd").message());
  }
}

void HealthChecker::Run() {
  std::vector<Check> checks;
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      if (stop_) return;
    }
    Begin(&checks);
    Wait(checks);
    if (End(&checks)) changed_();
  }
}

}  // namespace strata::net
