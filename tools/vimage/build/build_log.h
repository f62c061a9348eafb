// What a build tells while it runs: whole lines on the error stream, of several stages at once; for
// people, or one JSON object each (docs/build.md, "Progress"). Thread-safe.
#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/cli/console.h"

namespace strata::tools {

class BuildLog {
 public:
  // kQuiet: warnings alone, and what a step said that failed.
  enum class Form { kLines, kQuiet, kJson };
  // REQUIRES: `console` outlives this.
  BuildLog(Console& console, Form form) : console_(console), form_(form) {}

  void Say(const std::string& line);
  void Warn(const std::string& line);

 private:
  friend class StepLog;
  using Fields = std::vector<std::pair<std::string, std::string>>;
  void Print(const std::string& line);
  // As an object, when that is the form; otherwise `line` is said.
  void Tell(const Fields& fields, const std::string& line);
  void PrintObject(const Fields& fields);

  Console& console_;
  const Form form_;
  std::mutex mutex_;  // Guards the stream.
};

// One step: "[web 2/5] RUN make", what it prints, and how long it took. Of one thread.
class StepLog {
 public:
  StepLog(BuildLog& log, std::string prefix, std::string text)
      : log_(log), prefix_(std::move(prefix)), text_(std::move(text)) {}

  void Cached();
  void Start();
  // Bytes of a program: lines come out whole, without what would steer a terminal.
  void Output(std::string_view bytes);
  void Done();
  // When quiet, what it said last comes out now.
  void Failed(const std::string& message);

 private:
  void Line(std::string_view line);

  BuildLog& log_;
  const std::string prefix_;
  const std::string text_;
  std::string pending_;  // A line that has no end yet.
  std::string tail_;     // When quiet.
  std::chrono::steady_clock::time_point start_;
};

}  // namespace strata::tools
