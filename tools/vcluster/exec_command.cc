#include <charconv>
#include <optional>

#include "common/file_io.h"
#include "tools/cli/call.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/interrupt.h"
#include "tools/vcluster/input_forwarder.h"
#include "tools/vcluster/raw_terminal.h"
#include "tools/vcluster/vcluster.h"
#include "vclusterd/api/vcluster.grpc.pb.h"

namespace strata::tools {
namespace {

namespace api = vcluster::v1;

struct ExecArguments {
  std::string node;
  std::vector<std::string> env;
  std::string directory;
  std::string user;
  bool terminal = false;
  bool input = false;
};

Result<uint32_t> ParseId(std::string_view text) {
  uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size()) {
    return Error(Code::kInvalidArgument, "--user: write UID or UID:GID, as numbers");
  }
  return id;
}

Result<api::ExecStart> MakeStart(const ExecArguments& arguments,
                                 const std::vector<std::string>& argv, int terminal_fd) {
  api::ExecStart start;
  start.set_node(arguments.node);
  if (argv.empty()) {
    return Error(Code::kInvalidArgument, "what to run is missing: vcluster exec NODE -- COMMAND");
  }
  for (const std::string& word : argv) start.add_argv(word);
  for (const std::string& entry : arguments.env) start.add_env(entry);
  start.set_working_directory(arguments.directory);
  if (!arguments.user.empty()) {
    const size_t colon = arguments.user.find(':');
    ASSIGN_OR_RETURN(const uint32_t uid, ParseId(arguments.user.substr(0, colon)));
    uint32_t gid = uid;
    if (colon != std::string::npos) {
      ASSIGN_OR_RETURN(gid, ParseId(arguments.user.substr(colon + 1)));
    }
    start.set_uid(uid);
    start.set_gid(gid);
  }
  if (arguments.terminal) {
    const TerminalSize size = SizeOfTerminal(terminal_fd);
    start.set_terminal(true);
    start.set_rows(size.rows);
    start.set_columns(size.columns);
  }
  return start;
}

// Copies the program's output until the call ends. Ok(nullopt): it ended without an exit code.
Result<std::optional<int>> CopyOutput(InputForwarder::Stream& stream, const Console& console) {
  std::optional<int> exit_code;
  api::ExecEvent event;
  while (stream.Read(&event)) {
    if (event.has_stdout_data()) {
      RETURN_IF_ERROR(WriteAll(console.stdout_fd, event.stdout_data()), "standard output");
    } else if (event.has_stderr_data()) {
      RETURN_IF_ERROR(WriteAll(console.stderr_fd, event.stderr_data()), "standard error");
    } else if (event.has_exit_code()) {
      exit_code = event.exit_code();
    }
  }
  return exit_code;
}

Result<int> Exec(Tool& tool, const ExecArguments& arguments) {
  const Console& console = tool.console();
  if (tool.json()) {
    return Error(Code::kInvalidArgument,
                 "--json does not go with exec: its output is the command's");
  }
  ASSIGN_OR_RETURN(api::ExecStart start, MakeStart(arguments, tool.trailing(), console.stdin_fd));
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  const auto stub = api::VclusterService::NewStub(channel);

  std::unique_ptr<RawTerminal> terminal;
  if (arguments.terminal) {
    ASSIGN_OR_RETURN(terminal, RawTerminal::Enter(console.stdin_fd));
  }
  grpc::ClientContext context;
  InterruptWatcher watcher([&] { context.TryCancel(); },
                           [&] {
                             if (terminal) terminal->Restore();
                           });
  const auto stream = stub->Exec(&context);
  api::ExecRequest request;
  *request.mutable_start() = std::move(start);
  Result<std::optional<int>> exit_code = std::optional<int>();
  if (stream->Write(request)) {
    const bool forward = arguments.input || arguments.terminal;
    InputForwarder input(*stream, forward ? console.stdin_fd : -1,
                         arguments.terminal ? console.stdin_fd : -1);
    exit_code = CopyOutput(*stream, console);
    if (!exit_code.ok()) context.TryCancel();
  }
  const grpc::Status status = stream->Finish();
  if (terminal) terminal->Restore();
  if (!exit_code.ok()) return exit_code.error();
  if (*exit_code) return **exit_code;
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  return Error(Code::kInternal, "vclusterd ended the call without an exit code");
}

// The command's exit codes must stay apart from ours.
Result<int> ExecApart(Tool& tool, const ExecArguments& arguments) {
  Result<int> result = Exec(tool, arguments);
  if (result.ok() || result.error().code() == Code::kCancelled) return result;
  tool.Complain(result.error().message());
  return kExitExecFailed;
}

}  // namespace

void AddExecCommand(Tool& tool) {
  auto arguments = std::make_shared<ExecArguments>();
  CLI::App* exec = tool.AddCommand(
      "exec", "Run a command in a node",
      "  vcluster exec hpc/0 -- hostname\n"
      "  vcluster exec -t hpc/0 -- bash\n"
      "  tar -c data | vcluster exec -i hpc/0 -- tar -x -C /srv\n"
      "Exits as the command does; 125 when it could not be run (the codes below do not apply).",
      [&tool, arguments] { return ExecApart(tool, *arguments); });
  tool.AllowTrailing(exec);
  exec->add_option("NODE", arguments->node, "NAME/NUMBER; the command follows after --")
      ->required();
  exec->add_flag("-i,--interactive", arguments->input, "Pass standard input on");
  exec->add_flag("-t,--terminal", arguments->terminal, "Give it this terminal (and its input)");
  exec->add_option("--env", arguments->env, "NAME=value; may be repeated")->allow_extra_args(false);
  exec->add_option("--workdir", arguments->directory, "Where it starts; / when not given");
  exec->add_option("--user", arguments->user,
                   "UID or UID:GID inside the node; root when not given");
}

}  // namespace strata::tools
