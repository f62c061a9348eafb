#include "common/pki/certificate.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>

#include "common/pki/openssl_error.h"
#include "common/pki/random.h"

namespace strata::pki {
namespace {

constexpr size_t kPemBytesMax = 64 * 1024;
constexpr size_t kDerBytesMax = 16 * 1024;
constexpr size_t kSerialBytesMax = 20;  // RFC 5280, 4.1.2.2.
constexpr std::string_view kHostScheme = "strata-host:";

std::string_view ViewOf(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<size_t>(ASN1_STRING_length(text))};
}

Result<Time> TimeOf(const ASN1_TIME* time) {
  tm broken_down = {};
  if (ASN1_TIME_to_tm(time, &broken_down) != 1) {
    return OpensslError(Code::kCorrupt, "a certificate's validity");
  }
  return std::chrono::system_clock::from_time_t(::timegm(&broken_down));
}

// The only subject CN; empty when there is none or more than one.
std::string CommonName(X509* certificate) {
  const X509_NAME* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) return "";
  return std::string(ViewOf(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))));
}

// The host that all three places name; empty when one differs or is missing.
std::string HostNameOf(X509* certificate) {
  const std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> names(
      static_cast<GENERAL_NAMES*>(
          X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
      GENERAL_NAMES_free);
  if (names == nullptr || sk_GENERAL_NAME_num(names.get()) != 2) return "";
  std::string dns;
  std::string uri;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) dns = ViewOf(name->d.dNSName);
    if (name->type == GEN_URI) uri = ViewOf(name->d.uniformResourceIdentifier);
  }
  const bool agree = IsHostName(dns) && uri == std::string(kHostScheme) + dns;
  return agree && CommonName(certificate) == dns ? dns : "";
}

}  // namespace

bool IsHostName(std::string_view name) {
  if (name.empty() || name.size() > 63 || name.front() == '-' || name.back() == '-') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

Status CheckHostName(std::string_view name) {
  if (IsHostName(name)) return Ok();
  return Error(Code::kInvalidArgument,
               "a host's name is 1 to 63 lower-case letters, digits and inner hyphens");
}

Result<Certificate> Certificate::FromPem(std::string_view pem) {
  if (pem.size() > kPemBytesMax) return Error(Code::kCorrupt, "a certificate is too long");
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free_all);
  X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr);
  if (certificate == nullptr) return OpensslError(Code::kCorrupt, "not a certificate");
  return Inspect(std::shared_ptr<X509>(certificate, X509_free));
}

Result<Certificate> Certificate::FromDer(std::string_view der) {
  if (der.size() > kDerBytesMax) return Error(Code::kCorrupt, "a certificate is too long");
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const unsigned char* const end = at + der.size();
  const std::shared_ptr<X509> certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())),
                                          X509_free);
  if (certificate == nullptr) return OpensslError(Code::kCorrupt, "not a certificate");
  if (at != end) return Error(Code::kCorrupt, "bytes behind a certificate");
  return Inspect(certificate);
}

Result<Certificate> Certificate::Of(X509* certificate) {
  if (certificate == nullptr) return Error(Code::kCorrupt, "there is no certificate");
  X509_up_ref(certificate);
  return Inspect(std::shared_ptr<X509>(certificate, X509_free));
}

Result<Certificate> Certificate::Inspect(std::shared_ptr<X509> certificate) {
  Certificate result(std::move(certificate));
  X509* const x509 = result.get();
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (X509_digest(x509, EVP_sha256(), digest, &size) != 1) {
    return OpensslError(Code::kInternal, "a certificate's fingerprint");
  }
  result.fingerprint_.assign(reinterpret_cast<const char*>(digest), size);
  const std::string_view serial = ViewOf(X509_get0_serialNumber(x509));
  if (serial.empty() || serial.size() > kSerialBytesMax) {
    return Error(Code::kCorrupt, "a certificate's serial number has no possible length");
  }
  result.serial_ = HexOf(serial);
  ASSIGN_OR_RETURN(result.not_before_, TimeOf(X509_get0_notBefore(x509)));
  ASSIGN_OR_RETURN(result.not_after_, TimeOf(X509_get0_notAfter(x509)));
  result.is_authority_ = X509_check_ca(x509) == 1;
  if (!result.is_authority_) result.host_name_ = HostNameOf(x509);
  ERR_clear_error();
  return result;
}

std::string Certificate::ToPem() const {
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> bio(BIO_new(BIO_s_mem()), BIO_free_all);
  PEM_write_bio_X509(bio.get(), certificate_.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

std::string Certificate::ToDer() const {
  unsigned char* data = nullptr;
  const int size = i2d_X509(certificate_.get(), &data);
  if (size <= 0) return "";
  std::string der(reinterpret_cast<char*>(data), static_cast<size_t>(size));
  OPENSSL_free(data);
  return der;
}

}  // namespace strata::pki
