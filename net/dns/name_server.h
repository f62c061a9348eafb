// NameServers: vnetd's hand on vnet-names, the process that answers questions for names at the
// gateways of this host (net/dns/server.h). It starts that, finds one again that an earlier vnetd
// has started, gives it sockets and names, and takes note when it is gone.
//
// What a node sends is never read here. One call at a time.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "net/desired.h"
#include "net/dns/control.h"

namespace strata::net {

class NameServers {
 public:
  struct Options {
    // vnet-names. Empty: it is not started, and one that an earlier vnetd has started ends.
    std::string program;
    std::string run_dir;  // Its socket is there, and the empty directory that is its root.
  };

  explicit NameServers(Options options) : options_(std::move(options)) {}

  // Has the process when any network has names, before the rules are made.
  void Prepare(const DesiredNetwork& desired);
  // Sets Bridge::serves_names: of those whose gateway has the port, or can have it. So nodes never
  // reach another program of the host there.
  void Mark(DesiredNetwork* desired) const;
  // Tells it all, when bridges are there. True: Mark says something else now, so the rules have to
  // be made again.
  bool Serve(const DesiredNetwork& desired);

  // Why some questions are not answered, of whatever network.
  std::optional<Error> problem() const;
  // What it counted; nothing when it is not there.
  std::optional<NameCounts> Count();
  // Of which it is heard (poll(2), POLLRDHUP) that the process is gone. -1: it is, or there was
  // none.
  int descriptor() const;

 private:
  void Forget();  // The process, and what it was told.
  Status Connect();
  Result<UniqueFd> Start();
  void ReapEnded();
  Result<ControlResponse> Tell(const ControlRequest& request, const std::vector<int>& fds);
  Status ServeOne(const DesiredNetwork& desired, const Bridge& bridge);
  Status TellResolvers(const DesiredNetwork& desired);
  std::string SocketPath() const { return options_.run_dir + "/names.sock"; }

  const Options options_;
  UniqueFd control_;
  std::vector<pid_t> started_;                                       // That have not ended yet.
  std::optional<std::chrono::steady_clock::time_point> started_at_;  // The last of them.
  std::map<uint32_t, int> held_;          // Networks whose sockets it has, and their links.
  std::map<uint32_t, std::string> told_;  // Of each of them, what it was told last.
  std::string resolvers_told_;
  std::optional<Error> broken_;           // Why there is no process.
  std::map<uint32_t, Error> not_served_;  // Networks whose gateway does not have the port.
};

}  // namespace strata::net
