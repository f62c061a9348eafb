// Membership: this host's place in the cluster of hosts, as its imaged made it (`vimage host init`,
// `join`; docs/hosts.md). imaged renews the certificate and follows the issuer's list; here both
// are read again as the files change.
//
// Thread-safe.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/server_context.h>

#include <chrono>
#include <ctime>
#include <memory>
#include <mutex>
#include <string>

#include "common/pki/certificate.h"
#include "common/result.h"
#include "common/rpc/tls_connection.h"
#include "imaged/peers/host_registry.h"

namespace strata::vcluster {

class Membership {
 public:
  // `state_dir`: imaged's directory is below it. kFailedPrecondition: this host is in no cluster.
  static Result<std::shared_ptr<Membership>> Open(const std::string& state_dir);

  const std::string& name() const { return name_; }  // Of this host.
  std::string IdentityPath() const { return directory_ + "/host.pem"; }
  std::string AuthorityPath() const { return directory_ + "/ca.pem"; }

  // kPermissionDenied: revoked, or expired.
  Status Admit(const pki::Certificate& certificate);
  // The enrolled host that calls. kPermissionDenied for everybody else.
  Result<std::string> CallerOf(const grpc::ServerContextBase& context);
  // Whoever answers at `address` has to be `host_name`.
  Result<std::shared_ptr<grpc::Channel>> Connect(const std::string& address,
                                                 const std::string& host_name);

 private:
  explicit Membership(std::string directory) : directory_(std::move(directory)) {}
  Result<rpc::TlsIdentity> Identity() const;
  Status Refresh();  // REQUIRES: mutex_ is held.

  const std::string directory_;
  std::string name_;
  std::mutex mutex_;  // Guards what follows.
  std::unique_ptr<imaged::HostRegistry> registry_;
  timespec registry_time_ = {};
};

}  // namespace strata::vcluster
