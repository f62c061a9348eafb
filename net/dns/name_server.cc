#include "net/dns/name_server.h"

#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "common/fd_passing.h"
#include "common/file_io.h"
#include "common/log.h"
#include "common/subprocess.h"
#include "common/version.h"

namespace strata::net {
namespace {

constexpr uint16_t kPort = 53;
constexpr int kTcpBacklog = 64;
// It answers at once, or it is not itself any more.
constexpr timeval kPatience = {5, 0};
// One that ends at once is not started again and again.
constexpr std::chrono::seconds kStartEvery(1);
constexpr int kSendBufferBytes = 2 * static_cast<int>(kControlRequestBytesMax);

std::string NameOf(uint32_t number) { return "network " + std::to_string(number); }

// At the port of names; of `link` alone, if any, so that other networks may have the same
// addresses.
Result<UniqueFd> OpenAt(Protocol protocol, Ipv4 at, const std::string& link) {
  const bool tcp = protocol == Protocol::kTcp;
  UniqueFd fd(
      ::socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return Errno("socket");
  const int on = 1;
  // Of TCP: connections that linger keep nobody from listening.
  if (tcp && ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) {
    return Errno("SO_REUSEADDR");
  }
  if (!link.empty() && ::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, link.c_str(),
                                    static_cast<socklen_t>(link.size())) != 0) {
    return Errno("SO_BINDTODEVICE " + link);
  }
  if (::setsockopt(fd.get(), IPPROTO_IP, IP_FREEBIND, &on, sizeof(on)) != 0) {
    return Errno("IP_FREEBIND");
  }
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(kPort);
  address.sin_addr.s_addr = htonl(at.value);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      (tcp && ::listen(fd.get(), kTcpBacklog) != 0)) {
    return Errno("port 53/" + std::string(ProtocolName(protocol)) + " of " + at.ToString());
  }
  return fd;
}

// Whether no program has the port of all addresses. `address` is one that nobody has; a link is
// not needed.
Status PortIsFree(Ipv4 address) {
  for (const Protocol protocol : {Protocol::kUdp, Protocol::kTcp}) {
    RETURN_IF_ERROR(OpenAt(protocol, address, ""));
  }
  return Ok();
}

Result<UniqueFd> NewControlSocket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Errno("socket");
  return fd;
}

Result<sockaddr_un> UnixAddress(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return Error(Code::kInvalidArgument, path + " is too long for a socket");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// kUnavailable: nobody is there.
Result<UniqueFd> ConnectTo(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, NewControlSocket());
  ASSIGN_OR_RETURN(const sockaddr_un address, UnixAddress(path));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    if (errno != ENOENT && errno != ECONNREFUSED) return Errno("connect " + path);
    return Error(Code::kUnavailable, "nobody listens at " + path);
  }
  for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    if (::setsockopt(fd.get(), SOL_SOCKET, option, &kPatience, sizeof(kPatience)) != 0) {
      return Errno("setsockopt");
    }
  }
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, &kSendBufferBytes,
                   sizeof(kSendBufferBytes)) != 0) {
    return Errno("SO_SNDBUFFORCE");
  }
  return fd;
}

bool AnyNames(const DesiredNetwork& desired) {
  return std::any_of(desired.bridges.begin(), desired.bridges.end(),
                     [](const Bridge& bridge) { return !bridge.names.names.empty(); });
}

}  // namespace

int NameServers::descriptor() const {
  pollfd look = {control_.get(), POLLRDHUP, 0};
  return control_.valid() && ::poll(&look, 1, 0) == 0 ? control_.get() : -1;
}

void NameServers::Forget() {
  control_.reset();
  held_.clear();
  told_.clear();
  resolvers_told_.clear();
}

void NameServers::ReapEnded() {
  std::erase_if(started_, [](pid_t pid) { return ::waitpid(pid, nullptr, WNOHANG) != 0; });
}

