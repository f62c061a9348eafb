#include "imaged/peers/lazy_fills.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <set>

#include "common/file_io.h"
#include "common/log.h"
#include "common/parallel.h"
#include "common/printable.h"
#include "imaged/peers/unix_time.h"

namespace strata::imaged {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint32_t kFormat = 1;
constexpr size_t kFileBytesMax = 16 << 20;
constexpr std::chrono::milliseconds kFirstPause{2000};
constexpr std::chrono::milliseconds kPauseMax{300'000};
constexpr std::chrono::seconds kNeedLooksEvery{2};
// How long one step of the background gives way to programs that wait.
constexpr std::chrono::milliseconds kGiveWayMax{500};
constexpr size_t kOneByOneAtOnce = 4;
constexpr size_t kErrorBytesMax = 2048;

}  // namespace

Result<std::unique_ptr<LazyFills>> LazyFills::Open(const std::string& directory,
                                                   const PullOperation::Parts& parts) {
  RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  std::unique_ptr<LazyFills> fills(new LazyFills(directory, parts));
  RETURN_IF_ERROR(fills->Load());
  fills->thread_ =
      std::jthread([fills = fills.get()](const std::stop_token& stop) { fills->Loop(stop); });
  return fills;
}

LazyFills::~LazyFills() {
  thread_.request_stop();
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [digest, entry] : entries_) entry.cancel->Cancel();
  }
  if (thread_.joinable()) thread_.join();
}

std::string LazyFills::PathOf(const std::string& image_digest) const {
  return directory_ + "/" + image_digest.substr(image_digest.find(':') + 1);
}

Status LazyFills::Load() {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory_.c_str()), ::closedir);
  if (stream == nullptr) return Errno("opendir " + directory_);
  while (const dirent* file = ::readdir(stream.get())) {
    if (file->d_name[0] == '.') continue;
    const std::string path = directory_ + "/" + file->d_name;
    v1::LazyFill fill;
    const auto bytes = ReadFile(path, kFileBytesMax);
    if (!bytes.ok() || !fill.ParseFromString(*bytes) || fill.format() != kFormat ||
        path != PathOf(fill.image().digest())) {
      // Its image fetches what is opened all the same; the rest comes when it is pulled again.
      LOG_ERROR(path + " is no record of a lazy image that this imaged knows: it is left aside");
      continue;
    }
    entries_[fill.image().digest()] = {fill, Clock::now(), kFirstPause,
                                       std::make_shared<CancelToken>()};
  }
  return Ok();
}

Status LazyFills::Add(v1::LazyFill fill) {
  fill.set_format(kFormat);
  fill.set_started_unix_ms(UnixMs(std::chrono::system_clock::now()));
  const std::string digest = fill.image().digest();
  RETURN_IF_ERROR(WriteFileDurably(PathOf(digest), fill.SerializeAsString(), 0600));
  const std::lock_guard lock(mutex_);
  auto& entry = entries_[digest];
  if (entry.cancel != nullptr) entry.cancel->Cancel();  // It may be ending as not needed.
  entry = {std::move(fill), Clock::time_point::max(), kFirstPause, std::make_shared<CancelToken>()};
  return Ok();
}

void LazyFills::Start(const std::string& image_digest) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(image_digest);
  if (found == entries_.end()) return;
  found->second.due = Clock::now();
  ++starts_;
  changed_.notify_all();
}

void LazyFills::Drop(const std::string& image_digest) {
  // A record that stays is dropped later: then all is here, or its layers are nobody's.
  if (::unlink(PathOf(image_digest).c_str()) != 0) {
    LOG_WARNING(Errno("unlink " + PathOf(image_digest)).message());
  }
  entries_.erase(image_digest);
}

v1::FillList LazyFills::List(const std::function<bool(const v1::Image&)>& may_see) const {
  v1::FillList list;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [digest, entry] : entries_) *list.add_fills() = entry.fill;
  }
  auto* fills = list.mutable_fills();
  fills->erase(std::remove_if(fills->begin(), fills->end(),
                              [&](const auto& fill) { return !may_see(fill.image()); }),
               fills->end());
  for (v1::LazyFill& fill : *fills) {
    const auto missing = Missing(fill.image());
    if (!missing.ok()) continue;  // Deleted just now.
    fill.set_objects_to_come(missing->size());
    for (const ObjectEntry& entry : *missing) {
      fill.set_bytes_to_come(fill.bytes_to_come() + entry.size_bytes);
    }
  }
  return list;
}

void LazyFills::Update(const std::string& image_digest,
                       const std::function<void(v1::LazyFill*)>& change) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(image_digest);
  if (found != entries_.end()) change(&found->second.fill);
}

void LazyFills::Loop(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    auto next =
        std::min_element(entries_.begin(), entries_.end(),
                         [](const auto& a, const auto& b) { return a.second.due < b.second.due; });
    if (next == entries_.end() || next->second.due > Clock::now()) {
      const uint64_t known = starts_;
      const auto started = [&] { return starts_ != known; };
      if (next == entries_.end() || next->second.due == Clock::time_point::max()) {
        changed_.wait(lock, stop, started);
      } else {
        changed_.wait_until(lock, stop, next->second.due, started);
      }
      continue;
    }
    const std::string digest = next->first;
    const v1::LazyFill fill = next->second.fill;
    const std::shared_ptr<CancelToken> cancel = next->second.cancel;
    next->second.fill.clear_next_attempt_unix_ms();
    lock.unlock();
    Status done = Ok();
    try {
      done = Run(fill, cancel.get());
    } catch (const std::exception& e) {
      done = Error(Code::kInternal, e.what());
    }
    lock.lock();
    const auto found = entries_.find(digest);
    if (found == entries_.end() || found->second.cancel != cancel) continue;  // Pulled anew.
    if (done.ok()) {
      Drop(digest);
      continue;
    }
    Entry& entry = found->second;
    if (done.error().code() != Code::kCancelled &&
        entry.fill.error() != Printable(done.error().message(), kErrorBytesMax)) {
      LOG_WARNING("lazy image " + digest + ": " + done.error().message());
    }
    entry.fill.clear_progress();
    entry.fill.set_error(Printable(done.error().message(), kErrorBytesMax));
    entry.due = Clock::now() + entry.pause;
    entry.fill.set_next_attempt_unix_ms(UnixMs(std::chrono::system_clock::now() + entry.pause));
    entry.pause = std::min(2 * entry.pause, kPauseMax);
  }
}

