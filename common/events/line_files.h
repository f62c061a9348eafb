// LineFiles: numbered lines, appended to files that follow one another. The mechanism below
// EventLog (event_log.h).
//
//   <directory>/events.<N>.jsonl   lines from number N on; N has 20 digits
//
// A file is closed when it is longer than file_bytes_max, or its first line older than
// file_age_ms_max. Whole files go, the oldest first: of more than files_max, and those in which
// every line is older than age_ms_max. A line that a crash tore is cut away when they are opened.
//
// Not thread-safe. A line is durable when Append returns.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"

namespace strata {

struct EventLogLimits {
  uint64_t file_bytes_max = 4u << 20;
  size_t files_max = 32;
  int64_t file_age_ms_max = 0;  // 0: whatever its age.
  int64_t age_ms_max = 0;
};

struct LineStamp {
  uint64_t number = 0;
  int64_t time_unix_ms = 0;
};

class LineFiles {
 public:
  // What a line says of itself; nullopt for what is none of ours.
  using StampOf = std::function<std::optional<LineStamp>(std::string_view line)>;

  static Result<std::unique_ptr<LineFiles>> Open(const std::string& directory,
                                                 const EventLogLimits& limits,
                                                 const StampOf& stamp_of);

  // The number of the last line that there is, or was before its file went.
  uint64_t last_number() const { return last_; }
  // REQUIRES: its number is above last_number(). `line` is without its end.
  Status Append(const LineStamp& stamp, std::string_view line);

  // The first numbers of the files, ascending.
  std::vector<uint64_t> Files() const;
  // kNotFound when it has gone meanwhile. May be called by several threads at once, and during
  // every other call.
  Result<std::string> Read(uint64_t first) const;

 private:
  struct File {
    uint64_t first;
    int64_t since_unix_ms;  // The time of its first line.
  };
  LineFiles(std::string directory, const EventLogLimits& limits)
      : directory_(std::move(directory)), limits_(limits) {}
  std::string PathOf(uint64_t first) const;
  Status OpenLast(const StampOf& stamp_of);
  bool IsFull(int64_t now_unix_ms) const;
  Status RemoveOld(int64_t now_unix_ms);

  const std::string directory_;
  const EventLogLimits limits_;
  uint64_t last_ = 0;
  std::vector<File> files_;
  UniqueFd file_;  // The last of them.
  uint64_t file_bytes_ = 0;
};

}  // namespace strata