Result<UniqueFd> NameServers::Start() {
  const auto now = std::chrono::steady_clock::now();
  if (started_at_ && now - *started_at_ < kStartEvery) {
    return Error(Code::kUnavailable, "it has ended, and is started again in a moment");
  }
  started_at_ = now;
  const std::string empty_dir = options_.run_dir + "/names.root";
  RETURN_IF_ERROR(MakeDirectories(empty_dir, 0555));
  ASSIGN_OR_RETURN(const UniqueFd listener, NewControlSocket());
  ASSIGN_OR_RETURN(const sockaddr_un address, UnixAddress(SocketPath()));
  if (::unlink(SocketPath().c_str()) != 0 && errno != ENOENT) {
    return Errno("unlink " + SocketPath());
  }
  // Connecting takes the right to write, which only root has.
  const mode_t mask = ::umask(0177);
  const int bound =
      ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  ::umask(mask);
  if (bound != 0 || ::listen(listener.get(), 4) != 0) return Errno("listen at " + SocketPath());
  SubprocessOptions options;
  options.argv = {options_.program, empty_dir};
  options.extra_fds = {listener.get()};
  options.new_session = true;
  ASSIGN_OR_RETURN(Subprocess process, Subprocess::Start(options));
  started_.push_back(process.Release());
  return ConnectTo(SocketPath());
}

Result<ControlResponse> NameServers::Tell(const ControlRequest& request,
                                          const std::vector<int>& fds) {
  const auto ask = [&]() -> Result<ControlResponse> {
    const std::string bytes = Format(request);
    if (bytes.size() > kControlRequestBytesMax) {
      return Error(Code::kResourceExhausted, "its names are too many");
    }
    RETURN_IF_ERROR(SendPassing(control_.get(), bytes, fds));
    ASSIGN_OR_RETURN(const PassedMessage reply,
                     ReceiveControl(control_.get(), kControlResponseBytesMax));
    if (reply.bytes.empty()) return Error(Code::kUnavailable, "it has ended");
    return ParseControlResponse(reply.bytes);
  };
  auto response = ask();
  if (!response.ok() && response.error().code() != Code::kResourceExhausted) {
    // What it still does is not known: it is looked for anew.
    Forget();
    broken_ = response.error().Wrap("vnet-names");
  }
  return response;
}

Status NameServers::Connect() {
  ReapEnded();
  auto found = ConnectTo(SocketPath());
  const bool is_there = found.ok();
  if (!is_there) found = Start();
  if (!found.ok()) return found.error();
  control_ = std::move(*found);
  ControlRequest look;
  look.look = true;
  ASSIGN_OR_RETURN(ControlResponse response, Tell(look, {}));
  if (is_there && response.version != Version()) {
    // An earlier Strata's.
    ControlRequest end;
    end.end = true;
    (void)Tell(end, {});
    ASSIGN_OR_RETURN(control_, Start());
    ASSIGN_OR_RETURN(response, Tell(look, {}));
  }
  held_ = std::move(response.held);
  return Ok();
}

void NameServers::Prepare(const DesiredNetwork& desired) {
  if (AnyNames(desired) && !options_.program.empty()) {
    if (descriptor() >= 0) return;
    if (control_.valid()) LOG_WARNING("vnet-names has ended, and is started again");
    Forget();
    broken_.reset();
    if (Status connected = Connect(); !connected.ok()) {
      if (!broken_) broken_ = connected.error().Wrap("vnet-names");
      LOG_WARNING(broken_->message());
    }
    return;
  }
  if (!control_.valid()) {
    auto found = ConnectTo(SocketPath());
    if (found.ok()) control_ = std::move(*found);
  }
  if (control_.valid()) {
    ControlRequest end;
    end.end = true;
    (void)Tell(end, {});
    (void)::unlink(SocketPath().c_str());
    started_at_.reset();  // It may be wanted again at once.
  }
  Forget();
  not_served_.clear();
  broken_.reset();
  ReapEnded();
}

