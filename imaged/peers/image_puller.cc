#include "imaged/peers/image_puller.h"

#include <fcntl.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <set>
#include <tuple>

#include "common/file_io.h"
#include "common/log.h"
#include "common/rpc/call_watch.h"
#include "common/rpc/status.h"
#include "imaged/transfer/receiver.h"

namespace strata::imaged {
namespace {

constexpr std::chrono::seconds kStallMax{30};
constexpr std::chrono::seconds kAnswerTimeMax{30};
constexpr int kLayersMax = 512;
constexpr uint64_t kManifestBytesMax = 2ull << 30;
// Images that lend their files as bases: more cost memory and find little.
constexpr size_t kBaseImagesMax = 3;
constexpr uint64_t kBurstBytes = 4 << 20;
// Of a host that passes on: each hop of a chain adds the time of one group.
constexpr transfer::GroupLimits kRelayGroup{1 << 20, std::chrono::milliseconds(500)};
constexpr int kSourcesMax = 8;

Error WhyEnded(const rpc::CallWatch& watch, const std::string& host, const Error& error) {
  if (!watch.stalled()) return error;
  return Error(Code::kDeadlineExceeded,
               "host " + host + " sent nothing for half a minute: pull again to go on");
}

// What another host says of an image, as far as it can be told without the bytes.
Status CheckImage(const v1::Image& image) {
  if (image.layers_size() == 0 || image.layers_size() > kLayersMax) {
    return Error(Code::kCorrupt, "an image has 1-" + std::to_string(kLayersMax) + " layers");
  }
  if (ImageDigest(image).ToString() != image.digest()) {
    return Error(Code::kCorrupt, "the image is not what its digest says");
  }
  for (const v1::Layer& layer : image.layers()) {
    RETURN_IF_ERROR(Digest::Parse(layer.digest()));
    if (layer.manifest_bytes() > kManifestBytesMax) {
      return Error(
          Code::kResourceExhausted,
          "a manifest of " + std::to_string(layer.manifest_bytes()) + " bytes is too large");
    }
  }
  return Ok();
}

// What a copy of the image is called: as it is for its owner and root, below one's own for others.
std::string TargetName(const v1::Image& image, uid_t caller, const Accounts& accounts) {
  const bool own = caller == 0 || accounts.UserName(caller) == image.owner();
  return (own ? image.owner() + "/" : std::string()) + image.name() + ":" +
         (image.tag().empty() ? "latest" : image.tag());
}

v1::PullProgress Describe(const transfer::TransferProgress& progress) {
  v1::PullProgress described;
  described.set_objects(progress.objects);
  described.set_objects_total(progress.objects_total);
  described.set_bytes(progress.plain_bytes);
  described.set_bytes_total(progress.plain_bytes_total);
  described.set_wire_bytes(progress.wire_bytes);
  described.set_bytes_per_second(progress.plain_bytes_per_second);
  described.set_wire_bytes_per_second(progress.wire_bytes_per_second);
  described.set_seconds_left(progress.seconds_left.value_or(-1));
  return described;
}

}  // namespace

// One pull, step by step.
class ImagePuller::Operation {
 public:
  Operation(ImagePuller& puller, uid_t caller, const v1::PullRequest& request,
            const CancelToken& cancel)
      : puller_(puller),
        repository_(*puller.repository_),
        caller_(caller),
        request_(request),
        cancel_(cancel),
        claims_(repository_.objects()) {
    image_.set_reference(request.reference());
    image_.set_user(repository_.catalog().accounts().UserName(caller));
  }

  Result<v1::Image> Resolve() {
    ASSIGN_OR_RETURN(const auto channel, puller_.cluster_->Connect(request_.host()));
    stub_ = v1::PeerService::NewStub(channel);
    v1::ResolveImageRequest request;
    *request.mutable_image() = image_;
    v1::ResolveImageResponse response;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kAnswerTimeMax);
    const grpc::Status status = stub_->ResolveImage(&context, request, &response);
    if (!status.ok()) return rpc::FromGrpc(status).Wrap("host " + request_.host());
    RETURN_IF_ERROR(CheckImage(response.image()), "host " + request_.host());
    const size_t at = request_.reference().find('@');
    if (at != std::string::npos &&
        request_.reference().substr(at + 1) != response.image().digest()) {
      return Error(Code::kCorrupt, "host " + request_.host() + " has another image by that digest");
    }
    return response.image();
  }

