#include "imaged/peers/pull_operation.h"

#include <fcntl.h>
#include <prometheus/counter.h>

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "common/file_io.h"
#include "common/metrics.h"
#include "common/rpc/call_watch.h"
#include "common/rpc/status.h"
#include "imaged/peers/base_images.h"
#include "imaged/peers/manifest_stream.h"
#include "imaged/transfer/limits.h"
#include "imaged/transfer/receiver.h"

namespace strata::imaged {
namespace {

// What came from other hosts.
void CountReceived(const transfer::ReceiveReport& report) {
  static auto& bytes = prometheus::BuildCounter()
                           .Name("strata_transfer_received_bytes_total")
                           .Help("Bytes on the wire of objects from other hosts")
                           .Register(Metrics())
                           .Add({});
  static auto& objects = prometheus::BuildCounter()
                             .Name("strata_transfer_received_objects_total")
                             .Help("Objects that came from other hosts in transfers")
                             .Register(Metrics())
                             .Add({});
  bytes.Increment(static_cast<double>(report.wire_bytes_received));
  objects.Increment(static_cast<double>(report.objects));
}

constexpr std::chrono::seconds kAnswerTimeMax{30};
constexpr uint32_t kAwaitSeconds = 20;  // Less than that.
constexpr uint64_t kManifestBytesMax = 2ull << 30;
constexpr uint64_t kBurstBytes = 4 << 20;
// Objects here in which chunks of others are looked for.
constexpr uint64_t kHeldBytesMin = 1 << 20;
constexpr size_t kHeldObjectsMax = 65536;
constexpr size_t kBaseLayersMax = 256;  // As TransferStart has it.

// What another host says of an image, as far as it can be told without the bytes.
Status CheckImage(const v1::Image& image) {
  if (image.layers_size() == 0) return Error(Code::kCorrupt, "an image without layers");
  RETURN_IF_ERROR(CheckExtent(image));
  if (ImageDigest(image).ToString() != image.digest()) {
    return Error(Code::kCorrupt, "the image is not what its digest says");
  }
  uint64_t manifest_bytes = 0;
  for (const v1::Layer& layer : image.layers()) {
    RETURN_IF_ERROR(Digest::Parse(layer.digest()));
    manifest_bytes += std::min(layer.manifest_bytes(), kManifestBytesMax + 1);
    if (manifest_bytes > kManifestBytesMax) {
      return Error(Code::kResourceExhausted, "the manifests of the image are larger than " +
                                                 std::to_string(kManifestBytesMax) + " bytes");
    }
  }
  return Ok();
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

// Those of `objects` that `order` names, as it has them.
std::vector<transfer::WantedObject> InOrder(std::vector<transfer::WantedObject> objects,
                                            const std::vector<Digest>& order) {
  std::unordered_map<Digest, transfer::WantedObject, DigestHash> by_digest;
  for (transfer::WantedObject& object : objects) by_digest.emplace(object.digest, object);
  std::vector<transfer::WantedObject> ordered;
  for (const Digest& digest : order) {
    const auto found = by_digest.find(digest);
    if (found == by_digest.end()) continue;
    ordered.push_back(std::move(found->second));
    by_digest.erase(found);
  }
  return ordered;
}

}  // namespace

Error WhyEnded(bool stalled, const std::string& host, const Error& error) {
  if (!stalled) return error;
  return Error(Code::kDeadlineExceeded,
               "host " + host + " sent nothing for half a minute: pull again to go on");
}

std::string PinnedReference(const std::string& reference, const std::string& image_digest) {
  const size_t slash = reference.find('/');
  const size_t name = slash == std::string::npos ? 0 : slash;
  return reference.substr(0, reference.find_first_of(":@", name)) + "@" + image_digest;
}

PullOperation::PullOperation(const Parts& parts, const Source& source, const CancelToken& cancel)
    : cluster_(parts.cluster),
      repository_(*parts.repository),
      partial_files_(*parts.partial_files),
      chunk_lists_(*parts.chunk_lists),
      source_(source),
      cancel_(cancel),
      claims_(repository_.objects()) {
  image_.set_reference(source.reference);
  image_.set_user(repository_.catalog().accounts().UserName(source.uid));
}

Status PullOperation::Connect() {
  if (stub_ != nullptr) return Ok();
  ASSIGN_OR_RETURN(const auto channel, cluster_->Connect(source_.host));
  stub_ = v1::PeerService::NewStub(channel);
  return Ok();
}

Result<v1::Image> PullOperation::Resolve() {
  RETURN_IF_ERROR(Connect());
  v1::ResolveImageRequest request;
  *request.mutable_image() = image_;
  if (source_.awaits) request.set_wait_seconds(kAwaitSeconds);
  v1::ResolveImageResponse response;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kAnswerTimeMax);
  const grpc::Status status = stub_->ResolveImage(&context, request, &response);
  if (!status.ok()) return rpc::FromGrpc(status).Wrap(From());
  RETURN_IF_ERROR(CheckImage(response.image()), From());
  const size_t at = source_.reference.find('@');
  if (at != std::string::npos && source_.reference.substr(at + 1) != response.image().digest()) {
    return Error(Code::kCorrupt, From() + " has another image by that digest");
  }
  // From now on this image, whatever its tag points to.
  image_.set_reference(PinnedReference(source_.reference, response.image().digest()));
  return response.image();
}

Status PullOperation::FetchManifests(const v1::Image& image) {
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
    // From now on: another pull may commit it, and its image be deleted, before we are done.
    holds_.push_back(repository_.liveness().HoldStack({layer}));
    if (std::find(pending_.begin(), pending_.end(), layer) == pending_.end()) {
      pending_.push_back(layer);
    }
    const auto pending = repository_.layers().OpenPending(layer);
    if (pending.ok()) {
      ASSIGN_OR_RETURN(trees_.emplace_back(), (*pending)->LoadTree(), "layer " + layer.ToString());
      continue;
    }
    const uint64_t size = image.layers(static_cast<int>(i)).manifest_bytes();
    ASSIGN_OR_RETURN(trees_.emplace_back(), FetchManifest(layer, size, *ingest));
  }
  return Ok();
}

