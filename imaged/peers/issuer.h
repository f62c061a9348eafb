// Issuer: the part of a cluster that one host of it has: the authority's key, the tokens that are
// out, and the right to change the list of hosts.
//
// Thread-safe. What a call promises is durable when it returns.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "common/pki/authority.h"
#include "common/result.h"
#include "imaged/api/peer.pb.h"
#include "imaged/peers/host_registry.h"
#include "imaged/peers/token_store.h"

namespace strata::imaged {

class Issuer {
 public:
  // `registry` must outlive this.
  static Result<std::unique_ptr<Issuer>> Open(pki::Authority authority, HostRegistry* registry,
                                              const std::string& token_path);

  // Text of a token that leads to `self`.
  Result<v1::MakeTokenResponse> MakeToken(const v1::Host& self, std::chrono::seconds ttl,
                                          pki::Time now);
  // Makes `request`'s sender a host of the cluster. The token is used up before anything is signed;
  // the host is in the list before its certificate leaves. `caller` is whose guesses are counted.
  // kPermissionDenied, kResourceExhausted: as TokenStore. kAlreadyExists: the name is taken, and
  // the token still good.
  Result<v1::EnrolResponse> Enrol(const v1::EnrolRequest& request, const std::string& caller,
                                  pki::Time now);
  // A new certificate for the host that asks with `caller`, its valid one.
  Result<pki::Certificate> Renew(const pki::Certificate& caller, const std::string& request_der,
                                 pki::Time now);

  const pki::Authority& authority() const { return authority_; }

 private:
  Issuer(pki::Authority authority, HostRegistry* registry, std::unique_ptr<TokenStore> tokens)
      : authority_(std::move(authority)), registry_(registry), tokens_(std::move(tokens)) {}

  const pki::Authority authority_;
  HostRegistry* const registry_;
  const std::unique_ptr<TokenStore> tokens_;
  std::mutex enrol_mutex_;  // One at a time, so that a name that is free stays free.
};

}  // namespace strata::imaged
