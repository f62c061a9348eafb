#include "common/events/line_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "common/file_io.h"

namespace strata {
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

// The first line that has a stamp, from the front or from the back.
std::optional<LineStamp> FirstStamp(std::string_view text, const LineFiles::StampOf& stamp_of) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    if (const auto stamp = stamp_of(text.substr(0, end))) return stamp;
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return std::nullopt;
}

std::optional<LineStamp> LastStamp(std::string_view text, const LineFiles::StampOf& stamp_of) {
  while (!text.empty()) {
    text.remove_suffix(1);                      // The end of the line.
    const size_t begin = text.rfind('\n') + 1;  // npos + 1 is 0.
    if (const auto stamp = stamp_of(text.substr(begin))) return stamp;
    text.remove_suffix(text.size() - begin);
  }
  return std::nullopt;
}

}  // namespace

std::string LineFiles::PathOf(uint64_t first) const { return directory_ + "/" + NameOf(first); }

Result<std::unique_ptr<LineFiles>> LineFiles::Open(const std::string& directory,
                                                   const EventLogLimits& limits,
                                                   const StampOf& stamp_of) {
  RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  std::unique_ptr<LineFiles> files(new LineFiles(directory, limits));
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (const auto first = FirstOf(entry.path().filename().string())) {
      files->files_.push_back({*first, 0});
    }
  }
  if (error) return Error(Code::kInternal, "list " + directory + ": " + error.message());
  std::sort(files->files_.begin(), files->files_.end(),
            [](const File& a, const File& b) { return a.first < b.first; });
  if (limits.age_ms_max > 0) {
    for (File& file : files->files_) {
      ASSIGN_OR_RETURN(const std::string text, files->Read(file.first));
      if (const auto stamp = FirstStamp(text, stamp_of)) file.since_unix_ms = stamp->time_unix_ms;
    }
  }
  if (!files->files_.empty()) RETURN_IF_ERROR(files->OpenLast(stamp_of));
  return files;
}

Status LineFiles::OpenLast(const StampOf& stamp_of) {
  File& last = files_.back();
  const std::string path = PathOf(last.first);
  ASSIGN_OR_RETURN(file_, strata::Open(path, O_RDWR | O_APPEND));
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  file_bytes_ = text.rfind('\n') + 1;  // npos + 1 is 0.
  if (file_bytes_ < text.size() && ::ftruncate(file_.get(), static_cast<off_t>(file_bytes_)) != 0) {
    return Errno("cut " + path);
  }
  const std::string_view whole = std::string_view(text).substr(0, file_bytes_);
  const auto stamp = LastStamp(whole, stamp_of);
  last_ = stamp ? stamp->number : last.first - 1;
  if (const auto first = FirstStamp(whole, stamp_of)) last.since_unix_ms = first->time_unix_ms;
  return Ok();
}

bool LineFiles::IsFull(int64_t now_unix_ms) const {
  if (file_bytes_ > limits_.file_bytes_max) return true;
  return limits_.file_age_ms_max > 0 && file_bytes_ > 0 &&
         now_unix_ms - files_.back().since_unix_ms > limits_.file_age_ms_max;
}

Status LineFiles::RemoveOld(int64_t now_unix_ms) {
  const auto is_old = [&] {
    if (files_.size() > limits_.files_max) return true;
    // What the next file begins with is later than all of this one.
    return limits_.age_ms_max > 0 && files_.size() > 1 &&
           now_unix_ms - files_[1].since_unix_ms > limits_.age_ms_max;
  };
  while (is_old()) {
    const std::string path = PathOf(files_.front().first);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return Errno("remove " + path);
    files_.erase(files_.begin());
  }
  return Ok();
}

Status LineFiles::Append(const LineStamp& stamp, std::string_view line) {
  if (!file_.valid() || IsFull(stamp.time_unix_ms)) {
    const std::string path = PathOf(stamp.number);
    ASSIGN_OR_RETURN(file_, strata::Open(path, O_RDWR | O_APPEND | O_CREAT, 0600));
    RETURN_IF_ERROR(FsyncDirectory(directory_));
    if (files_.empty() || files_.back().first != stamp.number) {
      files_.push_back({stamp.number, stamp.time_unix_ms});
    }
    file_bytes_ = 0;
    RETURN_IF_ERROR(RemoveOld(stamp.time_unix_ms));
  }
  if (file_bytes_ == 0) files_.back().since_unix_ms = stamp.time_unix_ms;
  const std::string whole = std::string(line) + "\n";
  if (const Status written = WriteAll(file_.get(), whole); !written.ok()) {
    // A torn line would take the next one with it.
    if (::ftruncate(file_.get(), static_cast<off_t>(file_bytes_)) != 0) file_.reset();
    return written;
  }
  file_bytes_ += whole.size();
  last_ = stamp.number;
  if (::fdatasync(file_.get()) != 0) return Errno("sync " + directory_);
  return Ok();
}

std::vector<uint64_t> LineFiles::Files() const {
  std::vector<uint64_t> firsts;
  for (const File& file : files_) firsts.push_back(file.first);
  return firsts;
}

Result<std::string> LineFiles::Read(uint64_t first) const { return ReadFile(PathOf(first)); }

}  // namespace strata