Result<Tree> PullOperation::FetchManifest(const Digest& layer, uint64_t size_bytes,
                                          const Ingest& ingest) {
  v1::ReadManifestRequest request;
  *request.mutable_image() = image_;
  request.set_layer(layer.ToString());
  request.set_compressed(true);
  grpc::ClientContext context;
  rpc::CallWatch watch([&] { context.TryCancel(); }, kPullStallMax, &cancel_);
  const auto stream = stub_->ReadManifest(&context, request);
  ASSIGN_OR_RETURN(ScratchFile file, ScratchFile::Create(ingest.StagingPath(layer.Hex())));
  uint64_t got = 0;
  Status taken = Ok();
  ManifestReceiver receiver;
  v1::ObjectChunk chunk;
  while (taken.ok() && stream->Read(&chunk)) {
    watch.Moved();
    const auto plain = receiver.Take(chunk);
    if (!plain.ok()) {
      taken = plain.error();
      break;
    }
    got += plain->size();
    taken = got <= size_bytes ? WriteAll(file.fd(), *plain)
                              : Error(Code::kCorrupt, "the manifest is longer than was said");
  }
  if (!taken.ok()) context.TryCancel();
  const grpc::Status status = stream->Finish();
  const std::string what = "layer " + layer.ToString() + " of " + From();
  RETURN_IF_ERROR(taken, what);
  RETURN_IF_ERROR(cancel_.Check());
  if (!status.ok())
    return WhyEnded(watch.stalled(), source_.host, rpc::FromGrpc(status)).Wrap(what);
  ASSIGN_OR_RETURN(const Digest found, HashFile(file.fd()), what);
  if (found != layer) {
    return Error(Code::kCorrupt, what + ": what came has the digest " + found.ToString());
  }
  manifest_bytes_ += receiver.wire_bytes();
  ASSIGN_OR_RETURN(Tree tree, repository_.layers().AddPending(std::move(file), layer), what);
  return tree;
}

