#include "imaged/peers/transfer_service.h"

#include "imaged/peers/prestager.h"
#include "imaged/service/call.h"

namespace strata::imaged {
namespace {

class TransferServiceImpl final : public v1::TransferService::Service {
 public:
  TransferServiceImpl(ImagePuller* puller, uid_t uid) : puller_(puller), uid_(uid) {}

  grpc::Status Pull(grpc::ServerContext* context, const v1::PullRequest* request,
                    grpc::ServerWriter<v1::PullEvent>* writer) override {
    return Run("pull", context, writer, [&](const auto& progress, const CancelToken& cancel) {
      return puller_->Pull(uid_, *request, progress, cancel);
    });
  }

  grpc::Status Prestage(grpc::ServerContext* context, const v1::PrestageRequest* request,
                        grpc::ServerWriter<v1::PrestageHost>* writer) override {
    return Guarded("prestage", [&]() -> Status {
      const CallCancellation cancellation(context);
      return PrestageImage(
          puller_, uid_, *request, [&](const v1::PrestageHost& state) { writer->Write(state); },
          cancellation.token());
    });
  }

  grpc::Status Push(grpc::ServerContext* context, const v1::PushRequest* request,
                    grpc::ServerWriter<v1::PullEvent>* writer) override {
    return Run("push", context, writer, [&](const auto& progress, const CancelToken& cancel) {
      return puller_->Push(uid_, *request, progress, cancel);
    });
  }

 private:
  template <typename Work>
  grpc::Status Run(const char* call, grpc::ServerContext* context,
                   grpc::ServerWriter<v1::PullEvent>* writer, const Work& work) {
    return Guarded(call, [&]() -> Status {
      const CallCancellation cancellation(context);
      RateLimit limit;
      const ImagePuller::Progress progress = [&](const v1::PullProgress& state) {
        if (!limit.Pass()) return;
        v1::PullEvent event;
        *event.mutable_progress() = state;
        writer->Write(event);
      };
      v1::PullEvent done;
      ASSIGN_OR_RETURN(*done.mutable_result(), work(progress, cancellation.token()));
      writer->Write(done);
      return Ok();
    });
  }

  ImagePuller* const puller_;
  const uid_t uid_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeTransferService(ImagePuller* puller, const rpc::Caller& caller) {
  return std::make_unique<TransferServiceImpl>(puller, caller.uid);
}

}  // namespace strata::imaged
