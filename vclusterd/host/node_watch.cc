#include "vclusterd/host/node_watch.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/file_io.h"
#include "common/log.h"

namespace strata::vcluster {
namespace {

// include/uapi/linux/pidfd.h of Linux 6.15, first published size.
struct PidfdInfo {
  uint64_t mask;
  uint64_t cgroup_id;
  uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
  int32_t exit_code;
};
static_assert(sizeof(PidfdInfo) == 64);
constexpr uint64_t kPidfdInfoExit = 1u << 3;
constexpr unsigned long kPidfdGetInfo = _IOWR(0xFF, 11, PidfdInfo);

}  // namespace

std::optional<int> ExitStatus(const UniqueFd& pid_fd) {
  PidfdInfo info = {};
  info.mask = kPidfdInfoExit;
  if (!pid_fd.valid() || ::ioctl(pid_fd.get(), kPidfdGetInfo, &info) != 0) return std::nullopt;
  if ((info.mask & kPidfdInfoExit) == 0) return std::nullopt;
  return info.exit_code;
}

Result<std::unique_ptr<NodeWatch>> NodeWatch::Start(Ended ended) {
  std::unique_ptr<NodeWatch> watch(new NodeWatch(std::move(ended)));
  watch->epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  watch->stop_ = UniqueFd(::eventfd(0, EFD_CLOEXEC));
  if (!watch->epoll_.valid() || !watch->stop_.valid()) return Errno("epoll_create1");
  epoll_event event = {.events = EPOLLIN, .data = {.u64 = 0}};
  if (::epoll_ctl(watch->epoll_.get(), EPOLL_CTL_ADD, watch->stop_.get(), &event) != 0) {
    return Errno("epoll_ctl");
  }
  watch->thread_ = std::thread([raw = watch.get()] { raw->Run(); });
  return watch;
}

NodeWatch::~NodeWatch() {
  if (!thread_.joinable()) return;
  const uint64_t one = 1;
  if (::write(stop_.get(), &one, sizeof(one)) != sizeof(one))
    LOG_ERROR("eventfd cannot be written");
  thread_.join();
}

Status NodeWatch::Add(const std::string& id, const ProcessId& init) {
  auto pid_fd = OpenProcess(init);
  if (!pid_fd.ok()) {
    if (pid_fd.error().code() != Code::kNotFound) return pid_fd.error();
    ended_(id, init, UniqueFd());
    return Ok();
  }
  const std::lock_guard lock(mutex_);
  const uint64_t key = next_++;
  epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data = {.u64 = key}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, pid_fd->get(), &event) != 0) {
    return Errno("epoll_ctl");
  }
  watched_.emplace(key, Watched{id, init, std::move(*pid_fd)});
  return Ok();
}

void NodeWatch::Tell(uint64_t key) {
  Watched watched;
  {
    const std::lock_guard lock(mutex_);
    const auto found = watched_.find(key);
    if (found == watched_.end()) return;
    watched = std::move(found->second);
    watched_.erase(found);
  }
  ended_(watched.id, watched.init, std::move(watched.pid_fd));
}

void NodeWatch::Run() {
  while (true) {
    epoll_event events[64];
    const int n = ::epoll_wait(epoll_.get(), events, 64, -1);
    if (n < 0 && errno != EINTR) {
      LOG_ERROR(Errno("epoll_wait").message());
      return;
    }
    for (int i = 0; i < n; ++i) {
      if (events[i].data.u64 == 0) return;
      Tell(events[i].data.u64);
    }
  }
}

}  // namespace strata::vcluster
