#include "tools/vimage/import_stream.h"

#include <optional>
#include <ostream>

#include "common/printable.h"
#include "imaged/api/imaged.grpc.pb.h"
#include "tools/cli/call.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/json.h"
#include "tools/cli/progress.h"
#include "tools/vimage/describe.h"
#include "tools/vimage/upload.h"

namespace strata::tools {
namespace {

namespace api = imaged::v1;

// Reads the daemon's events until the call ends.
std::optional<api::ImportResult> ReadEvents(Upload::Stream& stream, ProgressLine& progress) {
  std::optional<api::ImportResult> result;
  api::ImportEvent event;
  while (stream.Read(&event)) {
    if (event.has_result()) {
      result = std::move(*event.mutable_result());
    } else {
      const api::Progress& at = event.progress();
      progress.Update({at.stage(), at.bytes(), at.bytes_total(), true, at.entries()});
    }
  }
  return result;
}

}  // namespace

Result<api::ImportResult> ImportStream(Tool& tool, TarSource& source,
                                       const api::ImportOptions& options) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  const auto stub = api::ImageService::NewStub(channel);
  Call call;
  const auto stream = stub->Import(call.context());
  ProgressLine progress(tool.console(), "import " + Printable(options.reference()), tool.json());
  std::optional<api::ImportResult> result;
  Status source_status;
  {
    Upload upload(*stream, *call.context(), source, options);
    result = ReadEvents(*stream, progress);
    source_status = upload.Stop();
  }
  const grpc::Status status = stream->Finish();
  if (call.interrupted() && !status.ok()) {
    return Error(Code::kCancelled, "cancelled: no image was made");
  }
  if (!source_status.ok()) return source_status.error();
  if (!status.ok()) return CallError(status, Daemon::kImaged);
  if (!result) return Error(Code::kInternal, "imaged ended the import without a result");
  return std::move(*result);
}

Result<int> ShowImport(Tool& tool, const std::vector<std::string>& warnings,
                       api::ImportResult result) {
  for (const std::string& warning : warnings) {
    result.mutable_summary()->add_warnings(warning);
  }
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(result, tool.console().out));
    return kExitOk;
  }
  for (const std::string& warning : result.summary().warnings()) {
    tool.Complain("warning: " + warning);
  }
  tool.console().out << Printable(FullName(result.image())) << ": "
                     << DescribeIngest(result.summary()) << '\n';
  return kExitOk;
}

}  // namespace strata::tools
