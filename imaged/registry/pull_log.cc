#include "imaged/registry/pull_log.h"

#include "imaged/service/audit.h"

namespace strata::imaged {
namespace {

constexpr std::chrono::minutes kMinute{1};

std::string SubjectOf(const v1::Image& image) { return image.owner() + "/" + image.name(); }

}  // namespace

bool PullLog::HasRoomForStranger(Clock::time_point now, int* left_out) {
  if (now - minute_ >= kMinute) {
    minute_ = now;
    in_minute_ = 0;
  }
  if (in_minute_ >= kStrangerEventsMax) {
    ++left_out_;
    return false;
  }
  ++in_minute_;
  *left_out = left_out_;
  left_out_ = 0;
  return true;
}

bool PullLog::Begins(const Puller& puller, const std::string& subject, const std::string& what,
                     int* left_out) {
  const std::string all = std::to_string(puller.bearer->uid) + " " + puller.bearer->token_id + " " +
                          puller.client + " " + subject + " ";
  const std::lock_guard lock(mutex_);
  const Clock::time_point now = now_();
  const auto is_over = [&](const auto& entry) { return now - entry.second >= kPullSilence; };
  if (pulls_.size() >= kPullsRememberedMax) std::erase_if(pulls_, is_over);
  bool going_on = false;
  // A blob may be of any manifest that he got.
  for (auto at = pulls_.lower_bound(all + what);
       at != pulls_.end() && at->first.starts_with(all + what); ++at) {
    if (is_over(*at)) continue;
    at->second = now;
    going_on = true;
  }
  if (going_on) return false;
  const bool stranger = puller.bearer->uid == kAnonymousUid;
  if (stranger && !HasRoomForStranger(now, left_out)) return false;
  // Beyond it more events are written than there need be.
  if (pulls_.size() < kPullsRememberedMax) pulls_[all + what] = now;
  return true;
}

void PullLog::Record(const Puller& puller, v1::Event event, const std::string& detail, int left_out,
                     const Status& status) {
  const RequestScope scope;
  std::string text = detail + " from " + puller.client;
  if (!puller.bearer->token_id.empty()) text += ", token " + puller.bearer->token_id;
  if (left_out > 0) {
    text += "; " + std::to_string(left_out) + " pulls of strangers before it were left out";
  }
  event.set_via("registry");
  event.set_detail(Printable(text));
  if (puller.bearer->uid == kAnonymousUid) event.set_user("(nobody)");
  RecordOutcome(repository_, std::move(event), status);
}

void PullLog::Manifest(const Puller& puller, const v1::Image& image, const std::string& tag,
                       const Sha256Digest& digest) {
  int left_out = 0;
  if (!Begins(puller, SubjectOf(image), image.digest(), &left_out)) return;
  v1::Event event = EventOf("pull", puller.bearer->uid, "");
  SetImage(image, &event);
  if (!tag.empty()) event.set_image(Printable(SubjectOf(image) + ":" + tag));
  Record(puller, std::move(event), "manifest " + digest.ToString(), left_out, Ok());
}

void PullLog::Blob(const Puller& puller, const v1::Image& image, const Sha256Digest& digest) {
  int left_out = 0;
  if (!Begins(puller, SubjectOf(image), "", &left_out)) return;
  v1::Event event = EventOf("pull", puller.bearer->uid, "");
  SetImage(image, &event);
  Record(puller, std::move(event), "blob " + digest.ToString(), left_out, Ok());
}

void PullLog::Refused(const Puller& puller, const std::string& asked, const Error& error) {
  int left_out = 0;
  if (puller.bearer->uid == kAnonymousUid || !Begins(puller, asked, "refused", &left_out)) return;
  Record(puller, EventOf("pull", puller.bearer->uid, asked), "manifest", left_out, error);
}

}  // namespace strata::imaged
