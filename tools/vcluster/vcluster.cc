#include "tools/vcluster/vcluster.h"

#include "tools/vcluster/account_commands.h"

namespace strata::tools {

int VclusterMain(int argc, const char* const* argv, Console& console) {
  Tool tool("vcluster",
            "Vclusters: groups of containers on a network of their own, made from an image.\n"
            "A Vcluster is called [OWNER/]NAME, its nodes NAME/0, NAME/1, … (inside it they reach\n"
            "each other as NAME-0, NAME-1, …), or by the roles of its file NAME/worker-0, …\n"
            "(worker-0, …).",
            Daemon::kVclusterd, console);
  AddMakeCommands(tool);
  AddStateCommands(tool);
  AddDefinitionCommands(tool);
  AddClusterHostCommands(tool);
  AddTemplateCommands(tool);
  AddProviderCommands(tool);
  AddRoomCommands(tool);
  AddExecCommand(tool);
  AddUserCommands(tool);
  AddGroupCommands(tool);
  AddQuotaCommands(tool);
  AddTokenCommands(tool);
  AddCreditCommands(tool);
  AddAuditCommand(tool);
  AddJobCommands(tool);
  return tool.Run(argc, argv);
}

}  // namespace strata::tools
