#include <ostream>

#include "common/printable.h"
#include "imaged/api/imaged.grpc.pb.h"
#include "tools/cli/call.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/human.h"
#include "tools/cli/json.h"
#include "tools/vimage/describe.h"
#include "tools/vimage/vimage.h"

namespace strata::tools {
namespace {

namespace api = imaged::v1;

Result<int> Share(Tool& tool, const std::string& reference, const std::string& visibility) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::ShareRequest request;
  request.set_reference(reference);
  request.set_visibility(visibility == "public" ? api::PUBLIC : api::PRIVATE);
  api::ShareResponse response;
  const grpc::Status status =
      api::ImageService::NewStub(channel)->Share(call.context(), request, &response);
  if (!status.ok()) return CallError(status, Daemon::kImaged);
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(response, tool.console().out));
    return kExitOk;
  }
  tool.console().out << Printable(FullName(response.image())) << " is now "
                     << VisibilityName(response.image().visibility()) << '\n';
  return kExitOk;
}

Result<int> Delete(Tool& tool, const std::string& reference) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::DeleteRequest request;
  request.set_reference(reference);
  api::DeleteResponse response;
  const grpc::Status status =
      api::ImageService::NewStub(channel)->Delete(call.context(), request, &response);
  if (!status.ok()) return CallError(status, Daemon::kImaged);
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(response, tool.console().out));
    return kExitOk;
  }
  tool.console().out << Printable(reference) << " deleted: ";
  if (response.collection_deferred()) {
    tool.console().out << "its room is freed once what runs now is done\n";
  } else {
    tool.console().out << HumanBytes(response.freed_bytes()) << " freed in "
                       << HumanCount(response.freed_objects()) << " objects\n";
  }
  return kExitOk;
}

}  // namespace

void AddChangeCommands(Tool& tool) {
  auto reference = std::make_shared<std::string>();
  auto visibility = std::make_shared<std::string>("public");
  CLI::App* share = tool.AddCommand(
      "share", "Let everybody on this host use an image, or nobody but you",
      "  vimage share tools\n  vimage share tools:v2 private",
      [&tool, reference, visibility] { return Share(tool, *reference, *visibility); });
  share->add_option("IMAGE", *reference, "NAME[:TAG]")->required();
  share->add_option("VISIBILITY", *visibility, "public or private")
      ->check(CLI::IsMember({"public", "private"}))
      ->capture_default_str();

  CLI::App* remove = tool.AddCommand(
      "delete", "Take an image's name away, and its files if nothing else needs them",
      "  vimage delete tools:v1", [&tool, reference] { return Delete(tool, *reference); });
  remove->add_option("IMAGE", *reference, "NAME[:TAG]")->required();
}

}  // namespace strata::tools