  // Layers that are here stay; the others become pending.
  Status FetchManifests(const v1::Image& image) {
    ASSIGN_OR_RETURN(const auto ingest, repository_.objects().StartIngest());
    ASSIGN_OR_RETURN(const LayerStack layers, LayerDigests(image));
    for (size_t i = 0; i < layers.size(); ++i) {
      const Digest& layer = layers[i];
      auto hold = repository_.liveness().HoldIf(
          {layer}, [&] { return PathExists(repository_.layers().ManifestPath(layer)); });
      if (hold) {
        holds_.push_back(std::move(*hold));
        ASSIGN_OR_RETURN(const auto reader, repository_.layers().OpenManifest(layer));
        ASSIGN_OR_RETURN(trees_.emplace_back(), reader->LoadTree(), "layer " + layer.ToString());
        continue;
      }
      auto pending = repository_.layers().OpenPending(layer);
      if (!pending.ok()) {
        const uint64_t size = image.layers(static_cast<int>(i)).manifest_bytes();
        RETURN_IF_ERROR(FetchManifest(layer, size, *ingest));
        pending = repository_.layers().OpenPending(layer);
        if (!pending.ok()) return pending.error();
      }
      if (std::find(pending_.begin(), pending_.end(), layer) == pending_.end()) {
        pending_.push_back(layer);
      }
      ASSIGN_OR_RETURN(trees_.emplace_back(), (*pending)->LoadTree(), "layer " + layer.ToString());
    }
    return Ok();
  }

  Status FetchObjects(const v1::Image& image, const Progress& progress, v1::PullResult* result) {
    // Claimed before it is looked at, so that what is here stays.
    std::set<Digest> missing;
    for (const Tree& tree : trees_) {
      for (const ObjectEntry& entry : ObjectList::Of(tree)) {
        if (!claims_.Add(entry.digest)) missing.insert(entry.digest);
      }
    }
    if (missing.empty()) return Ok();
    ASSIGN_OR_RETURN(const std::vector<Tree> bases, LoadBases(image));
    std::vector<const Tree*> wanted;
    for (const Tree& tree : trees_) wanted.push_back(&tree);
    std::vector<const Tree*> held;
    for (const Tree& tree : bases) held.push_back(&tree);
    const std::vector<transfer::WantedObject> objects = transfer::ChooseBases(
        wanted, held, [&](const Digest& digest) { return !missing.contains(digest); });
    for (const transfer::WantedObject& object : objects) {
      result->set_bytes(result->bytes() + object.size_bytes);
    }
    result->set_objects(objects.size());
    return Transfer(objects, progress, result);
  }

  // Other hosts may ask for it from now on.
  void Announce(const v1::Image& image, Relay* relay, const Progress& progress) {
    if (!relay->has_value()) {
      std::set<Digest> objects;
      for (const Tree& tree : trees_) {
        for (const ObjectEntry& entry : ObjectList::Of(tree)) objects.insert(entry.digest);
      }
      relay->emplace(&puller_.pending_, std::make_shared<PendingImage>(&repository_, caller_, image,
                                                                       std::move(objects)));
    }
    relay_ = &(*relay)->image();
    if (progress) progress(v1::PullProgress());
  }

  // Everything is here: the layers become visible, then the image.
  Result<v1::Image> Publish(const Images::Reservation& name, v1::Image image) {
    for (const Digest& layer : pending_) {
      holds_.push_back(repository_.liveness().HoldStack({layer}));
      RETURN_IF_ERROR(repository_.layers().CommitPending(layer));
    }
    image.set_visibility(v1::VISIBILITY_UNSPECIFIED);
    image.clear_grants();
    RETURN_IF_ERROR(repository_.CheckSecretsUnder(name, image));
    ASSIGN_OR_RETURN(const v1::ImportResult published,
                     repository_.PublishStack(name, std::move(image)));
    return published.image();
  }

