#include <atomic>
#include <chrono>
#include <optional>
#include <ostream>

#include "common/file_io.h"
#include "common/printable.h"
#include "tools/cli/call.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/interrupt.h"
#include "tools/cli/json.h"
#include "tools/vcluster/print_jobs.h"
#include "tools/vcluster/vcluster.h"
#include "vclusterd/api/job_service.grpc.pb.h"
#include "vclusterd/api/job_words.h"
#include "vclusterd/definition/job.h"

namespace strata::tools {
namespace {

namespace api = jobs::v1;

// How long the cancellation of a job may take to be heard.
constexpr std::chrono::seconds kCancelMax(30);

struct RunArguments {
  std::string file;
  bool detach = false;
};

// Looks the file over, so that faults are told without a daemon, and takes the Vcluster file that
// it names along: as seen from where the job file is.
Result<api::RunJobRequest> ReadJob(const std::string& path) {
  api::RunJobRequest request;
  ASSIGN_OR_RETURN(*request.mutable_definition(), ReadDefinitionFile(path));
  request.set_file_name(path);
  const size_t slash = path.rfind('/');
  const std::string directory =
      path == "-" || slash == std::string::npos ? "" : path.substr(0, slash + 1);
  const auto take_along = [&](const std::string& named) -> Result<std::string> {
    const bool absolute = named.starts_with('/');
    ASSIGN_OR_RETURN(std::string text, ReadDefinitionFile(absolute ? named : directory + named));
    request.set_create_path(named);
    request.set_create_definition(text);
    return text;
  };
  RETURN_IF_ERROR(vcluster::ParseJob(request.definition(), path, take_along));
  return request;
}

Status CancelJob(api::JobService::Stub& stub, const std::string& job, api::JobInfo* info) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kCancelMax);
  api::JobRequest request;
  request.set_job(job);
  const grpc::Status status = stub.Cancel(&context, request, info);
  return status.ok() ? Ok() : Status(CallError(status, Daemon::kVclusterd));
}

// Until the job is done. Ctrl-C cancels it, and then its end is awaited; a second one leaves at
// once.
Result<api::JobInfo> Follow(Tool& tool, api::JobService::Stub& stub, const std::string& job) {
  Console& console = tool.console();
  const InterruptWatcher watcher([&] {
    api::JobInfo ignored;
    if (Status cancelled = CancelJob(stub, job, &ignored); !cancelled.ok()) {
      tool.Complain(cancelled.error().message());
    }
  });
  grpc::ClientContext context;
  api::WatchRequest request;
  request.set_job(job);
  request.set_outputs(!tool.json());
  const auto reader = stub.Watch(&context, request);
  api::WatchEvent event;
  std::optional<api::JobInfo> last;
  TaskLines lines;
  while (reader->Read(&event)) {
    if (event.has_output()) {
      PrintRunOutput(event.output(), console.out);
      console.out.flush();
    } else {
      if (!tool.json()) lines.Print(event.job(), console.err);
      last = std::move(*event.mutable_job());
    }
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) {
    const Error error = CallError(status, Daemon::kVclusterd);
    return error.Wrap("job " + job + " goes on (vcluster job show " + job + ")");
  }
  if (!last.has_value() || last->job().phase() != api::DONE) {
    return Error(Code::kInternal, "vclusterd ended the call before the job was done");
  }
  return std::move(*last);
}

Result<int> Run(Tool& tool, const RunArguments& arguments) {
  ASSIGN_OR_RETURN(const api::RunJobRequest request, ReadJob(arguments.file));
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  const auto stub = api::JobService::NewStub(channel);
  api::JobInfo info;
  {
    Call call;
    const grpc::Status status = stub->Run(call.context(), request, &info);
    if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  }
  const std::string number = std::to_string(info.job().number());
  Console& console = tool.console();
  if (!arguments.detach) {
    if (!tool.json()) {
      console.err << "job " << number << " on Vcluster " << Printable(info.job().vcluster())
                  << std::endl;
    }
    ASSIGN_OR_RETURN(info, Follow(tool, *stub, number));
  }
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(info, console.out));
  } else if (arguments.detach) {
    console.out << number << '\n';
  }
  if (arguments.detach) return kExitOk;
  const api::Job& job = info.job();
  if (job.outcome() == api::SUCCEEDED) return kExitOk;
  tool.Complain("job " + number + " " + StateWord(job) + ": " + job.problem());
  return job.exit_code() == 0 ? kExitFailed : job.exit_code();
}

// The commands' exit codes must stay apart from ours.
Result<int> RunApart(Tool& tool, const RunArguments& arguments) {
  Result<int> result = Run(tool, arguments);
  if (result.ok() || result.error().code() == Code::kCancelled) return result;
  // A fault a line.
  const std::string& message = result.error().message();
  size_t start = 0;
  while (start <= message.size()) {
    const size_t end = std::min(message.find('\n', start), message.size());
    tool.Complain(message.substr(start, end - start));
    start = end + 1;
  }
  return kExitExecFailed;
}

Result<int> List(Tool& tool, bool all) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::ListJobsRequest request;
  request.set_all(all);
  api::Jobs jobs;
  const grpc::Status status =
      api::JobService::NewStub(channel)->List(call.context(), request, &jobs);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(jobs, tool.console().out));
  } else {
    PrintJobTable(jobs, tool.console().out);
  }
  return kExitOk;
}

