#include "imaged/service/image_service.h"

#include "imaged/api/imaged.grpc.pb.h"
#include "imaged/oci/archive_export.h"
#include "imaged/oci/archive_import.h"
#include "imaged/service/call.h"
#include "imaged/service/class_service.h"
#include "imaged/service/host_service.h"

namespace strata::imaged {
namespace {

class ImageServiceImpl final : public v1::ImageService::Service {
 public:
  ImageServiceImpl(Repository* repository, const rpc::Caller& caller)
      : repository_(repository), uid_(caller.uid) {}

  grpc::Status Import(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::ImportEvent, v1::ImportRequest>* stream) override {
    return Guarded("import", [&]() -> Status {
      v1::ImportRequest request;
      if (!stream->Read(&request) || !request.has_options()) {
        return Error(Code::kInvalidArgument, "an import starts with its options");
      }
      const v1::ImportOptions options = request.options();
      const CallCancellation cancellation(context);
      const ByteSource source = [&]() -> Result<std::string_view> {
        if (request.end()) return std::string_view();
        if (!stream->Read(&request)) {
          return Error(Code::kCancelled, "the archive broke off: cancelled by the caller");
        }
        if (request.end()) return std::string_view();
        if (!request.has_tar()) return Error(Code::kInvalidArgument, "expected bytes of the tar");
        return std::string_view(request.tar());
      };
      RateLimit limit;
      const ProgressSink progress = [&](const v1::Progress& state) {
        if (!limit.Pass()) return;
        v1::ImportEvent event;
        *event.mutable_progress() = state;
        stream->Write(event);
      };
      v1::ImportEvent event;
      ASSIGN_OR_RETURN(
          *event.mutable_result(),
          oci::ImportArchive(*repository_, uid_, options, source, cancellation.token(), progress));
      stream->Write(event);
      return Ok();
    });
  }

  grpc::Status List(grpc::ServerContext*, const v1::ListRequest* request,
                    v1::ListResponse* response) override {
    return Answer("list", response, [&] { return repository_->images().List(uid_, *request); });
  }

  grpc::Status Show(grpc::ServerContext*, const v1::ShowRequest* request,
                    v1::ShowResponse* response) override {
    return Answer("show", response, [&] { return repository_->Show(uid_, request->reference()); });
  }

  grpc::Status ListFiles(grpc::ServerContext*, const v1::ListFilesRequest* request,
                         v1::ListFilesResponse* response) override {
    return Answer("ls", response, [&] { return repository_->ListFiles(uid_, *request); });
  }

  grpc::Status Share(grpc::ServerContext*, const v1::ShareRequest* request,
                     v1::ShareResponse* response) override {
    return Answer("share", response->mutable_image(),
                  [&] { return repository_->Share(uid_, *request); });
  }

  grpc::Status Tag(grpc::ServerContext*, const v1::TagRequest* request,
                   v1::TagResponse* response) override {
    return Answer("tag", response->mutable_image(),
                  [&] { return repository_->Tag(uid_, *request); });
  }

  grpc::Status Configure(grpc::ServerContext*, const v1::ConfigureRequest* request,
                         v1::ConfigureResponse* response) override {
    return Answer("configure", response->mutable_image(),
                  [&] { return repository_->Configure(uid_, *request); });
  }

  grpc::Status Edit(grpc::ServerContext*, const v1::EditRequest* request,
                    v1::EditResponse* response) override {
    return Answer("edit", response->mutable_image(),
                  [&] { return repository_->images().Edit(uid_, *request); });
  }

  grpc::Status Delete(grpc::ServerContext*, const v1::DeleteRequest* request,
                      v1::DeleteResponse* response) override {
    return Answer("delete", response, [&] { return repository_->Delete(uid_, *request); });
  }

  grpc::Status Lineage(grpc::ServerContext*, const v1::LineageRequest* request,
                       v1::LineageResponse* response) override {
    return Answer("lineage", response,
                  [&] { return repository_->images().Lineage(uid_, request->reference()); });
  }

  grpc::Status Versions(grpc::ServerContext*, const v1::VersionsRequest* request,
                        v1::VersionsResponse* response) override {
    return Answer("versions", response,
                  [&] { return repository_->images().Versions(uid_, request->reference()); });
  }

  grpc::Status Prune(grpc::ServerContext*, const v1::PruneRequest* request,
                     v1::PruneResponse* response) override {
    return Answer("prune", response, [&] { return repository_->Prune(uid_, *request); });
  }

