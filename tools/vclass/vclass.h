// vclass: classes of students who each get a Vcluster, from the command line. See docs/classes.md.
#pragma once

#include "tools/cli/console.h"
#include "tools/cli/tool.h"
#include "vclusterd/api/class_service.grpc.pb.h"

namespace strata::tools {

// The whole program. Returns the exit code.
int VclassMain(int argc, const char* const* argv, Console& console);

// Each adds its subcommands to `tool`, which keeps what they hold.
void AddClassMakeCommand(Tool& tool);      // create
void AddClassStateCommands(Tool& tool);    // list, show, start, stop, extend, reset, delete
void AddClassCollectCommands(Tool& tool);  // collect, compare

// print_classes.cc
void PrintClassTable(const vcluster::v1::Classes& classes, std::ostream& out);
void PrintClass(const vcluster::v1::ClassInfo& info, std::ostream& out);

// Shows progress until the class is as it should be, then the class. `wait` false: as it is now.
Result<int> FollowClass(Tool& tool, const std::shared_ptr<grpc::Channel>& channel,
                        const std::string& name, const vcluster::v1::Classes& now, bool wait);
// A class with its students.
Result<vcluster::v1::ClassInfo> FindClass(const std::shared_ptr<grpc::Channel>& channel,
                                          const std::string& name);

}  // namespace strata::tools
