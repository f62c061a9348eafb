#include "imaged/peers/peer_service.h"

#include <sys/stat.h>

#include <map>
#include <mutex>

#include "common/rpc/call_watch.h"
#include "imaged/api/peer.grpc.pb.h"
#include "imaged/peers/admission.h"
#include "imaged/service/object_stream.h"

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
  PeerServiceImpl(Cluster* cluster, Repository* repository)
      : cluster_(cluster), repository_(repository) {}

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
      ASSIGN_OR_RETURN(
          const auto certificate,
          cluster_->SignRenewal(host, request->request_der(), std::chrono::system_clock::now()));
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

 private:
  Cluster* const cluster_;
  Repository* const repository_;
  StreamSlots slots_;
};

}  // namespace

std::vector<std::unique_ptr<grpc::Service>> MakePeerServices(Cluster* cluster,
                                                             Repository* repository) {
  std::vector<std::unique_ptr<grpc::Service>> services;
  services.push_back(std::make_unique<EnrolServiceImpl>(cluster));
  services.push_back(std::make_unique<PeerServiceImpl>(cluster, repository));
  return services;
}

}  // namespace strata::imaged
