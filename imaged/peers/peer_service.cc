#include "imaged/peers/peer_service.h"

#include <sys/stat.h>

#include <map>
#include <mutex>
#include <optional>

#include "common/rpc/call_watch.h"
#include "imaged/api/peer.grpc.pb.h"
#include "imaged/peers/admission.h"
#include "imaged/peers/image_offer.h"
#include "imaged/peers/manifest_stream.h"
#include "imaged/service/object_stream.h"
#include "imaged/transfer/sender.h"

namespace strata::imaged {
namespace {

class EnrolServiceImpl final : public v1::EnrolService::Service {
 public:
  explicit EnrolServiceImpl(Cluster* cluster) : cluster_(cluster) {}

  grpc::Status Enrol(grpc::ServerContext* context, const v1::EnrolRequest* request,
                     v1::EnrolResponse* response) override {
    return Guarded("enrol", [&]() -> Status {
      const std::string caller = rpc::PeerAddress(*context);
      auto enrolled = cluster_->Enrol(*request, caller, std::chrono::system_clock::now());
      if (!enrolled.ok()) {
        LOG_WARNING("enrolment from " + caller + " refused: " + enrolled.error().message());
        return enrolled.error();
      }
      LOG_INFO("host " + request->host_name() + " joined from " + caller);
      *response = std::move(*enrolled);
      return Ok();
    });
  }

 private:
  Cluster* const cluster_;
};

// Each hop of a chain adds the time of one bundle.
constexpr uint64_t kRelayBundleBytes = 128 << 10;

// Counts the streams of every host.
class StreamSlots {
 public:
  class Slot {
   public:
    Slot(StreamSlots* slots, std::string host) : slots_(slots), host_(std::move(host)) {}
    Slot(Slot&& other) noexcept
        : slots_(std::exchange(other.slots_, nullptr)), host_(std::move(other.host_)) {}
    Slot& operator=(Slot&&) = delete;
    ~Slot() {
      if (slots_ != nullptr) slots_->Leave(host_);
    }

   private:
    StreamSlots* slots_;
    std::string host_;
  };

  Result<Slot> Enter(const std::string& host) {
    const std::lock_guard lock(mutex_);
    int& count = counts_[host];
    if (count >= kStreamsPerHostMax) {
      return Error(Code::kResourceExhausted, "host '" + host + "' reads " +
                                                 std::to_string(kStreamsPerHostMax) +
                                                 " objects at once already");
    }
    ++count;
    return Slot(this, host);
  }

 private:
  void Leave(const std::string& host) {
    const std::lock_guard lock(mutex_);
    if (--counts_[host] == 0) counts_.erase(host);
  }

  std::mutex mutex_;  // Guards counts_.
  std::map<std::string, int> counts_;
};

class PeerServiceImpl final : public v1::PeerService::Service {
 public:
  PeerServiceImpl(Cluster* cluster, Repository* repository, ImagePuller* puller)
      : cluster_(cluster), repository_(repository), puller_(puller) {}

  grpc::Status Hosts(grpc::ServerContext* context, const v1::HostsRequest*,
                     v1::HostList* response) override {
    return ForHost(cluster_, context, "hosts", [&](const std::string&) -> Status {
      *response = cluster_->registry().List();
      return Ok();
    });
  }

  grpc::Status RenewCertificate(grpc::ServerContext* context,
                                const v1::RenewCertificateRequest* request,
                                v1::RenewCertificateResponse* response) override {
    return ForHost(cluster_, context, "renew certificate", [&](const std::string& host) -> Status {
      ASSIGN_OR_RETURN(const pki::Certificate caller, rpc::PeerOf(*context));
      ASSIGN_OR_RETURN(
          const auto certificate,
          cluster_->SignRenewal(caller, request->request_der(), std::chrono::system_clock::now()));
      LOG_INFO("a new certificate for host " + host);
      response->set_certificate_pem(certificate.ToPem());
      return Ok();
    });
  }

