#include "tools/vsave/vsave.h"

#include <cstdio>
#include <map>
#include <optional>
#include <ostream>

#include "common/printable.h"
#include "tools/cli/call.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/human.h"
#include "tools/cli/json.h"
#include "tools/cli/progress.h"
#include "tools/cli/table.h"
#include "tools/cli/tool.h"
#include "vclusterd/api/vcluster.grpc.pb.h"

namespace strata::tools {
namespace {

namespace api = vcluster::v1;

struct SaveArguments {
  std::string node;
  std::string image;
  std::string description;
  bool is_public = false;
  bool replace = false;
  bool scrub = false;
  bool keep_secrets = false;
};

std::string Describe(const api::SaveResult& result) {
  char times[80];
  std::snprintf(times, sizeof(times), "%.1f ms in all, the node stood still for %.1f ms",
                result.total_ms(), result.stall_ms());
  return Printable(result.reference()) + ": " + HumanCount(result.entries()) + " entries, diff " +
         HumanBytes(result.layer_bytes()) + ", " + HumanBytes(result.new_bytes()) +
         " of it new to this host; " + times;
}

api::ScrubMode ModeOf(const SaveArguments& arguments) {
  if (arguments.keep_secrets) return api::SCRUB_NEVER;
  return arguments.scrub ? api::SCRUB_ALWAYS : api::SCRUB_DEFAULT;
}

// "secrets: 2 credential removed, 1 host key in the base image", then a line for each.
void PrintScrubbed(const api::SaveResult& result, std::ostream& out) {
  if (result.scrubbed().empty()) return;
  std::map<std::pair<std::string, std::string>, uint64_t> counts;
  Table table({"FILE", "SECRET", "WHAT", "WHY"});
  for (const api::ScrubbedSecret& secret : result.scrubbed()) {
    ++counts[{secret.category(), secret.action()}];
    table.Add({"/" + secret.path(), secret.category(), secret.action(), secret.reason()});
  }
  out << "secrets:";
  const char* separator = " ";
  for (const auto& [kind, count] : counts) {
    out << separator << HumanCount(count) << ' ' << Printable(kind.first) << ' '
        << Printable(kind.second);
    separator = ", ";
  }
  out << '\n';
  table.Print(out);
  const auto listed = static_cast<uint64_t>(result.scrubbed_size());
  if (result.scrubbed_count() > listed) {
    out << "and " << HumanCount(result.scrubbed_count() - listed) << " more\n";
  }
}

Result<int> Save(Tool& tool, const SaveArguments& arguments) {
  api::SaveRequest request;
  request.set_node(arguments.node);
  request.set_reference(arguments.image);
  request.set_description(arguments.description);
  request.set_public_(arguments.is_public);
  request.set_replace(arguments.replace);
  request.set_command_line(tool.command_line());
  request.set_scrub(ModeOf(arguments));
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  const auto reader = api::VclusterService::NewStub(channel)->Save(call.context(), request);
  std::optional<api::SaveResult> result;
  {
    ProgressLine progress(tool.console(), "save " + Printable(arguments.node), tool.json());
    api::SaveEvent event;
    while (reader->Read(&event)) {
      if (event.has_result()) {
        result = std::move(*event.mutable_result());
      } else {
        const api::Progress& at = event.progress();
        progress.Update({at.stage(), at.done(), at.total(), false, 0});
      }
    }
  }
  const grpc::Status status = reader->Finish();
  if (call.interrupted() && !status.ok()) {
    return Error(Code::kCancelled, "cancelled: nothing was saved, the node runs on");
  }
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  if (!result) return Error(Code::kInternal, "vclusterd ended the save without a result");
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(*result, tool.console().out));
  } else {
    tool.console().out << Describe(*result) << '\n';
    PrintScrubbed(*result, tool.console().out);
  }
  return kExitOk;
}

}  // namespace

int VsaveMain(int argc, const char* const* argv, Console& console) {
  Tool tool("vsave",
            "Save what a node changed as a new image on top of the one it runs from.\n"
            "The node runs on: it is stopped only while the last changes are taken.",
            Daemon::kVclusterd, console);
  SaveArguments arguments;
  CLI::App* app = tool.SetOnlyCommand(
      "  vsave hpc/0 tools\n"
      "  vsave hpc/0 tools:v2 --public --description 'numpy and a compiler'",
      [&tool, &arguments] { return Save(tool, arguments); });
  app->add_option("NODE", arguments.node, "NAME/NUMBER")->required();
  app->add_option("IMAGE", arguments.image, "What the image is called: NAME[:TAG]")->required();
  app->add_option("--description", arguments.description, "One line for those who browse");
  app->add_flag("--public", arguments.is_public, "Every user of this host may use it");
  app->add_flag("--replace", arguments.replace, "Give IMAGE to the new image if it is taken");
  CLI::Option* scrub = app->add_flag(
      "--scrub", arguments.scrub,
      "Leave keys, credentials, histories and machine identity out (the default with --public)");
  app->add_flag("--keep-secrets", arguments.keep_secrets, "Save them, even with --public")
      ->excludes(scrub);
  return tool.Run(argc, argv);
}

}  // namespace strata::tools
