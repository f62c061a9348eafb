#include "common/pki/authority.h"

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "common/pki/openssl_error.h"
#include "common/pki/random.h"

namespace strata::pki {
namespace {

constexpr size_t kSerialBytes = 16;

using X509Ptr = std::shared_ptr<X509>;

bool SetName(X509_NAME* name, const std::string& common_name) {
  return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC,
                                    reinterpret_cast<const unsigned char*>(common_name.data()),
                                    static_cast<int>(common_name.size()), -1, 0) == 1;
}

bool SetTime(ASN1_TIME* to, Time time) {
  return ASN1_TIME_set(to, std::chrono::system_clock::to_time_t(time)) != nullptr;
}

Status SetSerial(X509* certificate) {
  ASSIGN_OR_RETURN(std::string bytes, RandomBytes(kSerialBytes));
  // Positive and not zero, and always of the same length.
  bytes[0] = static_cast<char>((static_cast<unsigned char>(bytes[0]) & 0x7f) | 0x40);
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> number(
      BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()),
                static_cast<int>(bytes.size()), nullptr),
      BN_free);
  if (number == nullptr ||
      BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) == nullptr) {
    return OpensslError(Code::kInternal, "set a serial number");
  }
  return Ok();
}

using Extensions = std::initializer_list<std::pair<int, std::string>>;

// The values are OpenSSL's configuration syntax (x509v3_config(5)).
bool AddExtensions(X509* certificate, X509* issuer, Extensions extensions) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  return std::all_of(extensions.begin(), extensions.end(), [&](const auto& extension) {
    const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> made(
        X509V3_EXT_conf_nid(nullptr, &context, extension.first, extension.second.c_str()),
        X509_EXTENSION_free);
    return made != nullptr && X509_add_ext(certificate, made.get(), -1) == 1;
  });
}

// All but name, issuer, extensions and signature.
Result<X509Ptr> NewCertificate(EVP_PKEY* public_key, Time from, Time until) {
  X509Ptr certificate(X509_new(), X509_free);
  RETURN_IF_ERROR(SetSerial(certificate.get()));
  if (X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      !SetTime(X509_getm_notBefore(certificate.get()), from) ||
      !SetTime(X509_getm_notAfter(certificate.get()), until) ||
      X509_set_pubkey(certificate.get(), public_key) != 1) {
    return OpensslError(Code::kInternal, "make a certificate");
  }
  return certificate;
}

}  // namespace

Result<Authority> Authority::Create(Time now) {
  ASSIGN_OR_RETURN(PrivateKey key, PrivateKey::Generate());
  ASSIGN_OR_RETURN(const X509Ptr certificate,
                   NewCertificate(key.get(), now - kClockSkewAllowed, now + kAuthorityValidity));
  // Two clusters' authorities must not have one name: errors would be misleading.
  ASSIGN_OR_RETURN(const std::string mark, RandomBytes(4));
  X509* const x509 = certificate.get();
  if (!SetName(X509_get_subject_name(x509), "strata cluster " + HexOf(mark)) ||
      X509_set_issuer_name(x509, X509_get_subject_name(x509)) != 1 ||
      !AddExtensions(x509, x509,
                     {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                      {NID_key_usage, "critical,keyCertSign"},
                      {NID_subject_key_identifier, "hash"}}) ||
      X509_sign(x509, key.get(), EVP_sha256()) <= 0) {
    return OpensslError(Code::kInternal, "make an authority's certificate");
  }
  ASSIGN_OR_RETURN(Certificate made, Certificate::Of(x509));
  return Authority(std::move(key), std::move(made));
}

Result<Authority> Authority::Load(std::string_view certificate_pem, std::string_view key_pem) {
  ASSIGN_OR_RETURN(Certificate certificate, Certificate::FromPem(certificate_pem));
  ASSIGN_OR_RETURN(PrivateKey key, PrivateKey::FromPem(key_pem));
  if (!certificate.is_authority()) {
    return Error(Code::kCorrupt, "the certificate is not an authority's");
  }
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return OpensslError(Code::kCorrupt, "key and certificate do not belong together");
  }
  return Authority(std::move(key), std::move(certificate));
}

Result<Certificate> Authority::SignHost(const SigningRequest& request, Time now,
                                        std::chrono::seconds validity) const {
  RETURN_IF_ERROR(CheckHostName(request.host_name));
  const Time until = std::min<Time>(now + validity, certificate_.not_after());
  ASSIGN_OR_RETURN(const X509Ptr certificate,
                   NewCertificate(request.public_key.get(), now - kClockSkewAllowed, until));
  X509* const x509 = certificate.get();
  const std::string& name = request.host_name;
  if (!SetName(X509_get_subject_name(x509), name) ||
      X509_set_issuer_name(x509, X509_get_subject_name(certificate_.get())) != 1 ||
      !AddExtensions(x509, certificate_.get(),
                     {{NID_basic_constraints, "critical,CA:FALSE"},
                      {NID_key_usage, "critical,digitalSignature"},
                      {NID_ext_key_usage, "serverAuth,clientAuth"},
                      {NID_subject_alt_name, "DNS:" + name + ",URI:strata-host:" + name},
                      {NID_subject_key_identifier, "hash"},
                      {NID_authority_key_identifier, "keyid:always"}}) ||
      X509_sign(x509, key_.get(), EVP_sha256()) <= 0) {
    return OpensslError(Code::kInternal, "sign a host's certificate");
  }
  return Certificate::Of(x509);
}

bool RenewalIsDue(const Certificate& certificate, Time now) {
  return (certificate.not_after() - now) * 3 <= certificate.not_after() - certificate.not_before();
}

}  // namespace strata::pki
