// NameServer: answers questions at the gateways of this host's networks, with sockets that it is
// given, as vnetd says (net/dns/control.h). It runs as nobody and may do nothing else
// (net/dns/sandbox.h). Of one thread.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "common/fd_passing.h"
#include "common/unique_fd.h"
#include "net/dns/answerer.h"
#include "net/dns/tcp_clients.h"

namespace strata::net {

class NameServer {
 public:
  // Without vnetd it goes on for so long: it may be started again meanwhile.
  static constexpr std::chrono::seconds kAloneMax{60};

  // `listener`: where vnetd connects to, a SOCK_SEQPACKET socket that listens; the one who came
  // last is listened to.
  static Result<std::unique_ptr<NameServer>> Make(UniqueFd listener);
  // Until vnetd says that it is over, or has not been there for too long. The error of a control
  // socket that does not work.
  Status Run();

 private:
  struct Gateway {
    std::shared_ptr<ServedNetwork> network;
    UniqueFd udp;
    UniqueFd tcp;
    EventLoop::Token udp_ready = 0;
    EventLoop::Token tcp_ready = 0;
  };

  NameServer(UniqueFd listener, EventLoop loop);
  void Accept();
  void Hear();
  void BeAlone();
  Status Obey(const ControlRequest& request, std::vector<UniqueFd> fds);
  Status Serve(const NetworkNames& names, std::vector<UniqueFd> fds);
  void Drop(uint32_t number);
  void ReadDatagrams(uint32_t number);
  void AcceptClients(uint32_t number);

  UniqueFd listener_;
  EventLoop loop_;
  Answerer answerer_{loop_};
  TcpClients clients_{loop_, answerer_};
  std::map<uint32_t, Gateway> gateways_;
  UniqueFd control_;
  EventLoop::Token control_ready_ = 0;
  EventLoop::Token alone_ = 0;
  bool ends_ = false;
};

}  // namespace strata::net
