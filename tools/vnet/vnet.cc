#include "tools/vnet/vnet.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <memory>

#include "common/file_io.h"
#include "net/api/net.grpc.pb.h"
#include "tools/cli/call.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/json.h"
#include "tools/cli/tool.h"
#include "tools/cli/unary_call.h"

namespace strata::tools {
namespace {

namespace api = net::v1;
using Stub = api::NetService::Stub;

constexpr size_t kFileBytesMax = 16 << 20;

Result<int> ShowNetworks(Tool& tool) {
  ASSIGN_OR_RETURN(const auto shown,
                   AskDaemon(tool, Daemon::kVnetd, &Stub::Show, api::ShowRequest()));
  return Show(tool, shown, [&](const api::ShowResponse& response) {
    PrintNetworks(response, tool.console().out);
  });
}

Result<int> Plan(Tool& tool, const std::string& file, bool rules) {
  api::PlanRequest request;
  if (!file.empty()) {
    ASSIGN_OR_RETURN(const std::string text, ReadFile(file, kFileBytesMax));
    const auto read = google::protobuf::util::JsonStringToMessage(text, request.mutable_networks());
    if (!read.ok()) {
      return Error(Code::kInvalidArgument, file + ": " + std::string(read.message()));
    }
  }
  ASSIGN_OR_RETURN(const auto plan, AskDaemon(tool, Daemon::kVnetd, &Stub::Plan, request));
  return Show(tool, plan, [&](const api::PlanResponse& response) {
    PrintPlan(response, rules, tool.console().out);
  });
}

Result<int> Doctor(Tool& tool) {
  ASSIGN_OR_RETURN(const auto examined,
                   AskDaemon(tool, Daemon::kVnetd, &Stub::Examine, api::ExamineRequest()));
  RETURN_IF_ERROR(Show(tool, examined, [&](const api::ExamineResponse& response) {
    PrintFindings(response, tool.console().out);
  }));
  const bool well =
      std::none_of(examined.findings().begin(), examined.findings().end(),
                   [](const api::Finding& finding) { return finding.level() == api::PROBLEM; });
  return well ? kExitOk : kExitFailed;
}

Result<int> Watch(Tool& tool) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  const auto reader = api::NetService::NewStub(channel)->Watch(call.context(), api::WatchRequest());
  api::NetworkEvent event;
  while (reader->Read(&event)) {
    if (tool.json()) {
      RETURN_IF_ERROR(PrintJsonLine(event, tool.console().out));
    } else {
      PrintNetworkEvent(event, tool.console().out);
    }
  }
  const grpc::Status status = reader->Finish();
  if (call.interrupted()) return kExitOk;
  if (!status.ok()) return CallError(status, Daemon::kVnetd);
  return kExitOk;
}

}  // namespace

int VnetMain(int argc, const char* const* argv, Console& console) {
  Tool tool("vnet",
            "The networks of this host's Vclusters: what vnetd makes, and what it mends. For root.",
            Daemon::kVnetd, console);
  tool.AddCommand("show", "The networks that this host should have, and whether it has them",
                  "vnet show\nvnet show --json", [&] { return ShowNetworks(tool); });
  const auto file = std::make_shared<std::string>();
  const auto rules = std::make_shared<bool>(false);
  CLI::App* plan = tool.AddCommand("plan", "What would be changed now; changes nothing",
                                   "vnet plan\nvnet plan networks.json --rules",
                                   [&tool, file, rules] { return Plan(tool, *file, *rules); });
  plan->add_option("FILE", *file,
                   "Networks as JSON (docs/network.md), instead of those that should be");
  plan->add_flag("--rules", *rules, "Also the packet filter's rules, as nft(8) takes them");
  tool.AddCommand("doctor",
                  "What keeps networks from working, or may, and what helps; fails if it finds a "
                  "problem",
                  "vnet doctor", [&] { return Doctor(tool); });
  tool.AddCommand("watch", "What is changed and mended, until Ctrl-C", "vnet watch --json",
                  [&] { return Watch(tool); });
  return tool.Run(argc, argv);
}

}  // namespace strata::tools
