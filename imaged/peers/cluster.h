// Cluster: this host's membership of a cluster of hosts (docs/hosts.md). Below its directory, mode
// 0700:
//   ca.pem     the authority's certificate        ca.key     its key, at the issuer alone
//   host.pem   our key, our certificate, ca.pem   hosts.json the hosts and what is revoked
//   tokens     hashes of tokens, at the issuer alone
// host.pem is written last: with it this host is a member, without it none.
//
// Thread-safe. Durable when a change returns.
#pragma once

#include <grpcpp/channel.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "common/pki/certificate.h"
#include "common/result.h"
#include "common/rpc/tls_connection.h"
#include "imaged/api/peer.pb.h"
#include "imaged/peers/host_registry.h"
#include "imaged/peers/issuer.h"

namespace strata::imaged {

class Cluster {
 public:
  struct Options {
    std::string directory;
    std::string host_name;       // When a call names none.
    std::string listen_address;  // Empty: we do not listen.
  };
  // kCorrupt when what is in the directory does not fit together.
  static Result<std::unique_ptr<Cluster>> Open(Options options);

  // Makes a cluster of this host alone, and this host its issuer. kAlreadyExists when it is in one;
  // kFailedPrecondition when imaged does not listen.
  Status Init(const v1::InitClusterRequest& request, pki::Time now);
  // Becomes a host of the cluster that the token is of. Errors are the issuer's, or of the way to
  // it.
  Status Join(const v1::JoinRequest& request);
  // kFailedPrecondition when not a member, for these and all below.
  Result<v1::ClusterState> State() const;
  // At the issuer only, otherwise kFailedPrecondition names it.
  Result<v1::MakeTokenResponse> MakeToken(std::chrono::seconds ttl, pki::Time now);
  Status Remove(const std::string& name, pki::Time now);
  Result<v1::EnrolResponse> Enrol(const v1::EnrolRequest& request, const std::string& caller,
                                  pki::Time now);
  Result<pki::Certificate> SignRenewal(const pki::Certificate& caller,
                                       const std::string& request_der, pki::Time now);

  // A new key and certificate for this host.
  Status Renew(pki::Time now);
  // Renew, when a third of the certificate's life or less is left.
  Status RenewIfDue(pki::Time now);
  // Takes over the issuer's list of hosts.
  Status Refresh();

  bool IsMember() const;
  std::string IdentityPath() const { return Path("host.pem"); }
  std::string AuthorityPath() const { return Path("ca.pem"); }
  HostRegistry& registry() { return *registry_; }
  // A connection to another host of the cluster. kNotFound: there is none of this name, also not
  // in the issuer's list, if that could be read;
  // kFailedPrecondition: it takes no calls; otherwise as ConnectTls.
  Result<std::shared_ptr<grpc::Channel>> Connect(const std::string& host_name);

 private:
  struct Member {
    rpc::TlsIdentity identity;
    pki::Certificate certificate;
  };

  Cluster(Options options, std::shared_ptr<HostRegistry> registry)
      : options_(std::move(options)), registry_(std::move(registry)) {}
  std::string Path(const std::string& name) const { return options_.directory + "/" + name; }
  Status Load();
  Result<Member> Self() const;
  Result<Issuer*> AsIssuer() const;
  Result<v1::Host> Find(const std::string& host_name);
  Status CheckNoMember() const;
  // What is asked for, or what imaged was started with.
  Result<std::string> NameFor(const std::string& asked) const;
  Result<std::string> AddressFor(const std::string& asked) const;
  Status Adopt(const pki::PrivateKey& key, const pki::Certificate& certificate,
               const std::string& authority_pem);
  // A certificate for `request_der` from the issuer, who may be ourselves.
  Result<pki::Certificate> Obtain(const Member& self, const std::string& request_der,
                                  pki::Time now);

  const Options options_;
  const std::shared_ptr<HostRegistry> registry_;  // gRPC may verify a connection after our end.
  std::mutex change_mutex_;   // One of Init, Join, Renew at a time; taken before mutex_.
  std::mutex refresh_mutex_;  // One look for an unknown host at a time; guards the next two.
  std::optional<Status> refreshed_;
  std::chrono::steady_clock::time_point refresh_again_;
  mutable std::mutex mutex_;  // Guards what follows; held for moments.
  std::optional<Member> member_;
  std::unique_ptr<Issuer> issuer_;  // Set once.
};

}  // namespace strata::imaged
