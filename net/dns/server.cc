#include "net/dns/server.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "common/log.h"
#include "common/version.h"

namespace strata::net {
namespace {

// So much of one network at a time; then it is the others' turn.
constexpr int kDatagramsPerTurn = 16;
constexpr int kClientsPerTurn = 4;

struct Sender {
  sockaddr_storage raw = {};
  socklen_t size = sizeof(raw);
};

// Nobody: no address of a family that is spoken here.
std::optional<IpAddress> AddressOf(const Sender& sender) {
  if (sender.raw.ss_family != AF_INET) return std::nullopt;
  return Ipv4{ntohl(reinterpret_cast<const sockaddr_in&>(sender.raw).sin_addr.s_addr)};
}

bool IsOf(const Ipv4Prefix& prefix, const IpAddress& address) {
  const auto ipv4 = Ipv4::Parse(address.ToString());
  return ipv4.ok() && prefix.Contains(*ipv4);
}

}  // namespace

NameServer::NameServer(UniqueFd listener, EventLoop loop)
    : listener_(std::move(listener)), loop_(std::move(loop)) {}

Result<std::unique_ptr<NameServer>> NameServer::Make(UniqueFd listener) {
  ASSIGN_OR_RETURN(EventLoop loop, EventLoop::Make());
  std::unique_ptr<NameServer> server(new NameServer(std::move(listener), std::move(loop)));
  RETURN_IF_ERROR(server->loop_.Watch(server->listener_.get(), EPOLLIN,
                                      [raw = server.get()] { raw->Accept(); }));
  server->BeAlone();
  return server;
}

Status NameServer::Run() {
  while (!ends_) loop_.Turn();
  return Ok();
}

void NameServer::BeAlone() {
  loop_.Forget(control_ready_, control_.get());
  control_.reset();
  alone_ = loop_.At(EventLoop::Clock::now() + kAloneMax, [this] {
    LOG_INFO("ends: vnetd is gone");
    ends_ = true;
  });
}

void NameServer::Accept() {
  UniqueFd next(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!next.valid()) return;
  ucred peer = {};
  socklen_t size = sizeof(peer);
  if (::getsockopt(next.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.uid != 0) return;
  loop_.Forget(control_ready_, control_.get());
  loop_.Cancel(alone_);
  control_ = std::move(next);
  const auto ready = loop_.Watch(control_.get(), EPOLLIN, [this] { Hear(); });
  if (!ready.ok()) return BeAlone();
  control_ready_ = *ready;
}

void NameServer::Hear() {
  auto heard = ReceiveControl(control_.get(), kControlRequestBytesMax);
  if (!heard.ok() || heard->bytes.empty()) return BeAlone();
  const auto request = ParseControlRequest(heard->bytes);
  const Status obeyed = request.ok() ? Obey(*request, std::move(heard->fds)) : request.error();
  // vnetd sees that nothing is answered, and begins anew.
  if (!obeyed.ok()) {
    LOG_ERROR("vnetd said what cannot be done: " + obeyed.error().message());
    return BeAlone();
  }
  ControlResponse response{Version(), answerer_.counts(), {}};
  if (request->look) {
    for (const auto& [number, gateway] : gateways_) {
      response.held[number] = gateway.network->link;
    }
  }
  if (!SendPassing(control_.get(), Format(response), {}).ok()) BeAlone();
}

Status NameServer::Obey(const ControlRequest& request, std::vector<UniqueFd> fds) {
  for (const uint32_t number : request.drop) Drop(number);
  if (request.resolvers) answerer_.upstream().SetResolvers(*request.resolvers);
  if (request.end) {
    ends_ = true;
    while (!gateways_.empty()) Drop(gateways_.begin()->first);  // Whoever comes next has the ports.
  }
  return request.network ? Serve(*request.network, std::move(fds)) : Ok();
}

// Questions that are being answered end with the network as it was.
Status NameServer::Serve(const NetworkNames& names, std::vector<UniqueFd> fds) {
  const uint32_t number = names.number;
  const auto before = gateways_.find(number);
  if (fds.empty()) {
    if (before == gateways_.end() || before->second.network->link != names.link) {
      return Error(Code::kInvalidArgument, "network " + std::to_string(number) + " has no sockets");
    }
    before->second.network->prefix = names.prefix;
    before->second.network->zone = Zone(names.names, names.pool);
    return Ok();
  }
  if (fds.size() != 2) return Error(Code::kInvalidArgument, "not two sockets");
  Drop(number);
  Gateway& gateway = gateways_[number];
  gateway.network = std::make_shared<ServedNetwork>(names);
  gateway.udp = std::move(fds[0]);
  gateway.tcp = std::move(fds[1]);
  ASSIGN_OR_RETURN(gateway.udp_ready, loop_.Watch(gateway.udp.get(), EPOLLIN,
                                                  [this, number] { ReadDatagrams(number); }));
  ASSIGN_OR_RETURN(gateway.tcp_ready, loop_.Watch(gateway.tcp.get(), EPOLLIN,
                                                  [this, number] { AcceptClients(number); }));
  return Ok();
}

void NameServer::Drop(uint32_t number) {
  const auto found = gateways_.find(number);
  if (found == gateways_.end()) return;
  clients_.CloseAllOf(number);
  loop_.Forget(found->second.udp_ready, found->second.udp.get());
  loop_.Forget(found->second.tcp_ready, found->second.tcp.get());
  gateways_.erase(found);
}

void NameServer::ReadDatagrams(uint32_t number) {
  const Gateway& gateway = gateways_.at(number);
  for (int i = 0; i < kDatagramsPerTurn; ++i) {
    std::array<char, kUdpBytesMax + 1> buffer;
    Sender sender;
    const ssize_t size = ::recvfrom(gateway.udp.get(), buffer.data(), buffer.size(), MSG_DONTWAIT,
                                    reinterpret_cast<sockaddr*>(&sender.raw), &sender.size);
    if (size < 0) return;
    const auto node = AddressOf(sender);
    if (!node || !IsOf(gateway.network->prefix, *node)) continue;
    // The network may be gone before the answer is there.
    const std::weak_ptr<ServedNetwork> network = gateway.network;
    answerer_.Take(gateway.network, *node, {buffer.data(), static_cast<size_t>(size)},
                   /*by_tcp=*/false, [this, number, network, sender](const std::string& reply) {
                     if (network.expired()) return;
                     ::sendto(gateways_.at(number).udp.get(), reply.data(), reply.size(),
                              MSG_DONTWAIT | MSG_NOSIGNAL,
                              reinterpret_cast<const sockaddr*>(&sender.raw), sender.size);
                   });
  }
}

void NameServer::AcceptClients(uint32_t number) {
  const Gateway& gateway = gateways_.at(number);
  for (int i = 0; i < kClientsPerTurn; ++i) {
    Sender sender;
    UniqueFd fd(::accept4(gateway.tcp.get(), reinterpret_cast<sockaddr*>(&sender.raw), &sender.size,
                          SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd.valid()) return;
    const auto node = AddressOf(sender);
    if (!node || !IsOf(gateway.network->prefix, *node)) continue;
    clients_.Add(std::move(fd), gateway.network, *node);
  }
}

}  // namespace strata::net
