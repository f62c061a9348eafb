// attack NAME [ARGUMENT…]: one attack of a hostile root inside of a node. Exits with 0 when every
// try was refused or bounded, with 1 when one got through, with 2 when it was called wrongly.
// `attack work SECONDS` is the neighbour that must not notice: prints what it got done.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string_view>

#include "tests/integration/attack/report.h"

namespace attack {
namespace {

using Clock = std::chrono::steady_clock;

// A file is written, read and removed, and a while is spent on numbers: one piece of work.
bool DoPiece() {
  static volatile uint64_t sink = 0;
  uint64_t hash = 1469598103934665603u;
  for (int i = 0; i < 1'000'000; ++i) hash = (hash ^ static_cast<uint64_t>(i)) * 1099511628211u;
  sink = sink + hash;
  const int fd = ::open("/work-file", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  char block[4096] = {};
  bool ok = true;
  for (int i = 0; i < 16 && ok; ++i) ok = ::write(fd, block, sizeof(block)) == sizeof(block);
  ok = ok && ::pread(fd, block, sizeof(block), 4096) == sizeof(block);
  ::close(fd);
  return ::unlink("/work-file") == 0 && ok;
}

int Work(const Arguments& arguments) {
  const auto end = Clock::now() + std::chrono::seconds(arguments.Number(0, 1));
  uint64_t pieces = 0;
  while (Clock::now() < end) {
    if (!DoPiece()) {
      std::perror("work");
      return 1;
    }
    ++pieces;
  }
  std::printf("%llu\n", static_cast<unsigned long long>(pieces));
  return 0;
}

struct Attack {
  std::string_view name;
  void (*run)(const Arguments&, Report*);
};
constexpr Attack kAttacks[] = {
    {"forks", Forks},
    {"memory", Memory},
    {"disk", Disk},
    {"inodes", Inodes},
    {"output", Output},
    {"inotify", Inotify},
    {"mounts", Mounts},
    {"binds", Binds},
    {"proc", Proc},
    {"sys", Sys},
    {"calls", Calls},
    {"devices", Devices},
    {"keys", Keys},
    {"handles", Handles},
    {"logs", Logs},
    {"processes", Processes},
    {"namespace", Namespace},
    {"cgroups", Cgroups},
    {"sockets", Sockets},
    {"spoof", Spoof},
    {"namespaces", Namespaces},
    {"timers", Timers},
};

}  // namespace
}  // namespace attack

int main(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  const attack::Arguments arguments{argc > 2 ? argc - 2 : 0, argv + 2};
  if (name == "work") return attack::Work(arguments);
  for (const attack::Attack& known : attack::kAttacks) {
    if (known.name != name) continue;
    attack::Report report;
    known.run(arguments, &report);
    return report.ExitCode();
  }
  std::fputs("usage: attack NAME [ARGUMENT…]; see report.h\n", stderr);
  return 2;
}
