#include "common/log.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string>

#include "common/printable.h"

namespace strata {
namespace {

std::string& Program() {
  static std::string program = "strata";
  return program;
}
std::atomic<LogLevel> least_level{LogLevel::kInfo};
std::atomic<LogFormat> line_format{LogFormat::kText};
thread_local std::string request_id;

constexpr size_t kMessageMax = 8192;

// Valid UTF-8 without control characters, as the inside of a JSON string.
std::string JsonText(std::string_view message) {
  std::string text;
  for (const char c : Printable(message, kMessageMax)) {
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return text;
}

std::string NewRequestId() {
  static const unsigned process = std::random_device()();
  static std::atomic<uint64_t> next{1};
  char id[32];
  std::snprintf(id, sizeof(id), "%08x-%llu", process, static_cast<unsigned long long>(next++));
  return id;
}

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

RequestScope::RequestScope() : is_outermost_(request_id.empty()) {
  if (is_outermost_) request_id = NewRequestId();
}

RequestScope::~RequestScope() {
  if (is_outermost_) request_id.clear();
}

const std::string& RequestScope::Current() { return request_id; }

void InitLog(std::string_view program, LogLevel least, LogFormat format) {
  line_format = format;
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
  std::string line;
  if (line_format.load(std::memory_order_relaxed) == LogFormat::kJson) {
    line = std::string("{\"time\":\"") + time + "\",\"level\":\"" + LevelName(level) +
           "\",\"program\":\"" + Program() + "\"";
    if (!request_id.empty()) line += ",\"request\":\"" + request_id + "\"";
    line += ",\"message\":\"" + JsonText(message) + "\"}";
  } else {
    line = std::string(time) + " " + LevelName(level) + " " + Program() + ": ";
    line += message;
    if (!request_id.empty()) line += " [request " + request_id + "]";
  }
  line += '\n';
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

void CheckFailed(const char* file, int line, const char* expression) {
  Log(LogLevel::kError,
      std::string("CHECK failed: ") + expression + " at " + file + ":" + std::to_string(line));
  std::abort();
}

}  // namespace strata
