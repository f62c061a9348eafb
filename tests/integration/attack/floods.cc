// Floods: each takes as much as it gets. The first argument is what would show that nothing holds.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <vector>

#include "tests/integration/attack/report.h"

namespace attack {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kMiB = 1u << 20;

void Spin(Clock::time_point end) {
  while (Clock::now() < end) {
  }
  ::_exit(0);
}

void Hold(uint64_t seconds) { ::poll(nullptr, 0, static_cast<int>(seconds) * 1000); }

}  // namespace

// forks MAX SECONDS: children that burn CPU until the end, replaced when they die.
void Forks(const Arguments& arguments, Report* report) {
  const uint64_t max = arguments.Number(0, 20'000);
  const auto end = Clock::now() + std::chrono::seconds(arguments.Number(1, 2));
  std::vector<pid_t> children;
  int error = 0;
  while (Clock::now() < end && children.size() < max) {
    const pid_t pid = ::fork();
    if (pid == 0) Spin(end);
    if (pid < 0) {
      error = errno;
      break;
    }
    children.push_back(pid);
  }
  // What was refused is asked for again and again: the bomb goes on.
  while (Clock::now() < end && error != 0) {
    const pid_t pid = ::fork();
    if (pid == 0) Spin(end);
    if (pid > 0) children.push_back(pid);
  }
  for (const pid_t pid : children) ::kill(pid, SIGKILL);
  while (::wait(nullptr) > 0) {
  }
  children.size() >= max
      ? report->Breach("forks: " + std::to_string(children.size()) + " processes at once")
      : report->Bounded("forks", children.size());
}

// memory MAX_MIB: touches memory until it is killed for it.
void Memory(const Arguments& arguments, Report* report) {
  const uint64_t max = arguments.Number(0, 4096) * kMiB;
  uint64_t* const got = static_cast<uint64_t*>(
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  const pid_t pid = ::fork();
  if (pid == 0) {
    while (*got < max) {
      void* const block = ::mmap(nullptr, kMiB, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
      if (block == MAP_FAILED) ::_exit(1);
      std::memset(block, 0x5a, kMiB);
      *got += kMiB;
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  WIFEXITED(status) && WEXITSTATUS(status) == 0
      ? report->Breach("memory: " + std::to_string(*got / kMiB) + " MiB and nobody minds")
      : report->Bounded("MiB of memory until it was killed", *got / kMiB);
}

// disk MAX_MIB: one file, until the disk is full.
void Disk(const Arguments& arguments, Report* report) {
  const uint64_t max = arguments.Number(0, 4096) * kMiB;
  const int fd = ::open("/flood-file", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return report->Refused("disk", errno);
  const std::vector<char> block(kMiB, 'x');
  uint64_t written = 0;
  int error = 0;
  while (written < max && error == 0) {
    const ssize_t n = ::write(fd, block.data(), block.size());
    n < 0 ? static_cast<void>(error = errno) : static_cast<void>(written += n);
  }
  if (::fsync(fd) != 0 && error == 0) error = errno;
  ::close(fd);
  ::unlink("/flood-file");
  error == 0
      ? report->Breach("disk: " + std::to_string(written / kMiB) + " MiB")
      : report->Bounded(std::string("MiB of disk (") + std::strerror(error) + ")", written / kMiB);
}

// inodes MAX: empty files.
void Inodes(const Arguments& arguments, Report* report) {
  const uint64_t max = arguments.Number(0, 1'000'000);
  uint64_t made = 0;
  int error = 0;
  while (made < max && error == 0) {
    const std::string directory = "/flood-" + std::to_string(made / 10'000);
    if (made % 10'000 == 0 && ::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
      error = errno;
      break;
    }
    const std::string path = directory + "/" + std::to_string(made);
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) error = errno;
    ::close(fd);
    if (error == 0) ++made;
  }
  error == 0 ? report->Breach("inodes: " + std::to_string(made))
             : report->Bounded(std::string("inodes (") + std::strerror(error) + ")", made);
}

// output MIB: to standard output, which whoever started this has to take.
void Output(const Arguments& arguments, Report* report) {
  const std::string line(kMiB, '!');
  for (uint64_t i = arguments.Number(0, 64); i > 0; --i) {
    if (::write(1, line.data(), line.size()) < 0) break;
  }
  (void)report;
}

// inotify MAX: instances, as many users.
void Inotify(const Arguments& arguments, Report* report) {
  const uint64_t max = arguments.Number(0, 4096);
  std::vector<int> instances;
  int error = 0;
  for (uid_t uid = 0; instances.size() < max && uid < 64; ++uid) {
    if (::setresuid(uid, uid, 0) != 0) break;
    while (instances.size() < max) {
      const int fd = ::inotify_init1(IN_CLOEXEC);
      if (fd < 0) {
        error = errno;
        break;
      }
      instances.push_back(fd);
    }
    if (::setresuid(0, 0, 0) != 0) break;
  }
  instances.size() >= max
      ? report->Breach("inotify: " + std::to_string(instances.size()))
      : report->Bounded(std::string("inotify instances (") + std::strerror(error) + ")",
                        instances.size());
  // Held, so that somebody can look what is left for others.
  Hold(arguments.Number(1));
}

// timers MAX SECONDS: held for so long. Each is a queued signal to the kernel.
void Timers(const Arguments& arguments, Report* report) {
  const uint64_t max = arguments.Number(0, 1'000'000);
  sigevent event = {};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGRTMIN;
  uint64_t made = 0;
  timer_t timer;
  while (made < max && ::timer_create(CLOCK_MONOTONIC, &event, &timer) == 0) ++made;
  const int error = errno;
  made >= max ? report->Breach("timers: " + std::to_string(made))
              : report->Bounded(std::string("timers (") + std::strerror(error) + ")", made);
  Hold(arguments.Number(1));
}

// namespaces MAX: networks of their own, held by processes.
void Namespaces(const Arguments& arguments, Report* report) {
  const uint64_t max = arguments.Number(0, 10'000);
  std::vector<pid_t> holders;
  int error = 0;
  int answers[2];
  if (::pipe(answers) != 0) return;
  while (holders.size() < max && error == 0) {
    const pid_t pid = ::fork();
    if (pid < 0) {
      error = errno;
      break;
    }
    if (pid == 0) {
      const int failed = ::unshare(CLONE_NEWNET) != 0 ? errno : 0;
      if (::write(answers[1], &failed, sizeof(failed)) < 0) ::_exit(1);
      ::pause();
      ::_exit(0);
    }
    holders.push_back(pid);
    if (::read(answers[0], &error, sizeof(error)) < 0) break;
  }
  for (const pid_t pid : holders) ::kill(pid, SIGKILL);
  while (::wait(nullptr) > 0) {
  }
  holders.size() >= max
      ? report->Breach("namespaces: " + std::to_string(holders.size()))
      : report->Bounded(std::string("namespaces of networks (") + std::strerror(error) + ")",
                        holders.size());
}

}  // namespace attack
