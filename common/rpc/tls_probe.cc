#include "common/rpc/tls_probe.h"

#include "common/pki/random.h"
#include "common/pki/verify.h"

namespace strata::rpc {
namespace {

Status CheckName(const pki::Certificate& leaf, const std::string& address,
                 const std::string& host_name) {
  if (leaf.host_name() == host_name) return Ok();
  return Error(Code::kPermissionDenied,
               "at " + address + " is host '" + leaf.host_name() + "', not '" + host_name +
                   "': correct its address with 'vimage host list' at hand");
}

// A server says nothing useful when it refuses us, so look at our own certificate first.
Status CheckOwn(const TlsIdentity& identity) {
  if (identity.certificate_pem.empty()) return Ok();
  ASSIGN_OR_RETURN(const auto own, pki::Certificate::FromPem(identity.certificate_pem));
  ASSIGN_OR_RETURN(const auto authority, pki::Certificate::FromPem(identity.authority_pem));
  return pki::VerifyHost(own, authority, std::chrono::system_clock::now());
}

}  // namespace

Status ProbeTls(const std::string& address, const std::string& host_name,
                const TlsIdentity& identity, std::chrono::milliseconds bound) {
  RETURN_IF_ERROR(CheckOwn(identity), "our own side");
  ASSIGN_OR_RETURN(const auto connection,
                   TlsConnection::Open(address, identity, /*verify=*/true, bound));
  RETURN_IF_ERROR(connection->Handshake());
  ASSIGN_OR_RETURN(const auto chain, connection->Chain());
  RETURN_IF_ERROR(CheckName(chain.front(), address, host_name));
  return connection->AwaitAcceptance();
}

Result<pki::Certificate> FindAuthority(const std::string& address, const std::string& host_name,
                                       const std::string& fingerprint,
                                       std::chrono::milliseconds bound) {
  ASSIGN_OR_RETURN(const auto connection,
                   TlsConnection::Open(address, {}, /*verify=*/false, bound));
  RETURN_IF_ERROR(connection->Handshake());
  ASSIGN_OR_RETURN(const auto chain, connection->Chain());
  for (const pki::Certificate& certificate : chain) {
    if (!pki::EqualInConstantTime(certificate.fingerprint(), fingerprint)) continue;
    RETURN_IF_ERROR(pki::VerifyHost(chain.front(), certificate, std::chrono::system_clock::now()),
                    address);
    RETURN_IF_ERROR(CheckName(chain.front(), address, host_name));
    return certificate;
  }
  return Error(Code::kPermissionDenied,
               address + " is not of the cluster that the token is for: is the token an old one?");
}

}  // namespace strata::rpc
