#include "tools/vimage/build/build_log.h"

#include <cstdio>
#include <ostream>

#include "common/printable.h"

namespace strata::tools {
namespace {

constexpr size_t kLineBytesMax = 4096;
constexpr size_t kTailBytesMax = 64 * 1024;
constexpr size_t kTextBytesShown = 120;

}  // namespace

void BuildLog::Print(const std::string& line) {
  const std::lock_guard lock(mutex_);
  console_.err << line << std::endl;
}

void BuildLog::Say(const std::string& line) {
  if (!quiet_) Print(line);
}

void BuildLog::Warn(const std::string& line) { Print("vimage: warning: " + line); }

void StepLog::Cached() { log_.Say(prefix_ + " CACHED " + Printable(text_, kTextBytesShown)); }

void StepLog::Start() {
  start_ = std::chrono::steady_clock::now();
  log_.Say(prefix_ + " " + Printable(text_, kTextBytesShown));
}

void StepLog::Line(std::string_view line) {
  while (line.ends_with('\r')) line.remove_suffix(1);
  std::string shown;
  for (const char c : line.substr(0, kLineBytesMax))
    shown.append(c == '\t' ? "  " : "").push_back(c);
  std::erase(shown, '\t');
  const std::string text = prefix_ + " | " + Printable(shown, kLineBytesMax);
  if (!log_.quiet_) return log_.Print(text);
  tail_ += text + "\n";
  if (tail_.size() > kTailBytesMax) tail_.erase(0, tail_.find('\n', tail_.size() / 2) + 1);
}

void StepLog::Output(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    pending_.append(bytes.substr(0, end));
    if (pending_.size() > kLineBytesMax || end != std::string_view::npos) {
      Line(pending_);
      pending_.clear();
    }
    bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
  }
}

void StepLog::Done() {
  if (!pending_.empty()) Line(pending_);
  pending_.clear();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start_;
  char text[40];
  std::snprintf(text, sizeof(text), " done in %.2f s", took.count());
  log_.Say(prefix_ + text);
}

void StepLog::Failed() {
  if (!pending_.empty()) Line(pending_);
  pending_.clear();
  while (tail_.ends_with('\n')) tail_.pop_back();
  if (!tail_.empty()) log_.Print(tail_);
  tail_.clear();
}

}  // namespace strata::tools
