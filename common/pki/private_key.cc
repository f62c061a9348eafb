#include "common/pki/private_key.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include "common/file_io.h"
#include "common/pki/openssl_error.h"

namespace strata::pki {
namespace {

constexpr size_t kPemBytesMax = 64 * 1024;

using Bio = std::unique_ptr<BIO, decltype(&BIO_free_all)>;

// A key with a pass phrase would make OpenSSL ask on the terminal.
int RefusePassphrase(char*, int, int, void*) { return -1; }

}  // namespace

bool IsP256(EVP_PKEY* key) {
  char group[64] = "";
  size_t size = 0;
  return key != nullptr && EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
         EVP_PKEY_get_group_name(key, group, sizeof(group), &size) == 1 &&
         (std::string_view(group, size) == "prime256v1" ||
          std::string_view(group, size) == "P-256");
}

Result<PrivateKey> PrivateKey::Generate() {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  if (key == nullptr) return OpensslError(Code::kInternal, "make a key");
  return PrivateKey(std::shared_ptr<EVP_PKEY>(key, EVP_PKEY_free));
}

Result<PrivateKey> PrivateKey::FromPem(std::string_view pem) {
  if (pem.size() > kPemBytesMax) return Error(Code::kCorrupt, "a private key is too long");
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free_all);
  std::shared_ptr<EVP_PKEY> key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, RefusePassphrase, nullptr), EVP_PKEY_free);
  if (key == nullptr) return OpensslError(Code::kCorrupt, "not a private key");
  if (!IsP256(key.get())) return Error(Code::kCorrupt, "a private key that is not on P-256");
  return PrivateKey(std::move(key));
}

Result<std::string> PrivateKey::ToPem() const {
  const Bio bio(BIO_new(BIO_s_secmem()), BIO_free_all);
  if (PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) !=
      1) {
    return OpensslError(Code::kInternal, "write a key");
  }
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

Status SaveSecret(const std::string& path, std::string_view data) {
  return WriteFileDurably(path, data, 0600);
}

Status MakeSecretDirectory(const std::string& path) {
  RETURN_IF_ERROR(MakeDirectories(path, 0700));
  if (::chmod(path.c_str(), 0700) != 0) return Errno("chmod " + path);
  return Ok();
}

}  // namespace strata::pki
