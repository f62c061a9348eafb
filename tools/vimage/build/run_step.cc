#include "tools/vimage/build/run_step.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <optional>
#include <thread>

#include "common/printable.h"

namespace strata::tools {
namespace {

namespace api = vcluster::v1;
using Stub = api::VclusterService::Stub;

// Where secrets lie: a tmpfs of the node's own, which no save sees. Their targets are symbolic
// links there, and are gone before the node is saved.
constexpr char kSecretDirectory[] = "/dev/shm/.build-secrets";

// A node for one command.
class BuildNode {
 public:
  BuildNode(Stub& vclusterd, OpenCalls& calls) : vclusterd_(vclusterd), calls_(calls) {}
  BuildNode(const BuildNode&) = delete;
  BuildNode& operator=(const BuildNode&) = delete;
  ~BuildNode() {
    if (name_.empty()) return;
    (void)Delete();  // Somebody is leaving with an error already.
  }

  Status Create(const std::string& image) {
    static std::atomic<uint64_t> count{0};
    const auto now = std::chrono::system_clock::now().time_since_epoch().count();
    char name[64];
    std::snprintf(name, sizeof(name), "build-%lx-%lx-%lx", static_cast<unsigned long>(::getpid()),
                  static_cast<unsigned long>(now & 0xffffffff),
                  static_cast<unsigned long>(++count));
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

  // Not one of the build's calls: it has to happen after they were cancelled too.
  Status Delete() {
    api::DeleteRequest request;
    request.set_name(std::exchange(name_, ""));
    grpc::ClientContext context;
    api::DeleteResponse response;
    const grpc::Status status = vclusterd_.Delete(&context, request, &response);
    if (status.ok() || status.error_code() == grpc::StatusCode::NOT_FOUND) return Ok();
    return CallError(status, Daemon::kVclusterd);
  }

  using Output = std::function<void(std::string_view)>;
  // The exit code.
  Result<int> Exec(api::ExecStart start, const std::string& input, const Output& output) {
    start.set_node(name_ + "/0");
    OpenCalls::Call call(calls_);
    const auto stream = vclusterd_.Exec(call.context());
    api::ExecRequest request;
    *request.mutable_start() = std::move(start);
    bool open = stream->Write(request);
    if (open && !input.empty()) {
      request.set_stdin_data(input);
      open = stream->Write(request);
    }
    if (open) {
      request.set_stdin_end(true);
      stream->Write(request);
    }
    std::optional<int> code;
    api::ExecEvent event;
    while (stream->Read(&event)) {
      if (event.has_exit_code()) {
        code = event.exit_code();
      } else {
        output(event.has_stdout_data() ? event.stdout_data() : event.stderr_data());
      }
    }
    const grpc::Status status = stream->Finish();
    if (code) return *code;
    if (!status.ok()) return CallError(status, Daemon::kVclusterd);
    return Error(Code::kInternal, "vclusterd ended the command without an exit code");
  }

  Status Save(const RunOrder& order) {
    api::SaveRequest request;
    request.set_node(name_ + "/0");
    request.set_reference(order.result);
    request.set_replace(true);
    request.set_command_line(order.command_line);
    request.set_scrub(api::SCRUB_NEVER);  // Sharing what is built looks at it.
    OpenCalls::Call call(calls_);
    const auto reader = vclusterd_.Save(call.context(), request);
    api::SaveEvent event;
    while (reader->Read(&event)) {
    }
    const grpc::Status status = reader->Finish();
    return status.ok() ? Ok() : Status(CallError(status, Daemon::kVclusterd));
  }

 private:
  Stub& vclusterd_;
  OpenCalls& calls_;
  std::string name_;
};

// A script of the node's root.
Status Script(BuildNode& node, const std::string& script, const std::vector<std::string>& words,
              const std::string& input) {
  api::ExecStart start;
  for (const char* word : {"/bin/sh", "-c"}) start.add_argv(word);
  start.add_argv(script);
  start.add_argv("sh");
  for (const std::string& word : words) start.add_argv(word);
  start.set_working_directory("/");
  std::string said;
  ASSIGN_OR_RETURN(const int code, node.Exec(std::move(start), input, [&](std::string_view text) {
    if (said.size() < 300) said.append(text);
  }));
  if (code == 0) return Ok();
  return Error(
      Code::kFailedPrecondition,
      "a secret needs sh, cat, mkdir, ln, chmod, chown and rm in the image: " + Printable(said));
}

Status GiveSecrets(BuildNode& node, const std::vector<BuildSecret>& secrets) {
  for (size_t i = 0; i < secrets.size(); ++i) {
    const BuildSecret& secret = secrets[i];
    char mode[16];
    std::snprintf(mode, sizeof(mode), "%o", secret.mode);
    const std::string file = std::string(kSecretDirectory) + "/" + std::to_string(i);
    // Directories that are made for it are noted, to be taken away again.
    RETURN_IF_ERROR(
        Script(node,
               "set -e; umask 077; d=$1; mkdir -p \"$d\"; chmod 711 \"$d\"; "
               "cat >\"$2\"; chown \"$4\" \"$2\"; chmod \"$3\" \"$2\"; "
               "umask 022; t=$5; p=${t%/*}; "
               "while [ -n \"$p\" ] && [ ! -d \"$p\" ]; do echo \"$p\" >>\"$d/made\"; "
               "p=${p%/*}; done; "
               "mkdir -p \"${t%/*}/\"; ln -s \"$2\" \"$t\"",
               {kSecretDirectory, file, mode,
                std::to_string(secret.uid) + ":" + std::to_string(secret.gid), secret.target},
               secret.content));
  }
  return Ok();
}

Status TakeSecretsBack(BuildNode& node, const std::vector<BuildSecret>& secrets) {
  for (const BuildSecret& secret : secrets) {
    RETURN_IF_ERROR(Script(node, "if [ -L \"$1\" ]; then rm \"$1\"; fi", {secret.target}, ""));
  }
  if (secrets.empty()) return Ok();
  return Script(node,
                "while read -r p; do rmdir \"$p\" 2>/dev/null || true; done "
                "<\"$1/made\" 2>/dev/null; rm -rf \"$1\"",
                {kSecretDirectory}, "");
}

Status RunCommand(BuildNode& node, const RunOrder& order, StepLog& log) {
  api::ExecStart start;
  for (const std::string& word : order.argv) start.add_argv(word);
  for (const std::string& variable : order.env) start.add_env(variable);
  start.set_working_directory(order.working_dir);
  start.set_uid(order.uid);
  start.set_gid(order.gid);
  ASSIGN_OR_RETURN(const int code, node.Exec(std::move(start), "",
                                             [&](std::string_view text) { log.Output(text); }));
  if (code == 0) return Ok();
  return Error(Code::kInternal, "the command exited with " + std::to_string(code));
}

}  // namespace

Status RunInNode(Stub& vclusterd, OpenCalls& calls, const RunOrder& order, StepLog& log) {
  BuildNode node(vclusterd, calls);
  RETURN_IF_ERROR(node.Create(order.image), "a node to run in");
  RETURN_IF_ERROR(GiveSecrets(node, order.secrets));
  RETURN_IF_ERROR(RunCommand(node, order, log));
  RETURN_IF_ERROR(TakeSecretsBack(node, order.secrets));
  RETURN_IF_ERROR(node.Save(order), "saving");
  return node.Delete();
}

}  // namespace strata::tools
