// PeerListener: serves other hosts as soon as this host is a member of a cluster, and keeps the
// membership fresh: a renewed certificate when it is time, the issuer's list of hosts every ten
// seconds (so a removed host is refused everywhere within that, while the issuer answers).
//
// Thread-safe.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "common/rpc/tls_server.h"
#include "imaged/peers/cluster.h"
#include "imaged/peers/image_puller.h"
#include "imaged/repository/repository.h"

namespace strata::imaged {

class PeerListener {
 public:
  // `address` empty: it serves nobody, but still keeps the membership fresh. The pointers must
  // outlive this.
  PeerListener(Cluster* cluster, Repository* repository, ImagePuller* puller, std::string address)
      : cluster_(cluster), repository_(repository), puller_(puller), address_(std::move(address)) {}
  ~PeerListener() { Shutdown(std::chrono::milliseconds(0)); }

  // Starts what is not running yet; Ok and nothing done when this host is in no cluster.
  Status StartIfMember();
  // REQUIRES: nobody calls StartIfMember any more.
  void Shutdown(std::chrono::milliseconds grace);

 private:
  void KeepFresh(const std::stop_token& stop);
  void Report(const char* what, const Status& status, std::string* last);

  Cluster* const cluster_;
  Repository* const repository_;
  ImagePuller* const puller_;
  const std::string address_;
  std::mutex mutex_;  // Guards server_ and the start of keeper_.
  std::unique_ptr<rpc::TlsServer> server_;
  std::mutex wake_mutex_;  // For wake_ alone.
  std::condition_variable_any wake_;
  std::jthread keeper_;
};

}  // namespace strata::imaged
