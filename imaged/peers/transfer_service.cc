#include "imaged/peers/transfer_service.h"

#include "imaged/peers/prestager.h"
#include "imaged/service/audit.h"

namespace strata::imaged {
namespace {

constexpr std::chrono::milliseconds kWatchEvery{300};

class TransferServiceImpl final : public v1::TransferService::Service {
 public:
  TransferServiceImpl(ImagePuller* puller, PrestageSchedule* schedule, uid_t uid)
      : puller_(puller), schedule_(schedule), uid_(uid) {}

  grpc::Status Pull(grpc::ServerContext* context, const v1::PullRequest* request,
                    grpc::ServerWriter<v1::PullEvent>* writer) override {
    v1::Event event = EventOf("pull", uid_, request->reference());
    event.set_detail("from host " + Printable(request->host()));
    return Run(std::move(event), context, writer,
               [&](const auto& progress, const CancelToken& cancel) {
                 return puller_->Pull(uid_, *request, progress, cancel);
               });
  }

  grpc::Status Prestage(grpc::ServerContext* context, const v1::PrestageRequest* request,
                        grpc::ServerWriter<v1::PrestageHost>* writer) override {
    v1::Event event = EventOf("prestage", uid_, request->reference());
    return Audited(puller_->repository(), std::move(event), [&](v1::Event*) -> Status {
      ASSIGN_OR_RETURN(const auto slot, long_calls_.Enter());
      const CallCancellation cancellation(context);
      return PrestageImage(
          puller_, uid_, *request, [&](const v1::PrestageHost& state) { writer->Write(state); },
          cancellation.token());
    });
  }

  grpc::Status ListFills(grpc::ServerContext*, const v1::ListFillsRequest* request,
                         v1::FillList* response) override {
    return Answer("list fills", response,
                  [&] { return puller_->Fills(uid_, request->reference()); });
  }

  grpc::Status WatchFills(grpc::ServerContext* context, const v1::ListFillsRequest* request,
                          grpc::ServerWriter<v1::FillList>* writer) override {
    return Guarded("watch fills", [&]() -> Status {
      const CallCancellation cancellation(context);
      while (true) {
        ASSIGN_OR_RETURN(const v1::FillList list, puller_->Fills(uid_, request->reference()));
        if (!writer->Write(list) || list.fills().empty()) return Ok();
        RETURN_IF_ERROR(cancellation.token().WaitFor(kWatchEvery));
      }
    });
  }

  grpc::Status SchedulePrestage(grpc::ServerContext*, const v1::SchedulePrestageRequest* request,
                                v1::ScheduledPrestage* response) override {
    return Answer("schedule prestage", response, [&]() -> Result<v1::ScheduledPrestage> {
      RETURN_IF_ERROR(CheckPrestage(*puller_, uid_, request->prestage()));
      return schedule_->Add(uid_, puller_->UserName(uid_), *request);
    });
  }

  grpc::Status ListPrestages(grpc::ServerContext*, const v1::ListPrestagesRequest*,
                             v1::PrestageList* response) override {
    return Answer("list prestages", response,
                  [&]() -> Result<v1::PrestageList> { return schedule_->List(uid_); });
  }

  grpc::Status CancelPrestage(grpc::ServerContext*, const v1::CancelPrestageRequest* request,
                              v1::ScheduledPrestage* response) override {
    return Answer("cancel prestage", response,
                  [&] { return schedule_->Cancel(uid_, request->id()); });
  }

  grpc::Status Push(grpc::ServerContext* context, const v1::PushRequest* request,
                    grpc::ServerWriter<v1::PullEvent>* writer) override {
    v1::Event event = EventOf("push", uid_, request->reference());
    event.set_detail("to host " + Printable(request->host()));
    return Run(std::move(event), context, writer,
               [&](const auto& progress, const CancelToken& cancel) {
                 return puller_->Push(uid_, *request, progress, cancel);
               });
  }

 private:
  template <typename Work>
  grpc::Status Run(v1::Event about, grpc::ServerContext* context,
                   grpc::ServerWriter<v1::PullEvent>* writer, const Work& work) {
    return Audited(puller_->repository(), std::move(about), [&](v1::Event* recorded) -> Status {
      ASSIGN_OR_RETURN(const auto slot, long_calls_.Enter());
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
      if (done.result().has_image()) SetImage(done.result().image(), recorded);
      writer->Write(done);
      return Ok();
    });
  }

  ImagePuller* const puller_;
  PrestageSchedule* const schedule_;
  const uid_t uid_;
  LongCalls long_calls_{uid_};
};

}  // namespace

std::unique_ptr<grpc::Service> MakeTransferService(ImagePuller* puller, PrestageSchedule* schedule,
                                                   const rpc::Caller& caller) {
  return std::make_unique<TransferServiceImpl>(puller, schedule, caller.uid);
}

}  // namespace strata::imaged
