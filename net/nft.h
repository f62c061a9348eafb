// Nft: commands of nft(8), carried out in this process by libnftables, each run in one transaction.
//
// Its netlink sockets stay open between runs. The close of one waits until the kernel has freed
// what the last transaction took away (nft_rcv_nl_event, net/netfilter/nf_tables_api.c), after a
// grace period of RCU: 14 of the 17 ms of a run of the program nft.
//
// Of the network namespace in which it is started; used by one thread at a time. libnftables ends
// the process when it gets no memory, when the kernel has no nf_tables, and when its socket has no
// number or one that select(2) cannot wait for (from FD_SETSIZE on, 1024). Start makes sure of all
// but the first, and is called before a process has many descriptors.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/result.h"

struct nft_ctx;
struct nl_sock;

namespace strata::net {

class Nft {
 public:
  // Done already is Ok. kResourceExhausted: there is no descriptor that it can use.
  Status Start();
  // Starts, if that was not done. What the commands print. Errors are nft's (kInternal); nothing
  // has changed then, unless the kernel's answer could not be read.
  Result<std::string> Run(const std::string& commands);
  // The number of the rules' generation: whoever changes any rule of the namespace makes a new one.
  Result<uint32_t> Generation();

 private:
  struct Free {
    void operator()(nft_ctx* context) const;
    void operator()(nl_sock* socket) const;
  };
  std::unique_ptr<nft_ctx, Free> context_;
  std::unique_ptr<nl_sock, Free> socket_;  // Of what libnftables does not tell.
};

}  // namespace strata::net
