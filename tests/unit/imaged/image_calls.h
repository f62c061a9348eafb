// What users ask of the repository, as one of them: straight, or through imaged's socket. A case
// that is written for ImageCalls runs on both.
#pragma once

#include <grpcpp/client_context.h>

#include <memory>
#include <string>

#include "common/rpc/channel.h"
#include "common/rpc/local_server.h"
#include "common/rpc/status.h"
#include "imaged/api/host_image.grpc.pb.h"
#include "imaged/api/imaged.grpc.pb.h"
#include "imaged/service/image_service.h"
#include "tests/unit/imaged/repository_fixture.h"

namespace strata::imaged {

class ImageCalls {
 public:
  virtual ~ImageCalls() = default;
  virtual Result<v1::ImportResult> Import(const v1::ImportOptions& options,
                                          const std::string& tar) = 0;
  virtual Result<v1::ListResponse> List(const v1::ListRequest& request) = 0;
  virtual Result<v1::ShowResponse> Show(const std::string& reference) = 0;
  virtual Result<v1::Image> Share(const v1::ShareRequest& request) = 0;
  virtual Result<v1::Image> Tag(const v1::TagRequest& request) = 0;
  virtual Result<v1::Image> Edit(const v1::EditRequest& request) = 0;
  virtual Result<v1::DeleteResponse> Delete(const v1::DeleteRequest& request) = 0;
  virtual Result<v1::LineageResponse> Lineage(const std::string& reference) = 0;
  virtual Result<v1::VersionsResponse> Versions(const std::string& reference) = 0;
  virtual Result<v1::PruneResponse> Prune(const v1::PruneRequest& request) = 0;
  virtual Result<v1::UsageResponse> Usage() = 0;
  virtual Status SetQuota(const v1::SetQuotaRequest& request) = 0;
  virtual Result<v1::Class> ChangeClass(const v1::ChangeClassRequest& request) = 0;
  virtual Status DeleteClass(const std::string& name) = 0;
  virtual Result<v1::AcquireRootResponse> AcquireRoot(const v1::AcquireRootRequest& request) = 0;
  virtual Status ReleaseRoot(const std::string& lease) = 0;
};

class DirectCalls final : public ImageCalls {
 public:
  DirectCalls(Repository* repository, uid_t uid) : repository_(*repository), uid_(uid) {}

  Result<v1::ImportResult> Import(const v1::ImportOptions& options,
                                  const std::string& tar) override {
    return repository_.Import(uid_, options, SourceOf(tar), CancelToken(), {});
  }
  Result<v1::ListResponse> List(const v1::ListRequest& request) override {
    return repository_.images().List(uid_, request);
  }
  Result<v1::ShowResponse> Show(const std::string& reference) override {
    return repository_.Show(uid_, reference);
  }
  Result<v1::Image> Share(const v1::ShareRequest& request) override {
    return repository_.Share(uid_, request);
  }
  Result<v1::Image> Tag(const v1::TagRequest& request) override {
    return repository_.Tag(uid_, request);
  }
  Result<v1::Image> Edit(const v1::EditRequest& request) override {
    return repository_.images().Edit(uid_, request);
  }
  Result<v1::DeleteResponse> Delete(const v1::DeleteRequest& request) override {
    return repository_.Delete(uid_, request);
  }
  Result<v1::LineageResponse> Lineage(const std::string& reference) override {
    return repository_.images().Lineage(uid_, reference);
  }
  Result<v1::VersionsResponse> Versions(const std::string& reference) override {
    return repository_.images().Versions(uid_, reference);
  }
  Result<v1::PruneResponse> Prune(const v1::PruneRequest& request) override {
    return repository_.Prune(uid_, request);
  }
  Result<v1::UsageResponse> Usage() override { return repository_.usage().Report(uid_, {}); }
  Status SetQuota(const v1::SetQuotaRequest& request) override {
    return repository_.usage().SetQuota(uid_, request);
  }
  Result<v1::Class> ChangeClass(const v1::ChangeClassRequest& request) override {
    return repository_.catalog().classes().Change(uid_, request, repository_.catalog().Now());
  }
  Status DeleteClass(const std::string& name) override {
    return repository_.catalog().classes().Delete(uid_, name);
  }
  Result<v1::AcquireRootResponse> AcquireRoot(const v1::AcquireRootRequest& request) override {
    return repository_.AcquireRoot(request);
  }
  Status ReleaseRoot(const std::string& lease) override { return repository_.ReleaseRoot(lease); }

 private:
  Repository& repository_;
  const uid_t uid_;
};

// A socket whose every caller is one user: the test itself is another.
class RpcCalls final : public ImageCalls {
 public:
  static Result<std::unique_ptr<RpcCalls>> Start(Repository* repository, uid_t uid,
                                                 const std::string& socket) {
    std::unique_ptr<RpcCalls> calls(new RpcCalls);
    ASSIGN_OR_RETURN(calls->server_,
                     rpc::LocalServer::Start(socket, [repository, uid](const rpc::Caller&) {
                       return MakeServices(repository, rpc::Caller{uid});
                     }));
    ASSIGN_OR_RETURN(const auto channel, rpc::ConnectLocal(socket, "imaged"));
    calls->images_ = v1::ImageService::NewStub(channel);
    calls->classes_ = v1::ClassService::NewStub(channel);
    calls->host_ = v1::HostImageService::NewStub(channel);
    return calls;
  }

