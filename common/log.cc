#include "common/log.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

namespace strata {
namespace {

std::string& Program() {
  static std::string program = "strata";
  return program;
}
std::atomic<LogLevel> least_level{LogLevel::kInfo};

const char* LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "?";
}

}  // namespace

void InitLog(std::string_view program, LogLevel least) {
  Program() = program;
  least_level = least;
}

void Log(LogLevel level, std::string_view message) {
  if (level < least_level.load(std::memory_order_relaxed)) return;
  timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm utc;
  ::gmtime_r(&now.tv_sec, &utc);
  char time[40];
  const size_t n = std::strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(time + n, sizeof(time) - n, ".%03ldZ", now.tv_nsec / 1'000'000);
  std::string line = std::string(time) + " " + LevelName(level) + " " + Program() + ": ";
  line += message;
  line += '\n';
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

void CheckFailed(const char* file, int line, const char* expression) {
  Log(LogLevel::kError,
      std::string("CHECK failed: ") + expression + " at " + file + ":" + std::to_string(line));
  std::abort();
}

}  // namespace strata
