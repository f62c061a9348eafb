#include "net/dns/tcp_clients.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <vector>

namespace strata::net {
namespace {

constexpr size_t kLengthBytes = 2;

}  // namespace

void TcpClients::Add(UniqueFd fd, const std::shared_ptr<ServedNetwork>& network,
                     const IpAddress& node) {
  if (!shares_.Take({network->number, node})) return;
  const Key key = ++last_;
  Client& client = clients_[key];
  client.network = network;
  client.node = node;
  client.fd = std::move(fd);
  client.end = EventLoop::Clock::now() + kLifeMax;
  const auto ready = loop_.Watch(client.fd.get(), EPOLLIN, [this, key] { Ready(key); });
  if (!ready.ok()) return Close(key);
  client.ready = *ready;
  Await(key, &client);
}

void TcpClients::CloseAllOf(uint32_t network) {
  std::vector<Key> keys;
  for (const auto& [key, client] : clients_) {
    if (client.network->number == network) keys.push_back(key);
  }
  for (const Key key : keys) Close(key);
}

void TcpClients::Close(Key key) {
  auto ended = clients_.extract(key);
  Client& client = ended.mapped();
  loop_.Forget(client.ready, client.fd.get());
  loop_.Cancel(client.due);
  shares_.Give({client.network->number, client.node});
}

// What it waits for now, and how long.
void TcpClients::Await(Key key, Client* client) {
  uint32_t events = client->waits ? 0u : EPOLLIN;
  if (!client->to_send.empty()) events = EPOLLOUT;
  loop_.Change(client->ready, client->fd.get(), events);
  loop_.Cancel(client->due);
  client->due = loop_.At(std::min(EventLoop::Clock::now() + kQuietMax, client->end),
                         [this, key] { Close(key); });
}

void TcpClients::Ready(Key key) {
  Client& client = clients_.at(key);
  if (!client.to_send.empty()) {
    if (!Send(&client)) return Close(key);
    if (!client.to_send.empty()) return;
    Await(key, &client);
    return TakeQuestion(key, &client);  // That has come meanwhile.
  }
  // While it waits, only a connection that has broken is ready.
  if (client.waits || !Read(&client)) return Close(key);
  TakeQuestion(key, &client);
}

bool TcpClients::Read(Client* client) {
  std::array<char, kLengthBytes + kUdpBytesMax> buffer;
  const ssize_t size = ::recv(client->fd.get(), buffer.data(), buffer.size(), 0);
  if (size < 0) return errno == EAGAIN || errno == EINTR;
  client->received.append(buffer.data(), static_cast<size_t>(size));
  return size > 0;
}

void TcpClients::TakeQuestion(Key key, Client* client) {
  const std::string& received = client->received;
  if (received.size() < kLengthBytes) return;
  const size_t length = static_cast<size_t>(static_cast<uint8_t>(received[0])) << 8 |
                        static_cast<uint8_t>(received[1]);
  if (length > kUdpBytesMax) return Close(key);
  if (received.size() < kLengthBytes + length) return;
  const std::string question = received.substr(kLengthBytes, length);
  client->received.erase(0, kLengthBytes + length);
  client->waits = true;
  Await(key, client);
  // It may be answered at once, and this client be gone then.
  answerer_.Take(client->network, client->node, question, /*by_tcp=*/true,
                 [this, key](std::string reply) { Answer(key, std::move(reply)); });
}

void TcpClients::Answer(Key key, std::string reply) {
  const auto found = clients_.find(key);
  if (found == clients_.end()) return;
  Client& client = found->second;
  client.waits = false;
  client.to_send = {static_cast<char>(reply.size() >> 8), static_cast<char>(reply.size())};
  client.to_send += reply;
  // What it has sent meanwhile is looked at when this has gone, so one question's answer is never
  // inside of another's.
  Await(key, &client);
}

bool TcpClients::Send(Client* client) {
  const ssize_t sent =
      ::send(client->fd.get(), client->to_send.data(), client->to_send.size(), MSG_NOSIGNAL);
  if (sent < 0) return errno == EAGAIN || errno == EINTR;
  client->to_send.erase(0, static_cast<size_t>(sent));
  return true;
}

}  // namespace strata::net