  uint64_t manifest_bytes() const { return manifest_bytes_; }

 private:
  Status FetchManifest(const Digest& layer, uint64_t size_bytes, const Ingest& ingest) {
    v1::ReadManifestRequest request;
    *request.mutable_image() = image_;
    request.set_layer(layer.ToString());
    grpc::ClientContext context;
    rpc::CallWatch watch([&] { context.TryCancel(); }, kStallMax, &cancel_);
    const auto stream = stub_->ReadManifest(&context, request);
    ASSIGN_OR_RETURN(ScratchFile file, ScratchFile::Create(ingest.StagingPath(layer.Hex())));
    uint64_t got = 0;
    Status taken = Ok();
    v1::ObjectChunk chunk;
    while (taken.ok() && stream->Read(&chunk)) {
      watch.Moved();
      got += chunk.data().size();
      taken = got <= size_bytes ? WriteAll(file.fd(), chunk.data())
                                : Error(Code::kCorrupt, "the manifest is longer than was said");
    }
    if (!taken.ok()) context.TryCancel();
    const grpc::Status status = stream->Finish();
    const std::string what = "layer " + layer.ToString() + " of host " + request_.host();
    RETURN_IF_ERROR(taken, what);
    RETURN_IF_ERROR(cancel_.Check());
    if (!status.ok()) return WhyEnded(watch, request_.host(), rpc::FromGrpc(status)).Wrap(what);
    ASSIGN_OR_RETURN(const Digest found, HashFile(file.fd()), what);
    if (found != layer) {
      return Error(Code::kCorrupt, what + ": what came has the digest " + found.ToString());
    }
    manifest_bytes_ += got;
    return repository_.layers().AddPending(std::move(file), layer);
  }

  // Trees of images here that are likely alike: of the same name, or on the same layers.
  Result<std::vector<Tree>> LoadBases(const v1::Image& image) {
    const std::vector<std::string> names = BaseImages(image);
    std::vector<Tree> trees;
    for (const std::string& name : names) {
      auto held = repository_.HoldImage(caller_, name);
      if (!held.ok()) continue;  // Deleted since.
      ASSIGN_OR_RETURN(trees.emplace_back(), repository_.LoadFlattened(held->hold.stack()), name);
      for (const v1::Layer& layer : held->image.layers()) base_layers_.insert(layer.digest());
      holds_.push_back(std::move(held->hold));
    }
    return trees;
  }

  std::vector<std::string> BaseImages(const v1::Image& image) {
    struct Candidate {
      bool same_name;
      size_t shared_layers;
      int64_t created;
      std::string reference;
      auto Rank() const { return std::tuple(same_name, shared_layers, created); }
    };
    std::vector<Candidate> candidates;
    std::set<std::string> names;
    if (auto usable = repository_.images().Names(caller_); usable.ok()) {
      names.insert(usable->begin(), usable->end());
    }
    repository_.catalog().index().ForEachTag([&](const ImageIndex::Tag& tag) {
      if (!names.contains(tag.display)) return;
      Candidate candidate{tag.name.name == image.name(), 0, tag.version->created_unix_ms,
                          tag.display};
      for (int i = 0; i < image.layers_size(); ++i) {
        const bool shared = std::any_of(
            tag.version->layers.begin(), tag.version->layers.end(),
            [&](const auto& layer) { return layer.digest.ToString() == image.layers(i).digest(); });
        candidate.shared_layers += shared;
      }
      if (candidate.same_name || candidate.shared_layers > 0) candidates.push_back(candidate);
    });
    std::sort(candidates.begin(), candidates.end(),
              [](const auto& a, const auto& b) { return a.Rank() > b.Rank(); });
    if (candidates.size() > kBaseImagesMax) candidates.resize(kBaseImagesMax);
    std::vector<std::string> references;
    for (const Candidate& candidate : candidates) references.push_back(candidate.reference);
    return references;
  }

