#include "tools/vclass/vclass.h"

#include "common/printable.h"
#include "tools/cli/call.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/json.h"
#include "tools/vcluster/follow.h"

namespace strata::tools {

namespace api = vcluster::v1;

Result<api::ClassInfo> FindClass(const std::shared_ptr<grpc::Channel>& channel,
                                 const std::string& name) {
  Call call;
  api::ListClassesRequest request;
  request.set_name(name);
  api::Classes classes;
  const grpc::Status status =
      api::ClassService::NewStub(channel)->List(call.context(), request, &classes);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  if (classes.classes_size() != 1) return Error(Code::kInternal, "vclusterd named no class");
  return classes.classes(0);
}

Result<int> FollowClass(Tool& tool, const std::shared_ptr<grpc::Channel>& channel,
                        const std::string& name, const api::Classes& now, bool wait) {
  api::Classes classes = now;
  if (wait) {
    Call call;
    api::WatchClassRequest request;
    request.set_name(name);
    const auto reader = api::ClassService::NewStub(channel)->Watch(call.context(), request);
    ASSIGN_OR_RETURN(classes, Follow(tool, call, *reader, "class " + Printable(name),
                                     "what was asked for goes on (vclass show)"));
  }
  std::ostream& out = tool.console().out;
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(classes, out));
  } else if (classes.classes().empty()) {
    out << Printable(name) << " deleted" << std::endl;
  } else {
    PrintClass(classes.classes(0), out);
  }
  const bool failed = !classes.classes().empty() && classes.classes(0).failed() != 0;
  return wait && failed ? kExitFailed : kExitOk;
}

int VclassMain(int argc, const char* const* argv, Console& console) {
  Tool tool("vclass",
            "Classes: every student of a roster gets a Vcluster of a template, of his own, from a\n"
            "start to an end. Students see theirs as CLASS (vcluster list); their teacher enters\n"
            "one as STUDENT/CLASS/NODE. Only teachers make classes, of students whom they teach.",
            Daemon::kVclusterd, console);
  AddClassMakeCommand(tool);
  AddClassStateCommands(tool);
  AddClassCollectCommands(tool);
  return tool.Run(argc, argv);
}

}  // namespace strata::tools
