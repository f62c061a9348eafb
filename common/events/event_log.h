// EventLog: who did what, for whoever watches and for whoever must answer later who did it. An
// event is a protobuf message of the owner's with `uint64 number` and `int64 time_unix_ms`, kept as
// one protobuf JSON object in a line (line_files.h has the files and their limits). Lines that are
// no events are passed over.
//
// Thread-safe. An event is durable when Record returns.
#pragma once

#include <google/protobuf/message.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/events/line_files.h"
#include "common/log.h"
#include "common/result.h"

namespace strata {

// One line, without its end.
std::string EventLine(const google::protobuf::Message& event);
// False for what is none. Fields of a later version are passed over.
bool ParseEventLine(std::string_view line, google::protobuf::Message* event);
int64_t EventNowMs();

template <typename Event>
class EventLog {
 public:
  using Limits = EventLogLimits;
  using Clock = std::function<int64_t()>;
  static Result<std::unique_ptr<EventLog>> Open(const std::string& directory, Limits limits = {},
                                                Clock now = EventNowMs) {
    ASSIGN_OR_RETURN(auto files, LineFiles::Open(directory, limits, StampOf));
    return std::unique_ptr<EventLog>(new EventLog(std::move(files), std::move(now)));
  }

  // Gives it its number and its time. What happened has happened: an event that cannot be written
  // is an error in the log of the program, with all it says.
  void Record(Event event) {
    const std::lock_guard lock(mutex_);
    event.set_number(files_->last_number() + 1);
    event.set_time_unix_ms(now_());
    const std::string line = EventLine(event);
    const Status written = files_->Append({event.number(), event.time_unix_ms()}, line);
    last_ = files_->last_number();
    if (written.ok()) return;
    LOG_ERROR("an event could not be recorded: " + written.error().message() + ": " + line);
  }

  uint64_t last_number() const { return last_; }

  // The latest `max` events that are `wanted`, oldest first, of those with numbers above `after`
  // and below `before`, and times from `since_unix_ms` on. Lines without `hint` in them are not
  // even parsed.
  using Filter = std::function<bool(const Event&)>;
  struct Search {
    uint64_t after = 0;
    uint64_t before = UINT64_MAX;
    int64_t since_unix_ms = 0;
    size_t max = 0;
    Filter wanted;
    std::string hint;
    // What it may cost: so much is read, at least one file, and so much of that is parsed.
    size_t read_bytes_max = SIZE_MAX;
    size_t parsed_bytes_max = SIZE_MAX;
  };
  struct Found {
    std::vector<Event> events;
    // Events with lower numbers were not looked at, because that would have cost more; 0: whatever
    // was asked for was looked at.
    uint64_t reached = 0;
  };
  Result<Found> Find(const Search& search) const {
    std::vector<uint64_t> files;
    {
      const std::lock_guard lock(mutex_);
      files = files_->Files();
    }
    Found found;  // Latest first.
    size_t read = 0;
    size_t parsed = 0;
    for (auto first = files.rbegin(); first != files.rend(); ++first) {
      if (found.events.size() >= search.max) break;
      if (*first >= search.before) continue;
      if (read >= search.read_bytes_max || parsed >= search.parsed_bytes_max) {
        found.reached = *std::prev(first);
        break;
      }
      const auto text = files_->Read(*first);
      if (!text.ok() && text.error().code() == Code::kNotFound) break;  // It was the oldest.
      if (!text.ok()) return text.error();
      read += text->size();
      std::string_view rest = *text;
      rest = rest.substr(0, rest.rfind('\n') + 1);  // npos + 1 is 0; one is being written.
      while (!rest.empty() && found.events.size() < search.max) {
        rest.remove_suffix(1);
        const std::string_view line = rest.substr(rest.rfind('\n') + 1);
        rest.remove_suffix(line.size());
        if (line.find(search.hint) == std::string_view::npos) continue;
        parsed += line.size();
        Event event;
        if (!ParseEventLine(line, &event)) continue;
        const bool is_meant = event.number() > search.after && event.number() < search.before &&
                              event.time_unix_ms() >= search.since_unix_ms;
        if (is_meant && search.wanted(event)) found.events.push_back(std::move(event));
      }
      if (*first <= search.after + 1 || IsBefore(*text, search.since_unix_ms)) break;
    }
    std::reverse(found.events.begin(), found.events.end());
    return found;
  }
  // Whatever it costs.
  Result<std::vector<Event>> Latest(uint64_t after, int64_t since_unix_ms, size_t max,
                                    const Filter& wanted) const {
    Search search;
    search.after = after;
    search.since_unix_ms = since_unix_ms;
    search.max = max;
    search.wanted = wanted;
    ASSIGN_OR_RETURN(Found found, Find(search));
    return std::move(found.events);
  }

 private:
  EventLog(std::unique_ptr<LineFiles> files, Clock now)
      : now_(std::move(now)), last_(files->last_number()), files_(std::move(files)) {}
  static std::optional<LineStamp> StampOf(std::string_view line) {
    Event event;
    if (!ParseEventLine(line, &event)) return std::nullopt;
    return LineStamp{event.number(), event.time_unix_ms()};
  }
  // Whether a file begins before that time: those before it do too.
  static bool IsBefore(std::string_view text, int64_t since_unix_ms) {
    if (since_unix_ms <= 0) return false;
    const auto stamp = StampOf(text.substr(0, text.find('\n')));
    return stamp && stamp->time_unix_ms < since_unix_ms;
  }

  const Clock now_;
  std::atomic<uint64_t> last_;
  mutable std::mutex mutex_;  // Guards files_, but for LineFiles::Read.
  const std::unique_ptr<LineFiles> files_;
};

}  // namespace strata