Status PullOperation::FetchObjects(const v1::Image& image, const std::vector<Digest>* only,
                                   const Progress& progress, v1::PullResult* result) {
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
  std::vector<transfer::WantedObject> objects = transfer::ChooseBases(
      wanted, held, [&](const Digest& digest) { return !missing.contains(digest); });
  if (only != nullptr) objects = InOrder(std::move(objects), *only);
  if (objects.empty()) return Ok();
  for (const transfer::WantedObject& object : objects) {
    result->set_bytes(result->bytes() + object.size_bytes);
  }
  result->set_objects(result->objects() + objects.size());
  return Transfer(objects, progress, result);
}

PullOperation::Missing PullOperation::CountMissing() const {
  Missing missing;
  std::set<Digest> seen;
  for (const Tree& tree : trees_) {
    for (const ObjectEntry& entry : ObjectList::Of(tree)) {
      if (repository_.objects().Has(entry.digest) || !seen.insert(entry.digest).second) continue;
      ++missing.objects;
      missing.bytes += entry.size_bytes;
    }
  }
  return missing;
}

Status PullOperation::CheckRoom() const {
  ASSIGN_OR_RETURN(const auto room, repository_.usage().Room(source_.uid));
  if (!room) return Ok();
  // Contents that nobody has here are charged to whoever brings them.
  const Missing missing = CountMissing();
  if (missing.bytes <= *room) return Ok();
  return Error(Code::kResourceExhausted, "the image brings " + std::to_string(missing.bytes) +
                                             " bytes, and " + std::to_string(*room) +
                                             " are left of the quota: see 'vimage usage'");
}

std::set<Digest> PullOperation::Objects() const {
  std::set<Digest> objects;
  for (const Tree& tree : trees_) {
    for (const ObjectEntry& entry : ObjectList::Of(tree)) objects.insert(entry.digest);
  }
  return objects;
}

Result<StartProfile> PullOperation::FetchProfile() {
  RETURN_IF_ERROR(Connect());
  v1::ReadProfileRequest request;
  *request.mutable_image() = image_;
  v1::ReadProfileResponse response;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kAnswerTimeMax);
  const grpc::Status status = stub_->ReadProfile(&context, request, &response);
  if (!status.ok()) return rpc::FromGrpc(status).Wrap(From());
  ASSIGN_OR_RETURN(StartProfile profile, UnpackProfile(response.profile()), From());
  const std::set<Digest> objects = Objects();
  std::erase_if(profile, [&](const Digest& digest) { return !objects.contains(digest); });
  return profile;
}

Status PullOperation::CommitLayers() {
  for (const Digest& layer : pending_) {
    RETURN_IF_ERROR(repository_.layers().CommitPending(layer));
  }
  return Ok();
}

Result<v1::Image> PullOperation::Bring(uid_t caller, const std::string& reference) {
  RETURN_IF_ERROR(CommitLayers());
  return repository_.images().Find(caller, reference);
}

Result<v1::Image> PullOperation::Publish(const Images::Reservation& name, v1::Image image) {
  RETURN_IF_ERROR(CommitLayers());
  image.set_visibility(v1::VISIBILITY_UNSPECIFIED);
  image.clear_grants();
  image.clear_secrets_checked();  // Another host's word.
  RETURN_IF_ERROR(repository_.CheckSecretsUnder(name, image, v1::VISIBILITY_UNSPECIFIED, cancel_));
  ASSIGN_OR_RETURN(const v1::ImportResult published,
                   repository_.PublishStack(name, std::move(image)));
  return published.image();
}

Result<std::vector<Tree>> PullOperation::LoadBases(const v1::Image& image) {
  const std::vector<std::string> names = FindBaseImages(repository_, source_.uid, image);
  std::vector<Tree> trees;
  for (const std::string& name : names) {
    auto held = repository_.HoldImage(source_.uid, name);
    if (!held.ok()) continue;  // Deleted since.
    ASSIGN_OR_RETURN(trees.emplace_back(), repository_.LoadFlattened(held->hold.stack()), name);
    for (const v1::Layer& layer : held->image.layers()) base_layers_.insert(layer.digest());
    holds_.push_back(std::move(held->hold));
  }
  return trees;
}

