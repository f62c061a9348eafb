#include "imaged/service/image_service.h"

#include "imaged/api/imaged.grpc.pb.h"
#include "imaged/oci/archive_export.h"
#include "imaged/oci/archive_import.h"
#include "imaged/service/audit.h"
#include "imaged/service/call.h"
#include "imaged/service/class_service.h"
#include "imaged/service/event_service.h"
#include "imaged/service/host_service.h"

namespace strata::imaged {
namespace {

class ImageServiceImpl final : public v1::ImageService::Service {
 public:
  ImageServiceImpl(Repository* repository, const rpc::Caller& caller, LayerBringer* bringer)
      : repository_(repository), uid_(caller.uid), bringer_(bringer) {}

  grpc::Status Import(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::ImportEvent, v1::ImportRequest>* stream) override {
    return Audited(repository_, EventOf("import", uid_, ""), [&](v1::Event* done) -> Status {
      ASSIGN_OR_RETURN(const auto slot, long_calls_.Enter());
      v1::ImportRequest request;
      if (!stream->Read(&request) || !request.has_options()) {
        return Error(Code::kInvalidArgument, "an import starts with its options");
      }
      const v1::ImportOptions options = request.options();
      done->set_image(Printable(options.reference()));
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
      if (!options.base().empty()) {
        RETURN_IF_ERROR(BringHere({options.base()}, cancellation.token(), progress));
      }
      v1::ImportEvent event;
      ASSIGN_OR_RETURN(
          *event.mutable_result(),
          oci::ImportArchive(*repository_, uid_, options, source, cancellation.token(), progress));
      SetImage(event.result().image(), done);
      stream->Write(event);
      return Ok();
    });
  }

  grpc::Status List(grpc::ServerContext*, const v1::ListRequest* request,
                    v1::ListResponse* response) override {
    return Answer("list", response, [&]() -> Result<v1::ListResponse> {
      ASSIGN_OR_RETURN(v1::ListResponse list, repository_->images().List(uid_, *request));
      for (v1::Image& image : *list.mutable_images()) SetPresence(&image);
      return list;
    });
  }

  grpc::Status Show(grpc::ServerContext*, const v1::ShowRequest* request,
                    v1::ShowResponse* response) override {
    return Answer("show", response, [&]() -> Result<v1::ShowResponse> {
      ASSIGN_OR_RETURN(v1::ShowResponse shown, repository_->Show(uid_, request->reference()));
      SetPresence(shown.mutable_image());
      return shown;
    });
  }

  grpc::Status ListFiles(grpc::ServerContext* context, const v1::ListFilesRequest* request,
                         v1::ListFilesResponse* response) override {
    return Answer("ls", response, [&]() -> Result<v1::ListFilesResponse> {
      if (bringer_ != nullptr) {
        const CallCancellation cancellation(context);
        RETURN_IF_ERROR(BringHere({request->reference()}, cancellation.token()));
      }
      return repository_->ListFiles(uid_, *request);
    });
  }

  grpc::Status Share(grpc::ServerContext* context, const v1::ShareRequest* request,
                     v1::ShareResponse* response) override {
    const CallCancellation cancellation(context);
    return Audited(repository_, EventOf("share", uid_, request->reference()),
                   [&](v1::Event* done) -> Status {
                     done->set_detail(DescribeShare(*request));
                     ASSIGN_OR_RETURN(*response->mutable_image(),
                                      repository_->Share(uid_, *request, cancellation.token()));
                     SetImage(response->image(), done);
                     return Ok();
                   });
  }

  grpc::Status Tag(grpc::ServerContext* context, const v1::TagRequest* request,
                   v1::TagResponse* response) override {
    const CallCancellation cancellation(context);
    return Audited(repository_, EventOf("tag", uid_, request->new_reference()),
                   [&](v1::Event* done) -> Status {
                     done->set_detail("of " + Printable(request->reference()));
                     ASSIGN_OR_RETURN(*response->mutable_image(),
                                      repository_->Tag(uid_, *request, cancellation.token()));
                     SetImage(response->image(), done);
                     return Ok();
                   });
  }

  grpc::Status Configure(grpc::ServerContext* context, const v1::ConfigureRequest* request,
                         v1::ConfigureResponse* response) override {
    const CallCancellation cancellation(context);
    return Audited(repository_, EventOf("configure", uid_, request->new_reference()),
                   [&](v1::Event* done) -> Status {
                     done->set_detail("of " + Printable(request->reference()));
                     ASSIGN_OR_RETURN(*response->mutable_image(),
                                      repository_->Configure(uid_, *request, cancellation.token()));
                     SetImage(response->image(), done);
                     return Ok();
                   });
  }

  grpc::Status Edit(grpc::ServerContext*, const v1::EditRequest* request,
                    v1::EditResponse* response) override {
    return Audited(
        repository_, EventOf("edit", uid_, request->reference()), [&](v1::Event* done) -> Status {
          ASSIGN_OR_RETURN(*response->mutable_image(), repository_->images().Edit(uid_, *request));
          SetImage(response->image(), done);
          return Ok();
        });
  }