void NameServers::Mark(DesiredNetwork* desired) const {
  for (Bridge& bridge : desired->bridges) {
    bridge.serves_names = control_.valid() && !bridge.names.names.empty() &&
                          !not_served_.contains(bridge.number) &&
                          (held_.contains(bridge.number) || PortIsFree(bridge.prefix.base).ok());
  }
}

Status NameServers::ServeOne(const DesiredNetwork& desired, const Bridge& bridge) {
  const int link = static_cast<int>(::if_nametoindex(bridge.name.c_str()));
  if (link == 0) return Errno("bridge " + bridge.name);
  ControlRequest request;
  request.network = {bridge.number, link, bridge.prefix, desired.pool, bridge.names};
  const auto held = held_.find(bridge.number);
  const bool has_sockets = held != held_.end() && held->second == link;
  std::string told = Format(request);
  const auto before = told_.find(bridge.number);
  if (has_sockets && before != told_.end() && before->second == told) return Ok();
  std::vector<UniqueFd> sockets;
  if (!has_sockets) {
    if (held != held_.end()) {  // Of a link that is gone, which it has to close first.
      ControlRequest drop;
      drop.drop = {bridge.number};
      RETURN_IF_ERROR(Tell(drop, {}));
      held_.erase(held);
    }
    for (const Protocol protocol : {Protocol::kUdp, Protocol::kTcp}) {
      ASSIGN_OR_RETURN(sockets.emplace_back(), OpenAt(protocol, bridge.gateway(), bridge.name));
    }
  }
  std::vector<int> fds;
  for (const UniqueFd& socket : sockets) fds.push_back(socket.get());
  RETURN_IF_ERROR(Tell(request, fds));
  held_[bridge.number] = link;
  told_[bridge.number] = std::move(told);
  return Ok();
}

Status NameServers::TellResolvers(const DesiredNetwork& desired) {
  ControlRequest request;
  request.resolvers = desired.resolvers;
  if (desired.resolvers.empty()) {
    const auto text = ReadFile(kResolvConf, 1u << 20);
    if (text.ok()) request.resolvers = NameServersIn(*text);
  }
  std::string told = Format(request);
  if (told == resolvers_told_) return Ok();
  RETURN_IF_ERROR(Tell(request, {}));
  resolvers_told_ = std::move(told);
  return Ok();
}

bool NameServers::Serve(const DesiredNetwork& desired) {
  if (!control_.valid()) return false;
  ControlRequest drop;
  for (const auto& [number, link] : held_) drop.drop.push_back(number);
  bool changed = false;
  std::map<uint32_t, Error> not_served;
  Status told = TellResolvers(desired);
  for (const Bridge& bridge : desired.bridges) {
    if (bridge.names.names.empty()) continue;
    std::erase(drop.drop, bridge.number);
    if (!control_.valid()) continue;
    const Status served = ServeOne(desired, bridge);
    if (!served.ok()) {
      not_served.emplace(bridge.number, served.error().Wrap(NameOf(bridge.number)));
      if (!not_served_.contains(bridge.number)) {
        LOG_WARNING("names: " + not_served.at(bridge.number).message());
      }
    }
    changed |= served.ok() != bridge.serves_names;
  }
  not_served_ = std::move(not_served);
  if (drop.drop.empty() || !control_.valid()) return changed;
  for (const uint32_t number : drop.drop) {
    held_.erase(number);
    told_.erase(number);
  }
  (void)Tell(drop, {});  // What went wrong is known to problem().
  return changed;
}

std::optional<Error> NameServers::problem() const {
  if (broken_ || not_served_.empty()) return broken_;
  const Error& first = not_served_.begin()->second;
  if (not_served_.size() == 1) return first;
  return Error(first.code(), first.message() + "; and " + std::to_string(not_served_.size() - 1) +
                                 " networks more");
}

std::optional<NameCounts> NameServers::Count() {
  if (!control_.valid()) return std::nullopt;
  const auto response = Tell({}, {});
  return response.ok() ? std::optional(response->counts) : std::nullopt;
}

}  // namespace strata::net
