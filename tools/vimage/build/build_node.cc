#include "tools/vimage/build/build_node.h"

#include <atomic>
#include <optional>
#include <utility>

#include "common/printable.h"
#include "tools/vimage/build/leftovers.h"

namespace strata::tools {
namespace {

namespace api = vcluster::v1;

constexpr size_t kSaidBytesMax = 300;  // Of a script that failed.

}  // namespace

BuildNode::~BuildNode() {
  if (name_.empty()) return;
  (void)Delete();  // Somebody is leaving with an error already.
}

Status BuildNode::Create(const std::string& image) {
  static std::atomic<uint64_t> count{0};
  ASSIGN_OR_RETURN(const BuildClient client, ThisClient());
  const std::string name = BuildClusterName(client, ++count);
  api::CreateRequest request;
  request.set_name(name);
  request.set_image(image);
  request.set_nodes(1);
  request.set_default_disk(true);
  OpenCalls::Call call(calls_);
  const auto reader = vclusterd_.Create(call.context(), request);
  name_ = name;  // From here on there may be something to take away.
  api::ClustersEvent event;
  while (reader->Read(&event)) {
  }
  const grpc::Status status = reader->Finish();
  return status.ok() ? Ok() : Status(CallError(status, Daemon::kVclusterd));
}

Status BuildNode::Delete() {
  api::DeleteRequest request;
  request.set_name(std::exchange(name_, ""));
  grpc::ClientContext context;
  api::DeleteResponse response;
  const grpc::Status status = vclusterd_.Delete(&context, request, &response);
  if (status.ok() || status.error_code() == grpc::StatusCode::NOT_FOUND) return Ok();
  return CallError(status, Daemon::kVclusterd);
}

Result<int> BuildNode::Exec(api::ExecStart start, const Input& input, const Output& output,
                            const Output& errors) {
  start.set_node(name_ + "/0");
  OpenCalls::Call call(calls_);
  const auto stream = vclusterd_.Exec(call.context());
  api::ExecRequest request;
  *request.mutable_start() = std::move(start);
  bool open = stream->Write(request);
  Status done = Ok();
  if (open && input) {
    done = input([&](std::string_view bytes) -> Status {
      request.set_stdin_data(std::string(bytes));
      open = open && stream->Write(request);
      return open ? Ok() : Status(Error(Code::kCancelled, "the command ended"));
    });
    if (!open) done = Ok();  // Its exit code says why.
  }
  if (open && done.ok()) {
    request.set_stdin_end(true);
    stream->Write(request);
  }
  std::optional<int> code;
  api::ExecEvent event;
  if (!done.ok()) call.context()->TryCancel();
  while (stream->Read(&event)) {
    if (event.has_exit_code()) code = event.exit_code();
    if (event.has_exit_code() || !done.ok()) continue;
    const bool is_error = event.has_stderr_data();
    done = (is_error && errors ? errors : output)(is_error ? event.stderr_data()
                                                           : event.stdout_data());
    if (!done.ok()) call.context()->TryCancel();
  }
  const grpc::Status status = stream->Finish();
  RETURN_IF_ERROR(done);
  if (code) return *code;
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  return Error(Code::kInternal, "vclusterd ended the command without an exit code");
}

Status BuildNode::Script(const std::string& script, const std::vector<std::string>& words,
                         const std::string& needs, const Input& input, const Output& output) {
  api::ExecStart start;
  for (const char* word : {"/bin/sh", "-c"}) start.add_argv(word);
  start.add_argv(script);
  start.add_argv("sh");
  for (const std::string& word : words) start.add_argv(word);
  start.set_working_directory("/");
  std::string said;
  const Output say = [&](std::string_view text) {
    if (said.size() < kSaidBytesMax) said.append(text);
    return Ok();
  };
  ASSIGN_OR_RETURN(const int code, Exec(std::move(start), input, output ? output : say, say));
  if (code == 0) return Ok();
  return Error(Code::kFailedPrecondition, needs + " in the image: " + Printable(said));
}

Status BuildNode::Save(const std::string& reference, const std::string& command_line) {
  api::SaveRequest request;
  request.set_node(name_ + "/0");
  request.set_reference(reference);
  request.set_replace(true);
  request.set_command_line(command_line);
  request.set_scrub(api::SCRUB_NEVER);  // Sharing what is built looks at it.
  OpenCalls::Call call(calls_);
  const auto reader = vclusterd_.Save(call.context(), request);
  api::SaveEvent event;
  while (reader->Read(&event)) {
  }
  const grpc::Status status = reader->Finish();
  return status.ok() ? Ok() : Status(CallError(status, Daemon::kVclusterd));
}

}  // namespace strata::tools
