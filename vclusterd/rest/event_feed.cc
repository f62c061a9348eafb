#include "vclusterd/rest/event_feed.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "common/log.h"
#include "common/pki/random.h"

namespace strata::vcluster::rest {

// One client's stream. Read by the thread of its connection.
class EventStream final : public http::BodySource {
 public:
  EventStream(EventFeed* feed, Caller caller, uint64_t next, bool reset)
      : feed_(feed), caller_(std::move(caller)), next_(next) {
    // Something at once: a proxy passes the head on, and the client knows that he is heard.
    text_ = ": strata\n\n";
    if (reset) text_ += "event: reset\nid: " + IdOf(next - 1) + "\ndata: {}\n\n";
  }
  ~EventStream() override {
    const std::lock_guard lock(feed_->mutex_);
    --feed_->streams_;
    if (--feed_->streams_of_[caller_.uid] == 0) feed_->streams_of_.erase(caller_.uid);
  }

  Result<size_t> Read(char* buffer, size_t size) override {
    while (text_.empty()) {
      if (!feed_->IsGood(caller_)) return size_t{0};
      if (!Next()) return size_t{0};
      // While it waited the token may have ended.
      if (!feed_->IsGood(caller_)) return size_t{0};
    }
    const size_t n = std::min(size, text_.size());
    std::memcpy(buffer, text_.data(), n);
    text_.erase(0, n);
    return n;
  }
  void Cancel() override {
    const std::lock_guard lock(feed_->mutex_);
    cancelled_ = true;
    feed_->changed_.notify_all();
  }

 private:
  std::string IdOf(uint64_t number) const { return feed_->run_ + "-" + std::to_string(number); }

  // Waits for events and puts what the caller may see into text_. False: the stream is over.
  bool Next() {
    std::vector<FeedEventPtr> events;
    bool missed = false;
    {
      std::unique_lock lock(feed_->mutex_);
      const auto over = [&] { return cancelled_ || feed_->closed_; };
      feed_->changed_.wait_for(lock, feed_->limits_.comment_every,
                               [&] { return over() || feed_->last_number_ >= next_; });
      if (over()) return false;
      if (!feed_->events_.empty() && feed_->last_number_ >= next_) {
        const uint64_t first = feed_->events_.front()->number;
        missed = next_ < first;
        const size_t skipped = missed ? 0 : next_ - first;
        events.assign(feed_->events_.begin() + static_cast<ptrdiff_t>(skipped),
                      feed_->events_.end());
        next_ = feed_->last_number_ + 1;
      }
    }
    if (events.empty()) text_ = ":\n\n";
    if (missed) text_ = "event: reset\nid: " + IdOf(next_ - 1) + "\ndata: {}\n\n";
    for (const FeedEventPtr& event : events) {
      if (missed || !feed_->MaySee(caller_, *event)) continue;
      text_ += "event: " + event->type + "\nid: " + IdOf(event->number) + "\ndata: " + event->data +
               "\n\n";
    }
    return true;
  }

  EventFeed* const feed_;
  const Caller caller_;
  uint64_t next_;  // The number of the event to come.
  std::string text_;
  bool cancelled_ = false;  // Guarded by the feed's mutex.
};

EventFeed::EventFeed(const Users& users, Limits limits, UnixClock now)
    : users_(users), limits_(limits), now_(std::move(now)) {
  const auto random = pki::RandomBytes(6);
  run_ = random.ok() ? pki::HexOf(*random) : std::to_string(now_());
}

void EventFeed::Publish(FeedEvent event) {
  const std::lock_guard lock(mutex_);
  event.number = ++last_number_;
  events_.push_back(std::make_shared<const FeedEvent>(std::move(event)));
  if (events_.size() > kEventsKept) events_.pop_front();
  changed_.notify_all();
}

Result<std::unique_ptr<http::BodySource>> EventFeed::Open(const Caller& caller,
                                                          const std::string& last_event_id) {
  const std::lock_guard lock(mutex_);
  if (closed_) return Error(Code::kUnavailable, "vclusterd ends");
  if (streams_ >= limits_.streams) {
    return Error(Code::kResourceExhausted, "too many streams of events are open");
  }
  if (const auto his = streams_of_.find(caller.uid);
      his != streams_of_.end() && his->second >= limits_.streams_of_user) {
    return Error(Code::kResourceExhausted, "you have too many streams of events open");
  }
  uint64_t next = last_number_ + 1;
  bool reset = false;
  if (!last_event_id.empty()) {
    const size_t dash = last_event_id.find('-');
    uint64_t last = 0;
    const char* const end = last_event_id.data() + last_event_id.size();
    const bool is_number = dash != std::string::npos &&
                           std::from_chars(last_event_id.data() + dash + 1, end, last).ptr == end;
    const uint64_t first = events_.empty() ? last_number_ + 1 : events_.front()->number;
    const bool is_known = is_number && last_event_id.substr(0, dash) == run_ &&
                          last <= last_number_ && last + 1 >= first;
    if (is_known) next = last + 1;
    reset = !is_known;
  }
  ++streams_;
  ++streams_of_[caller.uid];
  return std::unique_ptr<http::BodySource>(
      std::make_unique<EventStream>(this, caller, next, reset));
}

void EventFeed::Close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

bool EventFeed::MaySee(const Caller& caller, const FeedEvent& event) const {
  const bool is_admin = users_.accounts().RoleOf(caller.uid) == users::v1::ADMIN;
  if (event.started_by && *event.started_by != caller.uid && !is_admin) return false;
  return users_.Allows(caller, event.right, event.target);
}

bool EventFeed::IsGood(const Caller& caller) const {
  if (!users_.accounts().RoleOf(caller.uid)) return false;
  if (caller.token == nullptr) return true;
  return caller.token->expires_unix_ms > now_() &&
         users_.tokens().Find(caller.token->id) != nullptr;
}

}  // namespace strata::vcluster::rest
