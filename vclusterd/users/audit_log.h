// AuditLog: who changed what, and who was refused what, for as long as its bounds allow. It is an
// EventLog (common/events/event_log.h): files of JSON lines, of which the oldest go whole.
//
// Refusals are cheap for who is refused, and must not push the past out of the log: of those from
// one address at most 60 a minute are written, of all together at most 600. The next one that is
// written says how many were not.
//
// To look through all of it takes seconds of a core, so a question is bounded in what it reads, and
// so are those that are answered at a time.
//
// Thread-safe. Durable when Record returns; an event that cannot be written is in the log of the
// program.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/events/event_log.h"
#include "common/result.h"
#include "vclusterd/api/users.pb.h"
#include "vclusterd/users/recent_map.h"
#include "vclusterd/users/unix_clock.h"

namespace strata::vcluster {

struct AuditQuery {
  std::optional<uint32_t> uid;  // Who did it.
  std::string object;           // What it was done to; empty: whatever it was.
  std::string operation;
  uint64_t after = 0;            // Only events with higher numbers…
  uint64_t before = UINT64_MAX;  // …and lower ones.
  int64_t since_unix_ms = 0;
  int64_t until_unix_ms = INT64_MAX;
  size_t last = 1000;  // The latest so many of them.
  // Only what this user did, and what others did to what is his. Absent: everything.
  std::optional<uint32_t> visible_to;
};

struct AuditBounds {
  size_t read_bytes_max = 64u << 20;   // Of one question, and at least one file.
  size_t parsed_bytes_max = 4u << 20;  // Of that: what the question may be about.
  size_t questions_max = 2;            // At a time; of one user one.
};

class AuditLog {
 public:
  using Found = EventLog<users::v1::AuditEvent>::Found;

  static constexpr size_t kEventsPerQueryMax = 10'000;
  static EventLogLimits DefaultLimits() {
    return {.file_bytes_max = 4u << 20,
            .files_max = 32,
            .file_age_ms_max = 7 * kDayMs,
            .age_ms_max = 400 * kDayMs};
  }

  static Result<std::unique_ptr<AuditLog>> Open(const std::string& directory, UnixClock now,
                                                EventLogLimits limits = DefaultLimits(),
                                                AuditBounds bounds = {});

  // Numbers and times are given here, and `outcome` and `error` from `status`.
  void Record(users::v1::AuditEvent event, const Status& status);
  // For user `asker`. Oldest first; `reached` is where to go on (`before`) when a bound ended it.
  // kResourceExhausted: too many ask just now, or he does already; a moment later he may.
  Result<Found> Find(const AuditQuery& query, uint32_t asker);

 private:
  struct Refusals {
    int64_t since_ms = 0;  // Of the running minute.
    uint32_t written = 0;
    uint32_t left_out = 0;
    bool Admit(uint32_t max, int64_t now_ms);
  };
  AuditLog(std::unique_ptr<EventLog<users::v1::AuditEvent>> log, UnixClock now, AuditBounds bounds)
      : log_(std::move(log)), now_(std::move(now)), bounds_(bounds) {}
  Status Enter(uint32_t asker);
  // Whether this refusal is written, and how many before it were not.
  std::optional<uint32_t> AdmitRefusal(const std::string& source);

  const std::unique_ptr<EventLog<users::v1::AuditEvent>> log_;
  const UnixClock now_;
  const AuditBounds bounds_;
  std::mutex mutex_;           // Guards what follows.
  std::set<uint32_t> askers_;  // Whose questions are being answered.
  RecentMap<Refusals> by_source_{4096};
  Refusals all_;
};

}  // namespace strata::vcluster
