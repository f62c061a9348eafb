// A certificate signing request (PKCS #10, RFC 2986): a host's public key and the name it asks for,
// signed with its key. Only key and name count: whatever extensions a request asks for are ignored.
// Thread-safe.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "common/pki/private_key.h"
#include "common/result.h"

namespace strata::pki {

// DER. kInvalidArgument for a name that no host may have.
Result<std::string> MakeRequest(const PrivateKey& key, const std::string& host_name);

struct SigningRequest {
  std::string host_name;
  std::shared_ptr<evp_pkey_st> public_key;  // On P-256.
};

// At most 4 KiB of DER with nothing behind it; one subject CN that is a host's name, a key on
// P-256, and a signature by that key. kInvalidArgument says what is wrong.
Result<SigningRequest> ParseRequest(std::string_view der);

}  // namespace strata::pki