Status Show(Tool& tool, const api::JobInfo& info) {
  if (tool.json()) return PrintJson(info, tool.console().out);
  PrintJob(info, tool.console().out);
  return Ok();
}

Result<int> ShowOne(Tool& tool, const std::string& job) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::JobRequest request;
  request.set_job(job);
  api::JobInfo info;
  const grpc::Status status =
      api::JobService::NewStub(channel)->Get(call.context(), request, &info);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  RETURN_IF_ERROR(Show(tool, info));
  return kExitOk;
}

// Of one run alone: as it is, for other programs.
Result<int> Output(Tool& tool, const api::OutputRequest& request) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  const auto reader = api::JobService::NewStub(channel)->Output(call.context(), request);
  const bool raw = !request.task().empty() && !request.node().empty();
  api::RunOutput output;
  while (reader->Read(&output)) {
    if (tool.json()) {
      RETURN_IF_ERROR(PrintJsonLine(output, tool.console().out));
    } else if (raw) {
      RETURN_IF_ERROR(WriteAll(tool.console().stdout_fd, output.output()), "standard output");
    } else {
      PrintRunOutput(output, tool.console().out);
    }
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  return kExitOk;
}

Result<int> Cancel(Tool& tool, const std::string& job) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  const auto stub = api::JobService::NewStub(channel);
  api::JobInfo info;
  RETURN_IF_ERROR(CancelJob(*stub, job, &info));
  RETURN_IF_ERROR(Show(tool, info));
  return kExitOk;
}

Result<int> Delete(Tool& tool, const std::vector<std::string>& jobs) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  const auto stub = api::JobService::NewStub(channel);
  for (const std::string& job : jobs) {
    Call call;
    api::JobRequest request;
    request.set_job(job);
    api::DeleteJobResponse response;
    const grpc::Status status = stub->Delete(call.context(), request, &response);
    if (!status.ok()) return CallError(status, Daemon::kVclusterd);
    if (!tool.json()) tool.console().out << "job " << Printable(job) << " deleted" << std::endl;
  }
  if (tool.json()) RETURN_IF_ERROR(PrintJson(api::DeleteJobResponse(), tool.console().out));
  return kExitOk;
}

void AddGroup(Tool& tool) {
  CLI::App* group = tool.AddGroup("job", "Batch jobs: what became of them, their output");
  auto all = std::make_shared<bool>(false);
  CLI::App* list = tool.AddCommand(
      "list", "Your jobs, the newest first", "  vcluster job list",
      [&tool, all] { return List(tool, *all); }, group);
  list->add_flag("--all", *all, "Also those of others that you may see");

  auto job = std::make_shared<std::string>();
  const char* const which = "Its number, or its name: the last one of that name";
  CLI::App* show = tool.AddCommand(
      "show", "How far a job is: its tasks in their nodes",
      "  vcluster job show 17\n  vcluster job show count",
      [&tool, job] { return ShowOne(tool, *job); }, group);
  show->add_option("JOB", *job, which)->required();

  auto output = std::make_shared<api::OutputRequest>();
  CLI::App* outputs = tool.AddCommand(
      "output", "What a job's commands wrote (the last 64 KiB of each), also while they run",
      "  vcluster job output 17\n  vcluster job output 17 compute\n"
      "  vcluster job output 17 compute worker-0 > result",
      [&tool, output] { return Output(tool, *output); }, group);
  outputs->add_option("JOB", *output->mutable_job(), which)->required();
  outputs->add_option("TASK", *output->mutable_task(), "Only this task's");
  outputs->add_option("NODE", *output->mutable_node(),
                      "Only in this node, as it is: without names before its lines");

  CLI::App* cancel = tool.AddCommand(
      "cancel", "End a job: what runs is stopped", "  vcluster job cancel 17",
      [&tool, job] { return Cancel(tool, *job); }, group);
  cancel->add_option("JOB", *job, which)->required();

  auto jobs = std::make_shared<std::vector<std::string>>();
  CLI::App* remove = tool.AddCommand(
      "delete", "Forget jobs that are done, and their output", "  vcluster job delete 17 18",
      [&tool, jobs] { return Delete(tool, *jobs); }, group);
  remove->add_option("JOB", *jobs, which)->required();

  tool.AddCommand(
      "schema", "The JSON schema of job files, for editors",
      "  vcluster job schema > job.schema.json",
      [&tool]() -> Result<int> {
        tool.console().out << vcluster::JobSchema();
        return kExitOk;
      },
      group);
}

}  // namespace

void AddJobCommands(Tool& tool) {
  auto arguments = std::make_shared<RunArguments>();
  CLI::App* run = tool.AddCommand(
      "run", "Run a batch job on a Vcluster, or on one that is made for it",
      "  vcluster run -f job.yaml\n  vcluster run -f job.yaml --detach\n"
      "Prints what commands write when they end. Exits with 0, or as the first command that\n"
      "failed; 124 after a timeout, 125 when the job could not be run, 130 when it was cancelled\n"
      "(Ctrl-C does that). The codes below do not apply.",
      [&tool, arguments] { return RunApart(tool, *arguments); });
  run->add_option("-f,--file", arguments->file, "A job file (docs/jobs.md); -: standard input")
      ->required();
  run->add_flag("-d,--detach", arguments->detach, "Do not wait: print the job's number");
  AddGroup(tool);
}

}  // namespace strata::tools
