#include "tools/cli/human.h"

#include <sys/stat.h>

#include <charconv>
#include <chrono>
#include <ctime>

namespace strata::tools {

std::string HumanCount(uint64_t count) {
  std::string digits = std::to_string(count);
  for (size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits;
}

std::string LocalTime(int64_t unix_ms) {
  const time_t seconds = static_cast<time_t>(unix_ms / 1000);
  tm broken_down = {};
  if (::localtime_r(&seconds, &broken_down) == nullptr) return "-";
  char text[64];
  const size_t size = std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &broken_down);
  return std::string(text, size);
}

Result<int64_t> ParseUntil(const std::string& text, int64_t now_unix_ms) {
  const Error wrong(Code::kInvalidArgument, "'" + text +
                                                "' is no time: write 2026-12-24, "
                                                "'2026-12-24 18:00', 30d, 12h or 90m");
  int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const size_t digits = static_cast<size_t>(end - text.data());
  if (error == std::errc() && digits + 1 == text.size() && count > 0 && count < 100'000) {
    constexpr int64_t kMinute = 60'000;
    if (text.back() == 'd') return now_unix_ms + count * 24 * 60 * kMinute;
    if (text.back() == 'h') return now_unix_ms + count * 60 * kMinute;
    if (text.back() == 'm') return now_unix_ms + count * kMinute;
    return wrong;
  }
  tm broken_down = {};
  broken_down.tm_isdst = -1;
  const char* rest = ::strptime(text.c_str(), "%Y-%m-%d", &broken_down);
  if (rest == nullptr) return wrong;
  if (*rest == '\0') {
    broken_down.tm_hour = 24;
  } else {
    rest = ::strptime(rest, " %H:%M", &broken_down);
    if (rest == nullptr || *rest != '\0') return wrong;
  }
  const time_t seconds = ::mktime(&broken_down);
  if (seconds == -1) return wrong;
  return int64_t{seconds} * 1000;
}

int64_t NowUnixMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Result<int64_t> ParseStart(const std::string& text, int64_t now_unix_ms) {
  tm clock = {};
  const char* rest = ::strptime(text.c_str(), "%H:%M", &clock);
  if (rest == nullptr || *rest != '\0') {
    const char* after_day = ::strptime(text.c_str(), "%Y-%m-%d", &clock);
    if (after_day != nullptr && *after_day == '\0') {
      return Error(Code::kInvalidArgument, "say when on that day: '" + text + " 18:00'");
    }
    return ParseUntil(text, now_unix_ms);
  }
  const time_t now = now_unix_ms / 1000;
  tm day = {};
  if (::localtime_r(&now, &day) == nullptr) return Error(Code::kInternal, "no local time");
  day.tm_hour = clock.tm_hour;
  day.tm_min = clock.tm_min;
  day.tm_sec = 0;
  day.tm_isdst = -1;
  time_t at = ::mktime(&day);
  if (at <= now) {
    ++day.tm_mday;
    day.tm_isdst = -1;
    at = ::mktime(&day);
  }
  return int64_t{at} * 1000;
}

std::string ModeString(uint32_t mode) {
  std::string text = "?rwxrwxrwx";
  switch (mode & S_IFMT) {
    case S_IFREG:
      text[0] = '-';
      break;
    case S_IFDIR:
      text[0] = 'd';
      break;
    case S_IFLNK:
      text[0] = 'l';
      break;
    case S_IFCHR:
      text[0] = 'c';
      break;
    case S_IFBLK:
      text[0] = 'b';
      break;
    case S_IFIFO:
      text[0] = 'p';
      break;
    case S_IFSOCK:
      text[0] = 's';
      break;
    default:
      break;
  }
  for (int bit = 0; bit < 9; ++bit) {
    if ((mode & (0400u >> bit)) == 0) text[static_cast<size_t>(1 + bit)] = '-';
  }
  const auto special = [&](uint32_t flag, size_t at, char with_x, char without_x) {
    if ((mode & flag) != 0) text[at] = text[at] == 'x' ? with_x : without_x;
  };
  special(S_ISUID, 3, 's', 'S');
  special(S_ISGID, 6, 's', 'S');
  special(S_ISVTX, 9, 't', 'T');
  return text;
}

}  // namespace strata::tools