  grpc::Status GetUsage(grpc::ServerContext*, const v1::UsageRequest* request,
                        v1::UsageResponse* response) override {
    return Answer("usage", response, [&] { return repository_->usage().Report(uid_, *request); });
  }

  grpc::Status DiskUsage(grpc::ServerContext*, const v1::DiskUsageRequest* request,
                         v1::DiskUsageResponse* response) override {
    return Answer("du", response, [&] { return repository_->usage().PerImage(uid_, *request); });
  }

  grpc::Status SetQuota(grpc::ServerContext*, const v1::SetQuotaRequest* request,
                        v1::SetQuotaResponse*) override {
    return Guarded("quota", [&] { return repository_->usage().SetQuota(uid_, *request); });
  }

  grpc::Status Export(grpc::ServerContext* context, const v1::ExportRequest* request,
                      grpc::ServerWriter<v1::ExportChunk>* writer) override {
    return Guarded("export", [&]() -> Status {
      const CallCancellation cancellation(context);
      v1::ExportChunk chunk;
      const auto flush = [&]() -> Status {
        const bool sent = chunk.tar().empty() || writer->Write(chunk);
        chunk.clear_tar();
        return sent ? Ok() : Status(Error(Code::kCancelled, "the caller went away"));
      };
      const ByteSink sink = [&](std::string_view data) -> Status {
        chunk.mutable_tar()->append(data);
        return chunk.tar().size() < kChunkBytes ? Ok() : flush();
      };
      RateLimit limit;
      const ProgressSink progress = [&](const v1::Progress& state) {
        if (!limit.Pass()) return;
        v1::ExportChunk event;
        *event.mutable_progress() = state;
        writer->Write(event);
      };
      RETURN_IF_ERROR(
          oci::ExportArchive(*repository_, uid_, *request, sink, cancellation.token(), progress));
      return flush();
    });
  }

  grpc::Status Diff(grpc::ServerContext* context, const v1::DiffRequest* request,
                    grpc::ServerWriter<v1::DiffEvent>* writer) override {
    return Guarded("diff", [&]() -> Status {
      const CallCancellation cancellation(context);
      return repository_->Diff(
          uid_, *request,
          [&](const v1::DiffEvent& event) -> Status {
            return writer->Write(event) ? Ok() : Error(Code::kCancelled, "the caller went away");
          },
          cancellation.token());
    });
  }

  grpc::Status Scrub(grpc::ServerContext*, const v1::ScrubRequest* request,
                     v1::ScrubResponse* response) override {
    return Answer("scrub", response, [&] { return repository_->Scrub(uid_, *request); });
  }

  grpc::Status Rebase(grpc::ServerContext*, const v1::RebaseRequest* request,
                      v1::RebaseResponse* response) override {
    return Answer("rebase", response, [&] { return repository_->Rebase(uid_, *request); });
  }

  grpc::Status Fsck(grpc::ServerContext* context, const v1::FsckRequest* request,
                    grpc::ServerWriter<v1::FsckEvent>* writer) override {
    return Guarded("fsck", [&]() -> Status {
      const CallCancellation cancellation(context);
      RateLimit limit;
      std::mutex mutex;  // One writer at a time; problems come from several threads.
      v1::FsckEvent done;
      ASSIGN_OR_RETURN(*done.mutable_result(), repository_->Fsck(
                                                   uid_, request->reference(), cancellation.token(),
                                                   [&](const v1::Progress& state) {
                                                     const std::lock_guard<std::mutex> lock(mutex);
                                                     if (!limit.Pass()) return;
                                                     v1::FsckEvent event;
                                                     *event.mutable_progress() = state;
                                                     writer->Write(event);
                                                   },
                                                   [&](const std::string& problem) {
                                                     LOG_ERROR("fsck: " + problem);
                                                     const std::lock_guard<std::mutex> lock(mutex);
                                                     v1::FsckEvent event;
                                                     event.set_problem(problem);
                                                     writer->Write(event);
                                                   }));
      writer->Write(done);
      return Ok();
    });
  }

 private:
  static constexpr size_t kChunkBytes = 512 * 1024;

  Repository* const repository_;
  const uid_t uid_;
};

}  // namespace

std::vector<std::unique_ptr<grpc::Service>> MakeServices(Repository* repository,
                                                         const rpc::Caller& caller) {
  std::vector<std::unique_ptr<grpc::Service>> services;
  services.push_back(std::make_unique<ImageServiceImpl>(repository, caller));
  services.push_back(MakeClassService(repository, caller));
  services.push_back(MakeHostService(repository, caller));
  return services;
}

}  // namespace strata::imaged
