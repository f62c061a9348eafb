// Lead: the right of one master to change the records. Whoever takes it writes a record with the
// next epoch; every commit of a leader expects his own record there, so that one who was taken over
// from changes nothing any more, whatever he believes. When to take it: leadership.h.
//
// Thread-safe. Durability: what a call has committed is durable when it returns Ok. kUnavailable:
// it is not known whether it was; kFailedPrecondition: another has the lead.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/records/record_store.h"
#include "common/result.h"

namespace strata::vcluster {

class Lead {
 public:
  using Clock = std::chrono::steady_clock;
  struct Terms {
    std::string host;  // Whose master takes it.
    // The leader's record that must still be there; absent: whatever is there.
    std::optional<std::optional<std::string>> takes_over_from;
    // The same of the leader's last beat: one that came since keeps the lead.
    std::optional<std::optional<std::string>> last_beat_seen;
    // How long after a beat was begun no other takes the lead; absent: there is no other.
    std::optional<std::chrono::milliseconds> lasts;
    std::function<Clock::time_point()> now;
  };

  // `store` must outlive the result.
  static Result<std::unique_ptr<Lead>> Take(Terms terms, records::RecordStore& store);

  // All or none.
  Status Commit(std::vector<records::RecordChange> changes);
  // Keeps the lead for another `lasts`.
  Status Beat();
  // A beat that keeps nothing: after it, what is read is at least as new as every commit before it.
  Status Pass();
  // Whether no other can have it.
  bool Holds() const;
  // Nobody has to wait for the end of the beats.
  Status GiveUp();

  uint64_t epoch() const { return epoch_; }

 private:
  Lead(Terms terms, records::RecordStore& store) : terms_(std::move(terms)), store_(store) {}
  Status TakeNow();
  records::RecordChange NextBeat();

  const Terms terms_;
  records::RecordStore& store_;
  uint64_t epoch_ = 0;  // Set by Take, as…
  std::string record_;  // …our record.
  std::atomic<uint64_t> beats_ = 0;
  std::atomic<Clock::time_point> begun_;  // When the last beat was that was made.
};

}  // namespace strata::vcluster
