#include "imaged/repository/background_check.h"

#include <fcntl.h>
#include <google/protobuf/util/json_util.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>

#include "common/log.h"

namespace strata::imaged {
namespace {

constexpr uint32_t kFolders = 256;
constexpr uint64_t kPieceBytesMax = 1u << 20;
constexpr uint64_t kAlignment = 4096;  // Of what O_DIRECT reads.
constexpr int kUnhealedMax = 1000;
constexpr std::string_view kObject = "object ";
constexpr std::string_view kLayer = "layer ";

struct FreeBuffer {
  void operator()(char* buffer) const { std::free(buffer); }
};

// Opens past the page cache where the file system can.
Result<UniqueFd> OpenOnDisk(const std::string& path) {
  auto fd = Open(path, O_RDONLY | O_NOFOLLOW | O_DIRECT);
  if (!fd.ok() && fd.error().sys_errno() == EINVAL) fd = Open(path, O_RDONLY | O_NOFOLLOW);
  return fd;
}

}  // namespace

BackgroundCheck::BackgroundCheck(ObjectStore& objects, LayerStore& layers, ObjectProvider& provider,
                                 std::string path)
    : objects_(objects), layers_(layers), provider_(provider), path_(std::move(path)) {
  SetSchedule({});
  const auto text = ReadFile(path_);
  if (!text.ok() && text.error().code() == Code::kNotFound) return;
  if (!text.ok() || !google::protobuf::util::JsonStringToMessage(*text, &state_).ok() ||
      state_.next_folder() >= kFolders) {
    LOG_WARNING(path_ + " cannot be read: the background check begins anew");
    state_.Clear();
  }
}

void BackgroundCheck::SetSchedule(const Schedule& schedule) {
  every_ms_ = schedule.every_ms;
  // Pieces of a quarter of a second, so that a slow check is no series of long waits.
  piece_bytes_ = std::clamp<uint64_t>(schedule.bytes_per_second / 4 / kAlignment * kAlignment,
                                      kAlignment, kPieceBytesMax);
  limiter_ = std::make_unique<transfer::RateLimiter>(schedule.bytes_per_second, piece_bytes_,
                                                     *schedule.clock);
}

bool BackgroundCheck::IsDue(int64_t now_unix_ms) const {
  const std::lock_guard lock(mutex_);
  // A clock that was set back does not put it off for ever.
  const int64_t since = now_unix_ms - state_.last_pass_ended_unix_ms();
  return state_.pass_started_unix_ms() != 0 || since >= every_ms_ || since < 0;
}

v1::BackgroundCheck BackgroundCheck::State() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

Status BackgroundCheck::Save() {
  std::string text;
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  if (!google::protobuf::util::MessageToJsonString(State(), &text, options).ok()) {
    return Error(Code::kInternal, "the state of the background check cannot be written");
  }
  return WriteFileDurably(path_, text, 0600);
}

Status BackgroundCheck::CheckNextFolder(int64_t now_unix_ms, const CancelToken& cancel) {
  uint32_t folder = 0;
  {
    const std::lock_guard lock(mutex_);
    if (state_.pass_started_unix_ms() == 0) {
      state_.set_pass_started_unix_ms(std::max<int64_t>(now_unix_ms, 1));
      state_.set_next_folder(0);
      state_.set_objects(0);
      state_.set_bytes(0);
    }
    folder = state_.next_folder();
  }
  ASSIGN_OR_RETURN(const auto objects, objects_.List(static_cast<uint8_t>(folder)));
  for (const Digest& digest : objects) RETURN_IF_ERROR(CheckObject(digest, cancel));
  ASSIGN_OR_RETURN(const auto layers, layers_.All());
  for (const Digest& layer : layers) {
    if (layer.bytes()[0] == folder) RETURN_IF_ERROR(CheckManifest(layer, cancel));
  }
  if (folder + 1 == kFolders) RETURN_IF_ERROR(RetryUnhealed(cancel));
  {
    const std::lock_guard lock(mutex_);
    state_.set_next_folder((folder + 1) % kFolders);
    if (folder + 1 == kFolders) {
      state_.set_passes(state_.passes() + 1);
      state_.set_last_pass_ended_unix_ms(now_unix_ms);
      state_.set_pass_started_unix_ms(0);
    }
  }
  return Save();
}

Result<Digest> BackgroundCheck::ReadDigest(const std::string& path, const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenOnDisk(path));
  const std::unique_ptr<char, FreeBuffer> buffer(
      static_cast<char*>(std::aligned_alloc(kAlignment, piece_bytes_)));
  struct stat st;
  if (::fstat(fd.get(), &st) != 0) return Errno("stat " + path);
  const auto size = static_cast<uint64_t>(st.st_size);
  Hasher hasher;
  uint64_t at = 0;
  // Damage may have changed the size: the end is where reading ends.
  while (true) {
    const uint64_t left = size > at ? size - at : 0;
    RETURN_IF_ERROR(limiter_->Take(std::clamp(left, kAlignment, piece_bytes_), cancel));
    const ssize_t n = ::pread(fd.get(), buffer.get(), piece_bytes_, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Errno("read " + path);
    hasher.Update(buffer.get(), static_cast<size_t>(n));
    at += static_cast<uint64_t>(n);
    // Only the end of a file is shorter than a piece.
    if (static_cast<uint64_t>(n) < piece_bytes_) break;
  }
  const std::lock_guard lock(mutex_);
  state_.set_bytes(state_.bytes() + at);
  return hasher.Finish();
}

bool BackgroundCheck::AddUnhealed(const std::string& what) {
  const std::lock_guard lock(mutex_);
  const auto& known = state_.unhealed();
  if (std::find(known.begin(), known.end(), what) != known.end()) return false;
  state_.set_damaged(state_.damaged() + 1);
  if (known.size() < kUnhealedMax) state_.add_unhealed(what);
  return true;
}

Status BackgroundCheck::CheckObject(const Digest& digest, const CancelToken& cancel) {
  const std::string path = objects_.PathOf(digest);
  const auto found = ReadDigest(path, cancel);
  if (!found.ok() && found.error().code() == Code::kNotFound) return Ok();  // Collected just now.
  if (!found.ok() && !IsDamage(found.error())) return found.error();
  {
    const std::lock_guard lock(mutex_);
    state_.set_objects(state_.objects() + 1);
  }
  if (found.ok() && *found == digest) return Ok();
  const Error damage = found.ok()
                           ? Error(Code::kCorrupt, "background check: object " + digest.ToString() +
                                                       " holds the content of " + found->ToString())
                           : found.error().Wrap("background check");
  // Mounts look at the objects of every tree again.
  layers_.ForgetCompleteness();
  const auto healed = provider_.Heal(digest, damage, cancel);
  RETURN_IF_ERROR(cancel.Check());
  if (healed.ok()) {
    const std::lock_guard lock(mutex_);
    state_.set_damaged(state_.damaged() + 1);
    state_.set_healed(state_.healed() + 1);
  } else if (AddUnhealed(std::string(kObject) + digest.ToString())) {
    LOG_ERROR(healed.error().message());
  }
  return Ok();
}

Status BackgroundCheck::CheckManifest(const Digest& layer, const CancelToken& cancel) {
  const auto found = ReadDigest(layers_.ManifestPath(layer), cancel);
  if (!found.ok() && found.error().code() == Code::kNotFound) return Ok();
  if (!found.ok() && !IsDamage(found.error())) return found.error();
  if (found.ok() && *found == layer) return Ok();
  if (AddUnhealed(std::string(kLayer) + layer.ToString())) {
    LOG_ERROR("background check: the manifest " + layers_.ManifestPath(layer) +
              " is damaged: put it back from a copy, or delete its images");
  }
  return Ok();
}

Result<bool> BackgroundCheck::IsNamed(const Digest& object) const {
  ASSIGN_OR_RETURN(const auto layers, layers_.All());
  for (const Digest& layer : layers) {
    const auto list = layers_.Objects(layer);
    // Of a layer that cannot be read nobody knows.
    if (!list.ok() || (*list)->Contains(object)) return true;
  }
  return false;
}

Status BackgroundCheck::RetryUnhealed(const CancelToken& cancel) {
  const v1::BackgroundCheck before = State();
  for (const std::string& what : before.unhealed()) {
    const bool is_object = what.starts_with(kObject);
    const auto digest =
        Digest::Parse(std::string_view(what).substr((is_object ? kObject : kLayer).size()));
    bool good = !digest.ok();
    bool healed = false;
    if (!good && is_object) {
      // It came from elsewhere, or nobody needs it any more.
      ASSIGN_OR_RETURN(const bool named, IsNamed(*digest));
      good = objects_.Has(*digest) || !named;
      healed = !good && provider_.HealMissing(*digest, cancel).ok();
      if (good) objects_.DropDamaged(*digest);
    } else if (!good) {
      const Status verified = layers_.VerifyManifest(*digest);
      good = verified.ok() || verified.error().code() == Code::kNotFound;
    }
    RETURN_IF_ERROR(cancel.Check());
    if (!good && !healed) continue;
    const std::lock_guard lock(mutex_);
    auto* unhealed = state_.mutable_unhealed();
    unhealed->erase(std::find(unhealed->begin(), unhealed->end(), what));
    if (healed) state_.set_healed(state_.healed() + 1);
  }
  return Ok();
}

}  // namespace strata::imaged
