// strata-node: what vclusterd cannot do itself, because liblxc forks and changes namespaces, and a
// process with threads must not. A small program also leaves a small monitor process per node.
//
//   strata-node start   fd 3: StartNodeRequest, fd 4: detached mount of the root, 5 …: of volumes
//   strata-node exec    fd 3: ExecNodeRequest; 0, 1, 2: the command's
//
// Errors are one line on standard error. start exits 0 or 1; exec exits as its command does, 128 +
// signal, or kExecFailed.
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "common/file_io.h"
#include "vclusterd/shim/node_request.h"
#include "vclusterd/shim/start_exec.h"

namespace strata::vcluster {
namespace {

Result<int> RunShim(std::string_view command) {
  // The request is not for the container.
  UniqueFd request_fd(kRequestFd);
  ASSIGN_OR_RETURN(const std::string bytes, ReadAll(request_fd.get(), kRequestBytesMax));
  request_fd.reset();
  if (command == "start") {
    UniqueFd root(kRootFd);
    ASSIGN_OR_RETURN(const StartNodeRequest request, DecodeStart(bytes));
    std::vector<UniqueFd> volumes;
    for (size_t i = 0; i < request.volumes.size(); ++i) {
      volumes.emplace_back(kFirstVolumeFd + static_cast<int>(i));
    }
    RETURN_IF_ERROR(StartNode(request, std::move(root), std::move(volumes)));
    return 0;
  }
  ASSIGN_OR_RETURN(ExecNodeRequest request, DecodeExec(bytes));
  return ExecInNode(request);
}

}  // namespace
}  // namespace strata::vcluster

int main(int argc, char** argv) {
  const std::string_view command = argc == 2 ? argv[1] : "";
  if (command != "start" && command != "exec") {
    std::fputs("usage: strata-node start|exec (vclusterd runs this)\n", stderr);
    return 2;
  }
  const auto code = strata::vcluster::RunShim(command);
  if (code.ok()) return *code;
  std::fprintf(stderr, "%s\n", code.error().message().c_str());
  return command == "exec" ? strata::vcluster::kExecFailed : 1;
}
