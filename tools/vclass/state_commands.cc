#include <ostream>

#include "tools/cli/call.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/human.h"
#include "tools/cli/json.h"
#include "tools/vclass/vclass.h"

namespace strata::tools {
namespace {

namespace api = vcluster::v1;

struct ChangeArguments {
  api::ChangeClassRequest request;
  std::vector<std::string> students;
  std::string time;
  bool yes = false;
  bool no_wait = false;
};

Result<int> List(Tool& tool) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::Classes classes;
  const grpc::Status status = api::ClassService::NewStub(channel)->List(
      call.context(), api::ListClassesRequest(), &classes);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(classes, tool.console().out));
  } else {
    PrintClassTable(classes, tool.console().out);
  }
  return kExitOk;
}

Result<int> Show(Tool& tool, const std::string& name) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  api::Classes classes;
  ASSIGN_OR_RETURN(*classes.add_classes(), FindClass(channel, name));
  return FollowClass(tool, channel, name, classes, /*wait=*/false);
}

Result<int> Change(Tool& tool, api::ChangeClassRequest::Change change, ChangeArguments& arguments) {
  api::ChangeClassRequest& request = arguments.request;
  request.set_change(change);
  request.mutable_students()->Assign(arguments.students.begin(), arguments.students.end());
  const bool loses =
      change == api::ChangeClassRequest::RESET || change == api::ChangeClassRequest::DELETE;
  if (loses && !arguments.yes) {
    return Error(Code::kInvalidArgument,
                 "what students wrote is lost (vclass collect keeps it): say --yes");
  }
  if (change == api::ChangeClassRequest::EXTEND && arguments.time != "never") {
    ASSIGN_OR_RETURN(const int64_t at, ParseUntil(arguments.time, NowUnixMs()), "TIME");
    request.set_ends_unix_s(at / 1000);
  }
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  api::Classes changed;
  {
    Call call;
    const grpc::Status status =
        api::ClassService::NewStub(channel)->Change(call.context(), request, &changed);
    if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  }
  return FollowClass(tool, channel, request.name(), changed, !arguments.no_wait);
}

CLI::App* AddChange(Tool& tool, const char* word, const char* description, const char* examples,
                    api::ChangeClassRequest::Change change,
                    const std::shared_ptr<ChangeArguments>& arguments) {
  CLI::App* command = tool.AddCommand(word, description, examples, [&tool, change, arguments] {
    return Change(tool, change, *arguments);
  });
  command->add_option("NAME", *arguments->request.mutable_name(), "The class")->required();
  command->add_flag("--no-wait", arguments->no_wait, "Do not wait until it is so");
  return command;
}

}  // namespace

void AddClassStateCommands(Tool& tool) {
  tool.AddCommand("list", "Your classes (root: everybody's)", "  vclass list",
                  [&tool] { return List(tool); });
  auto name = std::make_shared<std::string>();
  CLI::App* show = tool.AddCommand("show", "A class, and how each student's Vcluster is",
                                   "  vclass show os-lab\n"
                                   "  vclass show os-lab --json | jq '.classes[0].student'",
                                   [&tool, name] { return Show(tool, *name); });
  show->add_option("NAME", *name, "The class")->required();
  auto arguments = std::make_shared<ChangeArguments>();
  AddChange(tool, "start", "Start it now: all Vclusters, also those that were stopped",
            "  vclass start os-lab", api::ChangeClassRequest::START, arguments);
  AddChange(tool, "stop", "Stop the Vclusters of all students; their files stay",
            "  vclass stop os-lab", api::ChangeClassRequest::STOP, arguments);
  CLI::App* extend =
      AddChange(tool, "extend", "Move its end, also when that is over",
                "  vclass extend os-lab 2h\n  vclass extend os-lab '2026-12-24 18:00'\n"
                "  vclass extend os-lab never",
                api::ChangeClassRequest::EXTEND, arguments);
  extend->add_option("TIME", arguments->time, "2h, 30d, a day, a time; never")->required();
  CLI::App* reset = AddChange(
      tool, "reset", "Make the nodes of students anew from the template; what they wrote is lost",
      "  vclass reset os-lab anna bert --yes\n  vclass reset os-lab --yes",
      api::ChangeClassRequest::RESET, arguments);
  reset->add_option("STUDENT", arguments->students, "Which; all when none is given");
  reset->add_flag("--yes", arguments->yes, "What they wrote may be lost");
  CLI::App* remove =
      AddChange(tool, "delete", "Delete a class and its Vclusters; what was collected stays",
                "  vclass delete os-lab --yes", api::ChangeClassRequest::DELETE, arguments);
  remove->add_flag("--yes", arguments->yes, "What the students wrote may be lost");
}

}  // namespace strata::tools