  grpc::Status Delete(grpc::ServerContext* context, const v1::DeleteRequest* request,
                      v1::DeleteResponse* response) override {
    const CallCancellation cancellation(context);
    return Audited(
        repository_, EventOf("delete", uid_, request->reference()), [&](v1::Event* done) -> Status {
          // Its name is known as long as it is there.
          const auto image = repository_->images().FindOwned(uid_, request->reference());
          if (image.ok()) SetImage(*image, done);
          ASSIGN_OR_RETURN(*response, repository_->Delete(uid_, *request, cancellation.token()));
          return Ok();
        });
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

  grpc::Status Prune(grpc::ServerContext* context, const v1::PruneRequest* request,
                     v1::PruneResponse* response) override {
    const CallCancellation cancellation(context);
    return Audited(repository_, EventOf(request->dry_run() ? "prune --dry-run" : "prune", uid_, ""),
                   [&](v1::Event* done) -> Status {
                     ASSIGN_OR_RETURN(*response,
                                      repository_->Prune(uid_, *request, cancellation.token()));
                     done->set_detail(std::to_string(response->images_size()) + " versions");
                     return Ok();
                   });
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
    return Audited(repository_, EventOf("quota", uid_, request->subject()),
                   [&](v1::Event* done) -> Status {
                     done->set_detail(std::to_string(request->limit_bytes()) + " bytes");
                     return repository_->usage().SetQuota(uid_, *request);
                   });
  }

  grpc::Status Export(grpc::ServerContext* context, const v1::ExportRequest* request,
                      grpc::ServerWriter<v1::ExportChunk>* writer) override {
    return Audited(
        repository_, EventOf("export", uid_, request->reference()), [&](v1::Event*) -> Status {
          ASSIGN_OR_RETURN(const auto slot, long_calls_.Enter());
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
          RETURN_IF_ERROR(BringHere({request->reference()}, cancellation.token(), progress));
          RETURN_IF_ERROR(oci::ExportArchive(*repository_, uid_, *request, sink,
                                             cancellation.token(), progress));
          return flush();
        });
  }

  grpc::Status Diff(grpc::ServerContext* context, const v1::DiffRequest* request,
                    grpc::ServerWriter<v1::DiffEvent>* writer) override {
    return Guarded("diff", [&]() -> Status {
      ASSIGN_OR_RETURN(const auto slot, long_calls_.Enter());
      const CallCancellation cancellation(context);
      RETURN_IF_ERROR(BringHere({request->before(), request->after()}, cancellation.token()));
      return repository_->Diff(
          uid_, *request,
          [&](const v1::DiffEvent& event) -> Status {
            return writer->Write(event) ? Ok() : Error(Code::kCancelled, "the caller went away");
          },
          cancellation.token());
    });
  }

  grpc::Status Scrub(grpc::ServerContext* context, const v1::ScrubRequest* request,
                     v1::ScrubResponse* response) override {
    const CallCancellation cancellation(context);
    return Audited(
        repository_,
        EventOf(request->dry_run() ? "scrub --dry-run" : "scrub", uid_, request->reference()),
        [&](v1::Event* done) -> Status {
          ASSIGN_OR_RETURN(const auto slot, long_calls_.Enter());
          RETURN_IF_ERROR(BringHere({request->reference()}, cancellation.token()));
          ASSIGN_OR_RETURN(*response, repository_->Scrub(uid_, *request, cancellation.token()));
          if (response->has_image()) SetImage(response->image(), done);
          return Ok();
        });
  }

  grpc::Status Rebase(grpc::ServerContext* context, const v1::RebaseRequest* request,
                      v1::RebaseResponse* response) override {
    const CallCancellation cancellation(context);
    return Audited(
        repository_,
        EventOf(request->dry_run() ? "rebase --dry-run" : "rebase", uid_, request->reference()),
        [&](v1::Event* done) -> Status {
          ASSIGN_OR_RETURN(const auto slot, long_calls_.Enter());
          done->set_detail("onto " + Printable(request->onto()));
          RETURN_IF_ERROR(BringHere({request->reference(), request->onto()}, cancellation.token()));
          ASSIGN_OR_RETURN(*response, repository_->Rebase(uid_, *request, cancellation.token()));
          if (response->has_image()) SetImage(response->image(), done);
          return Ok();
        });
  }

  grpc::Status GetBackgroundCheck(grpc::ServerContext*, const v1::BackgroundCheckRequest*,
                                  v1::BackgroundCheck* response) override {
    *response = repository_->background_check().State();
    response->set_still_damaged(static_cast<uint64_t>(response->unhealed_size()));
    // Digests of others' files are nobody's business but root's.
    if (uid_ != 0) response->clear_unhealed();
    return grpc::Status::OK;
  }

  grpc::Status Fsck(grpc::ServerContext* context, const v1::FsckRequest* request,
                    grpc::ServerWriter<v1::FsckEvent>* writer) override {
    return Guarded("fsck", [&]() -> Status {
      ASSIGN_OR_RETURN(const auto slot, long_calls_.Enter());
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

  void SetPresence(v1::Image* image) const {
    if (!repository_->catalog().shared()) return;
    image->set_presence(repository_->CheckIsHere(*image).ok() ? v1::HERE : v1::ELSEWHERE);
  }
  // Before images are used, whose layers may be on other hosts only.
  Status BringHere(std::initializer_list<std::string> references, const CancelToken& cancel,
                   const ProgressSink& progress = {}) {
    if (bringer_ == nullptr) return Ok();
    for (const std::string& reference : references) {
      RETURN_IF_ERROR(bringer_->Bring(uid_, reference, progress, cancel));
    }
    return Ok();
  }

  Repository* const repository_;
  const uid_t uid_;
  LayerBringer* const bringer_;
  LongCalls long_calls_{uid_};
};

}  // namespace

std::vector<std::unique_ptr<grpc::Service>> MakeServices(Repository* repository,
                                                         const rpc::Caller& caller,
                                                         LayerBringer* bringer) {
  std::vector<std::unique_ptr<grpc::Service>> services;
  services.push_back(std::make_unique<ImageServiceImpl>(repository, caller, bringer));
  services.push_back(MakeClassService(repository, caller));
  services.push_back(MakeHostService(repository, caller, bringer));
  services.push_back(MakeEventService(repository, caller));
  return services;
}

}  // namespace strata::imaged
