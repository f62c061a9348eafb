#include "imaged/peers/issuer.h"

#include "common/rpc/tls_connection.h"
#include "imaged/peers/join_token.h"
#include "imaged/peers/unix_time.h"

namespace strata::imaged {
namespace {

Result<pki::SigningRequest> RequestOf(const std::string& der, const std::string& host_name) {
  ASSIGN_OR_RETURN(pki::SigningRequest request, pki::ParseRequest(der));
  if (request.host_name == host_name) return request;
  return Error(Code::kInvalidArgument, "the signing request is for another name");
}

}  // namespace

Result<std::unique_ptr<Issuer>> Issuer::Open(pki::Authority authority, HostRegistry* registry,
                                             const std::string& token_path) {
  ASSIGN_OR_RETURN(auto tokens, TokenStore::Open(token_path));
  return std::unique_ptr<Issuer>(new Issuer(std::move(authority), registry, std::move(tokens)));
}

Result<v1::MakeTokenResponse> Issuer::MakeToken(const v1::Host& self, std::chrono::seconds ttl,
                                                pki::Time now) {
  JoinToken token;
  token.host_name = self.name();
  token.address = self.address();
  token.authority_sha256 = authority_.certificate().fingerprint();
  ASSIGN_OR_RETURN(token.secret, tokens_->Make(ttl, now));
  v1::MakeTokenResponse response;
  response.set_token(EncodeToken(token));
  response.set_expires_unix_ms(UnixMs(now + ttl));
  return response;
}

Result<v1::EnrolResponse> Issuer::Enrol(const v1::EnrolRequest& request, const std::string& caller,
                                        pki::Time now) {
  const std::lock_guard lock(enrol_mutex_);
  // A stranger learns nothing before his token is found good.
  RETURN_IF_ERROR(tokens_->Check(request.token_secret(), caller, now));
  ASSIGN_OR_RETURN(const auto signing, RequestOf(request.request_der(), request.host_name()));
  if (!request.address().empty()) RETURN_IF_ERROR(rpc::CheckAddress(request.address()));
  if (registry_->Find(request.host_name()).ok()) {
    return Error(Code::kAlreadyExists, "there is a host '" + request.host_name() +
                                           "' in the cluster: choose another name, or remove it "
                                           "with 'vimage host remove'");
  }
  RETURN_IF_ERROR(tokens_->Take(request.token_secret(), caller, now));
  ASSIGN_OR_RETURN(const pki::Certificate certificate, authority_.SignHost(signing, now));
  v1::Host host;
  host.set_name(request.host_name());
  host.set_address(request.address());
  host.set_enrolled_unix_ms(UnixMs(now));
  RETURN_IF_ERROR(registry_->Add(std::move(host), certificate));
  v1::EnrolResponse response;
  response.set_certificate_pem(certificate.ToPem());
  response.set_authority_pem(authority_.certificate().ToPem());
  *response.mutable_hosts() = registry_->List();
  return response;
}

Result<pki::Certificate> Issuer::Renew(const pki::Certificate& caller,
                                       const std::string& request_der, pki::Time now) {
  ASSIGN_OR_RETURN(const auto signing, RequestOf(request_der, caller.host_name()));
  ASSIGN_OR_RETURN(pki::Certificate certificate, authority_.SignHost(signing, now));
  // Fails for a host that was removed meanwhile.
  RETURN_IF_ERROR(registry_->AddCertificate(caller, certificate, now));
  return certificate;
}

}  // namespace strata::imaged
