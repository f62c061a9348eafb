#include "imaged/events/event_log.h"

#include <fcntl.h>
#include <google/protobuf/util/json_util.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "common/file_io.h"
#include "common/log.h"

namespace strata::imaged {
namespace {

constexpr std::string_view kPrefix = "events.";
constexpr std::string_view kSuffix = ".jsonl";
constexpr size_t kDigits = 20;

std::string NameOf(uint64_t first) {
  char digits[kDigits + 1];
  std::snprintf(digits, sizeof(digits), "%020llu", static_cast<unsigned long long>(first));
  return std::string(kPrefix) + digits + std::string(kSuffix);
}

std::optional<uint64_t> FirstOf(std::string_view name) {
  if (name.size() != kPrefix.size() + kDigits + kSuffix.size()) return std::nullopt;
  uint64_t first = 0;
  for (const char c : name.substr(kPrefix.size(), kDigits)) {
    if (c < '0' || c > '9') return std::nullopt;
    first = first * 10 + static_cast<uint64_t>(c - '0');
  }
  if (NameOf(first) != name) return std::nullopt;
  return first;
}

int64_t NowMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string JsonOf(const v1::Event& event) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(event, &text, options).ok()) text.clear();
  return text;
}

// The lines of `text` that are events.
std::vector<v1::Event> Parse(std::string_view text) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // Of a later version.
  std::vector<v1::Event> events;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string line(text.substr(0, end));
    v1::Event event;
    if (google::protobuf::util::JsonStringToMessage(line, &event, options).ok()) {
      events.push_back(std::move(event));
    }
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return events;
}

}  // namespace

std::string EventLog::PathOf(uint64_t first) const { return directory_ + "/" + NameOf(first); }

Result<std::unique_ptr<EventLog>> EventLog::Open(const std::string& directory, Limits limits) {
  RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  std::unique_ptr<EventLog> log(new EventLog(directory, limits));
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (const auto first = FirstOf(entry.path().filename().string())) {
      log->files_.push_back(*first);
    }
  }
  if (error) return Error(Code::kInternal, "list " + directory + ": " + error.message());
  std::sort(log->files_.begin(), log->files_.end());
  if (!log->files_.empty()) RETURN_IF_ERROR(log->OpenLast());
  return log;
}

Status EventLog::OpenLast() {
  const std::string path = PathOf(files_.back());
  ASSIGN_OR_RETURN(file_, strata::Open(path, O_RDWR | O_APPEND));
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  file_bytes_ = text.rfind('\n') + 1;  // npos + 1 is 0.
  if (file_bytes_ < text.size() && ::ftruncate(file_.get(), static_cast<off_t>(file_bytes_)) != 0) {
    return Errno("cut " + path);
  }
  const std::vector<v1::Event> events = Parse(std::string_view(text).substr(0, file_bytes_));
  last_ = events.empty() ? files_.back() - 1 : events.back().number();
  return Ok();
}

Status EventLog::Append(const v1::Event& event) {
  const bool is_full = file_bytes_ > limits_.file_bytes_max;
  if (!file_.valid() || is_full) {
    const std::string path = PathOf(event.number());
    ASSIGN_OR_RETURN(file_, strata::Open(path, O_RDWR | O_APPEND | O_CREAT, 0600));
    RETURN_IF_ERROR(FsyncDirectory(directory_));
    if (files_.empty() || files_.back() != event.number()) files_.push_back(event.number());
    file_bytes_ = 0;
    while (files_.size() > limits_.files_max) {
      if (::unlink(PathOf(files_.front()).c_str()) != 0 && errno != ENOENT) {
        return Errno("remove " + PathOf(files_.front()));
      }
      files_.erase(files_.begin());
    }
  }
  const std::string line = JsonOf(event) + "\n";
  if (const Status written = WriteAll(file_.get(), line); !written.ok()) {
    // A torn line would take the next one with it.
    if (::ftruncate(file_.get(), static_cast<off_t>(file_bytes_)) != 0) file_.reset();
    return written;
  }
  file_bytes_ += line.size();
  if (::fdatasync(file_.get()) != 0) return Errno("sync " + directory_);
  return Ok();
}

void EventLog::Record(v1::Event event) {
  const std::lock_guard lock(mutex_);
  event.set_number(last_ + 1);
  event.set_time_unix_ms(NowMs());
  if (const Status status = Append(event); !status.ok()) {
    LOG_ERROR("an event could not be recorded: " + status.error().message() + ": " + JsonOf(event));
    return;
  }
  last_ = event.number();
}

Result<std::vector<v1::Event>> EventLog::Latest(uint64_t after, int64_t since_unix_ms, size_t max,
                                                const Filter& wanted) const {
  std::vector<uint64_t> files;
  {
    const std::lock_guard lock(mutex_);
    files = files_;
  }
  std::vector<v1::Event> found;  // Latest first.
  for (auto first = files.rbegin(); first != files.rend() && found.size() < max; ++first) {
    const auto text = ReadFile(PathOf(*first));
    if (!text.ok() && text.error().code() == Code::kNotFound) break;  // It was the oldest.
    if (!text.ok()) return text.error();
    std::vector<v1::Event> events = Parse(*text);
    for (auto event = events.rbegin(); event != events.rend() && found.size() < max; ++event) {
      const bool is_new = event->number() > after && event->time_unix_ms() >= since_unix_ms;
      if (is_new && wanted(*event)) found.push_back(std::move(*event));
    }
    if (*first <= after + 1) break;
    if (!events.empty() && events.front().time_unix_ms() < since_unix_ms) break;
  }
  std::reverse(found.begin(), found.end());
  return found;
}

}  // namespace strata::imaged
