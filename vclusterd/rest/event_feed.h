// EventFeed: what happens, as server-sent events (HTML standard, section 9.2) of those who may know
// of it. A stream that was broken goes on with Last-Event-ID as long as what it missed is among the
// last kEventsKept events of this process; otherwise it begins with the event "reset", which says:
// look at everything anew.
//
// A stream says a comment every 15 s, so that who has gone away is noticed, and ends when its token
// does.
//
// Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "common/http/server.h"
#include "common/result.h"
#include "vclusterd/rest/schema.h"
#include "vclusterd/users/users.h"

namespace strata::vcluster::rest {

inline constexpr size_t kEventsKept = 4096;

struct FeedEvent {
  uint64_t number = 0;
  std::string type;  // "vcluster.changed"
  std::string data;  // JSON, one line.
  // Who may list this may see the event; of an operation, who may do it and has started it.
  Operation right = Operation::kVclusterList;
  Target target;
  std::optional<uint32_t> started_by;
};
using FeedEventPtr = std::shared_ptr<const FeedEvent>;

class EventFeed {
 public:
  struct Limits {
    size_t streams = 200;
    size_t streams_of_user = 8;
    std::chrono::milliseconds comment_every{15'000};
  };

  // `users` must outlive this, and this its streams.
  EventFeed(const Users& users, Limits limits, UnixClock now);

  void Publish(FeedEvent event);
  // `last_event_id`: empty: from now on. kResourceExhausted: too many streams.
  Result<std::unique_ptr<http::BodySource>> Open(const Caller& caller,
                                                 const std::string& last_event_id);
  // All streams end.
  void Close();

 private:
  friend class EventStream;
  bool MaySee(const Caller& caller, const FeedEvent& event) const;
  bool IsGood(const Caller& caller) const;

  const Users& users_;
  const Limits limits_;
  const UnixClock now_;
  std::string run_;   // Of this process: numbers begin anew in the next one.
  std::mutex mutex_;  // Guards what follows; a leaf.
  std::condition_variable changed_;
  std::deque<FeedEventPtr> events_;  // Ascending by one.
  uint64_t last_number_ = 0;
  std::map<uint32_t, size_t> streams_of_;  // By uid.
  size_t streams_ = 0;
  bool closed_ = false;
};

}  // namespace strata::vcluster::rest
