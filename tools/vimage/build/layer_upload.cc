#include "tools/vimage/build/layer_upload.h"

#include <optional>
#include <thread>

namespace strata::tools {

namespace api = imaged::v1;

Result<api::ImportResult> UploadArchive(
    api::ImageService::Stub& imaged, OpenCalls& calls, const api::ImportOptions& options,
    const std::function<Status(const imaged::ByteSink&)>& write) {
  OpenCalls::Call call(calls);
  const auto stream = imaged.Import(call.context());
  std::optional<api::ImportResult> result;
  std::thread reader([&] {
    api::ImportEvent event;
    while (stream->Read(&event)) {
      if (event.has_result()) result = std::move(*event.mutable_result());
    }
  });
  // What imaged refuses ends the stream; its status says why, so a broken write is no error here.
  bool broken = false;
  api::ImportRequest request;
  *request.mutable_options() = options;
  broken = !stream->Write(request);
  const Status written = write([&](std::string_view bytes) -> Status {
    if (broken) return Error(Code::kCancelled, "imaged ended the import");
    request.set_tar(std::string(bytes));
    broken = !stream->Write(request);
    return Ok();
  });
  if (!written.ok() && !broken) call.context()->TryCancel();
  if (written.ok() && !broken) {
    request.set_end(true);
    stream->Write(request);
  }
  stream->WritesDone();
  reader.join();
  const grpc::Status status = stream->Finish();
  if (!written.ok() && !broken) return written.error();
  if (!status.ok()) return CallError(status, Daemon::kImaged);
  if (!result) return Error(Code::kInternal, "imaged ended the import without a result");
  return std::move(*result);
}

Result<api::ImportResult> UploadLayer(api::ImageService::Stub& imaged, OpenCalls& calls,
                                      const api::ImportOptions& options,
                                      const std::function<Status(imaged::PaxWriter&)>& write) {
  return UploadArchive(imaged, calls, options, [&](const imaged::ByteSink& sink) -> Status {
    imaged::PaxWriter writer(sink);
    RETURN_IF_ERROR(write(writer));
    return writer.Finish();
  });
}

}  // namespace strata::tools
