#include "common/pki/verify.h"

#include <openssl/x509_vfy.h>

#include "common/pki/openssl_error.h"

namespace strata::pki {

Error ExplainVerification(int x509_error, const std::string& whose) {
  switch (x509_error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return Error(Code::kPermissionDenied,
                   whose +
                       " has expired: remove that host and let it join anew with a token (or "
                       "the clock of one of the two hosts is wrong)");
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return Error(Code::kPermissionDenied,
                   whose + " is not valid yet: the clock of one of the two hosts is wrong");
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return Error(Code::kPermissionDenied,
                   whose + " is not of our cluster: let that host join with a token of this one");
    default:
      return Error(Code::kPermissionDenied,
                   whose + " is refused: " + X509_verify_cert_error_string(x509_error));
  }
}

Status VerifyHost(const Certificate& certificate, const Certificate& authority, Time now) {
  const std::string whose = certificate.host_name().empty()
                                ? "the certificate"
                                : certificate.host_name() + "'s certificate";
  const std::unique_ptr<X509_STORE, decltype(&X509_STORE_free)> store(X509_STORE_new(),
                                                                      X509_STORE_free);
  const std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> context(
      X509_STORE_CTX_new(), X509_STORE_CTX_free);
  if (X509_STORE_add_cert(store.get(), authority.get()) != 1 ||
      X509_STORE_CTX_init(context.get(), store.get(), certificate.get(), nullptr) != 1) {
    return OpensslError(Code::kInternal, "verify a certificate");
  }
  X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(context.get()),
                             std::chrono::system_clock::to_time_t(now));
  const int verified = X509_verify_cert(context.get());
  const int error = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  if (verified != 1) return ExplainVerification(error, whose);
  if (certificate.host_name().empty()) {
    return Error(Code::kPermissionDenied, "the certificate is not a host's");
  }
  return Ok();
}

}  // namespace strata::pki
