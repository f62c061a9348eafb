#include "common/rpc/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>

#include "common/unique_fd.h"

namespace strata::rpc {
namespace {

// gRPC would retry and then say only "failed to connect"; a plain connect(2) tells why, at once.
Status CheckReachable(const std::string& socket_path, const std::string& daemon) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof(address.sun_path)) {
    return Error(Code::kInvalidArgument, "the socket path is too long: " + socket_path);
  }
  socket_path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Errno("socket");
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) return Ok();
  if (errno == EACCES || errno == EPERM)
    return Errno("connect to " + daemon + " at " + socket_path);
  return Error(Code::kUnavailable, daemon + " does not answer at " + socket_path +
                                       ": is it running? (tools/quickstart starts it)");
}

}  // namespace

Result<std::shared_ptr<grpc::Channel>> ConnectLocal(const std::string& socket_path,
                                                    const std::string& daemon) {
  RETURN_IF_ERROR(CheckReachable(socket_path, daemon));
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(16 << 20);
  auto channel = grpc::CreateCustomChannel("unix:" + socket_path,
                                           grpc::InsecureChannelCredentials(), arguments);
  if (!channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(2))) {
    return Error(Code::kUnavailable,
                 daemon + " accepts at " + socket_path + " but does not answer");
  }
  return channel;
}

}  // namespace strata::rpc
