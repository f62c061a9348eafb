#include "common/rpc/local_server.h"

#include <fcntl.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_posix.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <csignal>
#include <map>
#include <mutex>
#include <thread>

#include "common/file_io.h"
#include "common/log.h"

namespace strata::rpc {
namespace {

constexpr size_t kServersMax = 256;     // Users with connections, root not counted.
constexpr size_t kConnectionsMax = 64;  // Of one user; root's are not bounded, nor his threads.
constexpr int kStreamsMax = 32;         // Calls at once on one connection.
constexpr int kThreadsMax = 48;         // Of one user's server.

// The services of one uid and the server that runs them.
struct UidServer {
  std::vector<std::unique_ptr<grpc::Service>> services;
  std::unique_ptr<grpc::Server> server;
  // Copies of the connections' descriptors: gRPC owns the others, and does not say when it closes
  // one; the peer's end tells.
  std::vector<UniqueFd> connections;

  void DropClosed() {
    std::erase_if(connections, [](const UniqueFd& fd) {
      pollfd peer = {fd.get(), POLLRDHUP, 0};
      return ::poll(&peer, 1, 0) == 1 && (peer.revents & (POLLHUP | POLLRDHUP | POLLERR)) != 0;
    });
  }
};

Result<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return Error(Code::kInvalidArgument, "the socket path is too long: " + path);
  }
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return address;
}

// A socket file that nobody listens on is left from a dead daemon and may go.
Status RemoveStaleSocket(const std::string& path, const sockaddr_un& address) {
  if (!PathExists(path)) return Ok();
  UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!probe.valid()) return Errno("socket");
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    return Error(Code::kAlreadyExists, "another daemon already answers at " + path);
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return Errno("unlink " + path);
  return Ok();
}

Result<UniqueFd> Listen(const std::string& path) {
  ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(path));
  RETURN_IF_ERROR(RemoveStaleSocket(path, address));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return Errno("socket");
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return Errno("bind " + path);
  }
  // Every user may connect: who he is decides what he may do.
  if (::chmod(path.c_str(), 0666) != 0) return Errno("chmod " + path);
  if (::listen(fd.get(), 128) != 0) return Errno("listen " + path);
  return fd;
}

class LocalServerImpl final : public LocalServer {
 public:
  LocalServerImpl(std::string path, UniqueFd listener, UniqueFd stop, ServiceFactory factory)
      : path_(std::move(path)),
        listener_(std::move(listener)),
        stop_(std::move(stop)),
        factory_(std::move(factory)),
        acceptor_([this] { AcceptLoop(); }) {}

  ~LocalServerImpl() override { Shutdown(std::chrono::milliseconds(0)); }

  void Shutdown(std::chrono::milliseconds grace) override {
    if (!acceptor_.joinable()) return;
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(stop_.get(), &one, sizeof(one));
    acceptor_.join();
    ::unlink(path_.c_str());
    listener_.reset();
    const auto deadline = std::chrono::system_clock::now() + grace;
    std::vector<std::thread> stopping;
    for (auto& [uid, entry] : servers_) {
      stopping.emplace_back(
          [server = entry.server.get(), deadline] { server->Shutdown(deadline); });
    }
    for (std::thread& thread : stopping) thread.join();
    servers_.clear();
  }

 private:
  void AcceptLoop() {
    while (true) {
      pollfd fds[2] = {{listener_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
      if (::poll(fds, 2, -1) < 0 && errno != EINTR) {
        LOG_ERROR(Errno("poll for connections").message());
        return;
      }
      if (fds[1].revents != 0) return;
      if (fds[0].revents == 0) continue;
      UniqueFd connection(
          ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (connection.valid()) {
        if (Status status = Serve(std::move(connection)); !status.ok()) {
          LOG_WARNING("connection refused: " + status.error().message());
        }
      } else if (errno == EMFILE || errno == ENFILE) {
        LOG_ERROR(Errno("accept").message());
        // Out of descriptors: wait for a stop or for a while, instead of spinning.
        ::poll(&fds[1], 1, 100);
      }
    }
  }

  Status Serve(UniqueFd connection) {
    ucred peer = {};
    socklen_t size = sizeof(peer);
    if (::getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
      return Errno("SO_PEERCRED");
    }
    ASSIGN_OR_RETURN(UidServer * entry, ServerOf(peer.uid));
    if (peer.uid != 0) {
      for (auto& each : servers_) each.second.DropClosed();
      if (entry->connections.size() >= kConnectionsMax) {
        return Error(Code::kResourceExhausted, "more than " + std::to_string(kConnectionsMax) +
                                                   " connections of uid " +
                                                   std::to_string(peer.uid));
      }
      UniqueFd copy(::fcntl(connection.get(), F_DUPFD_CLOEXEC, 0));
      if (!copy.valid()) return Errno("copy of a connection's descriptor");
      entry->connections.push_back(std::move(copy));
    }
    grpc::AddInsecureChannelFromFd(entry->server.get(), connection.release());
    return Ok();
  }

  // Servers of users who are gone make room.
  Status MakeRoom(uid_t uid) {
    if (uid == 0 || servers_.size() < kServersMax) return Ok();
    for (auto& each : servers_) each.second.DropClosed();
    for (auto& [other, entry] : servers_) {
      if (other == 0 || !entry.connections.empty()) continue;
      // Its calls were cancelled when their connections ended; their handlers may still run.
      entry.server->Shutdown(std::chrono::system_clock::now());
      servers_.erase(other);
      return Ok();
    }
    return Error(Code::kResourceExhausted, "more than " + std::to_string(kServersMax) +
                                               " users at once; uid " + std::to_string(uid));
  }

  Result<UidServer*> ServerOf(uid_t uid) {
    if (const auto known = servers_.find(uid); known != servers_.end()) return &known->second;
    RETURN_IF_ERROR(MakeRoom(uid));
    UidServer& entry = servers_[uid];
    entry.services = factory_(Caller{uid});
    grpc::ServerBuilder builder;
    builder.SetMaxReceiveMessageSize(4 << 20);
    // Two pollers would be enough for one caller; one is, and idle daemons stay small.
    builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
    builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
    builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
    if (uid != 0) {
      grpc::ResourceQuota quota("uid " + std::to_string(uid));
      quota.SetMaxThreads(kThreadsMax);
      builder.SetResourceQuota(quota);
      builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsMax);
    }
    for (const auto& service : entry.services) builder.RegisterService(service.get());
    entry.server = builder.BuildAndStart();
    if (entry.server == nullptr) {
      servers_.erase(uid);
      return Error(Code::kInternal, "gRPC could not start a server");
    }
    return &entry;
  }

  const std::string path_;
  UniqueFd listener_;
  UniqueFd stop_;
  const ServiceFactory factory_;
  std::map<uid_t, UidServer> servers_;  // The accept thread's until it is joined.
  std::thread acceptor_;                // Last: starts when all else is ready.
};

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

}  // namespace

Result<std::unique_ptr<LocalServer>> LocalServer::Start(const std::string& socket_path,
                                                        ServiceFactory factory) {
  ASSIGN_OR_RETURN(UniqueFd listener, Listen(socket_path));
  UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop.valid()) return Errno("eventfd");
  return std::unique_ptr<LocalServer>(std::make_unique<LocalServerImpl>(
      socket_path, std::move(listener), std::move(stop), std::move(factory)));
}

void BlockStopSignals() {
  const sigset_t signals = StopSignals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

void WaitForStopSignal() {
  const sigset_t signals = StopSignals();
  int signal = 0;
  ::sigwait(&signals, &signal);
}

}  // namespace strata::rpc
