#include "tools/vimage/build/build_log.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

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

void BuildLog::PrintObject(const Fields& fields) {
  google::protobuf::Struct object;
  for (const auto& [name, value] : fields) {
    (*object.mutable_fields())[name].set_string_value(Printable(value, kLineBytesMax));
  }
  std::string text;
  if (google::protobuf::util::MessageToJsonString(object, &text).ok()) Print(text);
}

void BuildLog::Tell(const Fields& fields, const std::string& line) {
  if (form_ == Form::kJson) return PrintObject(fields);
  if (form_ == Form::kLines) Print(line);
}

void BuildLog::Say(const std::string& line) { Tell({{"event", "note"}, {"text", line}}, line); }

void BuildLog::Warn(const std::string& line) {
  if (form_ == Form::kJson) return PrintObject({{"event", "warning"}, {"text", line}});
  Print("vimage: warning: " + line);
}

void StepLog::Cached() {
  log_.Tell({{"event", "cached"}, {"step", prefix_}, {"text", text_}},
            prefix_ + " CACHED " + Printable(text_, kTextBytesShown));
}

void StepLog::Start() {
  start_ = std::chrono::steady_clock::now();
  log_.Tell({{"event", "start"}, {"step", prefix_}, {"text", text_}},
            prefix_ + " " + Printable(text_, kTextBytesShown));
}

void StepLog::Line(std::string_view line) {
  while (line.ends_with('\r')) line.remove_suffix(1);
  std::string shown;
  for (const char c : line.substr(0, kLineBytesMax))
    shown.append(c == '\t' ? "  " : "").push_back(c);
  std::erase(shown, '\t');
  const std::string text = prefix_ + " | " + Printable(shown, kLineBytesMax);
  if (log_.form_ != BuildLog::Form::kQuiet) {
    return log_.Tell({{"event", "output"}, {"step", prefix_}, {"text", shown}}, text);
  }
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
  char seconds[40];
  std::snprintf(seconds, sizeof(seconds), "%.2f", took.count());
  log_.Tell({{"event", "done"}, {"step", prefix_}, {"seconds", seconds}},
            prefix_ + " done in " + seconds + " s");
}

void StepLog::Failed(const std::string& message) {
  if (!pending_.empty()) Line(pending_);
  pending_.clear();
  while (tail_.ends_with('\n')) tail_.pop_back();
  if (!tail_.empty()) log_.Print(tail_);
  tail_.clear();
  if (log_.form_ != BuildLog::Form::kJson) return;  // The command says it, at its end.
  log_.PrintObject({{"event", "failed"}, {"step", prefix_}, {"text", message}});
}

}  // namespace strata::tools
