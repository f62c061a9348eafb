// vimage: the images of this host from the command line. See docs/cli.md.
#pragma once

#include "tools/cli/console.h"
#include "tools/cli/tool.h"

namespace strata::tools {

// The whole program. Returns the exit code.
int VimageMain(int argc, const char* const* argv, Console& console);

// Each adds its subcommands to `tool`, which keeps what they hold.
void AddImportCommand(Tool& tool);
void AddBuildCommand(Tool& tool);
void AddBuildHistoryCommands(Tool& tool);  // builds, rollback, prune-build-…
void AddQueryCommands(Tool& tool);     // list, browse, show, ls, versions, lineage
void AddPeerCommands(Tool& tool);      // pull, push, prestage
void AddEventCommands(Tool& tool);     // events
void AddTokenCommands(Tool& tool);     // token create, list, revoke
void AddCompareCommands(Tool& tool);   // diff, rebase
void AddShareCommands(Tool& tool);     // share, unshare, class
void AddChangeCommands(Tool& tool);    // tag, edit, scrub, delete, prune
void AddUsageCommands(Tool& tool);     // usage, du, quota
void AddTransferCommands(Tool& tool);  // export, fsck
void AddHostCommands(Tool& tool);      // host init, token, join, list, remove, renew

}  // namespace strata::tools
