// Log lines on standard error, as text or, a line each, as JSON:
//   2026-01-31T12:00:00.123Z warning imaged: message [request 5f0c3a21-17]
//   {"time":"…","level":"warning","program":"imaged","request":"5f0c3a21-17","message":"…"}
// Thread-safe; one write(2) per line. CHECK stops the process on our own broken invariants.
#pragma once

#include <string>
#include <string_view>

namespace strata {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// The name of the program in every line, and the least level that is written. Called once in main.
enum class LogFormat { kText, kJson };
void InitLog(std::string_view program, LogLevel least, LogFormat format = LogFormat::kText);
void Log(LogLevel level, std::string_view message);

// As long as it lives, the lines of its thread say which request they belong to. One inside of
// another changes nothing. The id is of this process: a random part, and a number.
class RequestScope {
 public:
  RequestScope();
  ~RequestScope();
  RequestScope(const RequestScope&) = delete;
  RequestScope& operator=(const RequestScope&) = delete;
  // "" outside of all.
  static const std::string& Current();

 private:
  const bool is_outermost_;
};

[[noreturn]] void CheckFailed(const char* file, int line, const char* expression);

}  // namespace strata

#define LOG_DEBUG(message) ::strata::Log(::strata::LogLevel::kDebug, (message))
#define LOG_INFO(message) ::strata::Log(::strata::LogLevel::kInfo, (message))
#define LOG_WARNING(message) ::strata::Log(::strata::LogLevel::kWarning, (message))
#define LOG_ERROR(message) ::strata::Log(::strata::LogLevel::kError, (message))
#define CHECK(expression) \
  ((expression) ? (void)0 : ::strata::CheckFailed(__FILE__, __LINE__, #expression))
