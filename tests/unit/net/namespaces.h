// Network namespaces as machines and nodes of a test, and sockets in them. One thread drives all:
// a socket stays in the namespace where it was made. A namespace goes with its last descriptor.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/file_io.h"
#include "common/log.h"
#include "common/subprocess.h"
#include "net/desired.h"

namespace strata::net {

class NetNamespace {
 public:
  // REQUIRES: root. The calling thread stays where it is.
  NetNamespace();

  // Runs `work` with the calling thread inside.
  template <typename Work>
  auto In(const Work& work) const {
    const Visit visit(*this);
    return work();
  }
  // `ip WORD...` inside; stops the test's process when it fails, as does Set.
  void Ip(const std::vector<std::string>& words) const;
  // A file below /proc/sys.
  void Set(const std::string& sysctl, const std::string& value) const;
  // What `ip` takes as the name of a namespace.
  std::string path() const;

 private:
  class Visit {
   public:
    explicit Visit(const NetNamespace& there);
    ~Visit();

   private:
    UniqueFd home_;
  };
  UniqueFd fd_;
};

// A veth pair from `a` to `b`, both ends up; addresses are as "10.0.0.1/24", or "" for none.
void Join(const NetNamespace& a, const std::string& name_a, const std::string& address_a,
          const NetNamespace& b, const std::string& name_b, const std::string& address_b);

// Of a socket, of either family.
struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t size = sizeof(storage);
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
  IpAddress ip() const;
};
SocketAddress SocketAddressOf(const std::string& address, uint16_t port);

// A socket of a test, that waits no longer than a moment.
UniqueFd OpenServer(const NetNamespace& where, Protocol protocol, uint16_t port,
                    const std::string& address = "0.0.0.0");

// How long a test waits for what comes, on a busy machine too, and for what should not come.
inline constexpr std::chrono::milliseconds kAnswer(3000);
inline constexpr std::chrono::milliseconds kSilence(200);
void SetPatience(const UniqueFd& fd, std::chrono::milliseconds patience);  // Of recv and connect.

// One message there and back: who the server says has sent it, or nothing when no answer came
// within `patience`. A refusal is an answer at once, and nothing.
std::optional<IpAddress> AskWho(const NetNamespace& from, Protocol protocol,
                                const std::string& address, uint16_t port, const UniqueFd& server,
                                std::chrono::milliseconds patience = kAnswer);

sockaddr_in Address(const std::string& address, uint16_t port);

}  // namespace strata::net
