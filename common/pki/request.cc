#include "common/pki/request.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "common/pki/certificate.h"
#include "common/pki/openssl_error.h"

namespace strata::pki {
namespace {

constexpr size_t kRequestBytesMax = 4096;

using Request = std::unique_ptr<X509_REQ, decltype(&X509_REQ_free)>;

Result<std::string> NameIn(X509_REQ* request) {
  const X509_NAME* subject = X509_REQ_get_subject_name(request);
  if (X509_NAME_entry_count(subject) != 1) {
    return Error(Code::kInvalidArgument, "a request's subject must be one name");
  }
  const X509_NAME_ENTRY* entry = X509_NAME_get_entry(subject, 0);
  if (OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) != NID_commonName) {
    return Error(Code::kInvalidArgument, "a request's subject must be a common name");
  }
  const ASN1_STRING* text = X509_NAME_ENTRY_get_data(entry);
  std::string name(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                   static_cast<size_t>(ASN1_STRING_length(text)));
  RETURN_IF_ERROR(CheckHostName(name));
  return name;
}

}  // namespace

Result<std::string> MakeRequest(const PrivateKey& key, const std::string& host_name) {
  RETURN_IF_ERROR(CheckHostName(host_name));
  const Request request(X509_REQ_new(), X509_REQ_free);
  X509_NAME* subject = X509_REQ_get_subject_name(request.get());
  const bool made =
      X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) == 1 &&
      X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_ASC,
                                 reinterpret_cast<const unsigned char*>(host_name.data()),
                                 static_cast<int>(host_name.size()), -1, 0) == 1 &&
      X509_REQ_set_pubkey(request.get(), key.get()) == 1 &&
      X509_REQ_sign(request.get(), key.get(), EVP_sha256()) > 0;
  if (!made) return OpensslError(Code::kInternal, "make a signing request");
  unsigned char* data = nullptr;
  const int size = i2d_X509_REQ(request.get(), &data);
  if (size <= 0) return OpensslError(Code::kInternal, "write a signing request");
  std::string der(reinterpret_cast<char*>(data), static_cast<size_t>(size));
  OPENSSL_free(data);
  return der;
}

Result<SigningRequest> ParseRequest(std::string_view der) {
  if (der.size() > kRequestBytesMax) {
    return Error(Code::kInvalidArgument, "a signing request is longer than 4 KiB");
  }
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const unsigned char* const end = at + der.size();
  const Request request(d2i_X509_REQ(nullptr, &at, static_cast<long>(der.size())), X509_REQ_free);
  if (request == nullptr) return OpensslError(Code::kInvalidArgument, "not a signing request");
  if (at != end) return Error(Code::kInvalidArgument, "bytes behind a signing request");
  SigningRequest result;
  ASSIGN_OR_RETURN(result.host_name, NameIn(request.get()));
  result.public_key.reset(X509_REQ_get_pubkey(request.get()), EVP_PKEY_free);
  ERR_clear_error();
  if (!IsP256(result.public_key.get())) {
    return Error(Code::kInvalidArgument, "a request's key is not on P-256");
  }
  if (X509_REQ_verify(request.get(), result.public_key.get()) != 1) {
    return OpensslError(Code::kInvalidArgument, "a request is not signed with its own key");
  }
  return result;
}

}  // namespace strata::pki
