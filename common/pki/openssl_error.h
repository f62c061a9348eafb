// What OpenSSL says of its last failure on this thread, as an Error.
#pragma once

#include <openssl/err.h>

#include <string>

#include "common/result.h"

namespace strata::pki {

// "what: reason". Empties this thread's queue of errors, so that a later failure tells its own.
inline Error OpensslError(Code code, std::string what) {
  if (const unsigned long last = ERR_peek_last_error(); last != 0) {
    const char* reason = ERR_reason_error_string(last);
    what += std::string(": ") + (reason != nullptr ? reason : "OpenSSL gives no reason");
  }
  ERR_clear_error();
  return Error(code, std::move(what));
}

}  // namespace strata::pki
