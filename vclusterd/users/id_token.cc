#include "vclusterd/users/id_token.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <optional>

#include "common/base64url.h"
#include "common/json_text.h"
#include "common/pki/openssl_error.h"
#include "common/pki/random.h"
#include "common/printable.h"

namespace strata::vcluster {
namespace {

using Json = nlohmann::json;

constexpr size_t kDepthMax = 16;
constexpr size_t kTextBytesMax = 1024;  // Of a claim or a field.
constexpr size_t kSubjectBytesMax = 255;
constexpr size_t kRsaBytesMin = 256;
constexpr size_t kRsaBytesMax = 1024;
constexpr size_t kExponentBytesMax = 8;  // Or verifying would take seconds.
constexpr size_t kP256Bytes = 32;

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using Bignum = std::unique_ptr<BIGNUM, Freer<BN_free>>;

Error Refused(const std::string& why) {
  return Error(Code::kPermissionDenied, "the issuer's token is not good: " + why);
}

// A field that is a string; nullopt when it is absent or something else, or too long.
std::optional<std::string> TextOf(const Json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_string()) return std::nullopt;
  const auto& text = it->get_ref<const std::string&>();
  if (text.size() > kTextBytesMax) return std::nullopt;
  return text;
}

std::optional<std::string> BytesOf(const Json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_string()) return std::nullopt;
  const auto& text = it->get_ref<const std::string&>();
  if (text.size() > 2 * kRsaBytesMax) return std::nullopt;
  return ParseBase64Url(text);
}

Bignum NumberOf(const std::string& bytes) {
  return Bignum(BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()),
                          static_cast<int>(bytes.size()), nullptr));
}

std::shared_ptr<evp_pkey_st> MakeKey(const char* type, OSSL_PARAM_BLD* builder) {
  const std::unique_ptr<OSSL_PARAM, Freer<OSSL_PARAM_free>> params(
      OSSL_PARAM_BLD_to_param(builder));
  const std::unique_ptr<EVP_PKEY_CTX, Freer<EVP_PKEY_CTX_free>> context(
      EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  const bool made = params && context && EVP_PKEY_fromdata_init(context.get()) == 1 &&
                    EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) == 1;
  ERR_clear_error();
  return made ? std::shared_ptr<evp_pkey_st>(key, EVP_PKEY_free) : nullptr;
}

using ParamBuilder = std::unique_ptr<OSSL_PARAM_BLD, Freer<OSSL_PARAM_BLD_free>>;

std::shared_ptr<evp_pkey_st> RsaKey(const Json& jwk) {
  const auto modulus = BytesOf(jwk, "n");
  const auto exponent = BytesOf(jwk, "e");
  if (!modulus || !exponent || modulus->size() < kRsaBytesMin || modulus->size() > kRsaBytesMax ||
      static_cast<unsigned char>((*modulus)[0]) < 128 || exponent->empty() ||
      exponent->size() > kExponentBytesMax) {
    return nullptr;
  }
  const Bignum n = NumberOf(*modulus);
  const Bignum e = NumberOf(*exponent);
  if (!n || !e || !BN_is_odd(n.get()) || !BN_is_odd(e.get()) || BN_is_one(e.get())) return nullptr;
  const ParamBuilder builder(OSSL_PARAM_BLD_new());
  if (!builder || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
    return nullptr;
  }
  return MakeKey("RSA", builder.get());
}

// OpenSSL refuses a point that is not on the curve.
std::shared_ptr<evp_pkey_st> EcKey(const Json& jwk) {
  const auto x = BytesOf(jwk, "x");
  const auto y = BytesOf(jwk, "y");
  if (TextOf(jwk, "crv") != "P-256" || !x || !y || x->size() != kP256Bytes ||
      y->size() != kP256Bytes) {
    return nullptr;
  }
  const std::string point = "\x04" + *x + *y;
  const ParamBuilder builder(OSSL_PARAM_BLD_new());
  if (!builder ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                       point.size()) != 1) {
    return nullptr;
  }
  return MakeKey("EC", builder.get());
}