  Result<v1::ImportResult> Import(const v1::ImportOptions& options,
                                  const std::string& tar) override {
    grpc::ClientContext context;
    const auto stream = images_->Import(&context);
    v1::ImportRequest request;
    *request.mutable_options() = options;
    bool open = stream->Write(request);
    for (size_t at = 0; open && at < tar.size(); at += kPiece) {
      request.set_tar(tar.substr(at, kPiece));
      open = stream->Write(request);
    }
    request.set_end(true);
    if (open) stream->Write(request);
    stream->WritesDone();
    v1::ImportEvent event;
    v1::ImportResult result;
    while (stream->Read(&event)) {
      if (event.has_result()) result = event.result();
    }
    const grpc::Status status = stream->Finish();
    if (!status.ok()) return rpc::FromGrpc(status);
    return result;
  }
  Result<v1::ListResponse> List(const v1::ListRequest& request) override {
    return Call(*images_, &Images::List, request);
  }
  Result<v1::ShowResponse> Show(const std::string& reference) override {
    return Call(*images_, &Images::Show, Named<v1::ShowRequest>(reference));
  }
  Result<v1::Image> Share(const v1::ShareRequest& request) override {
    ASSIGN_OR_RETURN(const v1::ShareResponse answer, Call(*images_, &Images::Share, request));
    return answer.image();
  }
  Result<v1::Image> Tag(const v1::TagRequest& request) override {
    ASSIGN_OR_RETURN(const v1::TagResponse answer, Call(*images_, &Images::Tag, request));
    return answer.image();
  }
  Result<v1::Image> Edit(const v1::EditRequest& request) override {
    ASSIGN_OR_RETURN(const v1::EditResponse answer, Call(*images_, &Images::Edit, request));
    return answer.image();
  }
  Result<v1::DeleteResponse> Delete(const v1::DeleteRequest& request) override {
    return Call(*images_, &Images::Delete, request);
  }
  Result<v1::LineageResponse> Lineage(const std::string& reference) override {
    return Call(*images_, &Images::Lineage, Named<v1::LineageRequest>(reference));
  }
  Result<v1::VersionsResponse> Versions(const std::string& reference) override {
    return Call(*images_, &Images::Versions, Named<v1::VersionsRequest>(reference));
  }
  Result<v1::PruneResponse> Prune(const v1::PruneRequest& request) override {
    return Call(*images_, &Images::Prune, request);
  }
  Result<v1::UsageResponse> Usage() override {
    return Call(*images_, &Images::GetUsage, v1::UsageRequest());
  }
  Status SetQuota(const v1::SetQuotaRequest& request) override {
    return Done(Call(*images_, &Images::SetQuota, request));
  }
  Result<v1::Class> ChangeClass(const v1::ChangeClassRequest& request) override {
    ASSIGN_OR_RETURN(const v1::ChangeClassResponse answer,
                     Call(*classes_, &Classes::Change, request));
    return answer.changed();
  }
  Status DeleteClass(const std::string& name) override {
    v1::DeleteClassRequest request;
    request.set_name(name);
    return Done(Call(*classes_, &Classes::Delete, request));
  }
  Result<v1::AcquireRootResponse> AcquireRoot(const v1::AcquireRootRequest& request) override {
    return Call(*host_, &Host::AcquireRoot, request);
  }
  Status ReleaseRoot(const std::string& lease) override {
    v1::ReleaseRootRequest request;
    request.set_lease(lease);
    return Done(Call(*host_, &Host::ReleaseRoot, request));
  }

 private:
  static constexpr size_t kPiece = 64 * 1024;
  using Images = v1::ImageService::Stub;
  using Classes = v1::ClassService::Stub;
  using Host = v1::HostImageService::Stub;

  RpcCalls() = default;

  template <typename Request>
  static Request Named(const std::string& reference) {
    Request request;
    request.set_reference(reference);
    return request;
  }
  template <typename Stub, typename Request, typename Response>
  static Result<Response> Call(Stub& stub,
                               grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                            Response*),
                               const Request& request) {
    grpc::ClientContext context;
    Response response;
    const grpc::Status status = (stub.*method)(&context, request, &response);
    if (!status.ok()) return rpc::FromGrpc(status);
    return response;
  }
  template <typename Response>
  static Status Done(const Result<Response>& answer) {
    return answer.ok() ? Ok() : Status(answer.error());
  }

  std::unique_ptr<rpc::LocalServer> server_;
  std::unique_ptr<Images> images_;
  std::unique_ptr<Classes> classes_;
  std::unique_ptr<Host> host_;
};

}  // namespace strata::imaged