  Status Transfer(const std::vector<transfer::WantedObject>& objects, const Progress& progress,
                  v1::PullResult* result) {
    grpc::ClientContext context;
    rpc::CallWatch watch([&] { context.TryCancel(); }, kStallMax, &cancel_);
    const auto stream = stub_->TransferObjects(&context);
    v1::TransferStep start;
    *start.mutable_start()->mutable_image() = image_;
    for (const std::string& layer : base_layers_) start.mutable_start()->add_base_layers(layer);
    stream->Write(start);
    transfer::ReceiverChannel channel;
    channel.send = [&](const v1::TransferRequest& request) -> Status {
      v1::TransferStep step;
      *step.mutable_request() = request;
      return stream->Write(step) ? Ok() : Error(Code::kUnavailable, "the transfer broke off");
    };
    channel.receive = [&](v1::Piece* piece) -> Result<bool> {
      const bool more = stream->Read(piece);
      watch.Moved();
      return more;
    };
    channel.cancel = [&] { context.TryCancel(); };
    std::optional<transfer::RateLimiter> limiter;
    if (request_.bytes_per_second() > 0) limiter.emplace(request_.bytes_per_second(), kBurstBytes);
    transfer::ReceiveOptions options;
    options.limiter = limiter ? &*limiter : nullptr;
    options.progress = [&](const transfer::TransferProgress& state) {
      watch.Moved();  // Being slow on purpose is no stall.
      if (progress) progress(Describe(state));
    };
    if (relay_ != nullptr) {
      options.group = kRelayGroup;
      options.committed = [this] { relay_->Advanced(); };
    }
    transfer::ReceiveReport report;
    const Status received = transfer::ReceiveObjects(repository_.objects(), *puller_.partial_files_,
                                                     objects, channel, options, cancel_, &report);
    stream->WritesDone();
    if (!received.ok()) context.TryCancel();
    const grpc::Status status = stream->Finish();
    result->set_wire_bytes(report.wire_bytes_received + report.wire_bytes_sent);
    result->set_resumed_bytes(report.resumed_bytes);
    RETURN_IF_ERROR(cancel_.Check());
    const std::string from = "host " + request_.host();
    if (!received.ok()) {
      // Why the other side ended it tells more than that it did.
      const bool told = received.error().code() == Code::kUnavailable && !status.ok() &&
                        status.error_code() != grpc::StatusCode::CANCELLED;
      return WhyEnded(watch, request_.host(), told ? rpc::FromGrpc(status) : received.error())
          .Wrap(from);
    }
    if (report.refused.empty()) return Ok();
    return Error(Code::kNotFound, from + " lacks " + std::to_string(report.refused.size()) +
                                      " objects of the image, among them " +
                                      report.refused.front().digest.ToString());
  }

  ImagePuller& puller_;
  Repository& repository_;
  const uid_t caller_;
  const v1::PullRequest& request_;
  const CancelToken& cancel_;
  v1::PeerImage image_;
  std::unique_ptr<v1::PeerService::Stub> stub_;
  ObjectStore::Claims claims_;
  std::vector<Liveness::Hold> holds_;
  std::vector<Digest> pending_;
  std::vector<Tree> trees_;  // Of all layers.
  std::set<std::string> base_layers_;
  uint64_t manifest_bytes_ = 0;
  PendingImage* relay_ = nullptr;  // Null: nothing is passed on meanwhile.
};

Result<std::unique_ptr<ImagePuller>> ImagePuller::Open(Cluster* cluster, Repository* repository) {
  ASSIGN_OR_RETURN(auto partial_files, transfer::PartialFiles::Open(repository->objects().root()));
  return std::unique_ptr<ImagePuller>(
      new ImagePuller(cluster, repository, std::move(partial_files)));
}