std::optional<JwkSet::Key> ParseKey(const Json& jwk) {
  if (!jwk.is_object()) return std::nullopt;
  if (jwk.contains("use") && TextOf(jwk, "use") != "sig") return std::nullopt;
  JwkSet::Key key;
  if (jwk.contains("kid")) {
    const auto id = TextOf(jwk, "kid");
    if (!id) return std::nullopt;
    key.id = *id;
  }
  const auto type = TextOf(jwk, "kty");
  if (type != "RSA" && type != "EC") return std::nullopt;
  key.algorithm = type == "RSA" ? JwkSet::Algorithm::kRs256 : JwkSet::Algorithm::kEs256;
  const char* name = type == "RSA" ? "RS256" : "ES256";
  if (jwk.contains("alg") && TextOf(jwk, "alg") != name) return std::nullopt;
  key.key = type == "RSA" ? RsaKey(jwk) : EcKey(jwk);
  return key.key == nullptr ? std::nullopt : std::optional(std::move(key));
}

// A JWS signature of ECDSA is two numbers side by side (RFC 7518, section 3.4); OpenSSL wants DER.
std::optional<std::string> DerOf(const std::string& signature) {
  if (signature.size() != 2 * kP256Bytes) return std::nullopt;
  const std::unique_ptr<ECDSA_SIG, Freer<ECDSA_SIG_free>> pair(ECDSA_SIG_new());
  Bignum r = NumberOf(signature.substr(0, kP256Bytes));
  Bignum s = NumberOf(signature.substr(kP256Bytes));
  if (!pair || !r || !s || ECDSA_SIG_set0(pair.get(), r.get(), s.get()) != 1) return std::nullopt;
  (void)r.release();
  (void)s.release();
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(pair.get(), &der);
  if (size <= 0) return std::nullopt;
  std::string text(reinterpret_cast<const char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return text;
}

bool IsSignedBy(const JwkSet::Key& key, std::string_view data, const std::string& signature) {
  std::string encoded = signature;
  if (key.algorithm == JwkSet::Algorithm::kEs256) {
    const auto der = DerOf(signature);
    if (!der) return false;
    encoded = *der;
  }
  const std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
  const bool good =
      context &&
      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key.key.get()) == 1 &&
      EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(encoded.data()),
                       encoded.size(), reinterpret_cast<const unsigned char*>(data.data()),
                       data.size()) == 1;
  ERR_clear_error();
  return good;
}

struct Header {
  JwkSet::Algorithm algorithm;
  std::string key_id;
};

Result<Header> ParseHeader(std::string_view text) {
  const auto bytes = ParseBase64Url(text);
  if (!bytes) return Refused("its head is no base64url");
  const auto json = ParseJsonText(*bytes, kIdTokenBytesMax, kDepthMax);
  if (!json.ok() || !json->is_object()) return Refused("its head is no JSON object");
  // Extensions that must be understood are not.
  if (json->contains("crit")) return Refused("it wants extensions");
  const auto algorithm = TextOf(*json, "alg");
  Header header;
  if (algorithm == "RS256") {
    header.algorithm = JwkSet::Algorithm::kRs256;
  } else if (algorithm == "ES256") {
    header.algorithm = JwkSet::Algorithm::kEs256;
  } else {
    return Refused("its algorithm is neither RS256 nor ES256");
  }
  if (json->contains("kid")) {
    const auto id = TextOf(*json, "kid");
    if (!id) return Refused("its key's id is no text");
    header.key_id = *id;
  }
  return header;
}

// Seconds since 1970, as JSON has them: perhaps with a fraction.
std::optional<int64_t> MsOf(const Json& claims, const char* key) {
  const auto it = claims.find(key);
  if (it == claims.end() || !it->is_number()) return std::nullopt;
  const double seconds = it->get<double>();
  if (!(seconds >= 0 && seconds < 1e12)) return std::nullopt;
  return static_cast<int64_t>(seconds * 1000);
}

Status CheckAudience(const Json& claims, const std::string& client_id) {
  const auto it = claims.find("aud");
  if (it == claims.end()) return Refused("it is for nobody");
  bool is_ours = *it == client_id;
  const bool has_others = it->is_array() && it->size() != 1;
  if (it->is_array()) {
    for (const Json& one : *it) is_ours = is_ours || one == client_id;
  }
  if (!is_ours) return Refused("it is for somebody else");
  const bool has_party = claims.contains("azp");
  if (has_party ? TextOf(claims, "azp") != client_id : has_others) {
    return Refused("it was made for somebody else");
  }
  return Ok();
}

