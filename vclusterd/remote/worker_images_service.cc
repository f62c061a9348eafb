#include "vclusterd/api/worker_images.grpc.pb.h"
#include "vclusterd/remote/guarded.h"
#include "vclusterd/remote/worker_service.h"
#include "vclusterd/service/node_messages.h"

namespace strata::vcluster {
namespace {

constexpr int kNodesMaxPerSave = kNodesMax;

Result<std::unique_ptr<PartSave>> Begin(HostNodes& nodes, const host::v1::SavePartStart& start) {
  if (start.nodes().empty() || start.nodes_size() > kNodesMaxPerSave) {
    return Error(Code::kInvalidArgument, "a save of no nodes, or of too many");
  }
  std::vector<PartSaveNode> wanted;
  for (const host::v1::SavePartNode& node : start.nodes()) {
    PartSaveNode& one = wanted.emplace_back();
    one.index = node.index();
    one.parameters = FromProto(node.save());
    one.parameters.on_behalf_of_uid = node.on_behalf_of_uid();
    one.parameters.origin = node.origin();
  }
  return nodes.StartSave(start.number(), wanted);
}

Status Do(host::v1::SavePartStep step, PartSave& save, host::v1::SavePartResponse* answer) {
  switch (step) {
    case host::v1::SAVE_PART_COPY:
      return save.Copy();
    case host::v1::SAVE_PART_FREEZE:
      return save.Freeze();
    case host::v1::SAVE_PART_TAKE:
      return save.Take();
    case host::v1::SAVE_PART_FINISH: {
      ASSIGN_OR_RETURN(const auto results, save.Finish());
      for (const SaveNodeResult& result : results) ToProto(result, answer->add_results());
      return Ok();
    }
    default:
      return Error(Code::kInvalidArgument, "no step of a save");
  }
}

class WorkerImageServiceImpl final : public host::v1::WorkerImageService::Service {
 public:
  WorkerImageServiceImpl(HostNodes& nodes, Membership& membership, Obedience& obedience)
      : nodes_(nodes), membership_(membership), obedience_(obedience) {}

  grpc::Status SavePart(grpc::ServerContext* context,
                        grpc::ServerReaderWriter<host::v1::SavePartResponse,
                                                 host::v1::SavePartRequest>* stream) override {
    return ForHost(membership_, context, "save nodes", [&](const std::string& host) -> Status {
      std::unique_ptr<PartSave> save;
      host::v1::SavePartRequest request;
      int next = host::v1::SAVE_PART_START;
      while (stream->Read(&request)) {
        // At every step: of one who leads no more, nothing is published.
        RETURN_IF_ERROR(obedience_.CheckMaster(host, request.epoch()));
        if (request.step() != next) {
          return Error(Code::kInvalidArgument, "a step of a save out of order");
        }
        host::v1::SavePartResponse answer;
        if (next++ == host::v1::SAVE_PART_START) {
          ASSIGN_OR_RETURN(save, Begin(nodes_, request.start()));
        } else {
          RETURN_IF_ERROR(Do(request.step(), *save, &answer));
        }
        if (!stream->Write(answer)) break;
      }
      return Ok();
    });
  }

  grpc::Status ChangeImages(grpc::ServerContext* context, const host::v1::ImagesRequest* request,
                            host::v1::ImagesResponse* response) override {
    return ForHost(membership_, context, "change images", [&](const std::string& host) -> Status {
      RETURN_IF_ERROR(obedience_.CheckMaster(host, request->epoch()));
      ASSIGN_OR_RETURN(*response, nodes_.ChangeImages(*request));
      return Ok();
    });
  }

 private:
  HostNodes& nodes_;
  Membership& membership_;
  Obedience& obedience_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeWorkerImageService(HostNodes& nodes, Membership& membership,
                                                      Obedience& obedience) {
  return std::make_unique<WorkerImageServiceImpl>(nodes, membership, obedience);
}

}  // namespace strata::vcluster
