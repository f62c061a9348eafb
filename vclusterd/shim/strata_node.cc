// strata-node: what vclusterd cannot do itself, because liblxc forks and changes namespaces, and a
// process with threads must not. A small program also leaves a small monitor process per node.
//
//   strata-node serve PATH...   fd 3: a socket over which vclusterd asks for starts (serve.h)
//   strata-node exec            fd 3: ExecNodeRequest; 0, 1, 2: the command's
//
// Errors are one line on standard error. serve exits 0 or 1; exec exits as its command does, 128 +
// signal, or kExecFailed.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/file_io.h"
#include "vclusterd/shim/node_request.h"
#include "vclusterd/shim/serve.h"
#include "vclusterd/shim/start_exec.h"

namespace strata::vcluster {
namespace {

Result<int> RunShim(std::string_view command, const std::vector<std::string>& arguments,
                    std::span<char> title) {
  UniqueFd fd(kRequestFd);
  // Whatever vclusterd was started with is not for containers.
  if (::close_range(kRequestFd + 1, ~0u, 0) != 0) return Errno("close_range");
  if (command == "serve") {
    RETURN_IF_ERROR(ServeStarts(std::move(fd), arguments, title));
    return 0;
  }
  // The request is not for the container.
  ASSIGN_OR_RETURN(const std::string bytes, ReadAll(fd.get(), kRequestBytesMax));
  fd.reset();
  ASSIGN_OR_RETURN(ExecNodeRequest request, DecodeExec(bytes));
  return ExecInNode(request);
}

}  // namespace
}  // namespace strata::vcluster

int main(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  const std::vector<std::string> arguments(argv + std::min(argc, 2), argv + argc);
  if (command == "serve" ? arguments.empty() : command != "exec" || !arguments.empty()) {
    std::fputs("usage: strata-node serve|exec (vclusterd runs this)\n", stderr);
    return 2;
  }
  // The kernel puts them one behind the other.
  const std::span<char> title(argv[0], argv[argc - 1] + std::strlen(argv[argc - 1]) + 1);
  const auto code = strata::vcluster::RunShim(command, arguments, title);
  if (code.ok()) return *code;
  std::fprintf(stderr, "%s\n", code.error().message().c_str());
  return command == "exec" ? strata::vcluster::kExecFailed : 1;
}
