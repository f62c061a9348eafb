#include "tests/unit/net/dns/asking.h"

#include <ldns/ldns.h>
#include <poll.h>

#include <array>
#include <cstdlib>
#include <memory>

namespace strata::net {
namespace {

constexpr uint16_t kPort = 53;
constexpr uint16_t kId = 4711;

Query QueryOf(const std::string& name, uint16_t type) {
  Query query;
  const std::unique_ptr<ldns_rdf, void (*)(ldns_rdf*)> owner(
      ldns_dname_new_frm_str((name + ".").c_str()), ldns_rdf_deep_free);
  query.question = {
      name,
      {reinterpret_cast<const char*>(ldns_rdf_data(owner.get())), ldns_rdf_size(owner.get())},
      type,
      kClassIn};
  return query;
}

std::string WithLength(const std::string& message) {
  return std::string({static_cast<char>(message.size() >> 8), static_cast<char>(message.size())}) +
         message;
}

// A whole message of a connection.
std::string ReceiveByTcp(int fd) {
  std::array<char, 2> length;
  if (::recv(fd, length.data(), 2, MSG_WAITALL) != 2) return "";
  std::string message(
      static_cast<size_t>(static_cast<uint8_t>(length[0])) << 8 | static_cast<uint8_t>(length[1]),
      '\0');
  const ssize_t size = ::recv(fd, message.data(), message.size(), MSG_WAITALL);
  return size == static_cast<ssize_t>(message.size()) ? message : "";
}

Said ReadSaid(const std::string& bytes) {
  Said said;
  ldns_pkt* read = nullptr;
  if (ldns_wire2pkt(&read, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()) !=
      LDNS_STATUS_OK) {
    return said;
  }
  const std::unique_ptr<ldns_pkt, void (*)(ldns_pkt*)> packet(read, ldns_pkt_free);
  if (ldns_pkt_id(read) != kId) return said;
  said.rcode = ldns_pkt_get_rcode(read);
  said.cut = ldns_pkt_tc(read);
  const ldns_rr_list* const answers = ldns_pkt_answer(read);
  for (size_t i = 0; i < ldns_rr_list_rr_count(answers); ++i) {
    char* const text = ldns_rdf2str(ldns_rr_rdf(ldns_rr_list_rr(answers, i), 0));
    said.data.emplace_back(text);
    std::free(text);
  }
  return said;
}

}  // namespace

std::string NamesProgram() {
  const std::string self = CanonicalPath("/proc/self/exe").value();
  return self.substr(0, self.rfind('/')) + "/vnet-names";
}

Said AskName(const NetNamespace& from, const std::string& server, const std::string& name,
             uint16_t type, Protocol protocol, std::chrono::milliseconds patience) {
  const bool tcp = protocol == Protocol::kTcp;
  const UniqueFd fd = from.In([&] {
    return UniqueFd(::socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
  });
  SetPatience(fd, patience);
  const sockaddr_in to = Address(server, kPort);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) return {};
  const std::string question = MakeQuestion(QueryOf(name, type), kId);
  const std::string sent = tcp ? WithLength(question) : question;
  if (::send(fd.get(), sent.data(), sent.size(), MSG_NOSIGNAL) < 0) return {};
  if (tcp) return ReadSaid(ReceiveByTcp(fd.get()));
  std::array<char, 4096> buffer;
  const ssize_t size = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
  return size < 0 ? Said() : ReadSaid({buffer.data(), static_cast<size_t>(size)});
}

TestResolver::TestResolver(const NetNamespace& where, const std::string& address)
    : udp_(OpenServer(where, Protocol::kUdp, kPort, address)),
      tcp_(OpenServer(where, Protocol::kTcp, kPort, address)),
      thread_([this] { Run(); }) {}

TestResolver::~TestResolver() {
  stop_ = true;
  thread_.join();
}

void TestResolver::Run() {
  while (!stop_) {
    pollfd fds[] = {{udp_.get(), POLLIN, 0}, {tcp_.get(), POLLIN, 0}};
    if (::poll(fds, 2, 20) <= 0) continue;
    sockaddr_in sender = {};
    socklen_t sender_size = sizeof(sender);
    std::array<char, 4096> buffer;
    std::string question;
    UniqueFd client;
    if (fds[0].revents != 0) {
      const ssize_t size = ::recvfrom(udp_.get(), buffer.data(), buffer.size(), 0,
                                      reinterpret_cast<sockaddr*>(&sender), &sender_size);
      if (size > 0) question.assign(buffer.data(), static_cast<size_t>(size));
    } else {
      client.reset(::accept4(tcp_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      SetPatience(client, kAnswer);
      question = ReceiveByTcp(client.get());
    }
    const auto query = ParseQuery(question).query;
    if (!query) continue;
    ++asked_;
    if (silent_) continue;
    Answers answers;
    answers.addresses = {
        IpAddress::Parse(client.valid() ? "198.51.100.8" : "198.51.100.7").value()};
    if (client.valid()) {
      const std::string reply = WithLength(MakeReply(*query, answers, true, kTcpBytesMax));
      (void)::send(client.get(), reply.data(), reply.size(), MSG_NOSIGNAL);
      continue;
    }
    const size_t bytes_max = query->question.name == "many" ? 0 : kUdpBytesMin;
    const std::string reply = MakeReply(*query, answers, true, bytes_max);
    (void)::sendto(udp_.get(), reply.data(), reply.size(), 0,
                   reinterpret_cast<const sockaddr*>(&sender), sender_size);
  }
}

}  // namespace strata::net
