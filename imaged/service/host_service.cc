#include "imaged/service/host_service.h"

#include "imaged/api/host_image.grpc.pb.h"
#include "imaged/repository/save_operation.h"
#include "imaged/service/audit.h"
#include "imaged/service/object_stream.h"

namespace strata::imaged {
namespace {

class HostServiceImpl final : public v1::HostImageService::Service {
 public:
  HostServiceImpl(Repository* repository, const rpc::Caller& caller, LayerBringer* bringer)
      : repository_(repository), caller_(caller), bringer_(bringer) {}

  grpc::Status AcquireRoot(grpc::ServerContext* context, const v1::AcquireRootRequest* request,
                           v1::AcquireRootResponse* response) override {
    return Guarded("acquire root", [&]() -> Status {
      RETURN_IF_ERROR(CheckRoot());
      if (bringer_ != nullptr) {
        const CallCancellation cancellation(context);
        RETURN_IF_ERROR(bringer_->Bring(request->on_behalf_of_uid(), request->reference(), {},
                                        cancellation.token()));
      }
      ASSIGN_OR_RETURN(*response, repository_->AcquireRoot(*request));
      return Ok();
    });
  }

  grpc::Status ReleaseRoot(grpc::ServerContext*, const v1::ReleaseRootRequest* request,
                           v1::ReleaseRootResponse*) override {
    return Guarded("release root", [&]() -> Status {
      RETURN_IF_ERROR(CheckRoot());
      return repository_->ReleaseRoot(request->lease());
    });
  }

  grpc::Status Save(grpc::ServerContext* context,
                    grpc::ServerReaderWriter<v1::SaveResponse, v1::SaveRequest>* stream) override {
    return Audited(repository_, EventOf("save", caller_.uid, ""), [&](v1::Event* done) -> Status {
      RETURN_IF_ERROR(CheckRoot());
      const CallCancellation cancellation(context);
      v1::SaveRequest request;
      RETURN_IF_ERROR(Expect(stream, v1::SaveRequest::kStart, &request));
      done->set_uid(request.start().on_behalf_of_uid());
      done->set_owner_uid(request.start().on_behalf_of_uid());
      done->set_image(Printable(request.start().reference()));
      done->set_detail("from " + Printable(request.start().lease()));
      RateLimit limit;
      ASSIGN_OR_RETURN(const auto operation,
                       SaveOperation::Start(repository_, request.start(), &cancellation.token(),
                                            [&](const v1::Progress& state) {
                                              if (!limit.Pass()) return;
                                              v1::SaveResponse event;
                                              *event.mutable_progress() = state;
                                              stream->Write(event);
                                            }));
      v1::SaveResponse response;
      ASSIGN_OR_RETURN(const RoundStats first, operation->FirstRound());
      response.mutable_first_round_done()->set_entries(first.entries);
      response.mutable_first_round_done()->set_bytes(first.captured_bytes);
      stream->Write(response);

      RETURN_IF_ERROR(Expect(stream, v1::SaveRequest::kFrozen, &request));
      ASSIGN_OR_RETURN(const RoundStats second, operation->SecondRound());
      response.mutable_second_round_done()->set_entries(second.captured);
      response.mutable_second_round_done()->set_bytes(second.captured_bytes);
      stream->Write(response);

      RETURN_IF_ERROR(Expect(stream, v1::SaveRequest::kThawed, &request));
      RETURN_IF_ERROR(cancellation.token().Check());
      ASSIGN_OR_RETURN(*response.mutable_result(), operation->Finish());
      SetImage(response.result().image(), done);
      stream->Write(response);
      return Ok();
    });
  }

  grpc::Status RecordStart(grpc::ServerContext*, const v1::RecordStartRequest* request,
                           v1::RecordStartResponse* response) override {
    return Guarded("record start", [&]() -> Status {
      RETURN_IF_ERROR(CheckRoot());
      ASSIGN_OR_RETURN(const uint64_t objects, repository_->RecordStart(*request));
      response->set_objects(objects);
      return Ok();
    });
  }

  grpc::Status StatObject(grpc::ServerContext*, const v1::StatObjectRequest* request,
                          v1::StatObjectResponse* response) override {
    return Guarded("stat object", [&]() -> Status {
      RETURN_IF_ERROR(CheckRoot());
      ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(request->digest()));
      ASSIGN_OR_RETURN(const uint64_t size,
                       repository_->provider().SizeOf(digest, request->local_only()));
      response->set_size_bytes(size);
      return Ok();
    });
  }

  grpc::Status ProvideObject(grpc::ServerContext* context, const v1::ProvideObjectRequest* request,
                             grpc::ServerWriter<v1::Progress>* writer) override {
    return Guarded("provide object", [&]() -> Status {
      RETURN_IF_ERROR(CheckRoot());
      ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(request->digest()));
      const CallCancellation cancellation(context);
      RateLimit limit;
      return repository_->provider().Provide(
          digest, request->verify(), cancellation.token(),
          [&](uint64_t bytes) {
            if (!limit.Pass()) return;
            v1::Progress state;
            state.set_stage("fetch");
            state.set_bytes(bytes);
            writer->Write(state);
          },
          repository_->provider().read_patience());
    });
  }

  grpc::Status ReadObject(grpc::ServerContext* context, const v1::ReadObjectRequest* request,
                          grpc::ServerWriter<v1::ObjectChunk>* writer) override {
    return Guarded("read object", [&]() -> Status {
      RETURN_IF_ERROR(CheckRoot());
      ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(request->digest()));
      ASSIGN_OR_RETURN(const UniqueFd fd, repository_->objects().OpenObject(digest));
      return StreamObject(digest, fd.get(), [&](const v1::ObjectChunk& chunk) {
        return writer->Write(chunk) && !context->IsCancelled();
      });
    });
  }

 private:
  using Stream = grpc::ServerReaderWriter<v1::SaveResponse, v1::SaveRequest>;

  Status CheckRoot() const {
    if (caller_.IsRoot()) return Ok();
    return Error(Code::kPermissionDenied, "this call is for the host's daemons, as root");
  }

  static Status Expect(Stream* stream, v1::SaveRequest::StepCase step, v1::SaveRequest* request) {
    if (!stream->Read(request)) return Error(Code::kCancelled, "the caller went away");
    if (request->step_case() == step) return Ok();
    return Error(Code::kInvalidArgument, "the steps of a save came out of order");
  }

  Repository* const repository_;
  const rpc::Caller caller_;
  LayerBringer* const bringer_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeHostService(Repository* repository, const rpc::Caller& caller,
                                               LayerBringer* bringer) {
  return std::make_unique<HostServiceImpl>(repository, caller, bringer);
}

}  // namespace strata::imaged