  grpc::Status StatObject(grpc::ServerContext* context, const v1::StatObjectRequest* request,
                          v1::StatObjectResponse* response) override {
    return ForHost(cluster_, context, "stat object", [&](const std::string&) -> Status {
      ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(request->digest()));
      ASSIGN_OR_RETURN(const uint64_t size,
                       repository_->provider().SizeOf(digest, /*local_only=*/true));
      response->set_size_bytes(size);
      return Ok();
    });
  }

  grpc::Status ReadObject(grpc::ServerContext* context, const v1::ReadObjectRequest* request,
                          grpc::ServerWriter<v1::ObjectChunk>* writer) override {
    return ForHost(cluster_, context, "read object", [&](const std::string& host) -> Status {
      ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(request->digest()));
      ASSIGN_OR_RETURN(const StreamSlots::Slot slot, slots_.Enter(host));
      ASSIGN_OR_RETURN(const UniqueFd fd, repository_->objects().OpenObject(digest));
      rpc::CallWatch watch([context] { context->TryCancel(); }, kStreamStallMax);
      return StreamObject(digest, fd.get(), [&](const v1::ObjectChunk& chunk) {
        watch.Moved();
        return writer->Write(chunk) && !context->IsCancelled();
      });
    });
  }

  grpc::Status ResolveImage(grpc::ServerContext* context, const v1::ResolveImageRequest* request,
                            v1::ResolveImageResponse* response) override {
    return ForHost(cluster_, context, "resolve image", [&](const std::string& host) -> Status {
      std::optional<StreamSlots::Slot> waiting;
      if (request->wait_seconds() > 0) {
        ASSIGN_OR_RETURN(auto slot, slots_.Enter(host));
        waiting.emplace(std::move(slot));
      }
      ASSIGN_OR_RETURN(const auto offer,
                       ImageOffer::Open(repository_, puller_->pending(), request->image(),
                                        std::chrono::seconds(request->wait_seconds())));
      *response->mutable_image() = offer->image();
      response->mutable_image()->clear_grants();
      return Ok();
    });
  }

  grpc::Status ReadManifest(grpc::ServerContext* context, const v1::ReadManifestRequest* request,
                            grpc::ServerWriter<v1::ObjectChunk>* writer) override {
    return ForHost(cluster_, context, "read manifest", [&](const std::string& host) -> Status {
      ASSIGN_OR_RETURN(const StreamSlots::Slot slot, slots_.Enter(host));
      ASSIGN_OR_RETURN(const auto offer,
                       ImageOffer::Open(repository_, puller_->pending(), request->image()));
      ASSIGN_OR_RETURN(const UniqueFd fd, offer->OpenManifest(request->layer()));
      ASSIGN_OR_RETURN(const Digest layer, Digest::Parse(request->layer()));
      rpc::CallWatch watch([context] { context->TryCancel(); }, kStreamStallMax);
      const auto write = [&](const v1::ObjectChunk& chunk) {
        watch.Moved();
        return writer->Write(chunk) && !context->IsCancelled();
      };
      return request->compressed() ? SendManifest(layer, fd.get(), write)
                                   : StreamObject(layer, fd.get(), write);
    });
  }

  grpc::Status ReadProfile(grpc::ServerContext* context, const v1::ReadProfileRequest* request,
                           v1::ReadProfileResponse* response) override {
    return ForHost(cluster_, context, "read profile", [&](const std::string&) -> Status {
      ASSIGN_OR_RETURN(const auto offer,
                       ImageOffer::Open(repository_, puller_->pending(), request->image()));
      ASSIGN_OR_RETURN(const LayerStack layers, LayerDigests(offer->image()));
      ASSIGN_OR_RETURN(const StartProfile profile, repository_->layers().Profile(layers));
      response->set_profile(PackProfile(profile));
      return Ok();
    });
  }

