#include "imaged/peers/image_puller.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "common/log.h"
#include "common/rpc/call_watch.h"
#include "common/rpc/status.h"

namespace strata::imaged {
namespace {

constexpr int kSourcesMax = 8;
// Of hosts that are asked for an image: each may take half a minute.
constexpr int kSilentHostsMax = 3;

// What a copy of the image is called: as it is for its owner and root, below one's own for others.
std::string TargetName(const v1::Image& image, uid_t caller, const Accounts& accounts) {
  const bool own = caller == 0 || accounts.UserName(caller) == image.owner();
  return (own ? image.owner() + "/" : std::string()) + image.name() + ":" +
         (image.tag().empty() ? "latest" : image.tag());
}

}  // namespace

Result<std::unique_ptr<ImagePuller>> ImagePuller::Open(Cluster* cluster, Repository* repository) {
  std::unique_ptr<ImagePuller> puller(new ImagePuller(cluster, repository));
  ASSIGN_OR_RETURN(puller->partial_files_,
                   transfer::PartialFiles::Open(repository->objects().root()));
  ASSIGN_OR_RETURN(puller->chunk_lists_, ChunkLists::Open(repository->objects()));
  repository->provider().AlsoAsk([sources = &puller->sources_] { return sources->Ranked(); });
  ASSIGN_OR_RETURN(puller->fills_, LazyFills::Open(repository->objects().root() + "/lazy",
                                                   puller->OperationParts()));
  return puller;
}

Result<std::unique_lock<std::timed_mutex>> ImagePuller::OneAtATime(
    const std::string& image_digest, std::shared_ptr<std::timed_mutex>* running,
    const CancelToken& cancel) {
  {
    const std::lock_guard guard(mutex_);
    std::erase_if(running_, [](const auto& item) { return item.second.expired(); });
    *running = running_[image_digest].lock();
    if (*running == nullptr) {
      *running = std::make_shared<std::timed_mutex>();
      running_[image_digest] = *running;
    }
  }
  std::unique_lock lock(**running, std::defer_lock);
  while (!lock.try_lock_for(std::chrono::milliseconds(50))) RETURN_IF_ERROR(cancel.Check());
  return lock;
}

Result<v1::PullResult> ImagePuller::Pull(uid_t caller, const v1::PullRequest& request,
                                         const Progress& progress, const CancelToken& cancel) {
  return PullOnce(caller, request, nullptr, /*awaits=*/false, progress, cancel);
}

Result<v1::PullResult> ImagePuller::PullFromAny(uid_t caller, const v1::PullRequest& request,
                                                const v1::Chain& chain, const Progress& progress,
                                                const CancelToken& cancel) {
  if (chain.sources_size() > kSourcesMax) {
    return Error(Code::kInvalidArgument,
                 "at most " + std::to_string(kSourcesMax) + " sources may be named");
  }
  const PendingImages::Expectation expectation(&pending_, caller, request.reference());
  Relay relay;  // Stays from one source to the next: who waits for us goes on waiting.
  v1::PullRequest attempt = request;
  for (const v1::PeerImageSource& source : chain.sources()) {
    attempt.set_host(source.host());
    attempt.set_reference(source.reference());
    auto pulled = PullOnce(caller, attempt, &relay, /*awaits=*/true, progress, cancel);
    if (pulled.ok()) return pulled;
    RETURN_IF_ERROR(cancel.Check());
    LOG_WARNING("prestage of " + request.reference() + ": " + pulled.error().message() +
                "; asking the next host");
  }
  return PullOnce(caller, request, &relay, /*awaits=*/false, progress, cancel);
}

Result<v1::PullResult> ImagePuller::PullOnce(uid_t caller, const v1::PullRequest& request,
                                             Relay* relay, bool awaits, const Progress& progress,
                                             const CancelToken& cancel) {
  const auto start = std::chrono::steady_clock::now();
  PullOperation operation(
      OperationParts(),
      {caller, request.host(), request.reference(), request.bytes_per_second(), awaits}, cancel);
  ASSIGN_OR_RETURN(v1::Image image, operation.Resolve());
  // In a catalog that the hosts share it has its name here already.
  const bool shared = repository_->catalog().shared() && request.new_reference().empty();
  const std::string target = shared ? request.reference()
                             : request.new_reference().empty()
                                 ? TargetName(image, caller, repository_->catalog().accounts())
                                 : request.new_reference();
  // A name that is this image's already is not taken from anything.
  const auto present = repository_->images().Find(caller, target);
  const bool same = present.ok() && present->digest() == image.digest();
  std::optional<Images::Reservation> name;
  if (!shared || !same) {
    ASSIGN_OR_RETURN(Images::Reservation reserved,
                     repository_->images().Reserve(caller, target, request.replace() || same));
    name.emplace(std::move(reserved));
  }
  std::shared_ptr<std::timed_mutex> running;  // Outlives its lock.
  ASSIGN_OR_RETURN(const auto lock, OneAtATime(image.digest(), &running, cancel));
  v1::PullResult result;
  RETURN_IF_ERROR(operation.FetchManifests(image));
  if (name) RETURN_IF_ERROR(operation.CheckRoom());
  if (relay != nullptr) {
    Announce(caller, image, operation.Objects(), relay, progress);
    operation.RelayTo(&(*relay)->image());
  }
  if (request.lazy()) {
    RETURN_IF_ERROR(PrepareLazy(caller, request, image, &operation, progress, &result));
  } else {
    RETURN_IF_ERROR(operation.FetchObjects(image, nullptr, progress, &result));
  }
  auto published = name ? operation.Publish(*name, image) : operation.Bring(caller, target);
  if (request.lazy()) fills_->Start(image.digest());  // Or drops it, when nobody has the image.
  if (!published.ok()) return published.error();
  if (request.cached() && !same) {  // What was here is kept, whatever is asked now.
    ASSIGN_OR_RETURN(const LayerStack layers, LayerDigests(*published));
    repository_->layers().NoteUse(layers);  // It came just now.
    v1::EditRequest mark;
    mark.set_reference(DisplayName(*published));
    (*mark.mutable_set_labels())[kCachedLabel] = request.host();
    published = repository_->images().Edit(caller, mark);
    if (!published.ok()) return published.error();
  }
  *result.mutable_image() = std::move(*published);
  result.set_wire_bytes(result.wire_bytes() + operation.manifest_bytes());
  result.set_source(request.host());
  result.set_seconds(
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return result;
}

Status ImagePuller::Bring(uid_t caller, const std::string& reference, const ProgressSink& progress,
                          const CancelToken& cancel) {
  if (!repository_->catalog().shared()) return Ok();
  const auto image = repository_->images().Find(caller, reference);
  if (!image.ok()) return Ok();
  if (repository_->CheckIsHere(*image).ok()) return Ok();
  const std::string what = DisplayName(*image) + " is in the hosts' catalog, and not on this host";
  ASSIGN_OR_RETURN(std::vector<std::string> hosts, OtherHosts(), what);
  {
    const std::lock_guard guard(mutex_);
    std::stable_partition(hosts.begin(), hosts.end(),
                          [&](const std::string& host) { return host == brought_from_; });
  }
  v1::PullRequest request;
  request.set_reference(image->owner() + "/" + image->name() + "@" + image->digest());
  std::string answers;
  int silent = 0;
  bool newest = false;
  const auto more = [&] { return !std::exchange(newest, true) && AddJoined(&hosts); };
  for (size_t next = 0; next < hosts.size() || more(); ++next) {
    const std::string host = hosts[next];
    if (silent == kSilentHostsMax) {
      answers += "; others were not asked";
      break;
    }
    request.set_host(host);
    const auto pulled = Pull(
        caller, request,
        [&](const v1::PullProgress& state) {
          if (!progress) return;
          v1::Progress told;
          told.set_stage("bring from " + host);
          told.set_entries(state.objects());
          told.set_bytes(state.bytes());
          told.set_bytes_total(state.bytes_total());
          progress(told);
        },
        cancel);
    if (pulled.ok()) {
      const std::lock_guard guard(mutex_);
      brought_from_ = host;
      return Ok();
    }
    RETURN_IF_ERROR(cancel.Check());
    const Error& error = pulled.error();
    if (error.code() == Code::kResourceExhausted) return Error(error).Wrap(what);
    if (error.code() == Code::kUnavailable || error.code() == Code::kDeadlineExceeded) ++silent;
    const std::string from = "host " + host + ": ";
    answers += (answers.empty() ? "" : "; ") + (error.message().starts_with(from) ? "" : from) +
               error.message();
  }
  return Error(silent > 0 ? Code::kUnavailable : Code::kFailedPrecondition,
               what + "; no other host gives it" + (answers.empty() ? "" : ": " + answers));
}

void ImagePuller::Announce(uid_t caller, const v1::Image& image, std::set<Digest> objects,
                           Relay* relay, const Progress& progress) {
  if (!relay->has_value()) {
    relay->emplace(&pending_,
                   std::make_shared<PendingImage>(repository_, caller, image, std::move(objects)));
  }
  if (progress) progress(v1::PullProgress());
}

Status ImagePuller::PrepareLazy(uid_t caller, const v1::PullRequest& request,
                                const v1::Image& image, PullOperation* operation,
                                const Progress& progress, v1::PullResult* result) {
  const auto profile = operation->FetchProfile();
  if (!profile.ok()) {
    LOG_INFO("lazy image " + image.digest() + " has no profile: " + profile.error().message());
  } else if (!profile->empty()) {
    RETURN_IF_ERROR(operation->FetchObjects(image, &*profile, progress, result));
    ASSIGN_OR_RETURN(const LayerStack layers, LayerDigests(image));
    RETURN_IF_ERROR(repository_->layers().SaveProfile(layers, *profile));
  }
  const PullOperation::Missing to_come = operation->CountMissing();
  result->set_objects_to_come(to_come.objects);
  result->set_bytes_to_come(to_come.bytes);
  if (to_come.objects == 0) return Ok();
  v1::LazyFill fill;
  *fill.mutable_image() = image;
  fill.set_uid(caller);
  fill.set_host(request.host());
  fill.set_reference(request.reference());
  fill.set_bytes_per_second(request.bytes_per_second());
  return fills_->Add(std::move(fill));
}

Result<v1::FillList> ImagePuller::Fills(uid_t caller, const std::string& reference) const {
  std::string wanted;
  if (!reference.empty()) {
    ASSIGN_OR_RETURN(const v1::Image image, repository_->images().Find(caller, reference));
    wanted = image.digest();
  }
  return fills_->List([&](const v1::Image& image) {
    if (!wanted.empty()) return image.digest() == wanted;
    const auto layers = LayerDigests(image);
    return layers.ok() && !repository_->images().ReadableLayers(caller, {layers->back()}).empty();
  });
}

Result<std::vector<std::string>> ImagePuller::OtherHosts() const {
  ASSIGN_OR_RETURN(const v1::ClusterState state, cluster_->State());
  std::vector<std::string> names;
  for (const v1::Host& host : state.list().hosts()) {
    if (host.name() != state.self() && !host.address().empty()) names.push_back(host.name());
  }
  return names;
}

bool ImagePuller::AddJoined(std::vector<std::string>* hosts) const {
  if (!cluster_->Refresh().ok()) return false;
  const auto now = OtherHosts();
  if (!now.ok()) return false;
  const size_t before = hosts->size();
  for (const std::string& host : *now) {
    if (std::find(hosts->begin(), hosts->end(), host) == hosts->end()) hosts->push_back(host);
  }
  return hosts->size() > before;
}

Result<std::string> ImagePuller::ReferenceThere(uid_t caller, const std::string& reference) const {
  ASSIGN_OR_RETURN(const v1::Image image, repository_->images().Find(caller, reference));
  const std::string name = TargetName(image, caller, repository_->catalog().accounts());
  return name.substr(0, name.rfind(':')) + "@" + image.digest();
}

Result<v1::PullResult> ImagePuller::Push(uid_t caller, const v1::PushRequest& request,
                                         const Progress& progress, const CancelToken& cancel) {
  // A name that is not there is told here, and not by the other host.
  ASSIGN_OR_RETURN(const v1::Image image, repository_->images().Find(caller, request.reference()));
  ASSIGN_OR_RETURN(const auto channel, cluster_->Connect(request.host()));
  v1::OfferImageRequest offer;
  offer.mutable_image()->set_reference(image.owner() + "/" + image.name() + "@" + image.digest());
  offer.mutable_image()->set_user(repository_->catalog().accounts().UserName(caller));
  offer.set_new_reference(request.new_reference().empty()
                              ? TargetName(image, caller, repository_->catalog().accounts())
                              : request.new_reference());
  offer.set_replace(request.replace());
  offer.set_bytes_per_second(request.bytes_per_second());
  if (request.has_chain()) *offer.mutable_chain() = request.chain();
  grpc::ClientContext context;
  rpc::CallWatch watch([&] { context.TryCancel(); }, 2 * kPullStallMax, &cancel);
  const auto stream = v1::PeerService::NewStub(channel)->OfferImage(&context, offer);
  std::optional<v1::PullResult> result;
  v1::PullEvent event;
  while (stream->Read(&event)) {
    watch.Moved();
    if (event.has_result()) {
      result = event.result();
    } else if (progress) {
      progress(event.progress());
    }
  }
  const grpc::Status status = stream->Finish();
  RETURN_IF_ERROR(cancel.Check());
  if (!status.ok()) {
    return WhyEnded(watch.stalled(), request.host(), rpc::FromGrpc(status))
        .Wrap("host " + request.host());
  }
  if (!result) return Error(Code::kInternal, "host " + request.host() + " gave no result");
  return *result;
}

}  // namespace strata::imaged
