// PullLog: which pulls of the registry's clients are events (docs/observability.md). A client asks
// for a manifest and then for many blobs, and some ask for the manifest several times: that is one
// pull, and one event, until the client has been silent about the image for kPullSilence.
//
// Strangers need no password, so their pulls, all together, are at most kStrangerEventsMax in a
// minute: nobody washes the event log out by pulling. What was left out is counted, and the next
// event of a stranger says so.
//
// Thread-safe. An event is durable when it was recorded, which is before the manifest is sent.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "common/result.h"
#include "common/sha256.h"
#include "imaged/api/imaged.pb.h"
#include "imaged/registry/bearer.h"
#include "imaged/repository/repository.h"

namespace strata::imaged {

constexpr std::chrono::minutes kPullSilence{5};
constexpr int kStrangerEventsMax = 60;
constexpr size_t kPullsRememberedMax = 8192;

class PullLog {
 public:
  using Clock = std::chrono::steady_clock;
  // Who asks.
  struct Puller {
    const Bearer* bearer;
    std::string client;  // His address.
  };

  // `repository` must outlive this. `now` is injected, so that tests let time pass.
  PullLog(Repository* repository, std::function<Clock::time_point()> now)
      : repository_(repository), now_(std::move(now)) {}

  // He gets the manifest of `image`, which he asked for by `tag`, or by its digest ("").
  void Manifest(const Puller& puller, const v1::Image& image, const std::string& tag,
                const Sha256Digest& digest);
  // He gets a blob of `image`: an event of its own unless he got a manifest of its repository.
  void Blob(const Puller& puller, const v1::Image& image, const Sha256Digest& digest);
  // What he asked for does not exist, or is not for him. Of strangers that is no event.
  void Refused(const Puller& puller, const std::string& asked, const Error& error);

 private:
  // Whether this is the first of a pull, and how many of strangers were left out before it.
  bool Begins(const Puller& puller, const std::string& subject, const std::string& what,
              int* left_out);
  bool HasRoomForStranger(Clock::time_point now, int* left_out);  // REQUIRES: mutex_.
  void Record(const Puller& puller, v1::Event event, const std::string& detail, int left_out,
              const Status& status);

  Repository* const repository_;
  const std::function<Clock::time_point()> now_;
  std::mutex mutex_;  // Guards what follows.
  // When it was last heard of, by who, from where, which repository, what of it.
  std::map<std::string, Clock::time_point> pulls_;
  Clock::time_point minute_;  // Of strangers' events.
  int in_minute_ = 0;
  int left_out_ = 0;
};

}  // namespace strata::imaged