Status CheckTimes(const Json& claims, const IdExpectation& expected) {
  const int64_t now = expected.now_unix_ms;
  const auto expires = MsOf(claims, "exp");
  const auto issued = MsOf(claims, "iat");
  if (!expires || !issued) return Refused("it does not say when it was made and when it ends");
  if (*expires <= now - expected.leeway_ms) return Refused("it has ended");
  if (*issued > now + expected.leeway_ms) return Refused("it was made in the future");
  if (claims.contains("nbf")) {
    const auto begins = MsOf(claims, "nbf");
    if (!begins || *begins > now + expected.leeway_ms) return Refused("it is not good yet");
  }
  return Ok();
}

}  // namespace

Result<JwkSet> JwkSet::Parse(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseJsonText(text, kJwkSetBytesMax, kDepthMax),
                   "the issuer's keys");
  const Error wrong(Code::kInvalidArgument, "the issuer's keys: this is no set of keys");
  if (!json.is_object()) return wrong;
  const auto keys = json.find("keys");
  if (keys == json.end() || !keys->is_array()) return wrong;
  if (keys->size() > kJwkSetKeysMax) {
    return Error(Code::kResourceExhausted,
                 "the issuer has more than " + std::to_string(kJwkSetKeysMax) + " keys");
  }
  JwkSet set;
  for (const Json& jwk : *keys) {
    if (auto key = ParseKey(jwk)) set.keys_.push_back(std::move(*key));
  }
  return set;
}

const JwkSet::Key* JwkSet::Find(std::string_view id, Algorithm algorithm) const {
  const Key* found = nullptr;
  for (const Key& key : keys_) {
    if (key.algorithm != algorithm || (!id.empty() && key.id != id)) continue;
    if (found != nullptr) return nullptr;
    found = &key;
  }
  return found;
}

Result<IdClaims> CheckIdClaims(std::string_view text, const IdExpectation& expected) {
  const auto json = ParseJsonText(text, kIdTokenBytesMax, kDepthMax);
  if (!json.ok() || !json->is_object()) return Refused("its claims are no JSON object");
  if (TextOf(*json, "iss") != expected.issuer) return Refused("it is another issuer's");
  RETURN_IF_ERROR(CheckAudience(*json, expected.client_id));
  RETURN_IF_ERROR(CheckTimes(*json, expected));
  const auto nonce = TextOf(*json, "nonce");
  if (expected.nonce.empty() || !nonce || !pki::EqualInConstantTime(*nonce, expected.nonce)) {
    return Refused("it is of another sign-in");
  }
  const auto subject = TextOf(*json, "sub");
  if (!subject || subject->empty() || subject->size() > kSubjectBytesMax ||
      Printable(*subject) != *subject) {
    return Refused("it says of nobody");
  }
  IdClaims claims;
  claims.issuer = expected.issuer;
  claims.subject = *subject;
  claims.user_name = TextOf(*json, "preferred_username").value_or("");
  claims.real_name = TextOf(*json, "name").value_or("");
  const auto verified = json->find("email_verified");
  if (verified != json->end() && *verified == true) {
    claims.mail = TextOf(*json, "email").value_or("");
  }
  return claims;
}

Result<IdClaims> VerifyIdToken(std::string_view token, const JwkSet& keys,
                               const IdExpectation& expected) {
  if (token.size() > kIdTokenBytesMax) return Refused("it is too long");
  const size_t first = token.find('.');
  const size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) {
    return Refused("it has not three parts");
  }
  ASSIGN_OR_RETURN(const Header header, ParseHeader(token.substr(0, first)));
  const auto claims = ParseBase64Url(token.substr(first + 1, second - first - 1));
  const auto signature = ParseBase64Url(token.substr(second + 1));
  if (!claims || !signature) return Refused("it is no base64url");
  const JwkSet::Key* key = keys.Find(header.key_id, header.algorithm);
  if (key == nullptr) {
    return Error(Code::kNotFound, "none of the issuer's keys has signed the token");
  }
  if (!IsSignedBy(*key, token.substr(0, second), *signature)) {
    return Refused("its signature is wrong");
  }
  return CheckIdClaims(*claims, expected);
}

}  // namespace strata::vcluster