  grpc::Status TransferObjects(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::Piece, v1::TransferStep>* stream) override {
    return ForHost(cluster_, context, "transfer", [&](const std::string& host) -> Status {
      ASSIGN_OR_RETURN(const StreamSlots::Slot slot, slots_.Enter(host));
      v1::TransferStep step;
      {
        const rpc::CallWatch watch([context] { context->TryCancel(); }, kStreamStallMax);
        if (!stream->Read(&step) || !step.has_start()) {
          return Error(Code::kInvalidArgument, "a transfer starts with its image");
        }
      }
      ASSIGN_OR_RETURN(const auto offer,
                       ImageOffer::Open(repository_, puller_->pending(), step.start().image()));
      RETURN_IF_ERROR(offer->AllowBases(step.start().base_layers()));
      transfer::SendOptions options;
      options.chunk_lists = &puller_->chunk_lists();
      options.is_here = [&offer](const Digest& digest) { return offer->IsHere(digest); };
      if (step.start().passes_on()) options.bundle_bytes = kRelayBundleBytes;
      return Serve(context, stream, *offer, options);
    });
  }

  grpc::Status OfferImage(grpc::ServerContext* context, const v1::OfferImageRequest* request,
                          grpc::ServerWriter<v1::PullEvent>* writer) override {
    return ForHost(cluster_, context, "offer image", [&](const std::string& host) -> Status {
      ASSIGN_OR_RETURN(const StreamSlots::Slot slot, slots_.Enter(host));
      const std::string& user = request->image().user();
      const auto uid = repository_->catalog().accounts().UidOf(user);
      if (!uid) return Error(Code::kNotFound, "there is no user '" + user + "' on this host");
      v1::PullRequest pull;
      pull.set_host(host);
      pull.set_reference(request->image().reference());
      pull.set_new_reference(request->new_reference());
      pull.set_replace(request->replace());
      pull.set_bytes_per_second(request->bytes_per_second());
      const CallCancellation cancellation(context);
      RateLimit limit;
      v1::PullEvent event;
      const ImagePuller::Progress progress = [&](const v1::PullProgress& state) {
        if (!limit.Pass()) return;
        *event.mutable_progress() = state;
        writer->Write(event);
      };
      const CancelToken& cancel = cancellation.token();
      ASSIGN_OR_RETURN(v1::PullResult result,
                       request->has_chain()
                           ? puller_->PullFromAny(*uid, pull, request->chain(), progress, cancel)
                           : puller_->Pull(*uid, pull, progress, cancel));
      *event.mutable_result() = std::move(result);
      writer->Write(event);
      return Ok();
    });
  }

 private:
  using TransferStream = grpc::ServerReaderWriter<v1::Piece, v1::TransferStep>;

  Status Serve(grpc::ServerContext* context, TransferStream* stream, const ImageOffer& offer,
               const transfer::SendOptions& options) {
    const CallCancellation cancellation(context);
    // The receiver may be slow on purpose, so only what it asks or takes tells that it lives.
    rpc::CallWatch watch([context] { context->TryCancel(); }, 4 * kStreamStallMax);
    transfer::SenderChannel channel;
    channel.receive = [&](v1::TransferRequest* request) -> Result<bool> {
      v1::TransferStep step;
      const bool more = stream->Read(&step);
      watch.Moved();
      if (more && !step.has_request()) {
        return Error(Code::kInvalidArgument, "expected a request of the transfer");
      }
      request->Swap(step.mutable_request());
      return more;
    };
    channel.send = [&](const v1::Piece& piece) -> Status {
      const bool sent = stream->Write(piece);
      watch.Moved();
      return sent ? Ok() : Status(Error(Code::kCancelled, "the receiver went away"));
    };
    transfer::SendReport report;
    const Status sent =
        transfer::SendObjects([&offer](const Digest& digest) { return offer.OpenObject(digest); },
                              channel, options, cancellation.token(), &report);
    puller_->CountSent(report.wire_bytes);
    return sent;
  }

  Cluster* const cluster_;
  Repository* const repository_;
  ImagePuller* const puller_;
  StreamSlots slots_;
};

}  // namespace

std::vector<std::unique_ptr<grpc::Service>> MakePeerServices(Cluster* cluster,
                                                             Repository* repository,
                                                             ImagePuller* puller) {
  std::vector<std::unique_ptr<grpc::Service>> services;
  services.push_back(std::make_unique<EnrolServiceImpl>(cluster));
  services.push_back(std::make_unique<PeerServiceImpl>(cluster, repository, puller));
  return services;
}

}  // namespace strata::imaged
