// EventLog: who did what with which image, for whoever watches and for whoever must answer later
// who shared what with whom (docs/observability.md).
//
//   <directory>/events.<N>.jsonl   events from number N on, one protobuf JSON object (v1::Event) in
//                                  a line; N has 20 digits
//
// A file is closed when it is longer than file_bytes_max; of more than files_max, the oldest goes.
// A line that a crash tore is cut away when the log is opened; other lines that are no events are
// passed over.
//
// Thread-safe. An event is durable when Record returns.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "imaged/api/events.pb.h"

namespace strata::imaged {

class EventLog {
 public:
  struct Limits {
    uint64_t file_bytes_max = 4u << 20;
    size_t files_max = 32;
  };
  static Result<std::unique_ptr<EventLog>> Open(const std::string& directory, Limits limits);
  static Result<std::unique_ptr<EventLog>> Open(const std::string& directory) {
    return Open(directory, Limits());
  }

  // Gives it its number and its time. What happened has happened: an event that cannot be written
  // is an error in the log of the program, with all it says.
  void Record(v1::Event event);

  uint64_t last_number() const { return last_; }

  // The latest `max` events that are `wanted`, oldest first, of those with numbers above `after`
  // and times from `since_unix_ms` on.
  using Filter = std::function<bool(const v1::Event&)>;
  Result<std::vector<v1::Event>> Latest(uint64_t after, int64_t since_unix_ms, size_t max,
                                        const Filter& wanted) const;

 private:
  EventLog(std::string directory, Limits limits)
      : directory_(std::move(directory)), limits_(limits) {}
  std::string PathOf(uint64_t first) const;
  // REQUIRES for both: mutex_ is held, or nobody else is here yet.
  Status OpenLast();
  Status Append(const v1::Event& event);

  const std::string directory_;
  const Limits limits_;
  std::atomic<uint64_t> last_ = 0;
  mutable std::mutex mutex_;     // Guards what follows.
  std::vector<uint64_t> files_;  // The first numbers of the files, ascending.
  UniqueFd file_;                // The last of them.
  uint64_t file_bytes_ = 0;
};

}  // namespace strata::imaged