Result<std::shared_ptr<std::timed_mutex>> ImagePuller::OneAtATime(
    const std::string& image_digest, std::unique_lock<std::timed_mutex>* lock,
    const CancelToken& cancel) {
  std::shared_ptr<std::timed_mutex> running;
  {
    const std::lock_guard guard(mutex_);
    std::erase_if(running_, [](const auto& item) { return item.second.expired(); });
    running = running_[image_digest].lock();
    if (running == nullptr) {
      running = std::make_shared<std::timed_mutex>();
      running_[image_digest] = running;
    }
  }
  *lock = std::unique_lock(*running, std::defer_lock);
  while (!lock->try_lock_for(std::chrono::milliseconds(50))) RETURN_IF_ERROR(cancel.Check());
  return running;
}

Result<v1::PullResult> ImagePuller::Pull(uid_t caller, const v1::PullRequest& request,
                                         const Progress& progress, const CancelToken& cancel) {
  return PullOnce(caller, request, nullptr, progress, cancel);
}

Result<v1::PullResult> ImagePuller::PullFromAny(uid_t caller, const v1::PullRequest& request,
                                                const v1::Chain& chain, const Progress& progress,
                                                const CancelToken& cancel) {
  if (chain.sources_size() > kSourcesMax) {
    return Error(Code::kInvalidArgument,
                 "at most " + std::to_string(kSourcesMax) + " sources may be named");
  }
  Relay relay;  // Stays from one source to the next: who waits for us goes on waiting.
  v1::PullRequest attempt = request;
  for (const v1::PeerImageSource& source : chain.sources()) {
    attempt.set_host(source.host());
    attempt.set_reference(source.reference());
    auto pulled = PullOnce(caller, attempt, &relay, progress, cancel);
    if (pulled.ok()) return pulled;
    RETURN_IF_ERROR(cancel.Check());
    LOG_WARNING("prestage of " + request.reference() + ": " + pulled.error().message() +
                "; asking the next host");
  }
  return PullOnce(caller, request, &relay, progress, cancel);
}

Result<v1::PullResult> ImagePuller::PullOnce(uid_t caller, const v1::PullRequest& request,
                                             Relay* relay, const Progress& progress,
                                             const CancelToken& cancel) {
  const auto start = std::chrono::steady_clock::now();
  Operation operation(*this, caller, request, cancel);
  ASSIGN_OR_RETURN(v1::Image image, operation.Resolve());
  const std::string target = request.new_reference().empty()
                                 ? TargetName(image, caller, repository_->catalog().accounts())
                                 : request.new_reference();
  // A name that is this image's already is not taken from anything.
  const auto present = repository_->images().Find(caller, target);
  const bool same = present.ok() && present->digest() == image.digest();
  ASSIGN_OR_RETURN(const Images::Reservation name,
                   repository_->images().Reserve(caller, target, request.replace() || same));
  std::unique_lock<std::timed_mutex> lock;
  ASSIGN_OR_RETURN(const auto running, OneAtATime(image.digest(), &lock, cancel));
  v1::PullResult result;
  RETURN_IF_ERROR(operation.FetchManifests(image));
  if (relay != nullptr) operation.Announce(image, relay, progress);
  RETURN_IF_ERROR(operation.FetchObjects(image, progress, &result));
  ASSIGN_OR_RETURN(*result.mutable_image(), operation.Publish(name, std::move(image)));
  result.set_wire_bytes(result.wire_bytes() + operation.manifest_bytes());
  result.set_source(request.host());
  result.set_seconds(
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return result;
}

Result<std::vector<std::string>> ImagePuller::OtherHosts() const {
  ASSIGN_OR_RETURN(const v1::ClusterState state, cluster_->State());
  std::vector<std::string> names;
  for (const v1::Host& host : state.list().hosts()) {
    if (host.name() != state.self() && !host.address().empty()) names.push_back(host.name());
  }
  return names;
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
  rpc::CallWatch watch([&] { context.TryCancel(); }, 2 * kStallMax, &cancel);
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
    return WhyEnded(watch, request.host(), rpc::FromGrpc(status)).Wrap("host " + request.host());
  }
  if (!result) return Error(Code::kInternal, "host " + request.host() + " gave no result");
  return *result;
}

}  // namespace strata::imaged
