// Log lines on standard error: "2026-01-31T12:00:00.123Z warning imaged: message".
// Thread-safe; one write(2) per line. CHECK stops the process on our own broken invariants.
#pragma once

#include <string_view>

namespace strata {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// The name of the program in every line, and the least level that is written. Called once in main.
void InitLog(std::string_view program, LogLevel least);
void Log(LogLevel level, std::string_view message);
[[noreturn]] void CheckFailed(const char* file, int line, const char* expression);

}  // namespace strata

#define LOG_DEBUG(message) ::strata::Log(::strata::LogLevel::kDebug, (message))
#define LOG_INFO(message) ::strata::Log(::strata::LogLevel::kInfo, (message))
#define LOG_WARNING(message) ::strata::Log(::strata::LogLevel::kWarning, (message))
#define LOG_ERROR(message) ::strata::Log(::strata::LogLevel::kError, (message))
#define CHECK(expression) \
  ((expression) ? (void)0 : ::strata::CheckFailed(__FILE__, __LINE__, #expression))
