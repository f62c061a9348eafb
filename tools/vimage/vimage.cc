#include "tools/vimage/vimage.h"

namespace strata::tools {

int VimageMain(int argc, const char* const* argv, Console& console) {
  Tool tool(
      "vimage",
      "Images of this host: layers of files that Vclusters run from.\n"
      "An image is called [OWNER/]NAME[:TAG]; the owner is you unless given, the tag is latest.",
      Daemon::kImaged, console);
  AddImportCommand(tool);
  AddBuildCommand(tool);
  AddBuildHistoryCommands(tool);
  AddQueryCommands(tool);
  AddCompareCommands(tool);
  AddPeerCommands(tool);
  AddShareCommands(tool);
  AddChangeCommands(tool);
  AddUsageCommands(tool);
  AddTransferCommands(tool);
  AddTokenCommands(tool);
  AddEventCommands(tool);
  AddHostCommands(tool);
  return tool.Run(argc, argv);
}

}  // namespace strata::tools
