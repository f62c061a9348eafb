#include "vclusterd/remote/worker_service.h"

#include <charconv>

#include "vclusterd/api/worker.grpc.pb.h"
#include "vclusterd/remote/guarded.h"
#include "vclusterd/service/call.h"
#include "vclusterd/service/exec_reactor.h"
#include "vclusterd/service/node_messages.h"

namespace strata::vcluster {
namespace {

using Base = host::v1::WorkerService::WithCallbackMethod_Exec<host::v1::WorkerService::Service>;

// "7-1"
Result<std::pair<uint32_t, uint32_t>> ParseNodeId(const std::string& id) {
  const char* const end = id.data() + id.size();
  uint32_t number = 0;
  uint32_t index = 0;
  const auto first = std::from_chars(id.data(), end, number);
  if (first.ec == std::errc() && first.ptr != end && *first.ptr == '-') {
    const auto second = std::from_chars(first.ptr + 1, end, index);
    if (second.ec == std::errc() && second.ptr == end) return std::pair(number, index);
  }
  return Error(Code::kInvalidArgument, "no node's number");
}

class WorkerServiceImpl final : public Base {
 public:
  WorkerServiceImpl(HostNodes& nodes, Membership& membership, Obedience& obedience)
      : nodes_(nodes), membership_(membership), obedience_(obedience) {}

  grpc::Status Apply(grpc::ServerContext* context, const host::v1::ApplyRequest* request,
                     host::v1::ApplyResponse* response) override {
    return ForHost(membership_, context, "apply orders", [&](const std::string& host) -> Status {
      ASSIGN_OR_RETURN(const Obedience::Permit permit,
                       obedience_.CheckOrder(host, request->epoch(), request->hello()));
      ASSIGN_OR_RETURN(const auto statuses,
                       nodes_.Apply({request->orders().begin(), request->orders().end()}));
      response->mutable_parts()->Assign(statuses.begin(), statuses.end());
      return Ok();
    });
  }

  grpc::Status Look(grpc::ServerContext* context, const host::v1::LookRequest* request,
                    host::v1::PartStatus* response) override {
    return ForMaster(context, "look at a part", [&]() -> Status {
      *response = nodes_.StatusOf(request->number(), /*with_usage=*/true);
      return Ok();
    });
  }

  grpc::Status History(grpc::ServerContext* context, const host::v1::HistoryRequest* request,
                       host::v1::UsageHistory* response) override {
    return ForMaster(context, "look at a node", [&]() -> Status {
      ASSIGN_OR_RETURN(*response, nodes_.History(request->number(), request->index()));
      return Ok();
    });
  }

  grpc::Status HostHistory(grpc::ServerContext* context, const host::v1::HostHistoryRequest*,
                           host::v1::UsageHistory* response) override {
    return ForMaster(context, "look at this host", [&]() -> Status {
      *response = nodes_.HostHistory();
      return Ok();
    });
  }

  grpc::Status Resize(grpc::ServerContext* context, const host::v1::ResizeRequest* request,
                      host::v1::ResizeResponse*) override {
    return ForHost(membership_, context, "resize", [&](const std::string& host) -> Status {
      RETURN_IF_ERROR(obedience_.CheckMaster(host, request->epoch()));
      return nodes_.Resize(request->number(), request->index(), request->disk_bytes());
    });
  }

  grpc::Status Save(grpc::ServerContext* context, const host::v1::SaveNodeRequest* request,
                    grpc::ServerWriter<v1::SaveEvent>* writer) override {
    return ForMaster(context, "save a node", [&]() -> Status {
      SaveNodeParameters parameters = FromProto(request->save());
      parameters.on_behalf_of_uid = request->on_behalf_of_uid();
      parameters.origin = request->origin();
      const CancelWatch watch(context, /*master=*/nullptr);
      std::mutex mutex;
      ASSIGN_OR_RETURN(const SaveNodeResult saved,
                       nodes_.Save(request->number(), request->index(), parameters,
                                   SendProgress(writer, &mutex), watch.token()));
      v1::SaveEvent event;
      ToProto(saved, event.mutable_result());
      writer->Write(event);
      return Ok();
    });
  }

  grpc::ServerBidiReactor<v1::ExecRequest, v1::ExecEvent>* Exec(
      grpc::CallbackServerContext* context) override {
    // Who calls is looked at before the command starts, while the context is sure to be there.
    const auto host = membership_.CallerOf(*context);
    Status allowed = Ok();
    if (!host.ok()) {
      allowed = host.error();
    } else if (!obedience_.IsMaster(*host)) {
      allowed = NoMaster(*host);
    }
    return NewExecReactor(
        [this, allowed](const std::string& node, const ExecParameters& parameters,
                        TerminalSize terminal,
                        ExecListener& listener) -> Result<std::unique_ptr<RunningCommand>> {
          if (!allowed.ok()) return allowed.error();
          ASSIGN_OR_RETURN(const auto id, ParseNodeId(node));
          return nodes_.Exec(id.first, id.second, parameters, terminal, listener);
        });
  }

 private:
  static Error NoMaster(const std::string& host) {
    return Error(Code::kPermissionDenied,
                 "host '" + host + "' is not one of this worker's masters");
  }

  template <typename Handler>
  grpc::Status ForMaster(const grpc::ServerContextBase* context, const char* call,
                         Handler handler) {
    return ForHost(membership_, context, call, [&](const std::string& host) -> Status {
      if (!obedience_.IsMaster(host)) return NoMaster(host);
      return handler();
    });
  }

  HostNodes& nodes_;
  Membership& membership_;
  Obedience& obedience_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeWorkerService(HostNodes& nodes, Membership& membership,
                                                 Obedience& obedience) {
  return std::make_unique<WorkerServiceImpl>(nodes, membership, obedience);
}

}  // namespace strata::vcluster
