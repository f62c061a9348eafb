// vcluster: Vclusters and their nodes from the command line. See docs/cli.md.
#pragma once

#include "tools/cli/console.h"
#include "tools/cli/tool.h"

namespace strata::tools {

// The whole program. Returns the exit code.
int VclusterMain(int argc, const char* const* argv, Console& console);

// Each adds its subcommands to `tool`, which keeps what they hold.
void AddMakeCommands(Tool& tool);         // create, clone
void AddStateCommands(Tool& tool);        // list, start, stop, delete
void AddDefinitionCommands(Tool& tool);   // apply, diff, export, scale, extend, hooks, schema
void AddClusterHostCommands(Tool& tool);  // host list, host drain, host resume, rebalance, why
void AddProviderCommands(Tool& tool);     // provider list, provider offers
void AddRoomCommands(Tool& tool);         // preempt; reservation add, list, delete
void AddExecCommand(Tool& tool);
void AddTemplateCommands(Tool& tool);  // save; template list, show, share, delete

// create --template; template_commands.cc
Result<int> CreateFromTemplate(Tool& tool, const std::string& name, const std::string& from,
                               uint32_t count, const std::string& driver);
void AddJobCommands(Tool& tool);  // run, job …

// The text of a Vcluster file; "-": of standard input.
Result<std::string> ReadDefinitionFile(const std::string& path);

}  // namespace strata::tools