Result<bool> LazyFills::IsNeeded(const v1::Image& image) const {
  ASSIGN_OR_RETURN(const LayerStack layers, LayerDigests(image));
  ASSIGN_OR_RETURN(const std::set<Digest> named, parts_.repository->liveness().NamedLayers());
  return std::any_of(layers.begin(), layers.end(),
                     [&](const Digest& layer) { return named.contains(layer); });
}

Result<std::vector<ObjectEntry>> LazyFills::Missing(const v1::Image& image) const {
  ASSIGN_OR_RETURN(const LayerStack layers, LayerDigests(image));
  return parts_.repository->Missing(layers);
}

Status LazyFills::Run(const v1::LazyFill& fill, CancelToken* cancel) {
  const std::string& digest = fill.image().digest();
  CancelToken ended;
  const auto progress = [&](const v1::PullProgress& state) {
    Update(digest, [&](v1::LazyFill* entry) { *entry->mutable_progress() = state; });
    const auto end = Clock::now() + kGiveWayMax;
    while (parts_.repository->provider().waiting() > 0 && Clock::now() < end) {
      if (!cancel->WaitFor(std::chrono::milliseconds(20)).ok()) return;
    }
  };
  // Stopped because nobody needs it any more, or because imaged ends.
  const auto why_stopped = [&]() -> Status {
    ASSIGN_OR_RETURN(const bool needed, IsNeeded(fill.image()));
    return needed ? cancel->Check() : Ok();
  };
  ASSIGN_OR_RETURN(const bool needed, IsNeeded(fill.image()));
  if (!needed) return Ok();
  // A transfer may be silent for long, on purpose or not.
  const std::jthread watcher([&](const std::stop_token& stop) {
    const std::stop_callback wake(stop, [&] { ended.Cancel(); });
    while (ended.WaitFor(kNeedLooksEvery).ok()) {
      const auto still = IsNeeded(fill.image());
      if (still.ok() && !*still) return cancel->Cancel();
      if (!still.ok()) LOG_WARNING(still.error().message());
    }
  });

  const std::string reference = PinnedReference(fill.reference(), fill.image().digest());
  std::vector<PullOperation::Source> sources = {
      {fill.uid(), fill.host(), reference, fill.bytes_per_second()}};
  if (const auto state = parts_.cluster->State(); state.ok()) {
    for (const v1::Host& host : state->list().hosts()) {
      if (host.name() == state->self() || host.address().empty() || host.name() == fill.host()) {
        continue;
      }
      sources.push_back({fill.uid(), host.name(), reference, fill.bytes_per_second()});
    }
  }
  std::string trouble;
  for (const PullOperation::Source& source : sources) {
    ASSIGN_OR_RETURN(const std::vector<ObjectEntry> missing, Missing(fill.image()));
    if (missing.empty()) return Ok();
    const Status filled = FillFrom(fill, source, *cancel, progress);
    if (cancel->cancelled()) return why_stopped();
    if (!filled.ok()) trouble += (trouble.empty() ? "" : "; ") + filled.error().message();
  }
  const Status rest = FillOneByOne(fill, *cancel);
  if (rest.ok()) return Ok();
  if (cancel->cancelled()) return why_stopped();
  return rest.error().Wrap(trouble);
}

Status LazyFills::FillFrom(const v1::LazyFill& fill, const PullOperation::Source& source,
                           const CancelToken& cancel, const PullOperation::Progress& progress) {
  // Layers that are gone by now, with the image that had them, are not brought back.
  v1::Image image = fill.image();
  image.clear_layers();
  for (const v1::Layer& layer : fill.image().layers()) {
    ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(layer.digest()));
    if (PathExists(parts_.repository->layers().ManifestPath(digest))) *image.add_layers() = layer;
  }
  PullOperation operation(parts_, source, cancel);
  RETURN_IF_ERROR(operation.FetchManifests(image));
  v1::PullResult result;
  return operation.FetchObjects(image, nullptr, progress, &result);
}

Status LazyFills::FillOneByOne(const v1::LazyFill& fill, const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const std::vector<ObjectEntry> missing, Missing(fill.image()));
  std::mutex mutex;  // Guards absent.
  std::optional<Error> absent;
  RETURN_IF_ERROR(ParallelFor(
      missing.size(),
      [&](size_t i) -> Status {
        RETURN_IF_ERROR(cancel.Check());
        const Status provided =
            parts_.repository->provider().Provide(missing[i].digest, /*verify=*/false, cancel);
        // What nobody has does not keep the others; a network that is away would.
        if (provided.ok() || provided.error().code() == Code::kUnavailable) return provided;
        const std::lock_guard lock(mutex);
        absent = provided.error();
        return Ok();
      },
      kOneByOneAtOnce));
  return absent ? Status(*absent) : Ok();
}

}  // namespace strata::imaged
