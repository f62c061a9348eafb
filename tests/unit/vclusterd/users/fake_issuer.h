// An issuer of OpenID Connect with keys of its own, that answers requests as a server would.
#pragma once

#include <gtest/gtest.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "common/base64url.h"
#include "common/http/client.h"
#include "vclusterd/users/open_id.h"

namespace strata::vcluster {

// A key pair of the issuer's.
class SigningKey {
 public:
  enum class Kind { kRsa, kEc };
  SigningKey(Kind kind, std::string id, unsigned bits = 2048)
      : kind_(kind),
        id_(std::move(id)),
        key_(kind == Kind::kRsa ? EVP_RSA_gen(bits) : EVP_EC_gen("P-256"), EVP_PKEY_free) {}

  std::string algorithm() const { return kind_ == Kind::kRsa ? "RS256" : "ES256"; }
  const std::string& id() const { return id_; }

  nlohmann::json Jwk() const {
    nlohmann::json jwk = {{"kid", id_}, {"use", "sig"}, {"alg", algorithm()}};
    if (kind_ == Kind::kRsa) {
      jwk["kty"] = "RSA";
      jwk["n"] = Base64Url(Number(OSSL_PKEY_PARAM_RSA_N, 0));
      jwk["e"] = Base64Url(Number(OSSL_PKEY_PARAM_RSA_E, 0));
    } else {
      jwk["kty"] = "EC";
      jwk["crv"] = "P-256";
      jwk["x"] = Base64Url(Number(OSSL_PKEY_PARAM_EC_PUB_X, 32));
      jwk["y"] = Base64Url(Number(OSSL_PKEY_PARAM_EC_PUB_Y, 32));
    }
    return jwk;
  }

  std::string Sign(const std::string& data) const {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                          EVP_MD_CTX_free);
    const auto* bytes = reinterpret_cast<const unsigned char*>(data.data());
    size_t size = 0;
    EXPECT_EQ(EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()), 1);
    EXPECT_EQ(EVP_DigestSign(context.get(), nullptr, &size, bytes, data.size()), 1);
    std::string signature(size, '\0');
    EXPECT_EQ(EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()),
                             &size, bytes, data.size()),
              1);
    signature.resize(size);
    return kind_ == Kind::kRsa ? signature : SideBySide(signature);
  }

  // A whole token; `header` replaces fields of the usual one.
  std::string Token(const nlohmann::json& claims, const nlohmann::json& header = {}) const {
    nlohmann::json whole = {{"alg", algorithm()}, {"kid", id_}, {"typ", "JWT"}};
    if (!header.is_null()) whole.update(header);
    const std::string data = Base64Url(whole.dump()) + "." + Base64Url(claims.dump());
    return data + "." + Base64Url(Sign(data));
  }

 private:
  std::string Number(const char* name, int size) const {
    BIGNUM* number = nullptr;
    EXPECT_EQ(EVP_PKEY_get_bn_param(key_.get(), name, &number), 1);
    std::string bytes(static_cast<size_t>(size > 0 ? size : BN_num_bytes(number)), '\0');
    BN_bn2binpad(number, reinterpret_cast<unsigned char*>(bytes.data()),
                 static_cast<int>(bytes.size()));
    BN_free(number);
    return bytes;
  }
  static std::string SideBySide(const std::string& der) {
    const auto* at = reinterpret_cast<const unsigned char*>(der.data());
    const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> pair(
        d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())), ECDSA_SIG_free);
    std::string bytes(64, '\0');
    auto* to = reinterpret_cast<unsigned char*>(bytes.data());
    BN_bn2binpad(ECDSA_SIG_get0_r(pair.get()), to, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(pair.get()), to + 32, 32);
    return bytes;
  }

  const Kind kind_;
  const std::string id_;
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
};

class FakeIssuer {
 public:
  static constexpr char kIssuer[] = "https://id.example.org/realm";

  explicit FakeIssuer(int64_t* now_ms) : now_ms_(now_ms) { NewKey("k1"); }