Result<std::vector<ChunkIndex::Held>> PullOperation::HoldLargeObjects() {
  std::vector<ChunkIndex::Held> held;
  for (const Digest& layer : NewestLayers(repository_, source_.uid)) {
    RETURN_IF_ERROR(cancel_.Check());
    const auto hold = repository_.liveness().HoldIf(
        {layer}, [&] { return PathExists(repository_.layers().ManifestPath(layer)); });
    if (!hold) continue;  // Deleted since, or on other hosts only.
    ASSIGN_OR_RETURN(const auto objects, repository_.layers().Objects(layer));
    bool of_use = false;
    for (const ObjectEntry& entry : objects->entries()) {
      if (entry.size_bytes < kHeldBytesMin || entry.size_bytes > transfer::kChunkedBytesMax) {
        continue;
      }
      if (held.size() < kHeldObjectsMax && claims_.Add(entry.digest)) {
        held.push_back({entry.digest, entry.size_bytes});
        of_use = true;
      }
    }
    // Deltas of ranges are made against its objects.
    if (of_use && base_layers_.size() < kBaseLayersMax) base_layers_.insert(layer.ToString());
  }
  return held;
}

Status PullOperation::Transfer(const std::vector<transfer::WantedObject>& objects,
                               const Progress& progress, v1::PullResult* result) {
  std::optional<ChunkIndex> chunks;
  if (std::any_of(objects.begin(), objects.end(), transfer::MayComeInChunks)) {
    ASSIGN_OR_RETURN(auto held, HoldLargeObjects());
    chunks.emplace(repository_.objects(), chunk_lists_, std::move(held));
  }
  grpc::ClientContext context;
  rpc::CallWatch watch([&] { context.TryCancel(); }, kPullStallMax, &cancel_);
  RETURN_IF_ERROR(Connect());
  const auto stream = stub_->TransferObjects(&context);
  v1::TransferStep start;
  *start.mutable_start()->mutable_image() = image_;
  for (const std::string& layer : base_layers_) start.mutable_start()->add_base_layers(layer);
  start.mutable_start()->set_passes_on(relay_ != nullptr);
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
  if (source_.bytes_per_second > 0) limiter.emplace(source_.bytes_per_second, kBurstBytes);
  transfer::ReceiveOptions options;
  options.limiter = limiter ? &*limiter : nullptr;
  options.progress = [&](const transfer::TransferProgress& state) {
    watch.Moved();  // Being slow on purpose is no stall.
    if (progress) progress(Describe(state));
  };
  options.chunks = chunks ? &*chunks : nullptr;
  if (relay_ != nullptr) options.arrivals = &relay_->arrivals();
  transfer::ReceiveReport report;
  const Status received = transfer::ReceiveObjects(repository_.objects(), partial_files_, objects,
                                                   channel, options, cancel_, &report);
  stream->WritesDone();
  if (!received.ok()) context.TryCancel();
  const grpc::Status status = stream->Finish();
  result->set_wire_bytes(result->wire_bytes() + report.wire_bytes_received +
                         report.wire_bytes_sent);
  result->set_resumed_bytes(result->resumed_bytes() + report.resumed_bytes);
  CountReceived(report);
  RETURN_IF_ERROR(cancel_.Check());
  if (!received.ok()) {
    // Why the other side ended it tells more than that it did.
    const bool told = received.error().code() == Code::kUnavailable && !status.ok() &&
                      status.error_code() != grpc::StatusCode::CANCELLED;
    return WhyEnded(watch.stalled(), source_.host, told ? rpc::FromGrpc(status) : received.error())
        .Wrap(From());
  }
  if (report.refused.empty()) return Ok();
  return Error(Code::kNotFound, From() + " lacks " + std::to_string(report.refused.size()) +
                                    " objects of the image, among them " +
                                    report.refused.front().digest.ToString());
}

}  // namespace strata::imaged
