// vnet-names: answers nodes' questions for names. Started by vnetd, and by nobody else: its
// descriptor 3 is the socket at which vnetd connects, its argument an empty directory.
#include <csignal>
#include <exception>

#include "common/log.h"
#include "net/dns/sandbox.h"
#include "net/dns/server.h"

namespace strata::net {
namespace {

constexpr int kListener = 3;

Status Run(const std::string& empty_dir) {
  ASSIGN_OR_RETURN(const auto server, NameServer::Make(UniqueFd(kListener)));
  RETURN_IF_ERROR(EnterSandbox(empty_dir), "sandbox");
  return server->Run();
}

}  // namespace
}  // namespace strata::net

int main(int argc, char** argv) {
  strata::InitLog("vnet-names", strata::LogLevel::kInfo);
  ::signal(SIGPIPE, SIG_IGN);
  if (argc != 2) {
    LOG_ERROR("vnetd starts this program");
    return 2;
  }
  try {
    const strata::Status status = strata::net::Run(argv[1]);
    if (status.ok()) return 0;
    LOG_ERROR(status.error().message());
  } catch (const std::exception& error) {
    LOG_ERROR(std::string("unexpected: ") + error.what());
  }
  return 1;
}