  OpenIdClient Client() const {
    OpenIdClient client;
    client.issuer = kIssuer;
    client.client_id = "strata";
    client.client_secret = "s3cret/+";
    client.redirect_uri = "https://strata.example.org/back";
    return client;
  }

  void NewKey(const std::string& id) {
    key_ = std::make_unique<SigningKey>(SigningKey::Kind::kEc, id);
  }
  const SigningKey& key() const { return *key_; }
  nlohmann::json Keys() const { return {{"keys", {key_->Jwk()}}}; }

  nlohmann::json Claims(const std::string& nonce) const {
    return {{"iss", kIssuer},
            {"aud", "strata"},
            {"sub", "subject-1"},
            {"iat", *now_ms_ / 1000},
            {"exp", *now_ms_ / 1000 + 300},
            {"nonce", nonce},
            {"name", "Alice Smith"},
            {"preferred_username", "alice"},
            {"email", "alice@example.org"},
            {"email_verified", true}};
  }

  // The user agrees in his browser: what it brings back.
  std::string Agree(const std::string& url) {
    const auto query = http::ParseQuery(url.substr(url.find('?') + 1));
    EXPECT_TRUE(query.ok());
    const std::string code = "code-" + std::to_string(codes_.size());
    codes_[code] = *query;
    return "code=" + code + "&state=" + std::string(http::Find(*query, "state")) +
           "&iss=" + http::PercentEncode(kIssuer);
  }

  Result<http::Incoming> Answer(const http::Outgoing& request) {
    ++requests_[request.url];
    http::Incoming answer;
    answer.status = 200;
    if (down) return Error(Code::kUnavailable, "nobody answers");
    if (request.url == std::string(kIssuer) + "/.well-known/openid-configuration") {
      answer.text = nlohmann::json{
          {"issuer", kIssuer},
          {"authorization_endpoint", "https://id.example.org/auth"},
          {"token_endpoint", "https://id.example.org/token"},
          {"jwks_uri", "https://id.example.org/keys"},
          {"authorization_response_iss_parameter_supported",
           true}}.dump();
    } else if (request.url == "https://id.example.org/keys") {
      answer.text = Keys().dump();
    } else if (request.url == "https://id.example.org/token") {
      GiveToken(request, &answer);
    } else {
      answer.status = 404;
    }
    return answer;
  }

  int requests(const std::string& url) { return requests_[url]; }
  bool down = false;
  nlohmann::json other_claims;  // Replace what the next tokens say.

 private:
  void GiveToken(const http::Outgoing& request, http::Incoming* answer) {
    const auto form = http::ParseQuery(request.text);
    const auto asked = codes_.find(std::string(http::Find(*form, "code")));
    const bool is_client = http::Find(request.headers, "Authorization") ==
                           "Basic " + http::Base64("strata:s3cret%2F%2B");
    const bool is_good =
        is_client && request.method == "POST" && asked != codes_.end() &&
        http::Find(*form, "grant_type") == "authorization_code" &&
        http::Find(*form, "redirect_uri") == http::Find(asked->second, "redirect_uri") &&
        ChallengeOf(std::string(http::Find(*form, "code_verifier"))) ==
            http::Find(asked->second, "code_challenge");
    if (!is_good) {
      answer->status = 400;
      answer->text = R"({"error": "invalid_grant"})";
      return;
    }
    nlohmann::json claims = Claims(std::string(http::Find(asked->second, "nonce")));
    if (!other_claims.is_null()) claims.update(other_claims);
    answer->text =
        nlohmann::json{
            {"access_token", "x"}, {"token_type", "Bearer"}, {"id_token", key_->Token(claims)}}
            .dump();
    codes_.erase(asked);
  }

  const int64_t* const now_ms_;
  std::unique_ptr<SigningKey> key_;
  std::map<std::string, http::Fields> codes_;  // What was asked for with them.
  std::map<std::string, int> requests_;
};

}  // namespace strata::vcluster
