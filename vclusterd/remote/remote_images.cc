// Saves of all nodes of a part, and changes of images, on another host.
#include "common/rpc/status.h"
#include "vclusterd/remote/remote_host.h"
#include "vclusterd/service/node_messages.h"

namespace strata::vcluster {
namespace {

// The stream is used by one thread at a time: GroupMember's steps follow each other. Only Release
// may come beside a step, and cancels it.
class RemotePartSave final : public PartSave {
 public:
  RemotePartSave(host::v1::WorkerImageService::Stub* stub, std::string name, uint64_t epoch)
      : name_(std::move(name)), epoch_(epoch), stream_(stub->SavePart(&context_)) {}
  ~RemotePartSave() override {
    if (ended_) return;
    context_.TryCancel();
    End();
  }

  Status Start(uint32_t number, const std::vector<PartSaveNode>& nodes) {
    host::v1::SavePartRequest request;
    request.mutable_start()->set_number(number);
    for (const PartSaveNode& node : nodes) {
      host::v1::SavePartNode* out = request.mutable_start()->add_nodes();
      out->set_index(node.index);
      out->set_on_behalf_of_uid(node.parameters.on_behalf_of_uid);
      out->set_origin(node.parameters.origin);
      ToProto(node.parameters, out->mutable_save());
    }
    nodes_ = nodes.size();
    return Step(host::v1::SAVE_PART_START, std::move(request));
  }
  Status Copy() override { return Step(host::v1::SAVE_PART_COPY); }
  Status Freeze() override { return Step(host::v1::SAVE_PART_FREEZE); }
  Status Take() override { return Step(host::v1::SAVE_PART_TAKE); }
  // The worker thaws when the stream ends.
  void Release() override { context_.TryCancel(); }

  Result<std::vector<SaveNodeResult>> Finish() override {
    RETURN_IF_ERROR(Step(host::v1::SAVE_PART_FINISH));
    std::vector<SaveNodeResult> results;
    for (const v1::SaveResult& result : answer_.results()) results.push_back(FromProto(result));
    if (results.size() != nodes_) {
      return Error(Code::kInternal, "host " + name_ + " saved another number of nodes");
    }
    stream_->WritesDone();
    const grpc::Status status = End();
    if (!status.ok()) return rpc::FromGrpc(status).Wrap("host " + name_);
    return results;
  }

 private:
  Status Step(host::v1::SavePartStep step, host::v1::SavePartRequest request = {}) {
    request.set_epoch(epoch_);
    request.set_step(step);
    if (!ended_ && stream_->Write(request) && stream_->Read(&answer_)) return Ok();
    const grpc::Status status = ended_ ? grpc::Status::CANCELLED : End();
    if (status.ok()) return Error(Code::kInternal, "host " + name_ + " ended the save early");
    return rpc::FromGrpc(status).Wrap("host " + name_);
  }
  grpc::Status End() {
    ended_ = true;
    host::v1::SavePartResponse rest;
    while (stream_->Read(&rest)) {
    }
    return stream_->Finish();
  }

  const std::string name_;
  const uint64_t epoch_;
  grpc::ClientContext context_;
  const std::unique_ptr<
      grpc::ClientReaderWriter<host::v1::SavePartRequest, host::v1::SavePartResponse>>
      stream_;
  host::v1::SavePartResponse answer_;
  size_t nodes_ = 0;
  bool ended_ = false;
};

}  // namespace

Result<std::unique_ptr<PartSave>> RemoteHost::StartSave(uint32_t number,
                                                        const std::vector<PartSaveNode>& nodes) {
  auto save = std::make_unique<RemotePartSave>(images_.get(), name_, epoch_);
  RETURN_IF_ERROR(save->Start(number, nodes));
  return std::unique_ptr<PartSave>(std::move(save));
}

Result<host::v1::ImagesResponse> RemoteHost::ChangeImages(host::v1::ImagesRequest request) {
  request.set_epoch(epoch_);
  grpc::ClientContext context;
  host::v1::ImagesResponse response;
  const grpc::Status status = images_->ChangeImages(&context, request, &response);
  if (!status.ok()) return rpc::FromGrpc(status).Wrap("host " + name_);
  return response;
}

}  // namespace strata::vcluster
