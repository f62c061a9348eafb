// JoinToken: what an administrator carries from a host of the cluster to a new one. Its text is
// "strata1-" and the base64url (RFC 4648, without padding) of: length and bytes of the host's name,
// length and bytes of its address, SHA-256 of the authority's certificate (32), secret (16), and
// the first 4 bytes of the SHA-256 of all that, so that a cut or mistyped token is told from a
// wrong one. About 110 characters; good for one use and one hour (token_store.h).
#pragma once

#include <string>
#include <string_view>

#include "common/result.h"

namespace strata::imaged {

constexpr size_t kTokenSecretBytes = 16;

struct JoinToken {
  std::string host_name;         // The host that made it, and takes it.
  std::string address;           // Where that one listens.
  std::string authority_sha256;  // 32 bytes.
  std::string secret;            // kTokenSecretBytes bytes.
};

// REQUIRES: name and address of at most 255 bytes, the others of their lengths.
std::string EncodeToken(const JoinToken& token);
// kInvalidArgument for anything that EncodeToken did not make.
Result<JoinToken> ParseToken(std::string_view text);

}  // namespace strata::imaged
