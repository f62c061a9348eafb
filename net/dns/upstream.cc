#include "net/dns/upstream.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

namespace strata::net {
namespace {

constexpr uint16_t kPort = 53;
// Somebody sends guesses: another try has another port and another id.
constexpr int kStrangeMax = 8;

Status ConnectTo(int fd, const IpAddress& address) {
  sockaddr_in6 six = {};
  sockaddr_in four = {};
  if (!address.is_ipv4()) {
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(kPort);
    std::memcpy(&six.sin6_addr, address.raw().data(), 16);
  } else {
    four.sin_family = AF_INET;
    four.sin_port = htons(kPort);
    std::memcpy(&four.sin_addr, address.raw().data(), 4);
  }
  const auto* const to = address.is_ipv4() ? reinterpret_cast<const sockaddr*>(&four)
                                           : reinterpret_cast<const sockaddr*>(&six);
  const socklen_t size = address.is_ipv4() ? sizeof(four) : sizeof(six);
  if (::connect(fd, to, size) != 0 && errno != EINPROGRESS) return Errno("connect");
  return Ok();
}

std::string WithLength(const std::string& message) {
  return std::string({static_cast<char>(message.size() >> 8), static_cast<char>(message.size())}) +
         message;
}

}  // namespace

void Upstream::Ask(Query query, bool by_tcp, Done done) {
  const Key key = ++last_;
  Asked& asked = asked_[key];
  asked.query = std::move(query);
  asked.by_tcp = by_tcp;
  asked.done = std::move(done);
  for (size_t i = kTries; i-- > 0;) asked.left.push_back(resolvers_[i % resolvers_.size()]);
  Try(key);
}

void Upstream::Try(Key key) {
  Asked& asked = asked_.at(key);
  EndTry(&asked);
  while (!asked.left.empty()) {
    const IpAddress resolver = asked.left.back();
    asked.left.pop_back();
    if (Begin(key, &asked, resolver).ok()) return;
    EndTry(&asked);
  }
  // Not at once: whoever asks does not expect it yet.
  asked.due = loop_.At(EventLoop::Clock::now(), [this, key] {
    auto ended = asked_.extract(key);
    ended.mapped().done(std::move(ended.mapped().reply));
  });
}

void Upstream::EndTry(Asked* asked) {
  loop_.Forget(asked->ready, asked->fd.get());
  loop_.Cancel(asked->due);
  asked->ready = asked->due = 0;
  asked->fd.reset();
  asked->received.clear();
  asked->strange = 0;
}

Status Upstream::Begin(Key key, Asked* asked, const IpAddress& resolver) {
  if (::getrandom(&asked->id, sizeof(asked->id), 0) != sizeof(asked->id)) {
    return Errno("getrandom");
  }
  const int type = (asked->by_tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK;
  asked->fd.reset(::socket(resolver.is_ipv4() ? AF_INET : AF_INET6, type, 0));
  if (!asked->fd.valid()) return Errno("socket");
  RETURN_IF_ERROR(ConnectTo(asked->fd.get(), resolver));
  const std::string question = MakeQuestion(asked->query, asked->id);
  if (asked->by_tcp) {
    asked->to_send = WithLength(question);
  } else if (::send(asked->fd.get(), question.data(), question.size(), MSG_NOSIGNAL) < 0) {
    return Errno("send");
  }
  const uint32_t events = asked->by_tcp ? EPOLLIN | EPOLLOUT : EPOLLIN;
  ASSIGN_OR_RETURN(asked->ready, loop_.Watch(asked->fd.get(), events, [this, key] { Ready(key); }));
  asked->due = loop_.At(EventLoop::Clock::now() + kTryMax, [this, key] { Try(key); });
  return Ok();
}

void Upstream::Ready(Key key) {
  Asked& asked = asked_.at(key);
  return asked.by_tcp ? GoOn(key, &asked) : ReadDatagram(key, &asked);
}

void Upstream::ReadDatagram(Key key, Asked* asked) {
  std::array<char, kUdpBytesMax + 1> buffer;
  const ssize_t size = ::recv(asked->fd.get(), buffer.data(), buffer.size(), 0);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size < 0) return Try(key);  // Nobody is there.
  if (static_cast<size_t>(size) > kUdpBytesMax) return Try(key);
  const std::string_view reply(buffer.data(), static_cast<size_t>(size));
  if (RcodeOfReply(reply, asked->query, asked->id)) return Take(key, asked, reply);
  if (++asked->strange >= kStrangeMax) Try(key);
}

void Upstream::GoOn(Key key, Asked* asked) {
  if (!asked->to_send.empty()) {
    const ssize_t sent =
        ::send(asked->fd.get(), asked->to_send.data(), asked->to_send.size(), MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN ? void() : Try(key);
    asked->to_send.erase(0, static_cast<size_t>(sent));
    if (asked->to_send.empty()) loop_.Change(asked->ready, asked->fd.get(), EPOLLIN);
    return;
  }
  std::array<char, 16384> buffer;
  const ssize_t size = ::recv(asked->fd.get(), buffer.data(), buffer.size(), 0);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) return Try(key);
  asked->received.append(buffer.data(), static_cast<size_t>(size));
  if (asked->received.size() < 2) return;
  const size_t length = static_cast<size_t>(static_cast<uint8_t>(asked->received[0])) << 8 |
                        static_cast<uint8_t>(asked->received[1]);
  if (asked->received.size() < 2 + length) return;
  const std::string reply = asked->received.substr(2, length);
  if (!RcodeOfReply(reply, asked->query, asked->id)) return Try(key);
  Take(key, asked, reply);
}

void Upstream::Take(Key key, Asked* asked, std::string_view reply) {
  asked->reply = std::string(reply);
  const auto rcode = *RcodeOfReply(reply, asked->query, asked->id);
  if (rcode == Rcode::kNoError || rcode == Rcode::kNoSuchName) asked->left.clear();
  Try(key);
}

}  // namespace strata::net
